"""Occurrences: the instants at which a trigger fires, past and (if no new fact arrives) to come."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from incident_engine.domain.events.actions import StepAdded
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import RecoveryEstimated
from incident_engine.domain.events.types import ITSELF
from incident_engine.domain.grading.obligation_status import ObligationState, ObligationStatus
from incident_engine.domain.incidents.incident import LateStart
from incident_engine.domain.response.incident_view import IncidentView
from incident_engine.domain.response.triggers import (
    EstimateMoment,
    ObligationMoment,
    ObligationTrigger,
    Trigger,
)
from incident_engine.domain.values import NEVER, RESOLUTION, stamp

OPENED = "opened"
"""The instance of the trigger `opened`, of which an incident has one."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An instant at which a trigger fires. Later facts do not change its `instance`, which names it."""

    instance: str
    at: datetime
    level: str | None = None
    obligation: ObligationStatus | None = None
    episode: tuple[datetime, datetime] | None = None
    task: StepAdded | None = None
    late_start: LateStart | None = None
    at_once: bool = False
    """Whether a person brought the step forward: it starts without its offset."""


def occurrences(trigger: Trigger, view: IncidentView) -> Iterator[Occurrence]:
    """Yield every occurrence of a trigger."""
    if trigger.is_before_level:
        yield from _before_level(trigger, view)
    elif trigger.level_reached is not None:
        yield from (occurrence for occurrence in _levels(view) if occurrence.level in trigger.level_reached)
    elif trigger.level_rose:
        yield from list(_levels(view))[1:]
    elif trigger.level_corrected:
        yield from (Occurrence(stamp(c.at), c.at, c.level) for c in view.level_changes if c.correction is not None)
    elif trigger.obligation is not None:
        yield from _of_obligation(view, trigger.obligation)
    elif trigger.reported_late or trigger.event is not None or trigger.task_added:
        yield from _of_reports(trigger, view)
    elif view.level_changes:
        yield from _of_graded(trigger, view)


def _before_level(trigger: Trigger, view: IncidentView) -> Iterator[Occurrence]:
    """Yield the levels to come, each ahead of its time, or the beginning of an incident without a level that lasts.

    The instance of the beginning has no instant: a late report of an earlier one must not announce the incident again.
    """
    if trigger.next_level is not None:
        instants = {change.at for change in view.primary.forecast}
        ahead = (occurrence for occurrence in _levels(view) if occurrence.at in instants)
        yield from (replace(occurrence, at=occurrence.at - trigger.next_level.before) for occurrence in ahead)
        return
    incident = view.incident
    # A blip that is over is not announced; if something breaks again, the incident is.
    since = next((start for start, end in view.episodes if view.now < end), NEVER)
    begins = (start for outage in incident.outages for start, _ in outage.unannounced)
    lasting = [start for start in begins if start >= since]
    at = min([*lasting, *(harm.occurred_at for harm in incident.events(HarmAssessed))], default=None)
    first_level_at = min((change.at for change in view.level_changes if change.level is not None), default=NEVER)
    if at is not None and max(at, view.now) < first_level_at:  # the step for the level says more
        yield Occurrence(OPENED, at)


def _of_reports(trigger: Trigger, view: IncidentView) -> Iterator[Occurrence]:
    """Yield the occurrences of a trigger that fires for events, whatever the level."""
    if trigger.event is not None:
        yield from (Occurrence(stamp(at), at) for at in view.incident.reported.instants(trigger.event))
    elif trigger.task_added:
        tasks = view.incident.handling.tasks
        yield from (Occurrence(task.key, task.occurred_at, task=task) for task in tasks)
    else:
        yield from _reported_late(view)


def _reported_late(view: IncidentView) -> Iterator[Occurrence]:
    """Yield the receipt of an outage that was reported late, and of the first such one after each confirmation."""
    asked_at: datetime | None = None
    instances: set[str] = set()
    for start in view.questions.late_starts:
        # One confirmation stands for all outages that were known by then.
        if asked_at is None or view.questions.is_answered(asked_at, start.known_at):
            asked_at = start.known_at
            instances.add(stamp(asked_at))
            yield Occurrence(stamp(asked_at), asked_at, late_start=start)
    for instance in view.unsettled:
        if instance not in instances:
            yield Occurrence(instance, view.questions.asked[instance])


def _of_graded(trigger: Trigger, view: IncidentView) -> Iterator[Occurrence]:
    """Yield the occurrences of a trigger that fires only in incidents with a level."""
    closing = view.incident.closing
    if trigger.closed:
        if closing is not None and closing.by != ITSELF:  # a message about a blip that closed by itself is noise
            yield Occurrence(stamp(closing.at), closing.at)
    elif not view.incident.outages:
        return
    elif trigger.restored:
        yield from _restored(view)
    elif trigger.observed:
        ended = view.incident.restored_at
        if ended is not None and (closing is None or closing.at > ended + view.settings.observation):
            yield Occurrence(stamp(ended), ended + view.settings.observation)
    elif trigger.estimate is not None:
        yield from _estimates(view, trigger.estimate)
    else:
        yield from _episodes(view, grown=bool(trigger.scope_grew))


