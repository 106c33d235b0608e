"""A scenario: what happens in a drill, and what must follow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError

from incident_engine.common.errors import Finding, InvalidFilesError, Problem
from incident_engine.common.validation import Strict, nearest, problems_of, unknown_problems
from incident_engine.common.yaml_loader import load_file
from incident_engine.config.rulebook import Rulebook, rules_directory
from incident_engine.config.settings import Settings
from incident_engine.domain.events.actions import ReportWritten
from incident_engine.domain.events.fields import KNOWN_SERVICES
from incident_engine.domain.events.model import EVENT, Event
from incident_engine.domain.events.types import EventType
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.reports.definition import report_entry_problems
from incident_engine.domain.response.playbook import StepTemplate, audiences_of
from incident_engine.domain.values import Duration, LocalizedText, parse_duration

SOURCE = "drill"
STEP_ACTIONS = (
    EventType.STEP_ACKNOWLEDGED,
    EventType.STEP_APPROVED,
    EventType.STEP_COMPLETED,
    EventType.STEP_SKIPPED,
    EventType.STEP_ASSIGNED,
)
"""What people do with a step; a scenario names it in short: `page`, or `page/II` with its instance."""


def _offset(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("-"):
        return -parse_duration(value[1:])
    return parse_duration(value)


Offset = Annotated[timedelta, BeforeValidator(_offset, json_schema_input_type=str)]
"""A length of time after the scenario's start, or with a - before it."""


class ScenarioEvent(Strict):
    """One event, so long after the scenario's start. It is written as in the native format."""

    at: Offset
    type: str
    service: str | None = None
    regions: tuple[str, ...] = ()
    incident: str | None = None
    data: dict[str, Any] = {}


class ExpectedLevel(Strict):
    """A level that must be reached so long after the start."""

    at: Duration
    level: str


class ExpectedDeadlines(Strict):
    """How many deadlines of the primary pack must be met in time, and how many missed (met late or not at all)."""

    met: int | None = Field(default=None, ge=0)
    missed: int | None = Field(default=None, ge=0)


class Expectations(Strict):
    """What must follow. A step is named by its id in the playbook, or with its instance: page, page/II."""

    levels: tuple[ExpectedLevel, ...] | None = None
    """Every level that is reached, and no other; an empty list: none at all."""
    obligations: dict[str, ObligationState] = {}
    """How obligations stand in the end; of one that is owed several times all that apply, or one: progress-report.2."""
    steps: tuple[str, ...] = ()
    """Steps of the playbooks that must have begun."""
    not_steps: tuple[str, ...] = ()
    """Steps that must not have begun."""
    steps_by: dict[str, Duration] = {}
    """Steps that must have begun so long after the start at the latest."""
    messages: dict[str, Annotated[int, Field(ge=0)]] = {}
    """How many messages of a step an audience must have got, by audience/step: customers/customers-acknowledge."""
    deadlines: ExpectedDeadlines = ExpectedDeadlines()
    closed: bool | None = None
    """Whether every incident must be closed in the end, or none."""


class DrillPlan(Strict):
    """What the report on the drill says beforehand (银监办发〔2008〕53号 Art. 28)."""

    purpose: LocalizedText | None = None
    plan: LocalizedText | None = None
    people: LocalizedText | None = None
    """Those who speak in the scenario's events unless given."""
    preparation: LocalizedText | None = None


class Scenario(Strict):
    """What happens, when, and what must follow."""

    scenario: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: LocalizedText
    start: AwareDatetime
    lasts: Duration
    events: tuple[ScenarioEvent, ...] = Field(min_length=1)
    expect: Expectations = Expectations()
    drill: DrillPlan = DrillPlan()

    @property
    def begins(self) -> datetime:
        """Return the instant of the first event, which may be before the start."""
        return self.start + min(timedelta(0), *(happening.at for happening in self.events))

    @property
    def speakers(self) -> list[str]:
        """Return the people who say something, in order of their first words."""
        ordered = sorted(self.events, key=lambda happening: happening.at)
        said = [happening.data.get("by") for happening in ordered]
        return list(dict.fromkeys(name for name in said if isinstance(name, str)))

    def native_events(self) -> list[Event]:
        """Return the events in the native format, in order of time."""
        ordered = sorted(range(len(self.events)), key=lambda place: (self.events[place].at, place))
        return [self.native_event(place) for place in ordered]

    def native_event(self, place: int, services: Mapping[str, object] | None = None) -> Event:
        """Return one event in the native format. Raises pydantic's ValidationError if it is none."""
        happening = self.events[place]
        document = happening.model_dump(exclude={"at"}, exclude_none=True) | {
            "source": SOURCE,
            "id": f"{self.scenario}/{place + 1}",
            "occurred_at": self.start + happening.at,
        }
        return EVENT.validate_python(document, context={KNOWN_SERVICES: services})


def load_scenario(path: Path, settings: Settings) -> Scenario:
    """Read a scenario for this bank's services. Raises InvalidFilesError with every finding."""
    document = load_file(path)
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as error:
        raise document.refuse(problems_of(error, Scenario, document.data)) from None
    problems = list(_wrong_events(scenario, settings))
    if problems:
        raise document.refuse(problems)
    return scenario


