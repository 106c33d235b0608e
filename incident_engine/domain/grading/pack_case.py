"""Test cases in a pack, beside its rules: facts, and the whole level history that must follow from them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.validation import Strict, invalid, problems_of
from incident_engine.domain.calendar.service_hours import ALWAYS, ServiceHours, parse_window, weekly_hours
from incident_engine.domain.events.fields import Figure
from incident_engine.domain.events.model import EVENT, Event, MaintenanceAnnounced
from incident_engine.domain.events.region_names import resolve_region
from incident_engine.domain.events.types import EventType
from incident_engine.domain.grading.interpretation import Interpretation
from incident_engine.domain.values import Day, Identifier

SERVICE = "case"
"""The service of a case, unless an event names another."""

_TIME_OF_DAY = re.compile(r"(\d{2,3}):([0-5]\d)(?::([0-5]\d)(?:\.(\d{6}))?)?")
_INSTANTS = ("recovery_at", "start", "end")
_ENDLESS = timedelta(days=36_500)
_SOME_DAY = datetime(2000, 1, 3, tzinfo=UTC)


def parse_time_of_day(value: object) -> timedelta:
    """Return the time since midnight written as `value`, such as 26:00. Raises a validation error otherwise."""
    match = _TIME_OF_DAY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        expected = "HH:MM, HH:MM:SS or HH:MM:SS.ffffff; hours may exceed 24 for the days that follow"
        raise invalid(f"not a time: {value!r}", expected)
    hours, minutes, seconds, micros = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=micros)


TimeOfDay = Annotated[timedelta, BeforeValidator(parse_time_of_day, json_schema_input_type=str)]
"""A time from the midnight that begins the case's day, in the pack's time zone; 26:00 is 02:00 of the next day."""


def _in_order(span: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if len(span) == 2 and span[1] <= span[0]:
        raise invalid("ends before it begins", "an end after the beginning; hours may exceed 24 for the next day")
    return span


Span = Annotated[tuple[TimeOfDay, ...], Field(min_length=1, max_length=2), AfterValidator(_in_order)]
"""Start and end of an outage; without an end it lasts."""

Spans = Annotated[
    list[Span],
    BeforeValidator(
        lambda value: [value] if isinstance(value, list) and value and not isinstance(value[0], list) else value
    ),
]
"""Several spans, or a single one without a list around it."""


def _window(text: str) -> str:
    try:
        parse_window(text)
    except ValueError as error:
        raise invalid(str(error), "a window such as 09:00-17:00") from None
    return text


class CaseEvent(BaseModel):
    """An event in the native format without source and id; instants are times of the case's day."""

    model_config = ConfigDict(frozen=True, extra="allow")
    at: TimeOfDay
    type: EventType
    service: str | None = None
    data: dict[str, Any] = {}

    @model_validator(mode="after")
    def _is_an_event(self) -> Self:
        reserved = sorted({"source", "id", "occurred_at"} & set(self.model_extra or {}))
        if reserved:
            raise invalid(f"a case gives its events their {' and '.join(reserved)}", "at: HH:MM alone")
        self.event(_SOME_DAY, "1")  # any day will do: only the event's form is checked
        return self

    def event(self, day: datetime, name: str) -> Event:
        """Return the event on a day. `name` becomes its id."""
        data = {key: day + parse_time_of_day(value) if key in _INSTANTS else value for key, value in self.data.items()}
        fields = self.model_dump(exclude={"at"}, exclude_none=True) | {"data": data}
        document = {"source": "case", "id": name, "service": SERVICE, "occurred_at": day + self.at} | fields
        try:
            return EVENT.validate_python(document)
        except ValidationError as error:
            wrong = InvalidDocumentError(problems_of(error, Event, document))
            raise invalid(f"no event: {wrong}", "an event in the native format, see docs/events.md") from None


class Expectation(Strict):
    """A level change that must follow."""

    at: TimeOfDay
    level: Identifier | None
    """The level reached; null (below the lowest level) is possible by a correction only."""
    rule: Identifier | None = None
    """The rule that reaches it. Default: any."""


