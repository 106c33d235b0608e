"""The events that a monitor or a person can report, as they stand on the wire (native format).

An event is one fact; it is never changed and never deleted. `(source, id)` is its idempotency key.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)

from incident_engine.common.plain_text import first_control, unix_lines, without_controls
from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.events.actions import (
    IncidentClosed,
    LessonRecorded,
    NoteAdded,
    ReportWritten,
    StepAcknowledged,
    StepAdded,
    StepApproved,
    StepAssigned,
    StepCompleted,
    StepSkipped,
)
from incident_engine.domain.events.fields import Figure, Instant, LevelName, Name, PersonName, Regions, Service, Text
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.types import BaseEvent, EventType, PersonEvent
from incident_engine.domain.values import Identifier


class OutageData(BaseModel):
    """Further facts from the monitor. Unknown keys are kept and shown, never graded."""

    model_config = ConfigDict(frozen=True, extra="allow")
    signal: Name | None = None
    """The alert, trigger or check behind the outage; it belongs to the source. A restoration with a signal ends the
    outage of its own source's signal only; one without a signal ends all."""

    @model_validator(mode="before")
    @classmethod
    def _with_unix_lines(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: unix_lines(value) if isinstance(value, str) else value for name, value in data.items()}

    @model_validator(mode="after")
    def _is_storable(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if fault := first_control({name: value}):
                message = f"'{without_controls(name)}' has {fault}"
                raise invalid(message, "texts of printable characters, tabs and line ends, and finite numbers")
        return self


class OutageEvent(BaseEvent):
    """A service is down, works badly or works again in some regions."""

    type: Literal[EventType.OUTAGE_STARTED, EventType.OUTAGE_DEGRADED, EventType.OUTAGE_RESTORED]
    service: Service
    regions: Regions = Field(min_length=1)
    data: OutageData = OutageData()


def outage_started(
    source: str, event_id: str, at: datetime, service: str, regions: tuple[str, ...], data: Mapping[str, str]
) -> OutageEvent:
    """Return the start of an outage from parts that have been validated, each by the type of its field.

    `data` has the `signal`, and any other text of the monitor. Equal to a validated event, at a tenth of the cost.
    """
    extra = {name: text for name, text in data.items() if name != "signal"}
    return _made(
        OutageEvent,
        {
            "source": source,
            "id": event_id,
            "occurred_at": at,
            "incident": None,
            "type": EventType.OUTAGE_STARTED,
            "service": service,
            "regions": regions,
            "data": _made(OutageData, {"signal": data["signal"]}, frozenset(data), extra),
        },
        _STARTED_FIELDS,
    )


_STARTED_FIELDS = frozenset({"source", "id", "occurred_at", "type", "service", "regions", "data"})
Made = TypeVar("Made", bound=BaseModel)


def _made(
    model: type[Made], values: dict[str, object], fields: Collection[str], extra: dict[str, str] | None = None
) -> Made:
    """Return a model of valid values, as `model_construct` would, without visiting every field."""
    made = model.__new__(model)
    for name, value in (
        ("__dict__", values),
        ("__pydantic_fields_set__", set(fields)),
        ("__pydantic_extra__", extra),
        ("__pydantic_private__", None),
    ):
        object.__setattr__(made, name, value)
    return made


class EstimateData(Strict):
    """When the service is expected to work again."""

    recovery_at: Instant
    by: PersonName | None = None


class RecoveryEstimated(PersonEvent):
    """An estimate of the recovery; the latest counts."""

    type: Literal[EventType.RECOVERY_ESTIMATED]
    data: EstimateData


class RepairData(Strict):
    """The report of a failed repair."""

    by: PersonName
    reason: Text


class RepairFailed(PersonEvent):
    """The failure was not repaired. Forecasts grade its effect on the next service hours."""

    type: Literal[EventType.REPAIR_FAILED]
    data: RepairData


class MaintenanceData(Strict):
    """The announced time of the maintenance: from `start` (inclusive) to `end` (exclusive)."""

    start: Instant
    end: Instant
    by: PersonName | None = None
    note: Text | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise invalid(f"ends at {self.end.isoformat()}, not after it starts", "an end after the start")
        return self


class MaintenanceAnnounced(BaseEvent):
    """Maintenance of a service, announced before it begins; no regions: everywhere. It belongs to no incident."""

    type: Literal[EventType.MAINTENANCE_ANNOUNCED]
    service: Service
    regions: Regions = ()
    data: MaintenanceData

    @field_validator("incident")
    @classmethod
    def _of_none(cls, incident: str | None) -> str | None:
        if incident is not None:
            raise invalid(f"maintenance belongs to no incident, not to '{incident}'", "no incident")
        return incident

    @field_validator("data")
    @classmethod
    def _beforehand(cls, data: MaintenanceData, info: ValidationInfo) -> MaintenanceData:
        announced = info.data.get("occurred_at")
        if announced is not None and announced > data.start:
            message = f"announced at {announced.isoformat()}, after it began ({data.start.isoformat()})"
            raise invalid(message, "an announcement before the maintenance begins; once it has begun, report an outage")
        return data

    def covers(self, service: str, region: str) -> bool:
        """Return whether a service is maintained in a region."""
        return self.service == service and (not self.regions or region in self.regions)


class ImpactData(Strict):
    """Figures by the names that the packs declare under `measures`: a number, or yes or no."""

    by: PersonName
    measures: dict[Identifier, Figure] = {}
    root_cause: Name | None = None
    """The apparent root cause, with equal text for incidents of the same cause."""
    note: Text | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.measures and self.root_cause is None:
            raise invalid("nothing is measured", "measures or root_cause")
        return self


class ImpactMeasured(PersonEvent):
    """Figures of the incident's impact that no monitor of services knows."""

    type: Literal[EventType.IMPACT_MEASURED]
    data: ImpactData


class PlanFailureData(Strict):
    """The report of a plan or decision that failed."""

    by: PersonName
    reason: Text


class PlanFailed(PersonEvent):
    """A plan or a decision turned out not to work (Art. 39)."""

    type: Literal[EventType.PLAN_FAILED]
    data: PlanFailureData


class CorrectionData(Strict):
    """The right level of a pack (null: below the lowest), with its reason. The present level confirms it."""

    level: LevelName | None
    pack: Identifier | None = None
    """The primary pack unless another is named."""
    by: PersonName
    reason: Text


class LevelCorrected(PersonEvent):
    """A person corrects or confirms the level; the only way in which one is lowered, and it stays on record."""

    type: Literal[EventType.LEVEL_CORRECTED]
    data: CorrectionData


Event = Annotated[
    OutageEvent
    | RepairFailed
    | RecoveryEstimated
    | MaintenanceAnnounced
    | HarmAssessed
    | ImpactMeasured
    | PlanFailed
    | LevelCorrected
    | NoteAdded
    | StepAcknowledged
    | StepApproved
    | StepCompleted
    | StepSkipped
    | StepAssigned
    | StepAdded
    | ReportWritten
    | LessonRecorded
    | IncidentClosed,
    Field(discriminator="type"),
]

OPENING = (OutageEvent, HarmAssessed, ImpactMeasured)
"""The events with which an incident can begin: a leak of data is one without any outage."""


class AnyEvent(PersonEvent):
    """The common fields of all events: to validate the rest of an event whose type is unknown."""

    model_config = ConfigDict(extra="ignore")


EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Repeats(StrEnum):
    """How a sender repeats itself, which gives an event under a known key its meaning."""

    EXACT = "exact"
    """It sends the same event again. Any other content under the same key contradicts it."""
    STAMPED = "stamped"
    """The same, but the instant is our own clock's, so a repeat has another one."""
    ALERTS = "alerts"
    """A monitor repeats an alert while it lasts, with other words, and may say under the same key that it is back."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with the instant at which we received it."""

    event: Event
    received_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Return the idempotency key."""
        return self.event.source, self.event.id


def wire_json(event: Event) -> str:
    """Return the event in the native format, as JSON."""
    return event.model_dump_json()


def wire(event: Event) -> dict[str, Any]:
    """Return the event in the native format, ready for JSON."""
    document: dict[str, Any] = EVENT.dump_python(event, mode="json")
    return document