def find_scenario(name: str, settings: Settings) -> Path:
    """Return the file of a scenario given by its name or its path. Raises InvalidFilesError if there is none."""
    folder = rules_directory(settings) / "scenarios"
    for path in (Path(name), folder / f"{name}.yaml"):
        if path.is_file():
            return path
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    problem = Problem((), "there is no such scenario", f"a file, or one of: {', '.join(known)}", nearest(name, known))
    raise InvalidFilesError([Finding(name, 1, 1, problem.sentence())])


def _wrong_events(scenario: Scenario, settings: Settings) -> Iterator[Problem]:
    people = settings.people.names
    for place, happening in enumerate(scenario.events):
        try:
            scenario.native_event(place, settings.service_names)
        except ValidationError as error:
            for problem in problems_of(error, Event, happening.model_dump()):
                yield replace(problem, path=("events", place, *problem.path))
            continue
        if happening.at > scenario.lasts:
            yield Problem(("events", place, "at"), "is after the end of the scenario", "a time within `lasts`")
        for key, kind in (("to", EventType.STEP_ASSIGNED), ("assignee", EventType.STEP_ADDED)):
            if happening.type == kind and happening.data.get(key) is not None:
                yield from unknown_problems(
                    ("events", place, "data", key), "contact or audience", happening.data[key], people
                )


def unknown_name_problems(scenario: Scenario, book: Rulebook) -> Iterator[Problem]:
    """Yield what a scenario names and the chosen pack, playbooks and reports do not have."""
    expected = scenario.expect
    levels = [level.id for level in book.packs[0].levels]
    obligations = [demand.id for demand in book.packs[0].obligations]
    steps = {step.id: step for playbook in book.playbooks for step in playbook.steps}
    for place, level in enumerate(expected.levels or ()):
        yield from unknown_problems(("expect", "levels", place, "level"), "level", level.level, levels)
    for name in expected.obligations:
        yield from unknown_problems(("expect", "obligations", name), "obligation", name.partition(".")[0], obligations)
    for key, names in (("steps", expected.steps), ("not_steps", expected.not_steps)):
        for place, named in enumerate(names):
            yield from _unknown_step(("expect", key, place), named, steps)
    for named in expected.steps_by:
        yield from _unknown_step(("expect", "steps_by", named), named, steps)
    for named in expected.messages:
        yield from _unknown_message(scenario, named, steps)
    for place, event in enumerate(scenario.events):
        for problem in _unknown_in_event(scenario, place, event, obligations, steps, book):
            yield replace(problem, path=("events", place, *problem.path))


def _unknown_in_event(
    scenario: Scenario,
    place: int,
    event: ScenarioEvent,
    obligations: Sequence[str],
    steps: Mapping[str, StepTemplate],
    book: Rulebook,
) -> Iterator[Problem]:
    fulfils, step = event.data.get("fulfils"), event.data.get("step")
    if isinstance(fulfils, str):
        yield from unknown_problems(("data", "fulfils"), "obligation", fulfils, obligations)
    if isinstance(step, str) and ":" not in step:
        yield from _unknown_step(("data", "step"), step, steps)
    if event.type == EventType.REPORT_WRITTEN:
        native = scenario.native_event(place)
        if isinstance(native, ReportWritten):
            yield from report_entry_problems(native, book.reports.definitions)


def _unknown_step(path: tuple[str | int, ...], named: str, steps: Mapping[str, StepTemplate]) -> Iterator[Problem]:
    """Yield a problem if no playbook has a step, or it never has this instance (as far as that can be told)."""
    name, _, instance = named.partition("/")
    yield from unknown_problems(path, "step", name, steps)
    reached = steps[name].on.level_reached if name in steps else None
    if instance and reached is not None:
        yield from unknown_problems(path, f"instance of {name}", instance.partition(".")[0].partition("~")[0], reached)


def _unknown_message(scenario: Scenario, named: str, steps: Mapping[str, StepTemplate]) -> Iterator[Problem]:
    path = ("expect", "messages", named)
    audience, slash, name = named.partition("/")
    if not slash:
        yield Problem(path, f"'{named}' names no step", "audience/step, such as customers/customers-acknowledge")
        return
    yield from _unknown_step(path, name, steps)
    if name.partition("/")[0] in steps:
        told = [who for _, who in audiences_of(steps[name.partition("/")[0]])]
        named_by_people = [happening.data.get(key) for happening in scenario.events for key in ("to", "assignee")]
        known = dict.fromkeys([*told, *(who for who in named_by_people if isinstance(who, str))])
        yield from unknown_problems(path, "audience", audience, known)


def refuse_unknown_names(scenario: Scenario, path: Path, book: Rulebook) -> None:
    """Raise InvalidFilesError with everything that a scenario names and that is not there."""
    problems = list(unknown_name_problems(scenario, book))
    if problems:
        raise load_file(path).refuse(problems)
