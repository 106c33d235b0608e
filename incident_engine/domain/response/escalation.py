"""Escalation rounds to the tiers of an unanswered step, and its other follow-up steps: requests and assignments.

The tiers are set in rules/playbooks/*.yaml.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from incident_engine.domain.handling import Handling
from incident_engine.domain.response.playbook import StepTemplate
from incident_engine.domain.response.step import Awaits, Escalation, Handover, Step
from incident_engine.domain.step_id import ASK, derived_name
from incident_engine.domain.values import NEVER, stamp

HANDOVER = "handover"
"""The message template for a person to whom a step was assigned."""


def follow_up_steps(
    template: StepTemplate, step: Step, handling: Handling, now: datetime, since: datetime, ends_at: datetime = NEVER
) -> Iterator[Step]:
    """Yield the steps that follow from a step, asked `since`, until it is answered or `ends_at` comes.

    Yield at most two rounds per tier: the latest that is due and the next. A person who skips a step that an obligation
    demands is not asked again, but the rounds after its deadline go on.
    """
    answered = min(answered_at(step, handling), ends_at)
    asked = step.approval or step.audience
    assignment = handling.assignment_of(step.id)
    is_skipped = handling.skip_of(step.id) is not None
    if not is_skipped:
        if step.request is not None and step.due_at < answered:
            yield _notification(step, ASK, step.due_at, asked, step.request)
        if assignment is not None and assignment.occurred_at < answered:
            assigned_at, data = assignment.occurred_at, assignment.data
            name = f"to.{stamp(assigned_at)}"
            notification = _notification(step, name, max(assigned_at, step.due_at), data.to, HANDOVER)
            yield replace(notification, handover=Handover(assigned_at, data.by, data.reason))
    for notification in _rounds(template, step, now, since):
        # Skipping a step does not fulfil its obligation: an overdue one is escalated all the same.
        is_overdue = step.fulfils is not None and step.deadline is not None and notification.due_at > step.deadline
        if notification.due_at < answered and (is_overdue or not is_skipped):
            is_for_audience = notification.audience == asked
            if assignment is not None and assignment.occurred_at <= notification.due_at and is_for_audience:
                yield replace(notification, audience=assignment.data.to)
            else:
                yield notification


def answered_at(step: Step, handling: Handling) -> datetime:
    """Return when a person acknowledged, approved or completed a step as it awaits, or NEVER."""
    if step.approval is not None:  # the message goes out only after an approval, not after a completion
        approval = handling.approval_of(step.id)
        return approval.occurred_at if approval is not None else NEVER
    answer = handling.answer_to(step.id, by_acknowledgement=step.awaits is Awaits.ACKNOWLEDGEMENT)
    return answer.occurred_at if answer is not None else NEVER


def _rounds(template: StepTemplate, step: Step, now: datetime, since: datetime) -> Iterator[Step]:
    """Yield the latest round that is due and the next one of each tier; tier 0 is the step's own audience again."""
    text = step.request or step.template
    tiers = [
        (
            number,
            step.audience if tier.to == template.audience else tier.to,
            tier.template or text,
            tier.first_at(step.deadline, now, since),
            tier.before_deadline is None,
        )
        for number, tier in enumerate(template.escalation, 1)
    ]
    if template.repeat_every is not None:
        is_by_deadline = step.deadline is not None and not any(tier.after for tier in template.escalation)
        begins_at = max(step.deadline, since) if is_by_deadline and step.deadline is not None else since
        tiers.append((0, step.approval or step.audience, text, begins_at, True))
    for number, audience, template_id, first_at, repeats in tiers:
        if first_at is None:
            continue
        every = template.repeat_every if repeats else None
        # The step itself was round 1 of its own audience.
        for round_index, due_at in _times(first_at, every, 1 if number == 0 else 0, now):
            escalation = Escalation(round_index + 1, number, since)
            name = f"{escalation.round}.{escalation.tier}"
            yield replace(_notification(step, name, due_at, audience, template_id), escalation=escalation)


def _times(first_at: datetime, every: timedelta | None, least: int, now: datetime) -> Iterator[tuple[int, datetime]]:
    """Yield (index, instant) of the latest time that has come and of the next one, not below the index `least`."""
    if every is None:
        yield 0, first_at
        return
    latest = max((now - first_at) // every, least - 1)
    for index in (latest, latest + 1):
        if index >= least:
            yield index, first_at + index * every


def _notification(step: Step, name: str, due_at: datetime, audience: str, template: str) -> Step:
    return replace(
        step,
        id=derived_name(step.id, name),
        instance=derived_name(step.instance, name),
        due_at=due_at,
        audience=audience,
        template=template,
        fulfils=None,
        awaits=None,
        approval=None,
        request=None,
        report=None,
        parent_id=step.id,
        base_awaits=step.awaits,
    )
