"""Recurring incidents: several with one root cause that only together reach a level ((EU) 2024/1772 Art. 8(2))."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.by_type import EventsByType
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import RecoveryEstimated, RepairFailed
from incident_engine.domain.grading.assessment import history_of
from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.domain.grading.level_history import LevelChange, severity_of
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident, Interval, Measurement, Outage
from incident_engine.domain.values import months_later


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Incidents that are graded as one: their root cause, and the level that they reach together."""

    pack: str
    cite: str
    root_cause: str
    incidents: tuple[str, ...]
    """In order of occurrence."""
    first_at: datetime
    last_at: datetime
    known_at: datetime
    """When the last of their root causes became known."""
    reached: LevelChange


def recurrences(
    incidents: Sequence[Incident], pack: Pack, hours: Mapping[str, ServiceHours], now: datetime
) -> tuple[Recurrence, ...]:
    """Return which incidents, none of which is of a level by itself, together are, in order of their last occurrence.

    Of one root cause every row of incidents within the pack's months counts that is not part of a longer one.
    """
    if pack.recurring is None:
        return ()
    by_cause: dict[str, list[Incident]] = defaultdict(list)
    for incident in incidents:
        causes, began = _causes(incident, now), incident.occurred_at
        if not causes or began is None or began > now or not pack.is_in_force(began):
            continue
        if severity_of(pack, [step for step in history_of(incident, pack, hours) if step.at <= now]) == 0:
            by_cause[causes[-1].casefold()].append(incident)
    found = (each for of in by_cause.values() for each in _of_cause(of, pack, hours, now))
    return tuple(sorted(found, key=lambda each: (each.last_at, each.root_cause)))


def _causes(incident: Incident, now: datetime) -> list[str]:
    return [cause for at, cause in incident.root_causes if at <= now]


def _of_cause(
    incidents: Sequence[Incident], pack: Pack, hours: Mapping[str, ServiceHours], now: datetime
) -> Iterator[Recurrence]:
    rule = pack.recurring
    assert rule is not None  # noqa: S101 - its caller saw to it
    row = sorted(incidents, key=_began)
    for last in range(rule.at_least - 1, len(row)):
        since = _months_before(row[last], pack, rule.months)
        within = [incident for incident in row[: last + 1] if _began(incident) >= since]
        following = row[last + 1 : last + 2]
        if following and _months_before(following[0], pack, rule.months) <= _began(within[0]):
            continue  # part of a longer row
        if len(within) < rule.at_least:
            continue
        course = [step for step in history_of(together(within, pack), pack, hours) if step.at <= now]
        if severity_of(pack, course) > 0:
            names = tuple(incident.id for incident in within)
            first_at, last_at = _began(within[0]), _began(within[-1])
            cause = _causes(within[-1], now)[-1]
            known_at = max(at for incident in within for at, _ in incident.root_causes if at <= now)
            yield Recurrence(pack.pack, rule.cite, cause, names, first_at, last_at, known_at, course[-1])


def _months_before(incident: Incident, pack: Pack, count: int) -> datetime:
    """Return the instant so many months before an incident, by the local time of the pack."""
    return months_later(_began(incident).astimezone(ZoneInfo(pack.timezone)), -count).astimezone(UTC)


def together(incidents: Sequence[Incident], pack: Pack) -> Incident:
    """Return several incidents as one: their outages one after the other, their figures as the pack combines them."""
    lines: dict[tuple[str, str], list[Outage]] = defaultdict(list)
    for outage in (outage for incident in incidents for outage in incident.outages):
        lines[outage.service, outage.region].append(outage)
    return replace(
        incidents[-1],
        id="+".join(incident.id for incident in incidents),
        outages=tuple(_joined(parts) for parts in lines.values()),
        # Corrections are of one incident each; none overrules what all of them reach together.
        reported=EventsByType.of(
            [
                *(harm for incident in incidents for harm in incident.events(HarmAssessed)),
                *(failure for incident in incidents for failure in incident.events(RepairFailed)),
                *(estimate for incident in incidents for estimate in incident.events(RecoveryEstimated)),
            ]
        ),
        measurements=tuple(_combined(incidents, pack)),
    )


def _joined(parts: Sequence[Outage]) -> Outage:
    intervals: list[Interval] = sorted((i for part in parts for i in part.intervals), key=lambda i: (i.start, i.end))
    windows = sorted(window for part in parts for window in part.maintenance)
    return replace(parts[0], intervals=tuple(intervals), maintenance=tuple(windows))


def _combined(incidents: Sequence[Incident], pack: Pack) -> Iterator[Measurement]:
    """Yield every figure, and for those that add up the sum so far as each incident's greatest becomes known."""
    greatest: dict[str, dict[str, float]] = defaultdict(dict)
    said = [(found, incident.id) for incident in incidents for found in incident.measurements]
    for found, incident_id in sorted(said, key=lambda each: each[0].at):
        measure = pack.measures.get(found.name)
        if measure is None or measure.recurring == "max" or isinstance(found.value, bool):
            yield found
            continue
        known = greatest[found.name]
        known[incident_id] = max(known.get(incident_id, found.value), found.value)
        yield replace(found, value=sum(known.values()))


def recurrence_document(found: Recurrence, zone: tzinfo) -> dict[str, Any]:
    """Return a recurrence as JSON values. Instants in local time."""
    return {
        "pack": found.pack,
        "cite": found.cite,
        "root_cause": found.root_cause,
        "incidents": list(found.incidents),
        "first_at": to_local_iso(found.first_at, zone),
        "last_at": to_local_iso(found.last_at, zone),
        "level": found.reached.level,
        "at": to_local_iso(found.reached.at, zone),
        "rule": found.reached.rule,
    }


def _began(incident: Incident) -> datetime:
    assert incident.occurred_at is not None  # noqa: S101 - those without one are left out
    return incident.occurred_at
