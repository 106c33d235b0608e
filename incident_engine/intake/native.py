"""Events in the native format: one JSON object or an array of them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pydantic_core
from pydantic import ValidationError

from incident_engine.common.errors import InvalidDocumentError, MalformedBodyError, Problem
from incident_engine.common.validation import problems_of
from incident_engine.domain.events.fields import KNOWN_SERVICES
from incident_engine.domain.events.model import EVENT, AnyEvent, Event

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Which some monitors put first; RFC 8259 (8.1) lets us ignore it."""


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises MalformedBodyError with line and column."""
    try:
        return pydantic_core.from_json(body.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False)
    except ValueError as error:
        raise _malformed(body, error) from None


def _malformed(body: bytes, error: ValueError) -> MalformedBodyError:
    try:
        json.loads(body)
    except json.JSONDecodeError as exact:
        return MalformedBodyError(exact.msg, exact.lineno, exact.colno)
    except UnicodeDecodeError as exact:
        before = body[: exact.start]
        column = exact.start - (before.rfind(b"\n") + 1) + 1
        return MalformedBodyError("not UTF-8", before.count(b"\n") + 1, column)
    except (ValueError, RecursionError):
        pass  # only the stricter reader refuses it
    place = re.search(r"^(.*) at line (\d+) column (\d+)", str(error))
    return MalformedBodyError(place[1], int(place[2]), int(place[3])) if place else MalformedBodyError(str(error), 1, 1)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a document says: its events in order, None for each that cannot be used, and everything that is wrong."""

    events: tuple[Event | None, ...]
    problems: tuple[Problem, ...]
    ahead: int = 0
    """How many occurred too far ahead of this machine's clock."""


def parse_document(document: object, services: Mapping[str, object] | None, latest: datetime | None = None) -> Parsed:
    """Return the events of a document (one object or an array), each validated by itself.

    `services` are the known ones, None accepts any. No event may have occurred after `latest`. The problems' paths
    begin with the place in the array, also for a single object.
    """
    events: list[Event | None] = []
    problems: list[Problem] = []
    ahead = 0
    for place, part in enumerate(document if isinstance(document, list) else [document]):
        try:
            event = EVENT.validate_python(part, context={KNOWN_SERVICES: services})
        except ValidationError as error:
            events.append(None)
            wrong = problems_of(error, Event, part)
            if any(problem.path == ("type",) for problem in wrong):
                wrong += _wrong_otherwise(part, services)
            problems += [replace(problem, path=(place, *problem.path)) for problem in wrong]
            continue
        late = _from_the_future(event, latest)
        problems += [replace(late, path=(place, *late.path))] if late else []
        ahead += late is not None
        events.append(None if late else event)
    return Parsed(tuple(events), tuple(problems), ahead)


def _wrong_otherwise(part: object, services: Mapping[str, object] | None) -> list[Problem]:
    """Return what else is wrong with an event whose type is not known."""
    try:
        AnyEvent.model_validate(part, context={KNOWN_SERVICES: services})
    except ValidationError as error:
        return problems_of(error, AnyEvent, part)
    return []


def parse_events(document: object, services: Mapping[str, object] | None) -> list[Event]:
    """Return the events of a document: one object or an array.

    Raises InvalidDocumentError with every problem; its paths point into the document as it was given.
    """
    parsed = parse_document(document, services)
    if parsed.problems:
        raise InvalidDocumentError(located(parsed.problems, document))
    return [event for event in parsed.events if event is not None]


def located(problems: Sequence[Problem], document: object) -> list[Problem]:
    """Return the problems with paths into the document as it was given: a single object has no place in an array."""
    if isinstance(document, list):
        return list(problems)
    return [replace(problem, path=problem.path[1:]) for problem in problems]


def _from_the_future(event: Event, latest: datetime | None) -> Problem | None:
    if latest is None or event.occurred_at <= latest:
        return None
    said = f"{event.occurred_at.isoformat()} is ahead of this machine's clock, which allows up to {latest.isoformat()}"
    return Problem(("occurred_at",), said, "an instant that has come; compare the clocks of both machines")
