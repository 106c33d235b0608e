"""The plan: every step that must happen, past and future, with deterministic ids; and what to change for it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from incident_engine.facts.incident import Incident
from incident_engine.facts.values import NEVER, RESOLUTION, stamp
from incident_engine.grading.assess import Assessment
from incident_engine.grading.course import Reached
from incident_engine.grading.obligations import ObligationState, ObligationStatus
from incident_engine.response.playbook import ObligationMoment, ObligationTrigger, Playbook, StepTemplate


class StepState(StrEnum):
    """How far a step has come."""

    PENDING = "pending"
    BEGUN = "begun"
    FAILED = "failed"
    """None of its messages could be delivered."""
    COMPLETED = "completed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that must happen at `due_at`. `instance` tells apart what one step of a playbook does several times."""

    id: str
    playbook: str
    step: str
    instance: str
    due_at: datetime
    audience: str
    template: str
    level: str | None = None
    obligation: str | None = None
    fulfils: str | None = None
    deadline: datetime | None = None
    stretch: tuple[datetime, datetime] | None = None
    """The stretch of impairment that the step is about; not stored, the plan always knows it."""


def plan(
    incident: Incident, assessments: Sequence[Assessment], playbooks: Iterable[Playbook], now: datetime
) -> tuple[Step, ...]:
    """Return every step that the playbooks want for the incident as it is known at `now`.

    The first assessment is that of the primary pack. Steps of the future are those that will be due if nothing new
    happens. The same facts always give the same steps with the same ids.
    """
    if not assessments:
        return ()
    steps = [
        step
        for playbook in playbooks
        for template in playbook.steps
        for step in _wanted(incident, assessments[0], playbook, template, now)
        if template.on.level_corrected or not _after_closing(step, incident)
    ]
    return tuple(sorted((step for step in steps if step.due_at < NEVER), key=lambda step: (step.due_at, step.id)))


def _after_closing(step: Step, incident: Incident) -> bool:
    """A closed incident asks for nothing more, except what the law still demands and word of a level reached since."""
    is_late = incident.closing is not None and step.due_at > incident.closing.at
    return is_late and step.obligation is None and step.level is None


def _wanted(
    incident: Incident, assessment: Assessment, playbook: Playbook, template: StepTemplate, now: datetime
) -> Iterator[Step]:
    trigger = template.on
    rises = (*assessment.trajectory, *assessment.forecast)
    if trigger.level_reached is not None:
        yield from _for_levels(incident, rises, playbook, template, trigger.level_reached)
    elif trigger.level_corrected:
        for said in (rise for rise in rises if rise.correction is not None):
            yield _step(incident, playbook, template, stamp(said.at), said.at, level=said.level)
    elif trigger.obligation is not None:
        yield from _for_obligation(incident, assessment, playbook, template, trigger.obligation, now)
    elif rises and incident.outages:
        yield from _for_stretches(incident, assessment, rises[0], playbook, template, now)


def _for_levels(
    incident: Incident, rises: Sequence[Reached], playbook: Playbook, template: StepTemplate, levels: Sequence[str]
) -> Iterator[Step]:
    """Yield a step for each of the levels that a rule reaches; once more if it is reached after a correction."""
    times: dict[str, int] = {}
    for rise in rises:
        if rise.correction is None and rise.level is not None and rise.level in levels:
            number = times[rise.level] = times.get(rise.level, 0) + 1
            instance = rise.level if number == 1 else f"{rise.level}.{number}"
            yield _step(incident, playbook, template, instance, rise.at, level=rise.level)


def _for_stretches(
    incident: Incident,
    assessment: Assessment,
    first: Reached,
    playbook: Playbook,
    template: StepTemplate,
    now: datetime,
) -> Iterator[Step]:
    """Yield the steps for stretches of impairment, named by their instants: late reports must not shift the names."""
    stretches = incident.episodes(playbook.settle)
    if template.on.restored:
        yield from _all_clear(incident, first, playbook, template, stretches)
        return
    for start, end in stretches:
        if template.on.first_level:
            moments = [(start, start if start <= first.at else start + playbook.settle)]
        else:
            moments = [(grew, grew + playbook.settle) for grew in _growth(incident, first, start, end, playbook)]
        for named, at in moments:
            due_at = max(at, first.at)
            is_graded = assessment.level_at(due_at) is not None  # or a person has said that it is nothing
            if due_at < end and now < end and is_graded:  # what is over is not announced any more
                yield _step(incident, playbook, template, stamp(named), due_at, stretch=(start, end))


