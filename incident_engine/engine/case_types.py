"""The registry of the kinds of cases, and a case with its verdicts.

A kind is added with a module beside `incident_type` and a row in `factory`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incident_engine.domain.events.model import Event, Recorded
from incident_engine.domain.events.types import BaseEvent
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.correlation import IncidentWindow
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.incidents.incremental import IncrementalFold
from incident_engine.domain.response.step import Step


@dataclass(frozen=True, slots=True)
class CaseType:
    """One kind of case: its events, and the pure functions that the engine applies to its cases."""

    kind: str
    """The name of the kind in the database."""
    events: frozenset[type[BaseEvent]]
    """The classes of the events that concern cases of this kind."""
    group_of: Callable[[Event], str]
    """The service group of an event."""
    opens: Callable[[Event], bool]
    """Whether a case can begin with an event."""
    new_id: Callable[[Event, str], str]
    """The id of the case that begins with an event, in a service group."""
    correlate: Callable[[Event, Collection[IncidentWindow], Callable[[str], bool]], str | None]
    """The id of the open case, of those in the event's group, to which the event belongs. The last argument returns
    whether the event, a restoration, ends anything of the case with an id."""
    fold: Callable[[str, Iterable[Recorded]], IncrementalFold]
    """The state of a case after its events."""
    columns: Callable[[Incident, datetime], Mapping[str, Any]]
    """The columns of table `cases` that follow from the state at an instant, apart from level and severity."""
    assess: Callable[[Incident, Pack, datetime, tuple[LevelChange, ...]], Assessment]
    """The verdict of a pack at an instant, given the level history of the verdict before."""
    plan: Callable[[Incident, Sequence[Assessment], datetime, Mapping[str, datetime]], Sequence[Step]]
    """The steps that the playbooks want, given when the started ones started, by id."""


@dataclass(frozen=True, slots=True)
class GradedCase:
    """A case with the verdicts on it. Packs, assessments and previous documents go together, the primary pack first."""

    type: CaseType
    incident: Incident
    packs: Sequence[Pack]
    assessments: Sequence[Assessment]
    before: Sequence[Mapping[str, Any] | None]
    """The stored documents of the previous verdicts; None: there was none."""


class CaseTypes:
    """The registry of the kinds of cases."""

    def __init__(self, types: Iterable[CaseType]) -> None:
        """Register the types. Raises ValueError if two have the same kind or claim the same event class."""
        self._by_kind: dict[str, CaseType] = {}
        self._by_event: dict[type[BaseEvent], CaseType] = {}
        for case_type in types:
            if case_type.kind in self._by_kind:
                raise ValueError(f"two case types are of kind '{case_type.kind}'")
            self._by_kind[case_type.kind] = case_type
            for event_class in case_type.events:
                if event_class in self._by_event:
                    raise ValueError(f"two case types claim the event class {event_class.__name__}")
                self._by_event[event_class] = case_type

    def of_kind(self, kind: str) -> CaseType:
        """Return the type of a stored case. Raises KeyError if its kind is not registered."""
        return self._by_kind[kind]

    def of_event(self, event: BaseEvent) -> CaseType:
        """Return the type of the cases that an event concerns. Raises KeyError if no type claims it."""
        return self._by_event[type(event)]
