"""The plan: every step that the playbooks want for an incident, past and future, with deterministic ids."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import zip_longest

from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.after_closing import survives_closing
from incident_engine.domain.response.escalation import follow_up_steps
from incident_engine.domain.response.incident_view import IncidentView, PlanSettings, Questions
from incident_engine.domain.response.occurrences import Occurrence, occurrences
from incident_engine.domain.response.playbook import (
    DeadlineFrom,
    Playbook,
    RepeatEnd,
    StepTemplate,
    by_level,
)
from incident_engine.domain.response.step import Awaits, Step
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
    """Return every step that the playbooks want for the incident as it is known at `now`, by due instant and id.

    The first assessment is that of the primary pack. Future steps are those that will be due if no new fact arrives;
    of a step that repeats without end, the next one. The same facts always give the same steps with the same ids.
    `started` has the instants at which steps started, by id: a late start moves the deadline by as much.
    """
    if not assessments:
        return ()
    steps: list[Step] = []
    promises: dict[str, list[datetime]] = {}
    playbooks = list(playbooks)
    rhythms: set[str] = set()
    basis = settings or PlanSettings()
    questions = _questions(incident, playbooks, started or {}, basis.confirm_after)
    for playbook in playbooks:
        view = IncidentView(incident, assessments, now, playbook.settle, basis, started or {}, questions)
        for template in playbook.steps:
            planned = list(_TemplatePlan(view, playbook, template).steps())
            steps += planned
            if template.repeat is not None:
                promises.setdefault(template.audience, []).extend(step.due_at for step in planned)
                rhythms.update(step.id for step in planned)
    dated: list[Step] = []
    for step in _without_missed(steps, rhythms, now, started or {}):
        # The message of a step may promise the next update to the same audience.
        updates = [at for at in promises.get(step.audience, ()) if max(step.due_at, now) < at < NEVER]
        dated.append(replace(step, next_update_at=min(updates)) if updates else step)
    return tuple(sorted(dated, key=lambda step: (step.due_at, step.id)))


def _questions(
    incident: Incident, playbooks: Iterable[Playbook], started: Mapping[str, datetime], after: timedelta | None
) -> Questions:
    """Return the questions whether the time of an outage is right, and their answers; without a step that asks, none.

    An outage is reported late if it is reported later than `after` after it began.
    """
    asking = {(book.playbook, step.id) for book in playbooks for step in book.steps if step.on.reported_late}
    if not asking or after is None:
        return Questions()
    completed = ((StepId.parse(done.data.step or ""), done.occurred_at) for done in incident.handling.completions)
    asked = ((StepId.parse(step_id), at) for step_id, at in started.items())
    return Questions(
        late_starts=incident.late_starts(after),
        asked={
            i.instance: at for i, at in asked if i is not None and i.parent is None and (i.playbook, i.step) in asking
        },
        confirmed=tuple(at for i, at in completed if i is not None and (i.playbook, i.step) in asking),
    )


def _without_missed(
    steps: Iterable[Step], rhythms: Collection[str], now: datetime, started: Mapping[str, datetime]
) -> Iterator[Step]:
    """Yield the steps that have an instant, without updates missed before their readers got a first word.

    After a late report the first notice and an update would say the same to the same people at once.
    """
    steps = [step for step in steps if step.due_at < NEVER]
    notices: dict[object, list[tuple[datetime, datetime]]] = {}
    for step in steps:
        notified_at = started.get(step.id, now if step.due_at <= now else None)
        is_word = step.id not in rhythms and step.parent_id is None and step.approval is None
        if is_word and step.episode is not None and notified_at is not None:
            notices.setdefault((step.playbook, step.audience, step.episode), []).append((step.due_at, notified_at))
    for step in steps:
        words = notices.get((step.playbook, step.audience, step.episode), ())
        is_missed = any(due_at < step.due_at <= notified_at for due_at, notified_at in words)
        if not (is_missed and step.id in rhythms and step.id not in started):
            yield step


class _TemplatePlan:
    """Plans the steps of one template of a playbook."""

    def __init__(self, view: IncidentView, playbook: Playbook, template: StepTemplate) -> None:
        self._view = view
        self._playbook = playbook
        self._template = template

    def steps(self) -> Iterator[Step]:
        """Yield the steps, each followed by those derived from it: escalations, requests, assignments."""
        template, view, incident = self._template, self._view, self._view.incident
        if template.requires is not None:
            any_instance = self._id("", template.requires)
            if not any(step_id.startswith(any_instance) for step_id in view.started):
                return
        restored_at = incident.restored_at
        works_again = restored_at is not None and restored_at + self._playbook.settle <= view.now
        triggered = self._occurrences()
        for occurrence, following in zip_longest(triggered, triggered[1:]):
            ends_at = self._ends_at(occurrence, following)
            for step in self._steps_of(occurrence):
                has_started = step.id in view.started
                if not has_started and self._is_held_back(occurrence):
                    continue
                if not has_started and ends_at <= max(step.due_at, view.now):
                    continue  # a person corrected the level down, or the step for the next level replaces this one
                if template.until is not None and works_again:
                    # A message that has gone out stays on record, but its escalation stops.
                    steps = [step] if has_started else []
                else:
                    since = view.started_at(step)
                    steps = list(follow_up_steps(template, step, incident.handling, view.now, since, ends_at))
                    if incident.handling.skip_of(step.id) is None:
                        steps.insert(0, step)
                yield from (s for s in steps if survives_closing(template, occurrence, s, incident.closing))

    def _is_held_back(self, occurrence: Occurrence) -> bool:
        """Return whether the words of an occurrence must not go out now; they are planned again when they may."""
        # A person who adds a step sees its words and confirms them.
        is_unconfirmed = self._view.is_unconfirmed and self._template.goes_outside and not occurrence.at_once
        return is_unconfirmed or self._template.is_contradicted(self._view.incident)

    def _ends_at(self, occurrence: Occurrence, following: Occurrence | None) -> datetime:
        """Return when this occurrence's steps expire: the level was corrected down, or a worse one was reached."""
        if occurrence.level is None:
            return NEVER
        ends_at = self._view.corrected_down_at(occurrence.level, occurrence.at)
        # One answer is enough: a page for II need not be acknowledged beside the page for I.
        is_replaced = self._template.asks or self._template.until is not None
        return min(ends_at, following.at) if is_replaced and following is not None else ends_at

    def _id(self, instance: str, step: str | None = None) -> str:
        return str(StepId(self._view.incident.id, self._playbook.playbook, step or self._template.id, instance))

    def _occurrences(self) -> list[Occurrence]:
        """Return the trigger's occurrences and those that people brought forward, in order."""
        by_instance = {occurrence.instance: occurrence for occurrence in occurrences(self._template.on, self._view)}
        for added in self._view.incident.handling.additions:
            if added.data.step != self._template.id:
                continue
            episode = self._view.episode_at(added.occurred_at)
            instance = f"added.{added.key}"
            if episode is not None and self._template.on.first_level:
                started_at = self._view.started.get(self._id(stamp(episode[0])), NEVER)
                # Before the message went out, the person only hurries it; afterwards it goes out once more.
                instance = stamp(episode[0]) if started_at >= added.occurred_at else instance
                if episode[1] <= self._view.now and self._id(instance) not in self._view.started:
                    continue  # the episode is over, so there is nothing left to announce
            by_instance[instance] = Occurrence(instance, added.occurred_at, episode=episode, at_once=True)
        return sorted(by_instance.values(), key=lambda occurrence: (occurrence.at, occurrence.instance))

    def _steps_of(self, occurrence: Occurrence) -> Iterator[Step]:
        """Yield the step of an occurrence; of a repeated one the latest and the next."""
        template, incident = self._template, self._view.incident
        guessed_years: frozenset[int] = frozenset()
        if occurrence.at_once:
            first_at = occurrence.at
        elif template.offset_working_days is not None:
            days = template.offset_working_days
            first_at, guessed_years = self._view.settings.working_day(occurrence.at, days, _MORNING)
        else:
            first_at = self._view.by_rhythm(occurrence.at, template.offset)
        if template.repeat is None:
            yield self._step(occurrence, occurrence.instance, first_at, guessed_years)
            return
        first_at = _on_the_minute(first_at, occurrence.at)
        ends_at = incident.closing.at if incident.closing else NEVER
        if template.repeat.until is RepeatEnd.RESTORED:
            ends_at = min(ends_at, occurrence.episode[1] if occurrence.episode else incident.restored_at or NEVER)
        number, at = 1, first_at
        while at < ends_at:
            after = _on_the_minute(self._view.by_rhythm(at, template.repeat.every), at)
            # A person may have corrected the level to none.
            is_wanted = template.on.is_before_level or self._view.primary.level_at(at) is not None
            # After we were down, send one update, not all missed ones.
            is_latest = after > self._view.now or after >= ends_at
            if is_wanted and is_latest:
                instance = occurrence.instance if number == 1 else f"{occurrence.instance}.{number}"
                yield self._step(occurrence, instance, at)
            if at > self._view.now:
                return
            number, at = number + 1, after

    def _deadline(
        self, occurrence: Occurrence, step_id: str, begins_at: datetime
    ) -> tuple[datetime | None, frozenset[int]]:
        """Return the deadline of a step, from its obligation, its task or the playbook, and the years that are a guess.

        The deadline is None if there is none.
        """
        if occurrence.obligation is not None:
            return occurrence.obligation.due_at, frozenset(occurrence.obligation.guessed_years)
        if occurrence.task is not None and occurrence.task.data.due_at is not None:
            return occurrence.task.data.due_at, frozenset()
        deadline, level = self._template.deadline, self._view.primary.level_at(begins_at)
        if deadline is None:
            return None, frozenset()
        # From the real start: a daemon that was down must not shorten the time people have.
        runs_from = self._view.started.get(step_id, max(begins_at, self._view.now))
        if deadline.after is DeadlineFrom.OCCURRENCE:
            runs_from = self._view.incident.occurred_at or begins_at
        if deadline.working_days is not None:
            days = by_level(deadline.working_days, level)
            last, guessed_years = self._view.settings.working_day(runs_from, days, time())
            return last + _A_DAY, guessed_years
        assert deadline.within is not None  # noqa: S101 - the validator saw to it
        return runs_from + by_level(deadline.within, level), frozenset()

    def _step(
        self, occurrence: Occurrence, instance: str, due_at: datetime, guessed_years: frozenset[int] = frozenset()
    ) -> Step:
        template, task = self._template, occurrence.task
        # A preapproved message goes out at once, as if it needed no approval.
        approval = None if template.approval is None or template.approval.preapproved else template.approval
        step_id = self._id(instance)
        deadline, deadline_years = self._deadline(occurrence, step_id, due_at)
        return Step(
            id=step_id,
            playbook=self._playbook.playbook,
            step=template.id,
            instance=instance,
            due_at=due_at,
            audience=task.data.assignee if task is not None and task.data.assignee else template.audience,
            template=template.template,
            level=occurrence.level,
            obligation=occurrence.obligation.id if occurrence.obligation else None,
            fulfils=template.fulfils,
            deadline=deadline,
            awaits=template.awaits or (Awaits.COMPLETION if template.fulfils else None),
            approval=approval.by if approval is not None else None,
            report=template.report,
            episode=occurrence.episode,
            channels=template.channels,
            request=approval.template if approval is not None else None,
            task=task,
            late_start=occurrence.late_start,
            guessed_years=tuple(sorted(guessed_years | deadline_years)),
        )


def _on_the_minute(at: datetime, after: datetime) -> datetime:
    """Return the start of an instant's minute if that is after `after`, else the instant."""
    # A message promises the next one in minutes, rounded down: sent with its seconds, the next would come too late.
    minute = at.replace(second=0, microsecond=0)
    return minute if minute > after else at
