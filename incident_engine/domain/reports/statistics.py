"""The figures of an incident and of a period: times, deadlines, messages, tasks, lessons (Art. 48-49).

Pure calculations; `review` brings the facts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median_low
from typing import Self

from incident_engine.domain.events.actions import LessonRecorded
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.incident import Incident


class Milestone(StrEnum):
    """The milestones of an incident. Each is timed from the occurrence, as the statutory clocks are."""

    DETECTED = "detected"
    """The first event reached us."""
    ACKNOWLEDGED = "acknowledged"
    """The first person took care of it."""
    CUSTOMERS_NOTIFIED = "customers_told"
    """The first message to customers was delivered."""
    REPORTED = "reported"
    """The first report was submitted to the regulator."""
    RESTORED = "restored"
    """Everything worked again."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Counts of deadlines: kept, kept late, and passed without any completion so far."""

    met: int = 0
    late: int = 0
    missed: int = 0

    def __add__(self, other: "Deadlines") -> "Deadlines":
        return Deadlines(self.met + other.met, self.late + other.late, self.missed + other.missed)


@dataclass(frozen=True, slots=True)
class Messages:
    """Counts of deliveries: arrived, and given up."""

    delivered: int = 0
    failed: int = 0
    first_to_customers_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A follow-up task of an incident."""

    incident: str
    title: str
    owner: str | None
    due_at: datetime | None
    done_at: datetime | None

    def is_late(self, now: datetime) -> bool:
        """Return whether the task was, or still can only be, done after it was due."""
        return self.due_at is not None and (self.done_at or now) > self.due_at


@dataclass(frozen=True, slots=True)
class Learned:
    """A lesson of an incident."""

    incident: str
    at: datetime
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class IncidentFigures:
    """The figures of one incident."""

    incident: str
    level: str | None
    services: tuple[str, ...]
    regions: tuple[str, ...]
    root_cause: str | None
    occurred_at: datetime | None
    times: Mapping[Milestone, timedelta]
    """A milestone that is not reached is missing."""
    deadlines: Deadlines
    messages: Messages
    lessons: tuple[Learned, ...]
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """One milestone over many incidents: the median (of an even number the lower), the worst, and of which incident."""

    count: int
    median: timedelta
    worst: timedelta
    worst_incident: str

    @classmethod
    def of(cls, figures: Sequence[IncidentFigures], milestone: Milestone) -> Self | None:
        """Return the spread of a milestone; None if no incident reached it."""
        times = [(f.times[milestone], f.incident) for f in figures if milestone in f.times]
        if not times:
            return None
        worst, incident = max(times)
        return cls(len(times), median_low(time for time, _ in times), worst, incident)


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of a period. Times are of the incidents that reached a level; everything else is of all."""

    incidents: int
    graded: int
    by_level: Mapping[str | None, int]
    by_service: Mapping[str, int]
    by_root_cause: Mapping[str | None, int]
    times: Mapping[Milestone, Spread]
    deadlines: Deadlines
    messages: Messages
    lessons: tuple[Learned, ...]
    tasks: tuple[Task, ...]


def figures_of(incident: Incident, assessments: Sequence[Assessment], messages: Messages) -> IncidentFigures:
    """Return the figures of an incident. The level is that of the first assessment; deadlines are those of all."""
    tasks: list[Task] = []
    for task in incident.handling.tasks:
        completion = incident.handling.completion_of_task(task)
        title, owner, due_at = task.data.title or "", task.data.assignee, task.data.due_at
        tasks.append(Task(incident.id, title, owner, due_at, completion.occurred_at if completion else None))
    return IncidentFigures(
        incident=incident.id,
        level=assessments[0].level,
        services=incident.services,
        regions=incident.regions,
        root_cause=incident.root_causes[-1][1] if incident.root_causes else None,
        occurred_at=incident.occurred_at,
        times=times_of(incident, assessments[0], messages),
        deadlines=sum((deadlines_of(assessment) for assessment in assessments), Deadlines()),
        messages=messages,
        lessons=tuple(
            Learned(incident.id, lesson.occurred_at, lesson.data.by, lesson.data.text)
            for lesson in incident.events(LessonRecorded)
        ),
        tasks=tuple(tasks),
    )


def deadlines_of(assessment: Assessment) -> Deadlines:
    """Return how a pack's deadlines were kept. Of a recurring obligation each missed instance counts."""
    met = late = missed = 0
    for status in assessment.obligations:
        if status.state is ObligationState.MET:
            late += max(status.missed, 1) if status.met_late else 0
            met += 0 if status.met_late else 1
        elif status.state is ObligationState.OVERDUE:
            missed += max(status.missed, 1)
    return Deadlines(met, late, missed)


def totals_of(figures: Sequence[IncidentFigures]) -> Totals:
    """Return the figures of many incidents together."""
    graded = [incident for incident in figures if incident.level is not None]
    delivered, failed = sum(f.messages.delivered for f in figures), sum(f.messages.failed for f in figures)
    return Totals(
        incidents=len(figures),
        graded=len(graded),
        by_level=Counter(incident.level for incident in figures),
        by_service=Counter(service for incident in figures for service in incident.services),
        by_root_cause=Counter(incident.root_cause for incident in figures),
        times={milestone: spread for milestone in Milestone if (spread := Spread.of(graded, milestone)) is not None},
        deadlines=sum((incident.deadlines for incident in figures), Deadlines()),
        messages=Messages(delivered, failed),
        lessons=tuple(lesson for incident in figures for lesson in incident.lessons),
        tasks=tuple(task for incident in figures for task in incident.tasks),
    )


def times_of(incident: Incident, primary: Assessment, messages: Messages) -> dict[Milestone, timedelta]:
    """Return how long after its occurrence an incident reached each milestone; an unreached one is missing."""
    reported = [
        status.met_at
        for status in primary.obligations
        if status.to == Recipient.REGULATOR and status.state is ObligationState.MET and status.met_at is not None
    ]
    instants: dict[Milestone, datetime | None] = {
        Milestone.DETECTED: incident.detected_at,
        Milestone.ACKNOWLEDGED: min((seen.occurred_at for seen in incident.handling.acknowledgements), default=None),
        Milestone.CUSTOMERS_NOTIFIED: messages.first_to_customers_at,
        Milestone.REPORTED: min(reported, default=None),
        Milestone.RESTORED: incident.restored_at,
    }
    began = incident.occurred_at
    if began is None:
        return {}
    # A monitor's clock may be ahead of ours; nothing takes less than no time.
    return {name: max(at - began, timedelta(0)) for name, at in instants.items() if at is not None}
