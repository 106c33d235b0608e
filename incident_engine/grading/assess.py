"""The verdict of one pack on one incident at one instant, with the clause and the evidence for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from incident_engine.facts.hours import ServiceHours
from incident_engine.facts.incident import Incident
from incident_engine.facts.values import NEVER
from incident_engine.grading import pack as packs
from incident_engine.grading.conditions import Downtime, HoursClock, RegionsDown, leaves, reach
from incident_engine.grading.pack import Pack, Rule


@dataclass(frozen=True, slots=True)
class Reached:
    """A level with the instant at which it was or will be reached, and the rule that says so."""

    level: str
    at: datetime
    rule: str
    cite: str


class ObligationState(StrEnum):
    """How things stand with an obligation at an instant."""

    NOT_APPLICABLE = "not_applicable"
    PENDING = "pending"
    MET = "met"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class ObligationStatus:
    """An obligation of the pack as it stands for an incident.

    `applies_at` is when a level for which it holds is reached (None: never, as things are). `met_late` says that it
    was met after `due_at`; `overdue_at_detection` that it was due before we knew of the incident.
    """

    id: str
    cite: str
    to: str
    state: ObligationState
    due_at: datetime | None = None
    applies_at: datetime | None = None
    met_at: datetime | None = None
    met_by: str | None = None
    met_late: bool = False
    overdue_at_detection: bool = False


@dataclass(frozen=True, slots=True)
class RegionEvidence:
    """How long one region could not do business, by service hours and by the wall clock, up to the instant."""

    region: str
    services: tuple[str, ...]
    intervals: tuple[tuple[str, datetime, datetime, str], ...]
    """(service, start, end, impairment); an end of NEVER is open."""
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


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one pack says of an incident at one instant."""

    pack: str
    version: str
    content_hash: str
    at: datetime
    trajectory: tuple[Reached, ...]
    """Every rise in level up to `at`, in order."""
    forecast: tuple[Reached, ...]
    """Every rise after `at` if nothing new happens, in order."""
    obligations: tuple[ObligationStatus, ...]
    evidence: Evidence
    severity: int
    """0 below the lowest level, 1 at the least severe, rising to the worst."""
    held: bool
    """Whether the level stands although the facts as known now would give a lower one (Art. 10: it never falls)."""

    @property
    def level(self) -> str | None:
        """Return the level now, or None below the lowest."""
        return self.trajectory[-1].level if self.trajectory else None

    @property
    def next(self) -> Reached | None:
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
    held: tuple[Reached, ...] = (),
) -> Assessment:
    """Return what `pack` says of `incident` at `now`.

    `hours` maps services to their service hours (a service without an entry is always open). `held` is the trajectory
    of the verdict before this one: no level in it is lost, even if a late report says that it was not reached.
    """
    downtime = Downtime(incident, hours, pack.region_prefix)
    in_force = incident.occurred_at is None or pack.is_in_force(incident.occurred_at)
    instants = {rule.id: reach(rule.when, downtime) if in_force else NEVER for rule in pack.rules}
    whole = _rises(pack, [*held, *_reached(pack, instants)])
    plain = _rises(pack, _reached(pack, instants))
    known_until = max([now, *(step.at for step in held)])  # what was reached stays reached, even if clocks are set back
    trajectory = tuple(step for step in whole if step.at <= known_until)
    forecast = tuple(step for step in whole if step.at > known_until)
    return Assessment(
        pack=pack.pack,
        version=pack.version,
        content_hash=pack.content_hash,
        at=now,
        trajectory=trajectory,
        forecast=forecast,
        obligations=tuple(_status(demand, incident, whole, now) for demand in pack.obligations),
        evidence=_evidence(incident, pack, downtime, instants, now, in_force=in_force),
        held=_worst(pack, trajectory) > _worst(pack, tuple(step for step in plain if step.at <= known_until)),
        severity=_worst(pack, trajectory),
    )


def _reached(pack: Pack, instants: Mapping[str, datetime]) -> Iterator[Reached]:
    for rule in pack.rules:
        if instants[rule.id] != NEVER:
            yield Reached(rule.level, instants[rule.id], rule.id, rule.cite)


def _rises(pack: Pack, reached: list[Reached] | Iterator[Reached]) -> tuple[Reached, ...]:
    """Keep what raises the level; of several levels met at one instant the worst counts (Art. 9)."""
    rises: list[Reached] = []
    for step in sorted(reached, key=lambda step: (step.at, -pack.severity[step.level])):
        if not rises or pack.severity[step.level] > pack.severity[rises[-1].level]:
            rises.append(step)
    return tuple(rises)


def _worst(pack: Pack, trajectory: tuple[Reached, ...]) -> int:
    return pack.severity[trajectory[-1].level] if trajectory else 0


def _status(
    demand: packs.Obligation, incident: Incident, whole: tuple[Reached, ...], now: datetime
) -> ObligationStatus:
    applies_at = min((step.at for step in whole if step.level in demand.levels), default=None)
    if applies_at is None or incident.occurred_at is None:
        return ObligationStatus(demand.id, demand.cite, demand.to, ObligationState.NOT_APPLICABLE)
    due_at = incident.occurred_at + demand.due.within
    met = min((done for done in incident.completions if done.fulfils == demand.id), key=lambda c: c.at, default=None)
    return ObligationStatus(
        id=demand.id,
        cite=demand.cite,
        to=demand.to,
        state=_state(applies_at, due_at, met is not None and met.at <= now, now),
        due_at=due_at,
        applies_at=applies_at,
        met_at=met.at if met else None,
        met_by=met.by if met else None,
        met_late=met is not None and met.at > due_at,
        overdue_at_detection=incident.detected_at is not None and incident.detected_at > due_at,
    )


def _state(applies_at: datetime, due_at: datetime, met: bool, now: datetime) -> ObligationState:
    if met:
        return ObligationState.MET
    if applies_at > now:
        return ObligationState.NOT_APPLICABLE
    return ObligationState.OVERDUE if now > due_at else ObligationState.PENDING


def _evidence(
    incident: Incident,
    pack: Pack,
    downtime: Downtime,
    instants: Mapping[str, datetime],
    now: datetime,
    *,
    in_force: bool,
) -> Evidence:
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
    )


def _region(incident: Incident, downtime: Downtime, region: str, now: datetime) -> RegionEvidence:
    outages = [outage for outage in incident.outages if outage.region == region]
    return RegionEvidence(
        region=region,
        services=tuple(sorted({outage.service for outage in outages})),
        intervals=tuple(
            (outage.service, interval.start, interval.end, interval.impairment)
            for outage in outages
            for interval in outage.intervals
        ),
        in_service=downtime.elapsed(region, HoursClock.SERVICE_HOURS, now),
        wall_clock=downtime.elapsed(region, HoursClock.WALL_CLOCK, now),
    )


def _met_in(rule: Rule, downtime: Downtime, at: datetime) -> tuple[tuple[str, datetime], ...]:
    """Return, for the limit that was met first, the regions that met it and when."""
    limit: RegionsDown = min(leaves(rule.when), key=downtime.reach)
    met = sorted((downtime.reach_in(region, limit), region) for region in downtime.regions)
    return tuple((region, instant) for instant, region in met if instant <= at)
