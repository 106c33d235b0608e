"""Whether what a person's event names exists; and what it leaves unsaid, filled in before it is stored."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from incident_engine.errors import Path, Problem
from incident_engine.facts.events import Event, ImpactMeasured, LevelCorrected, StepCompleted
from incident_engine.facts.folding import fold
from incident_engine.grading.pack import Pack
from incident_engine.store import records
from incident_engine.validation import nearest, unknown

NAMING = (StepCompleted, LevelCorrected, ImpactMeasured)
"""The events that name something of their incident's packs or steps."""


def resolved(connection: Connection, event: Event, incident_id: str, packs: Sequence[Pack]) -> Event | list[Problem]:
    """Return the event as it is to be stored, or what is wrong with what it names. The primary pack is the first."""
    match event:
        case StepCompleted():
            return _completed(connection, event, incident_id, packs)
        case LevelCorrected():
            return _corrected(connection, event, incident_id, packs)
        case ImpactMeasured():
            return list(wrong_measures(event, packs)) or event
        case _:
            return event


def wrong_measures(event: ImpactMeasured, packs: Sequence[Pack]) -> Iterator[Problem]:
    """Yield a problem for each figure that no pack knows, and for each of the wrong kind."""
    kinds: dict[str, set[str]] = {}
    for pack in packs:
        for name, measure in pack.measures.items():
            kinds.setdefault(name, set()).add(measure.kind)
    for name, value in event.data.measures.items():
        where: Path = ("data", "measures", name)
        if name not in kinds:
            listed = f"one of: {', '.join(kinds)}" if kinds else "another pack: none of this incident's knows measures"
            yield Problem(where, f"unknown measure '{name}'", listed, nearest(name, kinds))
        elif ("yes_no" if isinstance(value, bool) else "number") not in kinds[name]:
            expected = "true or false" if "yes_no" in kinds[name] else "a number"
            yield Problem(where, f"{json.dumps(value)} is no answer to '{name}'", expected)


def _completed(
    connection: Connection, event: StepCompleted, incident_id: str, packs: Sequence[Pack]
) -> StepCompleted | list[Problem]:
    """Return the event with the obligation that its step fulfils, or what is wrong with what it names."""
    given = event.data
    stored = records.steps_of(connection, incident_id)
    obligations = sorted({demand.id for pack in packs for demand in pack.obligations})
    problems = _too_early(connection, event.occurred_at, incident_id)
    if given.step is None and given.fulfils is None:
        problems.append(Problem(("data",), "does not say what was completed", "step or fulfils"))
    if given.step is not None and given.step not in stored:
        said = f"incident '{incident_id}' has no step '{given.step}'"
        problems.append(Problem(("data", "step"), said, f"one of: {', '.join(stored)}", nearest(given.step, stored)))
    if given.fulfils is not None:
        problems += unknown(("data", "fulfils"), "obligation", given.fulfils, obligations)
    if problems:
        return problems
    fulfils = given.fulfils or (stored[given.step].step.fulfils if given.step else None)
    return event.model_copy(update={"data": given.model_copy(update={"fulfils": fulfils})})


def _corrected(
    connection: Connection, event: LevelCorrected, incident_id: str, packs: Sequence[Pack]
) -> LevelCorrected | list[Problem]:
    """Return the event with the pack that it is about, or what is wrong with what it names."""
    given = event.data
    by_id = {pack.pack: pack for pack in packs}
    about = given.pack or packs[0].pack
    problems = _too_early(connection, event.occurred_at, incident_id)
    problems += wrong_correction(about, given.level, by_id)
    return problems or event.model_copy(update={"data": given.model_copy(update={"pack": about})})


def wrong_correction(pack: str, level: str | None, packs: Mapping[str, Pack]) -> Iterator[Problem]:
    """Yield a problem if a correction is about a pack that is not there, or a level that the pack does not have."""
    yield from unknown(("data", "pack"), "pack", pack, packs)
    if pack in packs and level is not None:
        yield from unknown(("data", "level"), f"level of {pack}", level, packs[pack].severity)


def _too_early(connection: Connection, at: datetime, incident_id: str) -> list[Problem]:
    began = fold(incident_id, records.events_of(connection, incident_id)).first_event_at
    if began is None or at >= began:
        return []
    said = f"{at.isoformat()} is before the incident began ({began.isoformat()})"
    return [Problem(("occurred_at",), said, "when it was done")]
