"""Check the names in scenarios against the packs, playbooks and reports of the bank."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from incident_engine.common.errors import Problem
from incident_engine.common.validation import unknown_problems
from incident_engine.common.yaml_loader import load_file
from incident_engine.config.scenario import Scenario, ScenarioEvent
from incident_engine.domain.events.actions import ReportWritten
from incident_engine.domain.events.types import EventType
from incident_engine.domain.reports.definition import report_entry_problems
from incident_engine.domain.response.playbook import StepTemplate, audiences_of
from incident_engine.domain.rulebook import Rulebook


def unknown_name_problems(scenario: Scenario, book: Rulebook) -> Iterator[Problem]:
    """Yield a problem for each name in a scenario that the primary pack, the playbooks and the reports lack."""
    expected = scenario.expect
    levels = [level.id for level in book.packs[0].levels]
    obligations = [obligation.id for obligation in book.packs[0].obligations]
    steps = {step.id: step for playbook in book.playbooks for step in playbook.steps}
    for index, level in enumerate(expected.levels or ()):
        yield from unknown_problems(("expect", "levels", index, "level"), "level", level.level, levels)
    for name in expected.obligations:
        yield from unknown_problems(("expect", "obligations", name), "obligation", name.partition(".")[0], obligations)
    for key, names in (("steps", expected.steps), ("not_steps", expected.not_steps)):
        for index, name in enumerate(names):
            yield from _unknown_step(("expect", key, index), name, steps)
    for name in expected.steps_by:
        yield from _unknown_step(("expect", "steps_by", name), name, steps)
    for name in expected.messages:
        yield from _unknown_message(scenario, name, steps)
    for index, event in enumerate(scenario.events):
        for problem in _unknown_in_event(scenario, index, event, obligations, steps, book):
            yield replace(problem, path=("events", index, *problem.path))


def refuse_unknown_names(scenario: Scenario, path: Path, book: Rulebook) -> None:
    """Raise InvalidFilesError with a finding for each name in a scenario that the rules lack."""
    problems = list(unknown_name_problems(scenario, book))
    if problems:
        raise load_file(path).refuse(problems)


def _unknown_in_event(
    scenario: Scenario,
    index: int,
    event: ScenarioEvent,
    obligations: Sequence[str],
    steps: Mapping[str, StepTemplate],
    book: Rulebook,
) -> Iterator[Problem]:
    fulfils, step = event.data.get("fulfils"), event.data.get("step")
    if isinstance(fulfils, str):
        yield from unknown_problems(("data", "fulfils"), "obligation", fulfils, obligations)
    if isinstance(step, str) and ":" not in step:  # a full id exists only while the drill runs
        yield from _unknown_step(("data", "step"), step, steps)
    if event.type == EventType.REPORT_WRITTEN:
        native = scenario.native_event(index)
        if isinstance(native, ReportWritten):
            yield from report_entry_problems(native, book.reports.definitions)


def _unknown_step(path: tuple[str | int, ...], short_name: str, steps: Mapping[str, StepTemplate]) -> Iterator[Problem]:
    """Yield a problem if no playbook has a step, or if it has no such instance.

    Instances are only checked for steps that start by level: others depend on the events.
    """
    name, _, instance = short_name.partition("/")
    yield from unknown_problems(path, "step", name, steps)
    reached = steps[name].on.level_reached if name in steps else None
    if instance and reached is not None:
        yield from unknown_problems(path, f"instance of {name}", instance.partition(".")[0].partition("~")[0], reached)


def _unknown_message(scenario: Scenario, name: str, steps: Mapping[str, StepTemplate]) -> Iterator[Problem]:
    path = ("expect", "messages", name)
    audience, slash, step_name = name.partition("/")
    if not slash:
        yield Problem(path, f"'{name}' names no step", "audience/step, such as customers/customers-acknowledge")
        return
    yield from _unknown_step(path, step_name, steps)
    step = steps.get(step_name.partition("/")[0])
    if step is not None:
        audiences = [name for _, name in audiences_of(step)]
        # An event may assign the step to people outside its audiences.
        assignees = [event.data.get(key) for event in scenario.events for key in ("to", "assignee")]
        names = dict.fromkeys([*audiences, *(name for name in assignees if isinstance(name, str))])
        yield from unknown_problems(path, "audience", audience, names)
