"""The course of the level: every rise by a rule, and every word of a person on it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.values import NEVER


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A level with the instant at which it was or will be reached, and the rule that says so.

    With a correction, a person said so: then there is no rule, and the level may be None (below the lowest).
    """

    level: str | None
    at: datetime
    rule: str
    cite: str
    correction: LevelCorrected | None = None


def level_changes(pack: Pack, instants: Mapping[str, datetime]) -> Iterator[LevelChange]:
    """Yield the level of each rule that is ever reached."""
    for rule in pack.rules:
        if instants[rule.id] != NEVER:
            yield LevelChange(rule.level, instants[rule.id], rule.id, rule.cite)


def level_history(
    pack: Pack, steps: Iterable[LevelChange], corrections: Sequence[LevelCorrected] = ()
) -> tuple[LevelChange, ...]:
    """Return what changes the level, in order.

    Of several levels met at one instant the worst counts (Art. 9), and the level never falls by itself (Art. 10). A
    correction overrules what was reached up to then; what is reached later raises the level again.
    """
    words = [LevelChange(said.data.level, said.occurred_at, "", "", said) for said in corrections]
    changes: list[LevelChange] = []
    severity = 0
    for step in sorted([*steps, *words], key=lambda step: _order(pack, step)):
        reached_severity = pack.severity[step.level] if step.level is not None else 0
        if reached_severity > severity or (step.correction is not None and reached_severity != severity):
            changes.append(step)
            severity = reached_severity
    return tuple(changes)


def _order(pack: Pack, step: LevelChange) -> tuple[datetime, bool, int]:
    """At one instant the worst comes first, but of several corrections last: in doubt the worse word stands."""
    severity = 0 if step.level is None else pack.severity[step.level]
    return step.at, step.correction is not None, severity if step.correction is not None else -severity


def severity_of(pack: Pack, changes: Sequence[LevelChange]) -> int:
    """Return the severity at the end of a course: 0 below the lowest level."""
    level = changes[-1].level if changes else None
    return 0 if level is None else pack.severity[level]


def corrections_of(pack: Pack, given: Iterable[LevelCorrected]) -> tuple[LevelCorrected, ...]:
    """Return the corrections that are about a pack: those that name it, or none but a level that it has."""
    return tuple(
        said
        for said in given
        if said.data.pack in (None, pack.pack) and (said.data.level is None or said.data.level in pack.severity)
    )