def _levels(view: IncidentView) -> Iterator[Occurrence]:
    """Yield an occurrence for each level reached, by a rule or a correction; numbered if it is reached again."""
    times: dict[str, int] = {}
    before = 0
    for change in view.level_changes:
        severity = view.severity_of(change.level)
        if change.level is not None and (change.correction is None or severity > before):
            number = times[change.level] = times.get(change.level, 0) + 1
            instance = change.level if number == 1 else f"{change.level}.{number}"
            yield Occurrence(instance, change.at, change.level)
        before = severity


def _episodes(view: IncidentView, *, grown: bool) -> Iterator[Occurrence]:
    """Yield an occurrence for each episode of impairment, or for each growth of its scope."""
    first = view.level_changes[0]
    for start, end in view.episodes:
        # Named by their instants, not numbered: an episode that is reported late must not rename the others.
        instants = [(start, start if start <= first.at else start + view.settle)]
        if grown:
            instants = []
            for instant in sorted({*(outage.intervals[0].start for outage in view.incident.outages), start}):
                # Growth within `settle` counts once, so that a storm of alerts is announced once.
                is_apart = not instants or instant - instants[-1][0] >= view.settle
                if instant > first.at and start <= instant < end and is_apart:
                    instants.append((instant, instant + view.settle))
        for named, at in instants:
            due_at = max(at, first.at)
            if view.primary.level_at(max(due_at, view.now)) is None and not grown:
                # A person has corrected it to none; a level that is reached later is announced.
                reached = (change.at for change in view.level_changes if change.level and change.at > view.now)
                due_at = max(due_at, min(reached, default=due_at))
            is_graded = view.primary.level_at(max(due_at, view.now)) is not None
            if due_at < end and view.now < end and is_graded:  # an episode that is over is not announced any more
                yield Occurrence(stamp(named), due_at, episode=(start, end))


def _restored(view: IncidentView) -> Iterator[Occurrence]:
    """Yield the end of the last episode, unless anything is down or it was a mere blip."""
    first = view.level_changes[0]
    episodes = view.episodes
    # An episode that ended before the first level had no message, so it needs no all-clear.
    announced = [(start, end) for start, end in episodes if end >= first.at]
    lasting = [(start, end) for start, end in announced if start <= first.at or end - start > view.settle]
    ended = episodes[-1][1]
    if not lasting or ended == NEVER:
        return
    closing = view.incident.closing
    # A person who closes knows that it is over: the all-clear need not wait for `settle`.
    settled = ended + view.settle
    at = settled if closing is None else min(settled, max(ended, closing.at))
    yield Occurrence(stamp(lasting[-1][1]), at, episode=lasting[-1])


def _estimates(view: IncidentView, moment: EstimateMoment) -> Iterator[Occurrence]:
    """Yield missed estimates, or estimates moved later, as `moment` asks."""
    # By scope: an estimate for one service does not replace one for another.
    latest: dict[tuple[str | None, tuple[str, ...]], RecoveryEstimated] = {}
    estimates = view.incident.events(RecoveryEstimated)
    for index, estimate in enumerate(estimates):
        scope = estimate.service, estimate.regions
        before = latest.get(scope)
        latest[scope] = estimate
        reported_at, recovery_at = estimate.occurred_at, estimate.data.recovery_at
        if moment is EstimateMoment.MOVED:
            is_later = before is not None and recovery_at > before.data.recovery_at
            if is_later and view.is_notified(estimate, reported_at):
                yield Occurrence(stamp(reported_at), reported_at, episode=view.episode_at(reported_at))
            continue
        after = [later for later in estimates[index + 1 :] if (later.service, later.regions) == scope]
        is_replaced = any(later.occurred_at <= recovery_at for later in after)
        if not is_replaced and view.is_notified(estimate, recovery_at):
            at = max(recovery_at, reported_at)
            yield Occurrence(stamp(recovery_at), at, episode=view.episode_at(at))


def _of_obligation(view: IncidentView, trigger: ObligationTrigger) -> Iterator[Occurrence]:
    """Yield when each unmet instance applies, is due or is overdue."""
    before: datetime | None = None
    for status in (status for assessment in view.assessments for status in assessment.obligations):
        if status.id != trigger.id or status.due_at is None or status.applies_at is None:
            continue
        # The next instance of a recurring obligation is asked for once the one before was due.
        is_next = before is not None and status.instance.isdigit()
        applies_at = max(status.applies_at, before or status.applies_at) if is_next else status.applies_at
        before = status.due_at
        match trigger.when:
            case ObligationMoment.APPLIES:
                at = applies_at
            case ObligationMoment.DUE:
                at = max(status.due_at - trigger.before, applies_at)
            case ObligationMoment.OVERDUE:
                at = max(status.due_at + RESOLUTION, applies_at)
        is_met = status.state is ObligationState.MET
        # After the deadline the step for the overdue obligation takes over (a reminder that has started stays).
        is_too_late = trigger.when is ObligationMoment.DUE and max(at, view.now) > status.due_at
        if not is_met and not is_too_late:
            yield Occurrence(status.key, at, obligation=status)
