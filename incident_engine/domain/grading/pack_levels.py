"""The levels that a pack's rules give to a downtime, together with people's corrections."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.assessment import InterpretationEvidence
from incident_engine.domain.grading.compiler import counted_intervals, instant_of, program_of
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.level_history import LevelChange, level_at, level_history, severity_of
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER


def history_of(incident: Incident, pack: Pack, hours: Mapping[str, ServiceHours]) -> tuple[LevelChange, ...]:
    """Return all level changes, past and future (if nothing new happens), without evidence or obligations."""
    if incident.occurred_at is not None and not pack.is_in_force(incident.occurred_at):
        return level_history(pack.severity, (), corrections_of(pack, incident.events(LevelCorrected)))
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    return graded_history(pack, downtime, corrections_of(pack, incident.events(LevelCorrected)))


def graded_history(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], *, confirmed_only: bool = False
) -> tuple[LevelChange, ...]:
    """Return all level changes by a pack's rules and by corrections, past and future (if nothing new happens).

    With `confirmed_only`, forecasts that rest on the worst credible case alone do not count.
    """
    instants = rule_instants(pack, downtime, confirmed_only=confirmed_only)
    later = changes_since_corrections(pack, downtime, corrections, confirmed_only=confirmed_only)
    return level_history(pack.severity, [*level_changes(pack, instants), *later], corrections)


def changes_since_corrections(
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


def is_provisional(
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
    confirmed = graded_history(pack, downtime, corrections, confirmed_only=True)
    return severity_of(pack.severity, [step for step in confirmed if step.at <= until]) < severity_of(
        pack.severity, trajectory
    )


def rule_instants(pack: Pack, downtime: Downtime, *, confirmed_only: bool = False) -> dict[str, datetime]:
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


def other_interpretations(
    pack: Pack, downtime: Downtime, corrections: tuple[LevelCorrected, ...], actual: str | None, now: datetime
) -> Iterator[InterpretationEvidence]:
    """Yield each other value of a point of the interpretation that gives another level than `actual` now."""
    for point, value, interpretation in pack.interpretation.alternatives():
        if not downtime.is_independent_of(point):  # else it would be graded again for nothing
            other = downtime.interpreted_as(interpretation)
            level = level_at(graded_history(pack, other, corrections), now)
            if level != actual:
                yield InterpretationEvidence(point, value, level)


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
