"""Assess an incident by a pack: its levels, forecast and obligations, with the evidence for them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.assessment import (
    Assessment,
    Evidence,
    InterpretationEvidence,
    RegionEvidence,
    RuleEvidence,
)
from incident_engine.domain.grading.compiler import counted_intervals, instant_of, program_of
from incident_engine.domain.grading.conditions import leaves
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.interpretation import HoursClock
from incident_engine.domain.grading.level_history import LevelChange, level_history, severity_of
from incident_engine.domain.grading.obligation_dates import statuses
from incident_engine.domain.grading.pack import Pack, Rule
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER


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
    raw_history = level_history(pack.severity, changes, corrections)
    retained = [step for step in previous_history if step.correction is None]  # corrections are events of the incident
    history = level_history(pack.severity, [*retained, *changes], corrections) if retained else raw_history
    # A level that was reached stays reached even if the clock is set back.
    known_until = max([now, *(step.at for step in previous_history)])
    trajectory = tuple(step for step in history if step.at <= known_until)
    severity = severity_of(pack.severity, trajectory)
    return Assessment(
        pack=pack.pack,
        version=pack.version,
        content_hash=pack.content_hash,
        at=now,
        trajectory=trajectory,
        forecast=tuple(step for step in history if step.at > known_until),
        obligations=statuses(incident, pack, history, downtime, calendars or {}, now, in_force=in_force),
        evidence=_evidence(incident, pack, downtime, instants, raw_history, now, in_force=in_force),
        level_retained=severity > severity_of(pack.severity, [step for step in raw_history if step.at <= known_until]),
        provisional=_is_provisional(pack, downtime, trajectory, corrections, known_until),
        severities=pack.severity,
        severity=severity,
    )


def history_of(incident: Incident, pack: Pack, hours: Mapping[str, ServiceHours]) -> tuple[LevelChange, ...]:
    """Return all level changes, past and future (if nothing new happens), without evidence or obligations."""
    if incident.occurred_at is not None and not pack.is_in_force(incident.occurred_at):
        return level_history(pack.severity, (), corrections_of(pack, incident.events(LevelCorrected)))
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    return _history(pack, downtime, corrections_of(pack, incident.events(LevelCorrected)))


def _history(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], *, confirmed_only: bool = False
) -> tuple[LevelChange, ...]:
    instants = _instants(pack, downtime, confirmed_only=confirmed_only)
    later = _since_corrections(pack, downtime, corrections, confirmed_only=confirmed_only)
    return level_history(pack.severity, [*level_changes(pack, instants), *later], corrections)


def _since_corrections(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], *, confirmed_only: bool = False
) -> Iterator[LevelChange]:
    """Yield levels reached by facts after each correction; earlier facts were overruled."""
    for correction in corrections:
        later = downtime.since(correction.occurred_at)
        yield from level_changes(
            pack,
            {
                rule.id: reach(
                    rule.when,
                    downtime if rule.id in pack.forecasts else later,  # forecast rules filter by the `since` argument
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
    return severity_of(pack.severity, [step for step in confirmed if step.at <= until]) < severity_of(
        pack.severity, trajectory
    )


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
        forecast_points=downtime.forecast_points() if pack.forecasts else (),
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


def level_changes(pack: Pack, instants: Mapping[str, datetime]) -> Iterator[LevelChange]:
    """Yield the level of each rule that is reached (not NEVER). `instants` maps the ids of all rules to instants."""
    for rule in pack.rules:
        if instants[rule.id] != NEVER:
            yield LevelChange(rule.level, instants[rule.id], rule.id, rule.cite)


def corrections_of(pack: Pack, corrections: Iterable[LevelCorrected]) -> tuple[LevelCorrected, ...]:
    """Return the corrections for this pack or for no pack in particular whose level this pack has (or None)."""
    return tuple(
        correction
        for correction in corrections
        if correction.data.pack in (None, pack.pack)
        and (correction.data.level is None or correction.data.level in pack.severity)
    )
