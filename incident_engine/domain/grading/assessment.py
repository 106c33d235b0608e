"""The assessment of one incident by one pack at one instant, with the clauses and the evidence for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.compiler import counted_intervals, instant_of, program_of
from incident_engine.domain.grading.conditions import leaves
from incident_engine.domain.grading.downtime import Downtime, ForecastPoint
from incident_engine.domain.grading.interpretation import HoursClock
from incident_engine.domain.grading.level_history import (
    LevelChange,
    corrections_of,
    level_changes,
    level_history,
    severity_of,
)
from incident_engine.domain.grading.obligation_status import ObligationStatus, statuses
from incident_engine.domain.grading.pack import Pack, Rule
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.incidents.incident import Incident, Interval, Measurement
from incident_engine.domain.values import NEVER


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
    """Years without officially published days off: service hours in them are a guess."""
    occurred_at: datetime | None
    detected_at: datetime | None
    restored_at: datetime | None
    regions: tuple[RegionEvidence, ...]
    rules: tuple[RuleEvidence, ...]
    interpretations: tuple[InterpretationEvidence, ...]
    harms: tuple[HarmAssessed, ...]
    measurements: tuple[Measurement, ...]
    """Those named in the pack's `measures`."""
    moments: tuple[ForecastPoint, ...]
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
    """Whether the level stands although the present facts give a lower one (银监办发〔2008〕53号 Art. 10)."""
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
        reached = [step.level for step in (*self.trajectory, *self.forecast) if step.at <= instant]
        return reached[-1] if reached else None


def assess(
    incident: Incident,
    pack: Pack,
    hours: Mapping[str, ServiceHours],
    now: datetime,
    previous_history: tuple[LevelChange, ...] = (),
    calendars: Mapping[str, Calendar] | None = None,
) -> Assessment:
    """Return the assessment of `incident` by `pack` at `now`.

    `hours` maps services to their service hours (a service without an entry is always open). `calendars` maps countries
    to calendars with the operators' changes; other countries have the published ones. `previous_history` is the
    trajectory of the last assessment. Its levels are retained even if a late report shows that they were not reached
    (银监办发〔2008〕53号 Art. 10); only a correction lowers them.
    """
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    in_force = incident.occurred_at is None or pack.is_in_force(incident.occurred_at)
    corrections = corrections_of(pack, incident.events(LevelCorrected))
    instants = _instants(pack, downtime) if in_force else dict.fromkeys(pack.conditions, NEVER)
    changes = [*level_changes(pack, instants), *(_since_corrections(pack, downtime, corrections) if in_force else ())]
    raw_history = level_history(pack, changes, corrections)
    kept = [step for step in previous_history if step.correction is None]  # corrections are events of the incident
    history = level_history(pack, [*kept, *changes], corrections) if kept else raw_history
    # A level that was reached stays reached even if the clock is set back.
    known_until = max([now, *(step.at for step in previous_history)])
    trajectory = tuple(step for step in history if step.at <= known_until)
    severity = severity_of(pack, trajectory)
    return Assessment(
        pack=pack.pack,
        version=pack.version,
        content_hash=pack.content_hash,
        at=now,
        trajectory=trajectory,
        forecast=tuple(step for step in history if step.at > known_until),
        obligations=statuses(incident, pack, history, downtime, calendars or {}, now, in_force=in_force),
        evidence=_evidence(incident, pack, downtime, instants, raw_history, now, in_force=in_force),
        level_retained=severity > severity_of(pack, [step for step in raw_history if step.at <= known_until]),
        provisional=_is_provisional(pack, downtime, trajectory, corrections, known_until),
        severities=pack.severity,
        severity=severity,
    )


def history_of(incident: Incident, pack: Pack, hours: Mapping[str, ServiceHours]) -> tuple[LevelChange, ...]:
    """Return all level changes, past and future (if nothing new happens), without evidence or obligations."""
    if incident.occurred_at is not None and not pack.is_in_force(incident.occurred_at):
        return level_history(pack, (), corrections_of(pack, incident.events(LevelCorrected)))
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    return _history(pack, downtime, corrections_of(pack, incident.events(LevelCorrected)))


def _history(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], *, confirmed_only: bool = False
) -> tuple[LevelChange, ...]:
    instants = _instants(pack, downtime, confirmed_only=confirmed_only)
    later = _since_corrections(pack, downtime, corrections, confirmed_only=confirmed_only)
    return level_history(pack, [*level_changes(pack, instants), *later], corrections)


def _since_corrections(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], *, confirmed_only: bool = False
) -> Iterator[LevelChange]:
    """Yield the level changes that follow from facts after each correction alone: it overrules the facts before it."""
    for correction in corrections:
        later = downtime.since(correction.occurred_at)
        yield from level_changes(
            pack,
            {
                rule.id: reach(
                    rule.when,
                    downtime if rule.id in pack.forecasts else later,  # `since` applies instead
                    pack.conditions,
                    confirmed_only=confirmed_only,
                    since=correction.occurred_at,
                )
                for rule in pack.rules
            },
        )


