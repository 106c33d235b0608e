"""A scenario: what happens in a drill, and what must follow."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, ValidationError

from incident_engine.errors import Finding, InvalidFilesError, Problem
from incident_engine.facts.events import EVENT, Event
from incident_engine.facts.fields import KNOWN_SERVICES
from incident_engine.facts.values import Duration, LocalizedText
from incident_engine.grading.obligations import ObligationState
from incident_engine.rulebook import Rulebook, rules_directory
from incident_engine.settings import Settings
from incident_engine.validation import Strict, nearest, problems_of, unknown
from incident_engine.yaml_loader import load_file

SOURCE = "drill"


class Happening(Strict):
    """One event, so long after the scenario's start. It is written as in the native format."""

    at: Duration
    type: str
    service: str | None = None
    regions: tuple[str, ...] = ()
    incident: str | None = None
    data: dict[str, Any] = {}


class ExpectedLevel(Strict):
    """A level that must be reached so long after the start."""

    at: Duration
    level: str


class Expectations(Strict):
    """What must follow."""

    levels: tuple[ExpectedLevel, ...] = ()
    obligations: dict[str, ObligationState] = {}
    steps: tuple[str, ...] = ()
    """Steps of the playbooks, by id, that must have begun."""


class Scenario(Strict):
    """What happens, when, and what must follow."""

    scenario: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: LocalizedText
    start: AwareDatetime
    lasts: Duration
    events: tuple[Happening, ...] = Field(min_length=1)
    expect: Expectations = Expectations()

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
    for place, happening in enumerate(scenario.events):
        try:
            scenario.native_event(place, settings.service_names)
        except ValidationError as error:
            for problem in problems_of(error, Event, happening.model_dump()):
                yield replace(problem, path=("events", place, *problem.path))


def unknown_names(scenario: Scenario, book: Rulebook) -> Iterator[Problem]:
    """Yield what a scenario names and the chosen pack and playbooks do not have."""
    levels = [level.id for level in book.packs[0].levels]
    obligations = [demand.id for demand in book.packs[0].obligations]
    steps = [step.id for playbook in book.playbooks for step in playbook.steps]
    for place, expected in enumerate(scenario.expect.levels):
        yield from unknown(("expect", "levels", place, "level"), "level", expected.level, levels)
    for name in scenario.expect.obligations:
        yield from unknown(("expect", "obligations", name), "obligation", name, obligations)
    for place, step in enumerate(scenario.expect.steps):
        yield from unknown(("expect", "steps", place), "step", step, steps)
    for place, event in enumerate(scenario.events):
        fulfils = event.data.get("fulfils")
        if isinstance(fulfils, str):
            yield from unknown(("events", place, "data", "fulfils"), "obligation", fulfils, obligations)
