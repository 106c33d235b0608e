"""The names that an event may use: those of the bank's people and playbooks, and those of packs."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from incident_engine.common.errors import Path, Problem
from incident_engine.common.validation import nearest, unknown_problems
from incident_engine.config.settings import Settings
from incident_engine.domain.events.actions import ReportWritten, StepCompleted
from incident_engine.domain.events.model import Event, ImpactMeasured, LevelCorrected
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.reports.definition import report_entry_problems
from incident_engine.domain.response.playbook import StepTemplate, closing_requests
from incident_engine.domain.rulebook import Rulebook


@dataclass(frozen=True, slots=True)
class Names:
    """The names of this bank that people's events may use."""

    people: Sequence[str] = ()
    """Contacts and audiences to whom a step can be assigned."""
    steps: Sequence[str] = ()
    """Steps of the playbooks that can be added."""
    templates: Sequence[StepTemplate] = ()
    """The same, as the playbooks describe them."""
    closing_requests: Collection[tuple[str, str]] = ()
    """Steps that ask a person for the closing, as (playbook, step): only the closing completes them."""
    report_entry_problems: Callable[[ReportWritten], Iterable[Problem]] = lambda _: ()


def names_of(settings: Settings, rulebook: Rulebook) -> Names:
    """Return the names that the settings and the rules define."""
    templates = [step for playbook in rulebook.playbooks for step in playbook.steps]
    # A person can add any step but those that the law or another person's task brings.
    addable = [step for step in templates if step.on.obligation is None and not step.on.task_added]
    return Names(
        people=settings.people.names,
        steps=[step.id for step in addable],
        templates=addable,
        closing_requests=closing_requests(rulebook.playbooks),
        report_entry_problems=lambda event: report_entry_problems(event, rulebook.reports.definitions),
    )


def name_problems(event: Event, packs: Sequence[Pack]) -> Iterator[Problem]:
    """Yield a problem for each figure, obligation, pack and level in an event that no pack has."""
    match event:
        case ImpactMeasured():
            yield from _measure_problems(event, packs)
        case StepCompleted(data=completion) if completion.fulfils is not None:
            obligations = sorted({obligation.id for pack in packs for obligation in pack.obligations})
            yield from unknown_problems(("data", "fulfils"), "obligation", completion.fulfils, obligations)
        case LevelCorrected(data=correction) if correction.pack is not None:
            by_id = {pack.pack: pack for pack in packs}
            yield from unknown_problems(("data", "pack"), "pack", correction.pack, by_id)
            if correction.pack in by_id and correction.level is not None:
                levels = by_id[correction.pack].severity
                yield from unknown_problems(("data", "level"), f"level of {correction.pack}", correction.level, levels)
        case _:
            return


def with_level_id(event: Event, packs: Sequence[Pack]) -> Event:
    """Return a correction with its level by id, however it is written. Other events, and unknown levels, are kept."""
    if not isinstance(event, LevelCorrected) or event.data.level is None:
        return event
    pack = next((pack for pack in packs if pack.pack == event.data.pack), None)
    level = None if pack is None else pack.level_id(event.data.level)
    return event if level is None else event.model_copy(update={"data": event.data.model_copy(update={"level": level})})


def with_default_pack(event: Event, primary: str) -> Event:
    """Return a correction of a level with its pack filled in: the primary one if it names none."""
    if not isinstance(event, LevelCorrected) or event.data.pack is not None:
        return event
    return event.model_copy(update={"data": event.data.model_copy(update={"pack": primary})})


def _measure_problems(event: ImpactMeasured, packs: Sequence[Pack]) -> Iterator[Problem]:
    kinds: dict[str, set[str]] = {}
    for pack in packs:
        for name, measure in pack.measures.items():
            kinds.setdefault(name, set()).add(measure.kind)
    for name, value in event.data.measures.items():
        path: Path = ("data", "measures", name)
        if name not in kinds:
            listed = f"one of: {', '.join(kinds)}" if kinds else "another pack: none of this incident's knows measures"
            yield Problem(path, f"unknown measure '{name}'", listed, nearest(name, kinds))
        elif ("yes_no" if isinstance(value, bool) else "number") not in kinds[name]:
            expected = "true or false" if "yes_no" in kinds[name] else "a number"
            yield Problem(path, f"{json.dumps(value)} is no answer to '{name}'", expected)
