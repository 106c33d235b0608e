"""The case type of incidents: outages and other harm to a bank's services."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.incidents.correlation import correlate, group_of, new_incident_id, opens
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.incidents.incremental import IncrementalFold
from incident_engine.domain.response.incident_view import PlanSettings
from incident_engine.domain.response.plan import plan
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.case_types import CaseType


def incident_type(settings: Settings, rulebook: Rulebook) -> CaseType:
    """Return the type of incidents, graded by the rulebook's packs and handled by its playbooks."""
    calendar = rulebook.bank_calendar(settings.bank.calendar)
    observation, confirm_after = settings.closing.observation, settings.intake.confirm_after
    plan_settings = PlanSettings(settings.bank.zone, calendar, observation, confirm_after)
    groups, zone, window = settings.groups, settings.bank.zone, settings.intake.window
    return CaseType(
        kind="incident",
        events=frozenset(get_args(get_args(Event)[0])),  # the classes of the annotated union
        group_of=lambda event: group_of(event.service, groups),
        opens=opens,
        new_id=lambda event, group: new_incident_id(event, group, zone),
        correlate=lambda event, windows, ends: correlate(event, windows, window, ends),
        fold=IncrementalFold,
        columns=_incident_columns,
        assess=lambda incident, pack, now, history: assess(
            incident, pack, rulebook.hours, now, history, rulebook.calendars
        ),
        plan=lambda incident, assessments, now, started: plan(
            incident, assessments, rulebook.playbooks, now, plan_settings, started
        ),
    )


def _incident_columns(incident: Incident, now: datetime) -> Mapping[str, Any]:
    first_at = incident.occurred_at or incident.first_event_at or now
    return {
        "first_at": first_at,
        "last_at": None if incident.is_down else incident.restored_at or first_at,
        "closed_at": incident.closing.at if incident.closing else None,
        "services": list(incident.services),
        "regions": list(incident.regions),
    }
