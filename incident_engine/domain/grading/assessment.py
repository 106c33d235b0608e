"""The verdict of one pack on one incident at one instant, with the clause and the evidence for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.compiler import counted_spans, instant_of, program_of
from incident_engine.domain.grading.conditions import leaves, reach
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
from incident_engine.domain.incidents.incident import Incident, Interval, Measurement
from incident_engine.domain.values import NEVER


@dataclass(frozen=True, slots=True)
class RegionEvidence:
    """How long one region could not do business up to the instant: as the pack reads it, and by other clocks."""

    region: str
    services: tuple[str, ...]
    intervals: tuple[tuple[str, Interval], ...]
    """By service; an end of NEVER is open."""
    maintenance: tuple[tuple[str, datetime, datetime], ...]
    """(service, start, end) of what was announced, and does not count."""
    counted: timedelta
    in_service: timedelta
    wall_clock: timedelta


@dataclass(frozen=True, slots=True)
class RuleEvidence:
    """A rule that has been reached: when, and when each region met the limit that counted."""

    rule: str
    level: str
    cite: str
    at: datetime
    regions: tuple[tuple[str, datetime], ...]


@dataclass(frozen=True, slots=True)
class InterpretationEvidence:
    """Another reading of what the regulation leaves open gives another level now."""

    point: str
    value: str
    level: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the verdict rests on."""

    in_force: bool
    """Whether the regulation was in force when the outage began; if not, it gives no level."""
    guessed_years: tuple[int, ...]
    """Years whose days off are not officially published: service hours in them are a guess."""
    occurred_at: datetime | None
    detected_at: datetime | None
    restored_at: datetime | None
    regions: tuple[RegionEvidence, ...]
    rules: tuple[RuleEvidence, ...]
    interpretations: tuple[InterpretationEvidence, ...]
    harms: tuple[HarmAssessed, ...]
    measurements: tuple[Measurement, ...]
    """Those that the pack knows."""
    moments: tuple[ForecastPoint, ...]
    """When an unrepaired failure met closed doors, and the recovery expected then."""
    corrections: tuple[LevelCorrected, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one pack says of an incident at one instant."""

    pack: str
    version: str
    content_hash: str
    at: datetime
    trajectory: tuple[LevelChange, ...]
    """Every rise in level up to `at`, in order."""
    forecast: tuple[LevelChange, ...]
    """Every rise after `at` if nothing new happens, in order."""
    obligations: tuple[ObligationStatus, ...]
    evidence: Evidence
    severities: Mapping[str, int]
    """How severe each level of the pack is, the least from 1."""
    severity: int
    """0 below the lowest level, 1 at the least severe, rising to the worst."""
    level_retained: bool
    """Whether the level stands although the facts as known now would give a lower one (Art. 10: it never falls)."""
    provisional: bool
    """Whether the level rests on the worst credible case, without an estimate, and nobody has confirmed it."""

    @property
    def level(self) -> str | None:
        """Return the level now, or None below the lowest."""
        return self.trajectory[-1].level if self.trajectory else None

    @property
    def next(self) -> LevelChange | None:
        """Return the next rise, or None if nothing higher will come."""
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
    """Return what `pack` says of `incident` at `now`.

    `hours` maps services to their service hours (a service without an entry is always open), `calendars` countries to
    their calendars as operators have set them right. `held` is the trajectory of the verdict before this one: no level
    in it is lost, even if a late report says that it was not reached; only a person's correction lowers it.
    """
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    in_force = incident.occurred_at is None or pack.is_in_force(incident.occurred_at)
    corrections = corrections_of(pack, incident.events(LevelCorrected))
    instants = _instants(pack, downtime) if in_force else dict.fromkeys(pack.conditions, NEVER)
    steps = [*level_changes(pack, instants), *(_since_corrections(pack, downtime, corrections) if in_force else ())]
    plain = level_history(pack, steps, corrections)
    kept = [step for step in previous_history if step.correction is None]
    whole = level_history(pack, [*kept, *steps], corrections) if kept else plain
    known_until = max(
        [now, *(step.at for step in previous_history)]
    )  # what was reached stays reached, even if clocks are set back
    trajectory = tuple(step for step in whole if step.at <= known_until)
    severity = severity_of(pack, trajectory)
    return Assessment(
        pack=pack.pack,
        version=pack.version,
        content_hash=pack.content_hash,
        at=now,
        trajectory=trajectory,
        forecast=tuple(step for step in whole if step.at > known_until),
        obligations=statuses(incident, pack, whole, downtime, calendars or {}, now, in_force=in_force),
        evidence=_evidence(incident, pack, downtime, instants, plain, now, in_force=in_force),
        level_retained=severity > severity_of(pack, [step for step in plain if step.at <= known_until]),
        provisional=_is_provisional(pack, downtime, trajectory, corrections, known_until),
        severities=pack.severity,
        severity=severity,
    )


def history_of(incident: Incident, pack: Pack, hours: Mapping[str, ServiceHours]) -> tuple[LevelChange, ...]:
    """Return every change of the level, past and to come if nothing new happens, without the evidence for it."""
    if incident.occurred_at is not None and not pack.is_in_force(incident.occurred_at):
        return level_history(pack, (), corrections_of(pack, incident.events(LevelCorrected)))
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    return _history(pack, downtime, corrections_of(pack, incident.events(LevelCorrected)))


def _history(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], *, confirmed_only: bool = False
) -> tuple[LevelChange, ...]:
    instants = _instants(pack, downtime, confirmed_only=confirmed_only)
    since = _since_corrections(pack, downtime, corrections, confirmed_only=confirmed_only)
    return level_history(pack, [*level_changes(pack, instants), *since], corrections)


def _since_corrections(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], *, confirmed_only: bool = False
) -> Iterator[LevelChange]:
    """Yield what is reached by what became known after a correction alone: it overruled what was known before."""
    for said in corrections:
        later = downtime.since(said.occurred_at)
        yield from level_changes(
            pack,
            {
                rule.id: reach(
                    rule.when,
                    downtime if rule.id in pack.forecasts else later,
                    pack.conditions,
                    confirmed_only=confirmed_only,
                    since=said.occurred_at,
                )
                for rule in pack.rules
            },
        )


def _instants(pack: Pack, downtime: Downtime, *, confirmed_only: bool = False) -> dict[str, datetime]:
    """Return when each rule is reached: by the compiled limits where there are, else by the conditions."""
    program = program_of(pack) if downtime.interpretation is pack.interpretation else None
    known: dict[str, datetime] = {}
    if program is not None:
        spans = counted_spans(downtime, program.longest)
        known = dict(zip(program.rules, map(instant_of, program.instants(spans)), strict=True))
    return {
        rule.id: known[rule.id]
        if rule.id in known
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
    """Return whether only the worst credible case says so: no estimate supports it, no person has confirmed it."""
    latest = trajectory[-1] if trajectory else None
    if latest is None or latest.rule not in pack.forecasts:
        return False
    if any(latest.at <= said.occurred_at <= until for said in corrections):
        return False
    sure = _history(pack, downtime, corrections, confirmed_only=True)
    return severity_of(pack, [step for step in sure if step.at <= until]) < severity_of(pack, trajectory)


def _evidence(
    incident: Incident,
    pack: Pack,
    downtime: Downtime,
    instants: Mapping[str, datetime],
    plain: tuple[LevelChange, ...],
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
        interpretations=tuple(_interpretations(pack, downtime, corrections, _level(plain, now), now))
        if in_force
        else (),
        harms=incident.events(HarmAssessed),
        measurements=tuple(found for found in incident.measurements if found.name in pack.measures),
        moments=downtime.moments() if pack.forecasts else (),
        corrections=corrections,
    )


def _interpretations(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], here: str | None, now: datetime
) -> Iterator[InterpretationEvidence]:
    """Yield each point of the reading that, read otherwise, gives another level now."""
    for point, value, reading in pack.interpretation.alternatives():
        if not downtime.is_same_by(point):
            other = downtime.interpreted_as(reading)
            there = _level(_history(pack, other, corrections), now)
            if there != here:
                yield InterpretationEvidence(point, value, there)


def _level(changes: tuple[LevelChange, ...], now: datetime) -> str | None:
    known = [step.level for step in changes if step.at <= now]
    return known[-1] if known else None


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
    """Return, for the limit that was met first, the regions that met it and when."""
    limits = [leaf.regions_down for leaf in leaves(rule.when) if leaf.regions_down is not None]
    if not limits:
        return ()
    limit = min(limits, key=lambda each: downtime.reach(each.least, each.for_.least, each.clock))
    each = ((downtime.reach_in(region, limit.for_.least, limit.clock), region) for region in downtime.regions)
    return tuple((region, instant) for instant, region in sorted(each) if instant <= at)
