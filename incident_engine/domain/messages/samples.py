"""Sample variables for each use of a template, so that one that would fail in an incident fails in `check`."""

import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from incident_engine.common.errors import Problem
from incident_engine.domain.messages.templates import MessageBook, MessageForm
from incident_engine.domain.response.escalation import HANDOVER
from incident_engine.domain.response.playbook import StepTemplate

_BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)


class Use(StrEnum):
    """The use of a template by a step."""

    STEP = "step"
    REQUEST = "request"
    """Asks for the approval of the step's text."""
    TIER = "tier"
    """Escalates a step that is not acknowledged."""
    HANDOVER = "handover"


def uses(step: StepTemplate) -> Iterator[tuple[Use, str]]:
    """Yield every template that a step can need, with its use."""
    yield Use.STEP, step.template
    request = step.approval.template if step.approval is not None and not step.approval.preapproved else None
    if request is not None:
        yield Use.REQUEST, request
    if step.repeat_every is not None or any(tier.template is None for tier in step.escalation):
        yield Use.TIER, request or step.template
    for tier in step.escalation:
        if tier.template is not None:
            yield Use.TIER, tier.template
    if step.asks or request is not None:
        yield Use.HANDOVER, HANDOVER


def kind_of(step: StepTemplate) -> tuple[object, ...]:
    """Return the properties of a step on which its situations depend: of steps with equal ones `check` renders one."""
    on = step.on
    trigger = (on.obligation is not None, on.level_reached is None, on.is_of_the_end, on.task_added)
    return (
        *trigger,
        on.opened,
        on.next_level is not None,
        on.reported_late,
        step.has_deadline,
        step.approval is not None,
        step.report is not None,
    )


def failures(
    step: StepTemplate,
    locale: str,
    messages: MessageBook,
    *,
    level_based: bool = True,
    use: Use = Use.STEP,
    template: str | None = None,
    form: MessageForm = MessageForm.LONG,
) -> Iterator[Problem]:
    """Yield a problem for each line at which a template of a step fails in a situation; the path is (line,).

    `level_based` is False if the step's obligation does not depend on a level, so that there may be none.
    """
    seen: set[int] = set()
    for description, variables in situations(step, use, level_based=level_based):
        try:
            messages.render(template or step.template, locale, variables, form)
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            # jinja maps the lines of its generated code to those of the template, which it names <template>.
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
            line = lines[-1] or 1 if lines else 1
            if line not in seen:  # one fault fails in many situations
                seen.add(line)
                guard = "a guard such as {% if next %}"
                yield Problem((line,), f"fails for step '{step.id}' {description}: {error}", guard)


