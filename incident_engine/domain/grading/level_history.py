"""The level history of an incident: level changes by rules, and corrections by people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.values import NEVER


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


def level_changes(pack: Pack, instants: Mapping[str, datetime]) -> Iterator[LevelChange]:
    """Yield the level of each rule that is reached (not NEVER). `instants` maps the ids of all rules to instants."""
    for rule in pack.rules:
        if instants[rule.id] != NEVER:
            yield LevelChange(rule.level, instants[rule.id], rule.id, rule.cite)


def level_history(
    pack: Pack, steps: Iterable[LevelChange], corrections: Sequence[LevelCorrected] = ()
) -> tuple[LevelChange, ...]:
    """Return the steps and corrections that change the level, in order of time.

    Of several levels reached at one instant the worst counts (银监办发〔2008〕53号 Art. 9). No rule lowers the level
    (Art. 10). A correction replaces the level that was reached up to its instant; rules reached later raise it again.
    """
    corrected = [
        LevelChange(correction.data.level, correction.occurred_at, "", "", correction) for correction in corrections
    ]
    changes: list[LevelChange] = []
    severity = 0

    def order(step: LevelChange) -> tuple[datetime, bool, int]:
        # At one instant rules come first, the worst of them first. Of corrections the worst comes last and stands.
        severity = 0 if step.level is None else pack.severity[step.level]
        return step.at, step.correction is not None, severity if step.correction is not None else -severity

    for step in sorted([*steps, *corrected], key=order):
        reached_severity = pack.severity[step.level] if step.level is not None else 0
        if reached_severity > severity or (step.correction is not None and reached_severity != severity):
            changes.append(step)
            severity = reached_severity
    return tuple(changes)


def severity_of(pack: Pack, changes: Sequence[LevelChange]) -> int:
    """Return the severity at the end of a level history: 0 below the lowest level."""
    level = changes[-1].level if changes else None
    return 0 if level is None else pack.severity[level]


def corrections_of(pack: Pack, corrections: Iterable[LevelCorrected]) -> tuple[LevelCorrected, ...]:
    """Return the corrections for this pack or for no pack in particular whose level this pack has (or None)."""
    return tuple(
        correction
        for correction in corrections
        if correction.data.pack in (None, pack.pack)
        and (correction.data.level is None or correction.data.level in pack.severity)
    )
