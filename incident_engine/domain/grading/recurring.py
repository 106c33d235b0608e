"""Recurring incidents: several with one root cause that only together reach a level ((EU) 2024/1772 Art. 8(2))."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.case_events import EventsByType
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import RecoveryEstimated, RepairFailed
from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.domain.grading.level_history import LevelChange, severity_of
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_levels import history_of
from incident_engine.domain.incidents.incident import Incident, Measurement, Outage
from incident_engine.domain.values import months_later


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Incidents with one root cause, and the level that they reach together."""

    pack: str
    cite: str
    root_cause: str
    incidents: tuple[str, ...]
    """Incident ids in order of occurrence."""
    first_at: datetime
    last_at: datetime
    known_at: datetime
    """The instant at which the last of their root causes became known."""
    reached: LevelChange


def recurrences(
    incidents: Sequence[Incident], pack: Pack, hours: Mapping[str, ServiceHours], now: datetime
) -> tuple[Recurrence, ...]:
    """Return the recurrences among incidents that reach no level alone, in order of their last occurrence.

    Root causes are compared without regard to case. Of one root cause, each longest sequence of incidents within the
    pack's months is one recurrence.
    """
    if pack.recurring is None:
        return ()
    by_cause: dict[str, list[tuple[datetime, Incident]]] = defaultdict(list)
    for incident in incidents:
        causes = [cause for at, cause in incident.root_causes if at <= now]
        began = incident.occurred_at
        if not causes or began is None or began > now or not pack.is_in_force(began):
            continue
        if severity_of(pack.severity, [step for step in history_of(incident, pack, hours) if step.at <= now]) == 0:
            # The latest cause: analysis corrects the earlier ones.
            by_cause[causes[-1].casefold()].append((began, incident))
    of_all_causes = (recurrence for alike in by_cause.values() for recurrence in _of_cause(alike, pack, hours, now))
    return tuple(sorted(of_all_causes, key=lambda recurrence: (recurrence.last_at, recurrence.root_cause)))


def _of_cause(
    incidents: Sequence[tuple[datetime, Incident]], pack: Pack, hours: Mapping[str, ServiceHours], now: datetime
) -> Iterator[Recurrence]:
    """Yield the recurrences among incidents of one cause, each given with its occurrence."""
    rule, zone = pack.recurring, ZoneInfo(pack.timezone)
    assert rule is not None  # noqa: S101 - `recurrences` has checked it
    sequence = sorted(incidents, key=lambda pair: pair[0])
    # From each occurrence the same local time, the rule's number of months before.
    since = [months_later(began.astimezone(zone), -rule.months).astimezone(UTC) for began, _ in sequence]
    for last in range(rule.at_least - 1, len(sequence)):
        within = [(began, incident) for began, incident in sequence[: last + 1] if began >= since[last]]
        (first_at, _), (last_at, latest) = within[0], within[-1]
        if last + 1 < len(sequence) and since[last + 1] <= first_at:
            continue  # part of a longer sequence
        if len(within) < rule.at_least:
            continue
        members = [incident for _, incident in within]
        history = [step for step in history_of(together(members, pack), pack, hours) if step.at <= now]
        if severity_of(pack.severity, history) > 0:
            names = tuple(incident.id for incident in members)
            cause = [cause for at, cause in latest.root_causes if at <= now][-1]
            known_at = max(at for incident in members for at, _ in incident.root_causes if at <= now)
            yield Recurrence(pack.pack, rule.cite, cause, names, first_at, last_at, known_at, history[-1])


def together(incidents: Sequence[Incident], pack: Pack) -> Incident:
    """Return several incidents as one: all their outages and harms, and figures combined as the pack's measures say."""
    lines: dict[tuple[str, str], list[Outage]] = defaultdict(list)
    for outage in (outage for incident in incidents for outage in incident.outages):
        lines[outage.service, outage.region].append(outage)
    return replace(
        incidents[-1],
        id="+".join(incident.id for incident in incidents),
        outages=tuple(
            replace(
                parts[0],
                intervals=tuple(sorted((i for part in parts for i in part.intervals), key=lambda i: (i.start, i.end))),
                maintenance=tuple(sorted(window for part in parts for window in part.maintenance)),
            )
            for parts in lines.values()
        ),
        # Without corrections: each concerned one incident and does not overrule the level of all of them together.
        reported=EventsByType.of(
            [
                *(harm for incident in incidents for harm in incident.events(HarmAssessed)),
                *(failure for incident in incidents for failure in incident.events(RepairFailed)),
                *(estimate for incident in incidents for estimate in incident.events(RecoveryEstimated)),
            ]
        ),
        measurements=tuple(_combined(incidents, pack)),
    )


def _combined(incidents: Sequence[Incident], pack: Pack) -> Iterator[Measurement]:
    """Yield all measurements in order of time; of a measure with `recurring: sum`, the running total of all incidents.

    Each incident counts in the total with its greatest figure so far.
    """
    greatest: dict[str, dict[str, float]] = defaultdict(dict)
    measurements = [(measurement, incident.id) for incident in incidents for measurement in incident.measurements]
    for measurement, incident_id in sorted(measurements, key=lambda pair: pair[0].at):
        measure = pack.measures.get(measurement.name)
        if measure is None or measure.recurring == "max" or isinstance(measurement.value, bool):
            yield measurement
            continue
        # A figure replaces the earlier ones of its incident; only figures of different incidents add up.
        figures = greatest[measurement.name]
        figures[incident_id] = max(figures.get(incident_id, measurement.value), measurement.value)
        yield replace(measurement, value=sum(figures.values()))


def recurrence_document(recurrence: Recurrence, zone: tzinfo) -> dict[str, Any]:
    """Return a recurrence as JSON values, with instants in ISO 8601 and local time."""
    return {
        "pack": recurrence.pack,
        "cite": recurrence.cite,
        "root_cause": recurrence.root_cause,
        "incidents": list(recurrence.incidents),
        "first_at": to_local_iso(recurrence.first_at, zone),
        "last_at": to_local_iso(recurrence.last_at, zone),
        "level": recurrence.reached.level,
        "at": to_local_iso(recurrence.reached.at, zone),
        "rule": recurrence.reached.rule,
    }
