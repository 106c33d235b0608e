"""The plan: every step that must happen, past and future, with deterministic ids; and what to change for it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import zip_longest

from incident_engine.domain.events.actions import StepAdded
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.escalation import derived
from incident_engine.domain.response.occurrences import IncidentView, Occurrence, PlanSettings, episode_at, occurrences
from incident_engine.domain.response.playbook import (
    DeadlineFrom,
    Playbook,
    RepeatEnd,
    StepDeadline,
    StepTemplate,
    by_level,
)
from incident_engine.domain.response.step import Awaits, Step
from incident_engine.domain.response.triggers import LengthByLevel
from incident_engine.domain.step_id import StepId
from incident_engine.domain.values import NEVER, stamp

_A_DAY = timedelta(days=1)
_MORNING = time(9)


def plan(
    incident: Incident,
    assessments: Sequence[Assessment],
    playbooks: Iterable[Playbook],
    now: datetime,
    settings: PlanSettings | None = None,
    started: Mapping[str, datetime] | None = None,
) -> tuple[Step, ...]:
    """Return every step that the playbooks want for the incident as it is known at `now`.

    The first assessment is that of the primary pack. Steps of the future are those that will be due if nothing new
    happens; of what is repeated without end, the next one. The same facts always give the same steps with the same ids.
    `begun` says when steps, by their ids, did begin: who was asked late is given as much time to answer.
    """
    if not assessments:
        return ()
    steps: list[Step] = []
    promises: dict[str, list[datetime]] = {}
    for playbook in playbooks:
        view = IncidentView(incident, assessments, now, playbook.settle, settings or PlanSettings(), started or {})
        for template in playbook.steps:
            found = list(_Planned(view, playbook, template).steps())
            steps += found
            if template.repeat is not None:
                promises.setdefault(template.audience, []).extend(step.due_at for step in found)
    told = [_with_promise(step, promises.get(step.audience, ()), now) for step in steps if step.due_at < NEVER]
    return tuple(sorted(told, key=lambda step: (step.due_at, step.id)))


def _with_promise(step: Step, promised: Sequence[datetime], now: datetime) -> Step:
    """Return a step with the instant of its audience's next update, which it may name."""
    later = [at for at in promised if max(step.due_at, now) < at < NEVER]
    return replace(step, next_update_at=min(later)) if later else step


