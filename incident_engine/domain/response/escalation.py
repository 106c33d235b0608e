"""What is derived of a step that a person must answer: tiers that are told, rounds that start over, hand-overs."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from incident_engine.domain.incidents.incident import Incident, StepAction
from incident_engine.domain.response.playbook import StepTemplate, Tier
from incident_engine.domain.response.step import ASK, DERIVED, Escalation, Handover, Step, concerns_step
from incident_engine.domain.values import NEVER, RESOLUTION, stamp

HANDOVER = "handover"
"""The template that tells somebody that a step was handed over to them."""


def derived(
    template: StepTemplate, step: Step, incident: Incident, now: datetime, since: datetime, ends_at: datetime = NEVER
) -> Iterator[Step]:
    """Yield what follows from a step, asked `since`, while nobody has answered it; nothing from `ends_at` on.

    Of rounds that have passed only the latest is told; of those to come the next. Who skips what the law demands
    is not asked again, but that it is overdue is told all the same.
    """
    answered = min(answered_at(step, incident), ends_at)
    asked = step.approval or step.audience
    owner = latest_assignment(incident, step.id)
    skipped = is_skipped(incident, step.id)
    if not skipped:
        if step.request is not None and step.due_at < answered:
            yield _notification(step, ASK, step.due_at, asked, step.request)
        if owner is not None and owner.at < answered:
            told = _notification(step, f"to.{stamp(owner.at)}", max(owner.at, step.due_at), owner.to or asked, HANDOVER)
            yield replace(told, handover=Handover(owner.at, owner.by, owner.note))
    for each in _rounds(template, step, now, since):
        is_owed = step.fulfils is not None and step.deadline is not None and each.due_at > step.deadline
        if each.due_at < answered and (is_owed or not skipped):
            is_owners = owner is not None and owner.at <= each.due_at and each.audience == asked
            yield replace(each, audience=owner.to or asked) if owner is not None and is_owners else each


def answered_at(step: Step, incident: Incident) -> datetime:
    """Return when a person did what a step waits for, or NEVER: acknowledged, approved or completed it."""
    if step.approval is not None:  # only an approval lets the words out, whatever else people report
        return min((deed.at for deed in incident.approvals if concerns_step(deed.step, step.id)), default=NEVER)
    seen = incident.acknowledgements if step.awaits == "acknowledgement" else ()
    deeds = [deed.at for deed in seen if concerns_step(deed.step, step.id)]
    deeds += [done.at for done in incident.completions if done.step is not None and concerns_step(done.step, step.id)]
    return min(deeds, default=NEVER)


def approval_of(step: Step, incident: Incident) -> StepAction | None:
    """Return the approval of a step, if a person has given it."""
    return next((deed for deed in incident.approvals if concerns_step(deed.step, step.id)), None)


def is_skipped(incident: Incident, step_id: str) -> bool:
    """Return whether a person decided that a step is not done."""
    return any(concerns_step(deed.step, step_id) for deed in incident.skips)


def latest_assignment(incident: Incident, step_id: str) -> StepAction | None:
    """Return the latest hand-over of a step."""
    return next((deed for deed in reversed(incident.assignments) if concerns_step(deed.step, step_id)), None)


def _rounds(template: StepTemplate, step: Step, now: datetime, since: datetime) -> Iterator[Step]:
    """Yield, of every tier, the latest round that is due and the next one; tier 0 is the audience, told again."""
    words = step.request or step.template
    told = [
        (
            place,
            step.audience if tier.to == template.audience else tier.to,
            tier.template or words,
            _tier_at(tier, step, now, since),
            tier.before_deadline is None,
        )
        for place, tier in enumerate(template.escalation, 1)
    ]
    if template.repeat_every is not None:
        is_by_deadline = step.deadline is not None and not any(tier.after for tier in template.escalation)
        begins = max(step.deadline, since) if is_by_deadline and step.deadline is not None else since
        told.append((0, step.approval or step.audience, words, begins, True))
    for place, audience, template_id, first_at, repeats in told:
        if first_at is not None:
            for number, due_at in _times(
                first_at, template.repeat_every if repeats else None, 1 if place == 0 else 0, now
            ):
                yield replace(
                    _notification(step, f"{number + 1}.{place}", due_at, audience, template_id),
                    escalation=Escalation(number + 1, place, since),
                )


def _times(first_at: datetime, again: timedelta | None, least: int, now: datetime) -> Iterator[tuple[int, datetime]]:
    """Yield (number, instant) of the latest time that has come and of the next one, not below the number `least`."""
    if again is None:
        yield 0, first_at
        return
    latest = max((now - first_at) // again, least - 1)
    for number in (latest, latest + 1):
        if number >= least:
            yield number, first_at + number * again


def _tier_at(tier: Tier, step: Step, now: datetime, since: datetime) -> datetime | None:
    """Return when a tier is told for the first time; None if it is not."""
    if tier.after is not None:
        return since + tier.after
    if step.deadline is None:
        return None  # a task that nobody gave a due date
    if tier.after_deadline is not None:
        return max(step.deadline + RESOLUTION, since) + tier.after_deadline
    reminded_at = step.deadline - (tier.before_deadline or timedelta(0))
    is_news = reminded_at > since  # nobody is reminded of what has only just been said
    is_in_time = max(reminded_at, now) < step.deadline  # afterwards the tier that is told of what is overdue speaks
    return reminded_at if is_news and is_in_time else None


def _notification(step: Step, name: str, due_at: datetime, audience: str, template: str) -> Step:
    return replace(
        step,
        id=f"{step.id}{DERIVED}{name}",
        instance=f"{step.instance}{DERIVED}{name}",
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
