"""The rules and calendars by which incidents are graded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.grading.pack import Pack


@dataclass(frozen=True, slots=True)
class GradingBasis:
    """The packs, service hours (by service) and calendars (by country) by which a history is graded."""

    packs: Sequence[Pack]
    hours: Mapping[str, ServiceHours]
    calendars: Mapping[str, Calendar]