class _Planned:
    """The steps of one template of a playbook."""

    def __init__(self, view: IncidentView, playbook: Playbook, template: StepTemplate) -> None:
        self._view = view
        self._playbook = playbook
        self._template = template

    def steps(self) -> Iterator[Step]:
        """Yield the steps, and what is derived of each: tiers that are told, hand-overs."""
        if self._template.requires is not None and not self._has_begun(self._template.requires):
            return
        found = self._occasions()
        for occasion, following in zip_longest(found, found[1:]):
            ends_at = self._ends_at(occasion, following)
            for step in self._of(occasion):
                has_begun = step.id in self._view.started
                if not has_begun and ends_at <= max(step.due_at, self._view.now):
                    continue  # a person has lifted the level, or the next one speaks
                if self._template.until is None or not self._works_again():
                    yield from self._with_derived(occasion, step, ends_at)
                elif has_begun and self._survives_closing(occasion, step):
                    yield step  # what has gone out stays, and nobody is told any more

    def _with_derived(self, occasion: Occurrence, step: Step, ends_at: datetime) -> Iterator[Step]:
        if self._view.incident.handling.skip_of(step.id) is None and self._survives_closing(occasion, step):
            yield step
        since = self._view.started_at(step)
        for each in derived(self._template, step, self._view.incident.handling, self._view.now, since, ends_at):
            if self._survives_closing(occasion, each):
                yield each

    def _ends_at(self, occasion: Occurrence, following: Occurrence | None) -> datetime:
        """Return when what a level asks for is asked for no more: a person lifted it, or a worse one is reached."""
        if occasion.level is None:
            return NEVER
        ends_at = self._view.lifted_at(occasion.level, occasion.at)
        is_asked = self._template.asks or self._template.until is not None  # nobody need answer both
        return min(ends_at, following.at) if is_asked and following is not None else ends_at

    def _has_begun(self, step: str) -> bool:
        prefix = self._id("", step)  # any instance of it
        return any(name.startswith(prefix) for name in self._view.started)

    def _id(self, instance: str, step: str | None = None) -> str:
        return str(StepId(self._view.incident.id, self._playbook.playbook, step or self._template.id, instance))

    def _works_again(self) -> bool:
        ended = self._view.incident.restored_at
        return ended is not None and ended + self._playbook.settle <= self._view.now

    def _occasions(self) -> list[Occurrence]:
        """Return the trigger's occasions, and those for which a person did not want to wait, in order."""
        wanted = {occasion.instance: occasion for occasion in occurrences(self._template.on, self._view)}
        for added in self._view.incident.handling.additions:
            if added.data.step != self._template.id:
                continue
            occasion = self._brought_forward(added)
            if occasion is not None:
                wanted[occasion.instance] = occasion
        return sorted(wanted.values(), key=lambda occasion: (occasion.at, occasion.instance))

    def _brought_forward(self, added: StepAdded) -> Occurrence | None:
        """Return the occasion that a person brings forward, or one of its own; None if what it tells of is over."""
        stretch = episode_at(self._view, added.occurred_at)
        instance = f"added.{added.key}"
        if stretch is not None and self._template.on.first_level:
            started_at = self._view.started.get(self._id(stamp(stretch[0])), NEVER)
            instance = (
                stamp(stretch[0]) if started_at >= added.occurred_at else instance
            )  # told already: it is told again
            if stretch[1] <= self._view.now and self._id(instance) not in self._view.started:
                return None
        return Occurrence(instance, added.occurred_at, episode=stretch, at_once=True)

    def _of(self, occasion: Occurrence) -> Iterator[Step]:
        first_at = self._begins_at(occasion)
        if self._template.repeat is None:
            yield self._step(occasion, occasion.instance, first_at)
            return
        ends_at = self._repeats_until(self._template.repeat.until, occasion)
        number, at = 1, first_at
        while at < ends_at:
            after = self._by_rhythm(at, self._template.repeat.every)
            is_graded = self._view.primary.level_at(at) is not None  # or a person has said that it is nothing
            is_latest = after > self._view.now or after >= ends_at  # earlier ones are superseded: one word, not ten
            if is_graded and is_latest:
                instance = occasion.instance if number == 1 else f"{occasion.instance}.{number}"
                yield self._step(occasion, instance, at)
            if at > self._view.now:
                return
            number, at = number + 1, after

    def _repeats_until(self, until: RepeatEnd, occasion: Occurrence) -> datetime:
        incident = self._view.incident
        closed_at = incident.closing.at if incident.closing else NEVER
        if until is RepeatEnd.CLOSED:
            return closed_at
        ended = occasion.episode[1] if occasion.episode else incident.restored_at or NEVER
        return min(ended, closed_at)

    def _begins_at(self, occasion: Occurrence) -> datetime:
        if occasion.at_once:
            return occasion.at
        days = self._template.offset_working_days
        if days is not None:
            return self._working_day(occasion.at, days, _MORNING)
        return self._by_rhythm(occasion.at, self._template.offset)

    def _by_rhythm(self, start: datetime, lengths: LengthByLevel) -> datetime:
        """Return when a length of time has passed; a level that rises meanwhile can only bring it nearer."""
        due_at = start + by_level(lengths, self._view.primary.level_at(start))
        for rise in self._view.level_changes:
            if start < rise.at < due_at:
                due_at = min(due_at, rise.at + by_level(lengths, rise.level))
        return due_at

    def _deadline(self, occasion: Occurrence, step_id: str, begins_at: datetime) -> datetime | None:
        if occasion.obligation is not None:
            return occasion.obligation.due_at
        if occasion.task is not None and occasion.task.data.due_at is not None:
            return occasion.task.data.due_at
        if self._template.deadline is None:
            return None
        asked_at = self._view.started.get(step_id, max(begins_at, self._view.now))
        return self._own_deadline(self._template.deadline, begins_at, asked_at)

    def _own_deadline(self, deadline: StepDeadline, begins_at: datetime, asked_at: datetime) -> datetime:
        level = self._view.primary.level_at(begins_at)
        begun = asked_at
        if deadline.after is DeadlineFrom.OCCURRENCE:
            begun = self._view.incident.occurred_at or begins_at
        if deadline.working_days is not None:
            return self._working_day(begun, by_level(deadline.working_days, level), time()) + _A_DAY
        assert deadline.within is not None  # noqa: S101 - the validator saw to it
        return begun + by_level(deadline.within, level)

    def _working_day(self, start: datetime, days: int, at: time) -> datetime:
        """Return a time of the so-manieth working day after the day of an instant."""
        calendar, day = self._view.settings.calendar, start.astimezone(self._view.settings.zone).date()
        for _ in range(days):
            day += _A_DAY
            while calendar is not None and not calendar.is_workday(day):
                day += _A_DAY
        return datetime.combine(day, at, self._view.settings.zone).astimezone(UTC)

    def _step(self, occasion: Occurrence, instance: str, due_at: datetime) -> Step:
        template, task = self._template, occasion.task
        approval = None if template.approval is None or template.approval.preapproved else template.approval
        return Step(
            id=self._id(instance),
            playbook=self._playbook.playbook,
            step=template.id,
            instance=instance,
            due_at=due_at,
            audience=task.data.assignee if task is not None and task.data.assignee else template.audience,
            template=template.template,
            level=occasion.level,
            obligation=occasion.obligation.id if occasion.obligation else None,
            fulfils=template.fulfils,
            deadline=self._deadline(occasion, self._id(instance), due_at),
            awaits=template.awaits or (Awaits.COMPLETION if template.fulfils else None),
            approval=approval.by if approval is not None else None,
            report=template.report,
            episode=occasion.episode,
            channels=template.channels,
            request=approval.template if approval is not None else None,
            task=task,
        )

    def _survives_closing(self, occasion: Occurrence, step: Step) -> bool:
        """A closed incident asks for nothing more, except what is owed for its end, by law, or for a level since."""
        closing = self._view.incident.closing
        if closing is None:
            return True
        if step.due_at <= closing.at:  # but nobody is called to what is over
            return self._template.awaits is not Awaits.ACKNOWLEDGEMENT or occasion.at > closing.at
        on = self._template.on
        is_task = (
            self._template.awaits is Awaits.COMPLETION and not on.observed
        )  # what asks for the closing is done by it
        is_of_the_end = on.level_corrected or on.closed or on.restored or on.task_added or is_task
        is_new = occasion.level is not None and occasion.at > closing.at
        return bool(is_of_the_end or is_new or step.obligation is not None)
