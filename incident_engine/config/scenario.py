"""Scenarios of drills: events, and the expected outcome."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, ValidationError

from incident_engine.common.errors import Finding, InvalidFilesError, Problem
from incident_engine.common.validation import Strict, nearest, problems_of, unknown_problems
from incident_engine.common.yaml_loader import load_file
from incident_engine.config.rulebook import rules_directory
from incident_engine.config.settings import Settings
from incident_engine.domain.events.fields import EVERYWHERE, KNOWN_SERVICES
from incident_engine.domain.events.model import EVENT, Event
from incident_engine.domain.events.types import EventType
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.values import Duration, LocalizedText, parse_duration, plausible_instant

SOURCE = "drill"
STEP_ACTIONS = (
    EventType.STEP_ACKNOWLEDGED,
    EventType.STEP_APPROVED,
    EventType.STEP_COMPLETED,
    EventType.STEP_SKIPPED,
    EventType.STEP_ASSIGNED,
)
"""Actions on a step; a scenario names the step by its short name: `page`, or `page/II` with its instance."""


Offset = Annotated[
    timedelta,
    BeforeValidator(
        lambda value: (
            -parse_duration(value[1:]) if isinstance(value, str) and value.startswith("-") else parse_duration(value)
        ),
        json_schema_input_type=str,
    ),
]
"""A length of time after the scenario's start; a negative one is before it."""


class ScenarioEvent(Strict):
    """One event in the native format, with an offset from the scenario's start in place of its instant."""

    at: Offset
    type: str
    service: str | None = None
    regions: tuple[str, ...] = ()
    incident: str | None = None
    data: dict[str, Any] = {}


class ExpectedLevel(Strict):
    """A level and the time at which it must be reached."""

    at: Duration
    """The time after the scenario's start."""
    level: str


class ExpectedDeadlines(Strict):
    """The expected numbers of deadlines of the primary pack."""

    met: int | None = Field(default=None, ge=0)
    """Deadlines met in time."""
    missed: int | None = Field(default=None, ge=0)
    """Deadlines met late or not at all."""


class Expectations(Strict):
    """The expected outcome. Steps are named by their id in the playbook, or by id and instance: page, page/II."""

    levels: tuple[ExpectedLevel, ...] | None = None
    """All levels that must be reached; any other level is a failure. An empty list expects no level."""
    obligations: dict[str, ObligationState] = {}
    """The final states of obligations. A recurring one is named as a whole, or by instance: progress-report.2."""
    steps: tuple[str, ...] = ()
    """Steps that must start."""
    not_steps: tuple[str, ...] = ()
    """Steps that must not start."""
    steps_by: dict[str, Duration] = {}
    """The latest start of steps, as a time after the scenario's start."""
    messages: dict[str, Annotated[int, Field(ge=0)]] = {}
    """The number of messages delivered, by audience/step, such as customers/customers-acknowledge."""
    deadlines: ExpectedDeadlines = ExpectedDeadlines()
    closed: bool | None = None
    """Whether all incidents must be closed at the end (true), or none (false)."""


class DrillPlan(Strict):
    """The parts of the drill report that are written beforehand (银监办发〔2008〕53号 Art. 28)."""

    purpose: LocalizedText | None = None
    plan: LocalizedText | None = None
    people: LocalizedText | None = None
    """The participants. Default: the people named in the scenario's events."""
    preparation: LocalizedText | None = None


class Scenario(Strict):
    """A drill: events with their times, and the expected outcome."""

    scenario: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """The name of the scenario."""
    title: LocalizedText
    start: Annotated[AwareDatetime, AfterValidator(plausible_instant)]
    lasts: Duration
    """The time from the start to the end of the drill."""
    events: tuple[ScenarioEvent, ...] = Field(min_length=1)
    expect: Expectations = Expectations()
    drill: DrillPlan = DrillPlan()

    @property
    def begins(self) -> datetime:
        """Return the instant of the first event, or the start if that is earlier."""
        return self.start + min(timedelta(0), *(event.at for event in self.events))

    @property
    def speakers(self) -> list[str]:
        """Return the people named in the events, in order of their first event."""
        ordered = sorted(self.events, key=lambda event: event.at)
        names = [event.data.get("by") for event in ordered]
        return list(dict.fromkeys(name for name in names if isinstance(name, str)))

    def native_events(self) -> list[Event]:
        """Return the events in the native format, in order of time."""
        ordered = sorted(range(len(self.events)), key=lambda index: (self.events[index].at, index))
        return [self.native_event(index) for index in ordered]

    def native_event(
        self, index: int, services: Mapping[str, object] | None = None, everywhere: Sequence[str] = ()
    ) -> Event:
        """Return one event in the native format; `services` limits its service, 全国 stands for `everywhere`.

        Raises pydantic's ValidationError if it is no valid event.
        """
        event = self.events[index]
        document = event.model_dump(exclude={"at"}, exclude_none=True) | {
            "source": SOURCE,
            "id": f"{self.scenario}/{index + 1}",
            "occurred_at": self.start + event.at,
        }
        return EVENT.validate_python(document, context={KNOWN_SERVICES: services, EVERYWHERE: everywhere})


def load_scenario(path: Path, settings: Settings) -> Scenario:
    """Load a scenario for this bank's services. Raises InvalidFilesError with every finding."""
    document = load_file(path)
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as error:
        raise document.refuse(problems_of(error, Scenario, document.data)) from None
    problems = list(_wrong_events(scenario, settings))
    if problems:
        raise document.refuse(problems)
    # By id from here on: what reads the events later does not know the bank's names.
    events = tuple(_with_ids(scenario, index, settings) for index in range(len(scenario.events)))
    return scenario.model_copy(update={"events": events})


def find_scenario(name: str, settings: Settings) -> Path:
    """Return the file of a scenario by its name or path. Raises InvalidFilesError if there is none."""
    folder = rules_directory(settings) / "scenarios"
    for path in (Path(name), folder / f"{name}.yaml"):
        if path.is_file():
            return path
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    problem = Problem((), "there is no such scenario", f"a file, or one of: {', '.join(names)}", nearest(name, names))
    raise InvalidFilesError([Finding(name, 1, 1, problem.sentence())])


def _with_ids(scenario: Scenario, index: int, settings: Settings) -> ScenarioEvent:
    native = scenario.native_event(index, settings.service_names, settings.regions.everywhere)
    regions = getattr(native, "regions", ())  # some types of events have none
    return scenario.events[index].model_copy(update={"service": getattr(native, "service", None), "regions": regions})


def _wrong_events(scenario: Scenario, settings: Settings) -> Iterator[Problem]:
    people = settings.people.names
    for index, event in enumerate(scenario.events):
        try:
            scenario.native_event(index, settings.service_names, settings.regions.everywhere)
        except ValidationError as error:
            for problem in problems_of(error, Event, event.model_dump()):
                yield replace(problem, path=("events", index, *problem.path))
            continue
        if event.at > scenario.lasts:  # the drill would end before it is sent
            yield Problem(("events", index, "at"), "is after the end of the scenario", "a time within `lasts`")
        for key, kind in (("to", EventType.STEP_ASSIGNED), ("assignee", EventType.STEP_ADDED)):
            if event.type == kind and event.data.get(key) is not None:
                path = ("events", index, "data", key)
                yield from unknown_problems(path, "contact or audience", event.data[key], people)