class PackCase(Strict):
    """A test case: facts about one service, and the whole level history that must follow."""

    name: str
    day: Day | None = None
    """The day from which times count. Default: the first day on which the pack is in force."""
    hours: tuple[Annotated[str, AfterValidator(_window)], ...] = ()
    """Daily service hours, such as 09:00-17:00. Default: always open."""
    interpretation: dict[str, str] = {}
    """Points of the interpretation with values other than the pack's."""
    down: dict[str, Spans] = {}
    """Outages by region."""
    degraded: dict[str, Spans] = {}
    """Times of degraded service by region."""
    measured: dict[str, dict[str, Figure]] = {}
    """Figures of the impact, by the time at which they became known."""
    events: tuple[CaseEvent, ...] = ()
    expect: tuple[Expectation, ...]
    """The whole level history, in order; [] if no level is reached."""
    provisional: bool | None = None
    """Whether the level is provisional when the last event has occurred. Default: not checked."""
    due: dict[str, TimeOfDay] = {}
    """Deadlines of obligations, by id (with .instance if the obligation repeats)."""

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        for region in (*self.down, *self.degraded):
            resolve_region(region)
        for at in self.measured:
            parse_time_of_day(at)
        self.service_hours(ZoneInfo("UTC"))  # raises an error for windows that overlap
        return self

    @property
    def totals(self) -> Mapping[str, timedelta]:
        """Return the total length of the outages in each region, whatever the hours; an open outage is endless."""
        return {
            region: sum((span[1] - span[0] if len(span) > 1 else _ENDLESS for span in spans), timedelta(0))
            for region, spans in self.down.items()
        }

    @property
    def total(self) -> timedelta:
        """Return the length of the union of all outages, whatever the hours; an open outage is endless."""
        spans = [(span[0], span[1] if len(span) > 1 else _ENDLESS) for spans in self.down.values() for span in spans]
        total, reached = timedelta(0), timedelta(0)
        for start, end in sorted(spans):
            total += max(end - max(start, reached), timedelta(0))
            reached = max(reached, end)
        return total

    def service_hours(self, zone: ZoneInfo) -> ServiceHours:
        """Return the hours of the case's service."""
        if not self.hours:
            return ALWAYS
        try:
            return weekly_hours(zone, [("mon-sun", window) for window in self.hours])
        except ValueError as error:
            raise invalid(f"hours: {error}", "windows that do not overlap, such as 09:00-17:00") from None

    def interpret(self, interpretation: Interpretation) -> Interpretation:
        """Return the pack's interpretation with the points that the case changes."""
        return Interpretation.model_validate(interpretation.model_dump() | self.interpretation)

    def history(self, day: datetime) -> list[Event]:
        """Return the events of the case on a day, announced maintenance first."""
        events = [event.event(day, f"event/{index}") for index, event in enumerate(self.events)]
        for index, (at, measures) in enumerate(self.measured.items()):
            document = {"type": EventType.IMPACT_MEASURED, "at": at, "data": {"by": "case", "measures": measures}}
            events.append(CaseEvent.model_validate(document).event(day, f"measured/{index}"))
        for kind, outages in ((EventType.OUTAGE_STARTED, self.down), (EventType.OUTAGE_DEGRADED, self.degraded)):
            spans = [(region, index, span) for region, spans in outages.items() for index, span in enumerate(spans)]
            for region, index, span in spans:
                for type_, offset in zip((kind, EventType.OUTAGE_RESTORED), span, strict=False):
                    common = {"source": "case", "service": SERVICE, "regions": [region], "type": type_}
                    name = f"{region}/{kind}/{index}/{type_}"
                    events.append(EVENT.validate_python({"id": name, "occurred_at": day + offset} | common))
        # Maintenance counts only if it was announced before; a case need not say when.
        return sorted(events, key=lambda event: not isinstance(event, MaintenanceAnnounced))
