"""References within a pack: each level, rule, measure and obligation that it names must exist, once."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from incident_engine.common.errors import Path, Problem
from incident_engine.common.validation import duplicate_problems, problems_of, unknown_problems
from incident_engine.domain.grading.conditions import Condition, leaves, placed_leaves
from incident_engine.domain.grading.interpretation import Interpretation
from incident_engine.domain.grading.obligation import DayOff
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case import PackCase


def reference_problems(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each unknown name in a pack, and for each duplicate id."""
    levels = [level.id for level in pack.levels]
    yield from duplicate_problems("levels", levels)
    yield from duplicate_problems("rules", [rule.id for rule in pack.rules])
    yield from duplicate_problems("obligations", [obligation.id for obligation in pack.obligations])
    for index, rule in enumerate(pack.rules):
        yield from unknown_problems(("rules", index, "level"), "level", rule.level, levels)
        yield from _wrong_leaves(("rules", index, "when"), rule.when, pack)
    for index in range(len(pack.obligations)):
        yield from _wrong_obligation(index, pack)
    for index, case in enumerate(pack.cases):
        yield from _wrong_case(("cases", index), case, pack)


def _wrong_leaves(path: Path, condition: Condition, pack: Pack) -> Iterator[Problem]:
    for where, leaf in placed_leaves(path, condition):
        if leaf.measured is not None:
            measured, at = leaf.measured, (*where, "measured", "name")
            yield from unknown_problems(at, "measure", measured.name, pack.measures)
            declared = pack.measures.get(measured.name)
            if declared is not None and (declared.kind == "yes_no") != (measured.is_ is not None):
                problem = f"'{measured.name}' is declared as {declared.kind}"
                yield Problem(at, problem, "is: true" if declared.kind == "yes_no" else "at_least or more_than")
        if leaf.forecast is not None:
            at = (*where, "forecast", "rule")
            yield from unknown_problems(at, "rule", leaf.forecast.rule, pack.conditions)
            of = pack.conditions.get(leaf.forecast.rule)
            # A forecast of a forecast could refer back to itself, and would have no facts of its own.
            if of is not None and any(part.forecast is not None for part in leaves(of)):
                yield Problem(at, f"rule '{leaf.forecast.rule}' is a forecast itself", "a rule of facts")


def _wrong_obligation(number: int, pack: Pack) -> Iterator[Problem]:
    obligation, where = pack.obligations[number], ("obligations", number)
    for index, level in enumerate(obligation.levels or ()):
        yield from unknown_problems((*where, "levels", index), "level", level, pack.level_names)
    if obligation.when is not None:
        yield from _wrong_leaves((*where, "when"), obligation.when, pack)
    before = [other.id for other in pack.obligations[:number]]  # deadlines are computed in this order
    for index, deadline in enumerate(obligation.due.deadlines):
        at: Path = (*where, "due") if obligation.due.earliest is None else (*where, "due", "earliest", index)
        if deadline.of is not None:
            yield from unknown_problems((*at, "of"), "obligation (before this one)", deadline.of, before)
        if deadline.working_days is not None and pack.calendar is None:
            yield Problem((*at, "working_days"), "working days need a calendar", "calendar: CN at the pack's top")
    if obligation.due.on_day_off is not DayOff.KEEP and pack.calendar is None:
        yield Problem((*where, "due", "on_day_off"), "days off need a calendar", "calendar: CN at the pack's top")


def _wrong_figures(where: Path, figures: Mapping[str, object], pack: Pack) -> Iterator[Problem]:
    for name, value in figures.items():
        yield from unknown_problems((*where, name), "measure", name, pack.measures)
        declared = pack.measures.get(name)
        # A bool is a number to Python: without this check `true` would pass for 1 client.
        if declared is not None and (declared.kind == "yes_no") != isinstance(value, bool):
            expected = "true or false" if declared.kind == "yes_no" else "a number"
            yield Problem((*where, name), f"'{name}' is declared as {declared.kind}", expected)


def _wrong_names(where: Path, data: Mapping[str, Any], pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each unknown name in the data of a case's event."""
    yield from _wrong_figures((*where, "measures"), data.get("measures", {}), pack)
    if data.get("level") is not None:
        yield from unknown_problems((*where, "level"), "level", data["level"], pack.level_names)
    if data.get("pack") is not None:
        yield from unknown_problems((*where, "pack"), "pack", data["pack"], [pack.pack])
    if data.get("fulfils") is not None:
        obligations = [obligation.id for obligation in pack.obligations]
        yield from unknown_problems((*where, "fulfils"), "obligation", data["fulfils"], obligations)


def _wrong_case(where: Path, case: PackCase, pack: Pack) -> Iterator[Problem]:
    for index, expected in enumerate(case.expect):
        at = (*where, "expect", index)
        if expected.level is not None:
            yield from unknown_problems((*at, "level"), "level", expected.level, pack.level_names)
        if expected.rule is not None:
            yield from unknown_problems((*at, "rule"), "rule", expected.rule, pack.conditions)
    for time, figures in case.measured.items():
        yield from _wrong_figures((*where, "measured", time), figures, pack)
    for index, event in enumerate(case.events):
        yield from _wrong_names((*where, "events", index, "data"), event.data, pack)
    for key in case.due:
        name = key.partition(".")[0]
        yield from unknown_problems(
            (*where, "due", key), "obligation", name, [obligation.id for obligation in pack.obligations]
        )
    point_problems = [
        problem
        for key in case.interpretation
        for problem in unknown_problems((*where, "interpretation", key), "point", key, Interpretation.model_fields)
    ]
    yield from point_problems
    if point_problems:  # the model would report unknown points a second time
        return
    try:
        case.interpret(pack.interpretation)
    except ValidationError as error:
        wrong = problems_of(error, Interpretation, case.interpretation)
        yield from (replace(problem, path=(*where, "interpretation", *problem.path)) for problem in wrong)