def _all_clear(
    incident: Incident,
    first: Reached,
    playbook: Playbook,
    template: StepTemplate,
    stretches: Sequence[tuple[datetime, datetime]],
) -> Iterator[Step]:
    """Yield the step that tells of the last stretch's end: nothing while anything is down, nor for a mere blip."""
    told = [(start, end) for start, end in stretches if end >= first.at]  # before, nobody had heard of anything
    lasted = [(start, end) for start, end in told if start <= first.at or end - start > playbook.settle]
    quiet_since = stretches[-1][1]
    if lasted and quiet_since != NEVER:
        at = _settled_at(incident, quiet_since, playbook)
        yield _step(incident, playbook, template, stamp(lasted[-1][1]), at, stretch=lasted[-1])


def _growth(
    incident: Incident, first: Reached, start: datetime, end: datetime, playbook: Playbook
) -> Iterator[datetime]:
    """Yield when, after the first level, more was hit or it broke again; what follows within `settle` is one growth."""
    begun = [outage.intervals[0].start for outage in incident.outages]
    latest: datetime | None = None
    for instant in sorted({*begun, start}):
        if first.at < instant < end and instant >= start and (latest is None or instant - latest >= playbook.settle):
            latest = instant
            yield instant


def _settled_at(incident: Incident, end: datetime, playbook: Playbook) -> datetime:
    """Return when an end counts as one: after the settling time, or when a person closes the incident before."""
    settled = end + playbook.settle
    return settled if incident.closing is None else min(settled, max(end, incident.closing.at))


def _for_obligation(
    incident: Incident,
    assessment: Assessment,
    playbook: Playbook,
    template: StepTemplate,
    trigger: ObligationTrigger,
    now: datetime,
) -> Iterator[Step]:
    for status in assessment.obligations:
        if status.id != trigger.id or status.due_at is None or status.applies_at is None:
            continue
        at = _moment(status, status.due_at, status.applies_at, trigger)
        is_met = status.state is ObligationState.MET
        # Too late for a reminder: the overdue step speaks (a reminder that has begun stays begun).
        is_too_late = trigger.when is ObligationMoment.DUE and max(at, now) > status.due_at
        if not is_met and not is_too_late:
            yield _step(incident, playbook, template, status.key, at, obligation=status.id, deadline=status.due_at)


def _moment(status: ObligationStatus, due_at: datetime, applies_at: datetime, trigger: ObligationTrigger) -> datetime:
    match trigger.when:
        case ObligationMoment.APPLIES:
            return applies_at
        case ObligationMoment.DUE:
            return max(due_at - trigger.before, applies_at)
        case ObligationMoment.OVERDUE:
            return max(due_at + RESOLUTION, applies_at)


def _step(
    incident: Incident,
    playbook: Playbook,
    template: StepTemplate,
    instance: str,
    due_at: datetime,
    *,
    level: str | None = None,
    obligation: str | None = None,
    deadline: datetime | None = None,
    stretch: tuple[datetime, datetime] | None = None,
) -> Step:
    return Step(
        id=f"{incident.id}:{playbook.playbook}:{template.id}:{instance}",
        playbook=playbook.playbook,
        step=template.id,
        instance=instance,
        due_at=due_at,
        audience=template.audience,
        template=template.template,
        level=level,
        obligation=obligation,
        fulfils=template.fulfils,
        deadline=deadline,
        stretch=stretch,
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """What must be written so that the stored steps are the wanted ones."""

    insert: tuple[Step, ...] = ()
    reschedule: tuple[Step, ...] = ()
    """Not begun: to be put back to pending, with this due instant."""
    withdraw: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.insert or self.reschedule or self.withdraw)


def reconcile(existing: Mapping[str, tuple[StepState, datetime]], wanted: Iterable[Step]) -> Changes:
    """Return the changes from the existing steps (state and due instant by id) to the wanted ones.

    What is new is inserted, what is no longer wanted and not begun is withdrawn, what has begun is left alone.
    Applied once, a second call has nothing to change.
    """
    by_id = {step.id: step for step in wanted}
    return Changes(
        insert=tuple(step for step in by_id.values() if step.id not in existing),
        reschedule=tuple(step for step in by_id.values() if step.id in existing and _differs(*existing[step.id], step)),
        withdraw=tuple(
            name for name, (state, _) in existing.items() if state is StepState.PENDING and name not in by_id
        ),
    )


def _differs(state: StepState, due_at: datetime, step: Step) -> bool:
    if state is StepState.WITHDRAWN:
        return True
    return state is StepState.PENDING and due_at != step.due_at
