"""The level history of an incident: level changes by rules, and corrections by people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident_engine.domain.events.model import LevelCorrected


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A level, the instant at which it is reached, and the rule with its clause that gives it.

    A correction gives the level in place of a rule: then `rule` and `cite` are empty, and the level may be None (below
    the lowest level).
    """

    level: str | None
    at: datetime
    rule: str
    cite: str
    correction: LevelCorrected | None = None


def level_history(
    severities: Mapping[str, int], steps: Iterable[LevelChange], corrections: Sequence[LevelCorrected] = ()
) -> tuple[LevelChange, ...]:
    """Return the steps and corrections that change the level, in order of time.

    `severities` gives the severity of each level of the pack, from 1 for the least severe.
    Of several levels reached at one instant the worst counts (银监办发〔2008〕53号 Art. 9). No rule lowers the level
    (Art. 10). A correction replaces the level that was reached up to its instant; rules reached later raise it again.
    """
    corrected = [
        LevelChange(correction.data.level, correction.occurred_at, "", "", correction) for correction in corrections
    ]
    changes: list[LevelChange] = []
    severity = 0

    def order(step: LevelChange) -> tuple[datetime, bool, int]:
        # At one instant rules come first, the worst of them first. The last correction of an instant counts: the worst.
        severity = 0 if step.level is None else severities[step.level]
        return step.at, step.correction is not None, severity if step.correction is not None else -severity

    for step in sorted([*steps, *corrected], key=order):
        reached_severity = severities[step.level] if step.level is not None else 0
        if reached_severity > severity or (step.correction is not None and reached_severity != severity):
            changes.append(step)
            severity = reached_severity
    return tuple(changes)


def severity_of(severities: Mapping[str, int], changes: Sequence[LevelChange]) -> int:
    """Return the severity at the end of a level history: 0 below the lowest level."""
    level = changes[-1].level if changes else None
    return 0 if level is None else severities[level]


def level_at(changes: Sequence[LevelChange], instant: datetime) -> str | None:
    """Return the level that a level history gives at an instant; None below the lowest level."""
    levels = [step.level for step in changes if step.at <= instant]
    return levels[-1] if levels else None
