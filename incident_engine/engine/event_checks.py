"""Checks of people's events against their case, and the fields that are filled in before an event is stored."""

from sqlalchemy import Connection

from incident_engine.common.errors import Problem
from incident_engine.config.settings import Settings
from incident_engine.domain.events.actions import (
    IncidentClosed,
    ReportWritten,
    StepAcknowledged,
    StepAdded,
    StepApproved,
    StepAssigned,
    StepCompleted,
    StepSkipped,
)
from incident_engine.domain.events.case_events import EventsByType
from incident_engine.domain.events.effect import EventEffect
from incident_engine.domain.events.model import Event, ImpactMeasured, LevelCorrected
from incident_engine.domain.handling import Handling
from incident_engine.domain.reports.definition import report_size_problems
from incident_engine.domain.response.effects import person_effect, step_of
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.closing_checks import closing_problems
from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.engine.name_checks import name_problems, names_of, with_default_pack, with_level_id
from incident_engine.engine.reader import Reader
from incident_engine.engine.step_checks import action_problems, addition_problems, completed, gap_problems, too_early
from incident_engine.store.steps import steps_of
from incident_engine.store.unit_of_work import UnitOfWork

_STEP_ACTIONS = (StepAcknowledged, StepApproved, StepSkipped, StepAssigned)
"""Actions on a step, which they name."""
_CHECKED = (StepCompleted, LevelCorrected, ImpactMeasured, StepAdded, ReportWritten, IncidentClosed, *_STEP_ACTIONS)
"""Events that name something of their incident's packs or steps, or that its state may forbid."""


class EventChecks:
    """Checks people's events in the present state of their cases."""

    def __init__(self, settings: Settings, rulebook: Rulebook, reader: Reader, cache: IncidentCache) -> None:
        self._names = names_of(settings, rulebook)
        self._observation = settings.closing.observation
        self._reader = reader
        self._cache = cache

    def checked(self, unit: UnitOfWork, event: Event, case_id: str) -> Event | list[Problem]:
        """Return the event as it is to be stored, or its problems."""
        # Steps and verdicts must include the events before this one, also those of the same transaction.
        self._cache.flush(unit.connection)
        unit.run_update(case_id)
        if not isinstance(event, _CHECKED):
            return event
        connection = unit.connection
        packs = self._reader.packs_of(connection, case_id)
        incident = self._cache.incident(connection, case_id)
        match event:
            case StepAcknowledged() | StepApproved() | StepSkipped() | StepAssigned():
                problems = list(action_problems(connection, event, incident, self._names))
                return problems or list(gap_problems(connection, case_id, event, None)) or event
            case StepAdded():
                return list(addition_problems(event, incident, self._names)) or event
            case ReportWritten():
                problems = list(self._names.report_entry_problems(event))
                return problems or list(report_size_problems(event, incident.handling)) or event
            case StepCompleted():
                return completed(connection, event, incident, packs, self._names)
            case LevelCorrected():
                event = with_level_id(with_default_pack(event, packs[0].pack), packs)
                return [*too_early(event, incident), *name_problems(event, packs)] or event
            case IncidentClosed():
                return closing_problems(connection, event, case_id, self._reader, self._observation) or event
            case _:
                return list(name_problems(event, packs)) or event

    def effect(self, connection: Connection, event: Event, case_id: str) -> EventEffect:
        """Return the effect of an event that is checked, and not appended yet."""
        if not isinstance(event, (StepCompleted, *_STEP_ACTIONS)):
            return person_effect(event, None, Handling(EventsByType()))
        stored = {step_id: row.step for step_id, row in steps_of(connection, case_id).items()}
        return person_effect(event, step_of(event, stored), self._cache.incident(connection, case_id).handling)
