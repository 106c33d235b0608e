"""Situations in which a template may be rendered, so that one that would fail when it is needed fails `check`."""

import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_engine.errors import Problem
from incident_engine.response.messages import MessageBook
from incident_engine.response.playbook import StepTemplate

_BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)


def failures(step: StepTemplate, locale: str, messages: MessageBook, *, level_based: bool = True) -> Iterator[Problem]:
    """Yield how the template of a step fails in the situations in which the step can begin; the path is (line,).

    `level_based` says whether the obligation that the step is about holds at levels, so that there is one.
    """
    seen: set[int] = set()
    for said, variables in _situations(step, level_based=level_based):
        try:
            messages.render(step.template, locale, variables)
        except Exception as error:  # noqa: BLE001 - a template may raise anything; it is what we look for
            line = _line(error)
            if line not in seen:
                seen.add(line)
                yield Problem((line,), f"fails for step '{step.id}' {said}: {error}", "a guard such as {% if next %}")


def _line(error: BaseException) -> int:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return lines[-1] or 1 if lines else 1


def _situations(step: StepTemplate, *, level_based: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with_obligation = [_obligation()] if step.on.obligation is not None else [_obligation(), None]
    restored = [True] if step.on.restored else [False, True]
    for obligation in with_obligation:
        for is_restored in restored:
            for is_estimated in (False, True):
                for upcoming in [None] if is_restored else [_level("II"), None]:
                    said = ", ".join(
                        [
                            f"with{'' if upcoming else 'out'} a next level",
                            f"with{'' if is_estimated else 'out'} an estimate",
                            "restored" if is_restored else "not restored",
                            f"with{'' if obligation else 'out'} an obligation",
                        ]
                    )
                    yield said, _variables(obligation, upcoming, is_restored=is_restored, is_estimated=is_estimated)
    if step.on.level_reached is None and (step.on.obligation is None or not level_based):
        said = "corrected below the lowest level" if step.on.obligation is None else "without a level"
        variables = _variables(with_obligation[0], None, is_restored=bool(step.on.restored), is_estimated=True)
        yield said, variables | {"level": None, "current": None}


def _variables(
    obligation: Mapping[str, Any] | None, upcoming: Mapping[str, Any] | None, *, is_restored: bool, is_estimated: bool
) -> dict[str, Any]:
    return {
        "bank": {"name": "Bank"},
        "incident": {
            "id": "20130623-banking-00000000",
            "services": ["Core banking", "ATM"],
            "regions": ["Guangdong"],
            "occurred_at": _BEGAN,
            "detected_at": _BEGAN,
            "restored_at": _BEGAN + timedelta(hours=1) if is_restored else None,
            "duration": timedelta(minutes=45),
            "recovery_at": _BEGAN + timedelta(hours=2) if is_estimated else None,
            "notes": ["a note"],
            "has_outage": is_restored,
            "harms": [] if is_estimated else ["A: so"],
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
        "step": {"id": "20130623-banking-00000000:playbook:step:1"},
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
    return {"id": "report", "says": "Report", "cite": "Art. 2", "due_at": due_at, "state": "pending"}
