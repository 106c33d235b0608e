"""The values of an assessment: one incident, one pack and one instant, with the clauses and the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.forecast_point import ForecastPoint
from incident_engine.domain.grading.level_history import LevelChange, level_at
from incident_engine.domain.grading.obligation_status import ObligationStatus
from incident_engine.domain.incidents.incident import Interval, Measurement


@dataclass(frozen=True, slots=True)
class RegionEvidence:
    """The downtime of one region up to the instant: by the pack's interpretation, and by other clocks."""

    region: str
    services: tuple[str, ...]
    intervals: tuple[tuple[str, Interval], ...]
    """(service, interval); an interval with the end NEVER is open."""
    maintenance: tuple[tuple[str, datetime, datetime], ...]
    """(service, start, end) of announced windows, which do not count."""
    counted: timedelta
    """By the pack's interpretation."""
    in_service: timedelta
    """Within service hours, without announced maintenance."""
    wall_clock: timedelta
    """All of it."""


@dataclass(frozen=True, slots=True)
class RuleEvidence:
    """A rule that has been reached, and the instants at which regions met the limit that gave it."""

    rule: str
    level: str
    cite: str
    at: datetime
    regions: tuple[tuple[str, datetime], ...]
    """(region, instant), the earliest first."""


@dataclass(frozen=True, slots=True)
class InterpretationEvidence:
    """Another value of one point of the interpretation, and the other level that it gives now."""

    point: str
    value: str
    level: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts on which an assessment rests."""

    in_force: bool
    """Whether the regulation was in force when the outage began. If not, it gives no level."""
    guessed_years: tuple[int, ...]
    """Years without officially published days off in which service hours or working days were counted."""
    occurred_at: datetime | None
    detected_at: datetime | None
    restored_at: datetime | None
    regions: tuple[RegionEvidence, ...]
    rules: tuple[RuleEvidence, ...]
    interpretations: tuple[InterpretationEvidence, ...]
    harms: tuple[HarmAssessed, ...]
    measurements: tuple[Measurement, ...]
    """Those named in the pack's `measures`."""
    forecast_points: tuple[ForecastPoint, ...]
    """Instants at which the service of an unrepaired failure was closed, with the recovery expected then."""
    corrections: tuple[LevelCorrected, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """The level, forecast and obligations of an incident by one pack at one instant, with the evidence."""

    pack: str
    version: str
    content_hash: str
    at: datetime
    trajectory: tuple[LevelChange, ...]
    """The level changes up to `at`, in order."""
    forecast: tuple[LevelChange, ...]
    """The level changes after `at` if nothing new happens, in order."""
    obligations: tuple[ObligationStatus, ...]
    evidence: Evidence
    severities: Mapping[str, int]
    """Severity of each level of the pack: 1 for the least severe, rising to the worst."""
    severity: int
    """Severity of the level now; 0 below the lowest level."""
    level_retained: bool
    """Whether the level is retained although the present facts give a lower one (银监办发〔2008〕53号 Art. 10)."""
    provisional: bool
    """Whether the level rests on the worst credible case alone: there is no estimate and no person's confirmation."""

    @property
    def level(self) -> str | None:
        """Return the level now, or None below the lowest level."""
        return self.trajectory[-1].level if self.trajectory else None

    @property
    def next(self) -> LevelChange | None:
        """Return the next level change, or None if no higher level will be reached."""
        return self.forecast[0] if self.forecast else None

    def level_at(self, instant: datetime) -> str | None:
        """Return the level at any instant, past or (if nothing new happens) future."""
        return level_at((*self.trajectory, *self.forecast), instant)
