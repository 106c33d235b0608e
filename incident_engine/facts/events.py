"""The events that a monitor or a person can report, as they stand on the wire (native format).

An event is one fact; it is never changed and never deleted. `(source, id)` is its idempotency key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
)

from incident_engine.facts.regions import resolve_region
from incident_engine.validation import Strict, invalid, unknown_name

KNOWN_SERVICES = "known_services"
"""Key of the validation context: the ids of the services that the bank has."""


class EventType(StrEnum):
    """What an event reports."""

    OUTAGE_STARTED = "outage.started"
    OUTAGE_DEGRADED = "outage.degraded"
    OUTAGE_RESTORED = "outage.restored"
    RECOVERY_ESTIMATED = "recovery.estimated"
    NOTE_ADDED = "note.added"
    STEP_COMPLETED = "step.completed"
    INCIDENT_CLOSED = "incident.closed"


def _known_service(service: str, info: ValidationInfo) -> str:
    known: Mapping[str, object] | None = (info.context or {}).get(KNOWN_SERVICES)
    if known is not None and service not in known:
        raise unknown_name("service", service, known)
    return service


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise invalid(f"not a plain name: {text!r}", "printable characters without spaces at the ends")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise invalid(
            f"not an incident's key: {text!r}", "letters, digits, '.', '_' and '-', such as INC-2026-17; 80 at most"
        )
    return text


_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
IncidentKey = Annotated[str, AfterValidator(_key)]
Service = Annotated[Name, AfterValidator(_known_service)]
Region = Annotated[Name, AfterValidator(resolve_region)]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]


_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def _in_utc(instant: datetime) -> datetime:
    if not _EARLIEST <= instant < _LATEST:  # a clock never set, such as the year 1 of Go's zero time
        raise invalid(f"not a plausible instant: {instant.isoformat()}", "one from 1970 to 2199")
    return instant.astimezone(UTC)


def _written(value: object) -> object:
    if not isinstance(value, str | datetime) or (isinstance(value, str) and value.strip().lstrip("-").isdigit()):
        raise invalid(f"not an instant: {value!r}", "an instant with its offset, such as 2013-06-23T10:35:00+08:00")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written, json_schema_input_type=str), AfterValidator(_in_utc)]


class _Event(Strict):
    source: Name
    id: Name
    occurred_at: Instant
    incident: IncidentKey | None = None


class OutageData(BaseModel):
    """What else the monitor says. Other keys are kept and shown, never graded."""

    model_config = ConfigDict(frozen=True, extra="allow")
    signal: Name | None = None
    """The alert, trigger or check behind the outage. A restoration with a signal ends that signal's outage only;
    one without a signal ends all."""


class OutageEvent(_Event):
    """A service is down, works badly or works again in some regions."""

    type: Literal[EventType.OUTAGE_STARTED, EventType.OUTAGE_DEGRADED, EventType.OUTAGE_RESTORED]
    service: Service
    regions: tuple[Region, ...] = Field(min_length=1)
    data: OutageData = OutageData()


class _PersonEvent(_Event):
    """An event about an incident as a whole: named by its key, or the open one of a service."""

    service: Service | None = None
    regions: tuple[Region, ...] = ()


class EstimateData(Strict):
    """When the service is expected to work again."""

    recovery_at: Instant
    by: Name | None = None


class RecoveryEstimated(_PersonEvent):
    """An estimate of the recovery; the latest counts."""

    type: Literal[EventType.RECOVERY_ESTIMATED]
    data: EstimateData


class NoteData(Strict):
    """Free words for the record."""

    text: Text
    by: Name | None = None


class NoteAdded(_PersonEvent):
    """A note for the record."""

    type: Literal[EventType.NOTE_ADDED]
    data: NoteData


class CompletionData(Strict):
    """Who did what: a step by its id, or the obligation that it fulfils."""

    by: Name
    step: Name | None = None
    fulfils: Name | None = None
    note: Text | None = None


class StepCompleted(_PersonEvent):
    """A person did what a step asked for, such as handing in the first report."""

    type: Literal[EventType.STEP_COMPLETED]
    data: CompletionData


class ClosingData(Strict):
    """Who closed the incident, and why."""

    by: Name
    reason: Text | None = None


class IncidentClosed(_PersonEvent):
    """The incident is over."""

    type: Literal[EventType.INCIDENT_CLOSED]
    data: ClosingData


Event = Annotated[
    OutageEvent | RecoveryEstimated | NoteAdded | StepCompleted | IncidentClosed, Field(discriminator="type")
]


class AnyEvent(_PersonEvent):
    """What an event of any type has: to say what else is wrong with one whose type is unknown."""

    model_config = ConfigDict(extra="ignore")


EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with the instant at which we received it."""

    event: Event
    received_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Return the idempotency key."""
        return self.event.source, self.event.id


def wire(event: Event) -> dict[str, Any]:
    """Return the event in the native format, ready for JSON."""
    document: dict[str, Any] = EVENT.dump_python(event, mode="json")
    return document
