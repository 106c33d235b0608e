"""The series of a recurring obligation: its instances, their deadlines, and those that were missed."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from incident_engine.domain.events.actions import StepCompleted
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER


class Instance(NamedTuple):
    """One instance in a series of a recurring obligation."""

    number: int
    """Its position in the series, from 0."""
    due_at: datetime
    met: StepCompleted | None
    missed: int
    """How many instances in a row were missed, this one included."""


def series_of(every: timedelta, applies_at: datetime, incident: Incident) -> Iterator[tuple[datetime, datetime]]:
    """Yield (start, end) of each series of a recurring obligation: one for each episode."""
    if not incident.outages:
        yield applies_at, ended_at(incident, applies_at) or NEVER
        return
    for start, end in incident.episodes(every):
        if end > applies_at:
            yield max(start, applies_at), end


def instances_of(
    every: timedelta,
    due_at: datetime,
    begins_at: datetime,
    ends_at: datetime,
    completions: Sequence[StepCompleted],
    now: datetime,
) -> Iterator[Instance]:
    """Yield the instances of one series: those that were met, the latest missed one, and the next."""
    number, since = 0, begins_at
    for report in completions:
        if report.occurred_at < since:
            continue  # a voluntary report beyond those that the law asks for
        if due_at > ends_at:  # due only after everything worked again: not demanded any more
            break
        missed = missed_deadlines(due_at, every, report.occurred_at, ends_at)
        number, since = number + max(missed - 1, 0), due_at + max(missed - 1, 0) * every
        yield Instance(number, since, report, missed)
        number, due_at = number + 1, since + every
    missed = missed_deadlines(due_at, every, now, ends_at)
    if missed > 0:
        number, latest = number + missed - 1, due_at + (missed - 1) * every
        yield Instance(number, latest, None, missed)
        number, due_at = number + 1, latest + min(every, NEVER - latest)
    if due_at <= ends_at and due_at < NEVER:
        yield Instance(number, due_at, None, 0)


def missed_deadlines(due_at: datetime, every: timedelta, at: datetime, ends_at: datetime) -> int:
    """Return how many deadlines, the first at `due_at`, had passed at an instant; none comes after `ends_at`."""
    if at <= due_at or due_at > ends_at:
        return 0
    return min(-((due_at - at) // every), (ends_at - due_at) // every + 1)


def ended_at(incident: Incident, applies_at: datetime) -> datetime | None:
    """Return when everything worked again; of an incident without outages, when it was closed."""
    if incident.outages or incident.closing is None:
        return incident.restored_at
    return max(incident.closing.at, applies_at)