def situations(step: StepTemplate, use: Use, *, level_based: bool = True) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the situations in which a step can need a template: (description, variables)."""
    for description, variables in _situations(step, level_based=level_based):
        for more in (False, True):
            yield description, {**variables, **_circumstances(step, use, more=more)}


def sample(step: StepTemplate, use: Use) -> dict[str, Any]:
    """Return the variables of the fullest situation, for a preview of a template."""
    return next(
        variables
        for _, variables in situations(step, use)
        if variables["incident"]["recovery_at"] and variables["drill"]
    )


def _circumstances(step: StepTemplate, use: Use, *, more: bool) -> dict[str, Any]:
    """Return the variables that depend on the use; with `more` the optional ones have values, too."""
    escalation = {"round": 2, "tier": 1, "since": _BEGAN, "waited": timedelta(minutes=20)}
    task = {"title": "Do it", "by": "A", "reason": "so", "due_at": _BEGAN + timedelta(days=3) if more else None}
    late = {
        "began_at": _BEGAN,
        "known_at": _BEGAN + timedelta(hours=8),
        "delay": timedelta(hours=8),
        "source": "monitor",
        "id": "1",
    }
    request = use is Use.REQUEST or (use is Use.TIER and step.approval is not None)
    return {
        "bank": {
            "name": "Bank",
            "unit": "Bank",
            "regulator": "the regulator",
            "reporter": "R" if more else None,
            "reporter_phone": "1" if more else None,
            "hotline": "95555" if more else None,
            "status_page": "https://status.example.com" if more else None,
            "compensation": "by the standard" if more else None,
        },
        "deadline": _BEGAN + timedelta(hours=1) if step.has_deadline or more else None,
        "next_update_at": _BEGAN + timedelta(hours=2) if more else None,
        "escalation": escalation if use is Use.TIER or (use is Use.REQUEST and more) else None,
        "drafts": [{"locale": "en", "subject": "S", "body": "B"}] if request else [],
        "links": dict.fromkeys(("acknowledge", "approve", "complete"), "https://x.example") if more else None,
        "task": task if step.on.task_added else None,
        "late": late if step.on.reported_late else None,
        "handover": {"by": "A", "reason": "so", "at": _BEGAN} if use is Use.HANDOVER else None,
        "report": {"id": "report", "title": "Report", "gaps": 2, "url": None} if step.report is not None else None,
        "drill": more,
    }


def _situations(step: StepTemplate, *, level_based: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if step.on.is_before_level:
        yield from _situations_before_level(step)
        return
    with_obligation = [_obligation()] if step.on.obligation is not None else [_obligation(), None]
    restored = [True] if step.on.is_of_the_end else [False, True]
    for obligation in with_obligation:
        for is_restored in restored:
            for is_estimated in (False, True):
                for upcoming in [None] if is_restored else [_level("II"), None]:
                    description = ", ".join(
                        [
                            f"with{'' if upcoming else 'out'} a next level",
                            f"with{'' if is_estimated else 'out'} an estimate",
                            "restored" if is_restored else "not restored",
                            f"with{'' if obligation else 'out'} an obligation",
                        ]
                    )
                    yield (
                        description,
                        _variables(obligation, upcoming, is_restored=is_restored, is_estimated=is_estimated),
                    )
    # A step at a level has that level; any other may come after a correction, or about harm, without one.
    if step.on.level_reached is None and (step.on.obligation is None or not level_based):
        description = "corrected below the lowest level" if step.on.obligation is None else "without a level"
        variables = _variables(with_obligation[0], None, is_restored=step.on.is_of_the_end, is_estimated=True)
        yield description, variables | {"level": None, "current": None}


def _situations_before_level(step: StepTemplate) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the situations of a step that occurs before a level is reached: something lasts."""
    levels = [(None, "III"), (None, None)] if step.on.opened else [(None, "III"), ("III", "II")]
    for level, upcoming in levels:
        for obligation in (_obligation() | {"state": "pending" if level else "not_applicable"}, None):
            for is_estimated in (False, True):
                description = ", ".join(
                    [
                        f"at level {level}" if level else "before any level",
                        f"with{'' if upcoming else 'out'} a next level",
                        f"with{'' if is_estimated else 'out'} an estimate",
                        f"with{'' if obligation else 'out'} an obligation",
                    ]
                )
                variables = _variables(
                    obligation,
                    _level(upcoming) if upcoming else None,
                    is_restored=False,
                    is_estimated=is_estimated,
                )
                present = _level(level) if level else None
                yield description, variables | {"level": present, "current": present}


def _variables(
    obligation: Mapping[str, Any] | None, upcoming: Mapping[str, Any] | None, *, is_restored: bool, is_estimated: bool
) -> dict[str, Any]:
    return {
        "incident": {
            "id": "20130623-banking-00000000",
            "services": ["Core banking", "ATM"],
            "regions": ["Guangdong"],
            "occurred_at": _BEGAN,
            "detected_at": _BEGAN,
            "restored_at": _BEGAN + timedelta(hours=1) if is_restored else None,
            "duration": timedelta(minutes=45),
            "recovery_at": _BEGAN + timedelta(hours=2) if is_estimated else None,
            "previous_recovery_at": _BEGAN + timedelta(hours=1) if is_estimated and is_restored else None,
            "notes": ["a note"],
            "has_outage": is_restored or is_estimated,
            "harms": [] if is_estimated else ["A: so"],
            "plan_failures": [] if is_estimated else ["A: so"],
            "lessons": [] if is_estimated else ["a lesson"],
            "customer_lessons": [] if is_estimated else ["a lesson"],
            "closed_at": _BEGAN + timedelta(hours=3) if is_restored else None,
        },
        "level": _level("III"),
        "current": _level("III"),
        "provisional": not is_estimated,
        "correction": {
            "level": None if is_estimated else "III",
            "name": "Name",
            "at": _BEGAN,
            "by": "A",
            "reason": "so",
        },
        "next": upcoming,
        "obligation": obligation,
        "recipient": {"name": "Reader"},
        "step": {"id": "20130623-banking-00000000:playbook:step:1", "level": "III", "awaits": "completion"},
        "now": _BEGAN + timedelta(minutes=45),
    }


def _level(level: str) -> dict[str, Any]:
    return {
        "id": level,
        "name": "Name",
        "at": _BEGAN + timedelta(minutes=30),
        "cite": "Art. 1",
        "says": "so",
        "is_worst": level == "I",
    }


def _obligation() -> dict[str, Any]:
    due_at = _BEGAN + timedelta(hours=1)
    return {"id": "report", "says": "Report", "cite": "Art. 2", "due_at": due_at, "state": "pending", "to": "regulator"}
