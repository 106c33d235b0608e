"""A history of events from files, split into incidents."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event, MaintenanceAnnounced, Recorded
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.correlation import split
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.engine.name_checks import name_problems, with_default_pack, with_level_id


def incidents_of(
    events: Sequence[Event], settings: Settings, at: datetime | None
) -> list[tuple[Incident, Sequence[Recorded]]]:
    """Return the incidents of a history, each with its events; events after `at` are left out.

    Raises InvalidDocumentError for a person's event of an incident that is not in the history.
    """
    recorded = [
        # A file does not say when an event was received; as if at once.
        Recorded(with_default_pack(event, settings.grading.primary), event.occurred_at)
        for event in events
        if at is None or event.occurred_at <= at
    ]
    histories = split(recorded, settings.groups, settings.intake.window, settings.bank.zone)
    return [(fold(case_id, history), history) for case_id, history in histories.items()]


def end_of(incident: Incident, history: Sequence[Recorded], now: datetime) -> datetime:
    """Return the time of an incident's last event; `now` while a service is down."""
    if incident.is_down:
        return now
    times = (r.event.occurred_at for r in history if not isinstance(r.event, MaintenanceAnnounced))
    return max(times, default=now)


def with_known_names(events: Sequence[Event], settings: Settings, packs: Sequence[Pack]) -> list[Event]:
    """Return the events with the packs and levels of corrections by their ids.

    Raises InvalidDocumentError for each figure, level, pack and obligation in the events that no pack has.
    """
    primary = settings.grading.primary
    named = [with_level_id(with_default_pack(event, primary), packs) for event in events]
    problems = [
        replace(problem, message=f"event '{event.id}' of '{event.source}': {problem.message}")
        for event in named
        for problem in name_problems(event, packs)
    ]
    if problems:
        raise InvalidDocumentError(problems)
    return named