def _instants(pack: Pack, downtime: Downtime, *, confirmed_only: bool = False) -> dict[str, datetime]:
    """Return the instant at which each rule is reached: by the compiled program where there is one, else by `reach`."""
    # The program is compiled for the interpretation of the pack, and no other.
    program = program_of(pack) if downtime.interpretation is pack.interpretation else None
    compiled: dict[str, datetime] = {}
    if program is not None:
        intervals = counted_intervals(downtime, program.longest)
        compiled = dict(zip(program.rules, map(instant_of, program.instants(intervals)), strict=True))
    return {
        rule.id: compiled[rule.id]
        if rule.id in compiled
        else reach(rule.when, downtime, pack.conditions, confirmed_only=confirmed_only)
        for rule in pack.rules
    }


def _is_provisional(
    pack: Pack,
    downtime: Downtime,
    trajectory: tuple[LevelChange, ...],
    corrections: tuple[LevelCorrected, ...],
    until: datetime,
) -> bool:
    """Return whether the level rests on the worst credible case alone, without an estimate or a correction."""
    latest = trajectory[-1] if trajectory else None
    if latest is None or latest.rule not in pack.forecasts:
        return False
    if any(latest.at <= correction.occurred_at <= until for correction in corrections):
        return False
    # A lower level by estimates and facts alone means that the worst case carries this one.
    confirmed = _history(pack, downtime, corrections, confirmed_only=True)
    return severity_of(pack, [step for step in confirmed if step.at <= until]) < severity_of(pack, trajectory)


def _evidence(
    incident: Incident,
    pack: Pack,
    downtime: Downtime,
    instants: Mapping[str, datetime],
    history: tuple[LevelChange, ...],
    now: datetime,
    *,
    in_force: bool,
) -> Evidence:
    corrections = corrections_of(pack, incident.events(LevelCorrected))
    return Evidence(
        in_force=in_force,
        guessed_years=downtime.guessed_years(now),
        occurred_at=incident.occurred_at,
        detected_at=incident.detected_at,
        restored_at=incident.restored_at,
        regions=tuple(_region(incident, downtime, region, now) for region in downtime.regions),
        rules=tuple(
            RuleEvidence(rule.id, rule.level, rule.cite, instants[rule.id], _met_in(rule, downtime, instants[rule.id]))
            for rule in pack.rules
            if instants[rule.id] <= now
        ),
        interpretations=tuple(_interpretations(pack, downtime, corrections, _level(history, now), now))
        if in_force
        else (),
        harms=incident.events(HarmAssessed),
        measurements=tuple(measurement for measurement in incident.measurements if measurement.name in pack.measures),
        moments=downtime.moments() if pack.forecasts else (),
        corrections=corrections,
    )


def _interpretations(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], actual: str | None, now: datetime
) -> Iterator[InterpretationEvidence]:
    """Yield each other value of a point of the interpretation that gives another level than `actual` now."""
    for point, value, interpretation in pack.interpretation.alternatives():
        if not downtime.is_independent_of(point):  # else it would be graded again for nothing
            other = downtime.interpreted_as(interpretation)
            level = _level(_history(pack, other, corrections), now)
            if level != actual:
                yield InterpretationEvidence(point, value, level)


def _level(changes: tuple[LevelChange, ...], now: datetime) -> str | None:
    levels = [step.level for step in changes if step.at <= now]
    return levels[-1] if levels else None


def _region(incident: Incident, downtime: Downtime, region: str, now: datetime) -> RegionEvidence:
    outages = [outage for outage in incident.outages if outage.region == region]
    return RegionEvidence(
        region=region,
        services=tuple(sorted({outage.service for outage in outages})),
        intervals=tuple((outage.service, interval) for outage in outages for interval in outage.intervals),
        maintenance=tuple(
            (outage.service, start, end)
            for outage in outages
            for start, end in outage.maintenance
            if start < outage.intervals[-1].end
        ),
        counted=downtime.elapsed(region, None, now),
        in_service=downtime.elapsed(region, HoursClock.SERVICE_HOURS, now),
        wall_clock=downtime.elapsed(region, HoursClock.WALL_CLOCK, now),
    )


def _met_in(rule: Rule, downtime: Downtime, at: datetime) -> tuple[tuple[str, datetime], ...]:
    """Return the regions that met a rule's earliest limit up to `at`, with the instants."""
    limits = [leaf.regions_down for leaf in leaves(rule.when) if leaf.regions_down is not None]
    if not limits:
        return ()
    first = min(limits, key=lambda limit: downtime.reach(limit.least, limit.for_.least, limit.clock))
    met = ((downtime.reach_in(region, first.for_.least, first.clock), region) for region in downtime.regions)
    return tuple((region, instant) for instant, region in sorted(met) if instant <= at)
