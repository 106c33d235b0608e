"""Events in the native format: one JSON object or an array of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from incident_engine.common.errors import MOST_PROBLEMS, InvalidDocumentError, Problem
from incident_engine.common.validation import problems_of
from incident_engine.config.settings import Settings
from incident_engine.domain.events.fields import EVERYWHERE, KNOWN_SERVICES
from incident_engine.domain.events.model import EVENT, AnyEvent, Event
from incident_engine.domain.events.reserved import reserved_problems
from incident_engine.intake.base import Batch, Format, FormatDocs, IntakeContext, Overrides
from incident_engine.intake.document import MOST_KEYS, has_too_many_keys, parse_json

_UNKNOWN = "unknown"
_EVENT_SCHEMA = {"$ref": "#/components/schemas/Event"}


class NativeFormat(Format):
    """Parses events in the engine's own format. All events of a body are stored, or none."""

    name = "events"
    path = "/api/v1/events"
    source = _UNKNOWN
    has_quarantine = False
    docs = FormatDocs(
        summary="报告事件 · Report events",
        description="一个事件或一组事件，全部保存或全部不保存；同一事件再次发送不改变任何内容，同一标识而内容不同则拒绝（409）。"
        " One event or an array, in the native format: all are stored, or none. The same event again changes nothing;"
        " another content under a known id is refused (409).",
        models={"Event": Event},
        body={"oneOf": [_EVENT_SCHEMA, {"type": "array", "items": _EVENT_SCHEMA}]},
        example={
            "source": "zabbix-bj",
            "id": "evt-81734",
            "type": "outage.started",
            "service": "core-banking",
            "regions": ["CN-GD", "湖南"],
            "occurred_at": "2013-06-23T10:35:00+08:00",
        },
    )

    def __init__(self, settings: Settings) -> None:
        self._services = settings.service_names
        self._everywhere = settings.regions.everywhere

    def parse(self, body: bytes, context: IntakeContext) -> Batch:
        """Return the events of a body, with the problems of each.

        Raises MalformedBodyError if it is not JSON, InvalidDocumentError if an object has a key twice, and
        TooLargeError if there are too many events.
        """
        document = parse_json(body)
        context.check_count(len(document) if isinstance(document, list) else 1)
        batch = parse_document(document, self._services, context.latest, self._everywhere)
        reserved = [
            problem
            for index, event in enumerate(batch.events)
            if event is not None
            for problem in reserved_problems(event, (index,))
        ]
        return replace(batch, problems=[*batch.problems, *reserved]) if reserved else batch

    def map_document(
        self, document: Mapping[str, Any], overrides: Overrides, context: IntakeContext
    ) -> Sequence[Event]:
        """Return one event, with the service and regions of `overrides`, as `Format.map_document` describes."""
        overridden = {"service": overrides.service, "regions": overrides.regions}
        changed = {**document, **{name: value for name, value in overridden.items() if value is not None}}
        batch = parse_document(changed, self._services, context.latest, self._everywhere)
        if batch.problems:
            raise InvalidDocumentError(batch.located(batch.problems))
        return [event for event in batch.events if event is not None]


def parse_document(
    document: object,
    services: Mapping[str, object] | None,
    latest: datetime | None = None,
    everywhere: Sequence[str] = (),
) -> Batch:
    """Return the events of a document (one object or an array), each validated by itself.

    `services` are the known ones, None accepts any. No event may have occurred after `latest`. `everywhere` has the
    regions for which words such as 全国 stand.
    """
    names = {KNOWN_SERVICES: services, EVERYWHERE: everywhere}
    events: list[Event | None] = []
    problems: list[Problem] = []
    future_count = more_problems = 0
    for index, part in enumerate(document if isinstance(document, list) else [document]):
        if isinstance(part, dict) and has_too_many_keys({**part, "regions": None}):
            events.append(None)
            problems.append(Problem((index,), f"an object has more than {MOST_KEYS} keys", "fewer keys"))
            continue
        try:
            event = EVENT.validate_python(part, context=names)
        except ValidationError as error:
            events.append(None)
            # To word a problem costs far more than to find it, and nobody reads thousands.
            if len(problems) >= MOST_PROBLEMS:
                more_problems += error.error_count()
                continue
            own_problems = problems_of(error, Event, part, MOST_PROBLEMS)
            more_problems += max(0, error.error_count() - MOST_PROBLEMS)
            # An unknown type hides the errors of all other fields; one answer must name everything that is wrong.
            if any(problem.path == ("type",) for problem in own_problems):
                try:
                    AnyEvent.model_validate(part, context=names)
                except ValidationError as shared:  # the fields that all types have
                    own_problems += problems_of(shared, AnyEvent, part)
            problems += [replace(problem, path=(index, *problem.path)) for problem in own_problems]
            continue
        if latest is not None and event.occurred_at > latest:
            ahead = f"{event.occurred_at.isoformat()} is ahead of this machine's clock, which allows up to "
            expected = "an instant that has come; compare the clocks of both machines"
            problems.append(Problem((index, "occurred_at"), ahead + latest.isoformat(), expected))
            future_count += 1
            events.append(None)
        else:
            events.append(event)
    return Batch(
        _UNKNOWN,
        events,
        problems,
        more_problems=more_problems,
        future_count=future_count,
        is_array=isinstance(document, list),
    )


def parse_events(
    document: object, services: Mapping[str, object] | None, everywhere: Sequence[str] = ()
) -> list[Event]:
    """Return the events of a document: one object or an array. Raises InvalidDocumentError with every problem."""
    batch = parse_document(document, services, everywhere=everywhere)
    if batch.problems:
        raise InvalidDocumentError(batch.located(batch.problems), batch.more_problems)
    return [event for event in batch.events if event is not None]
