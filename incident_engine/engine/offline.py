"""Grading a history of events without a daemon or a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.assessment_document import assessment_document
from incident_engine.domain.grading.basis import GradingBasis
from incident_engine.domain.grading.explanation import ExplainedRule, explain
from incident_engine.domain.grading.explanation_document import explanation_document
from incident_engine.domain.grading.recurring import Recurrence, recurrence_document, recurrences
from incident_engine.domain.incidents.incident import Incident
from incident_engine.engine.history import end_of, incidents_of


@dataclass(frozen=True, slots=True)
class Graded:
    """An incident of the history with its verdicts."""

    incident: Incident
    assessments: tuple[Assessment, ...]
    explanations: tuple[tuple[ExplainedRule, ...], ...]
    """The explained rules of each assessment; empty unless explanations were asked for."""


def grade(
    events: Sequence[Event],
    basis: GradingBasis,
    settings: Settings,
    at: datetime | None,
    now: datetime,
    *,
    explained: bool = False,
) -> list[Graded]:
    """Return the incidents of a history with their verdicts, and with every rule explained if `explained`.

    Each verdict is the one that could be given at `at`, from the events up to then. `at` defaults to the end of each
    incident: its last event, or `now` while a service is down. Raises InvalidDocumentError for a person's event of an
    incident that is not in the history.
    """
    graded: list[Graded] = []
    for incident, history in incidents_of(events, settings, at):
        end = at or end_of(incident, history, now)
        assessments = tuple(assess(incident, pack, basis.hours, end, (), basis.calendars) for pack in basis.packs)
        explanations = tuple(explain(incident, pack, basis.hours, end) if explained else () for pack in basis.packs)
        graded.append(Graded(incident, assessments, explanations))
    return graded


def graded_document(
    graded: Sequence[Graded], repeated: Sequence[Recurrence], settings: Settings, *, explained: bool = False
) -> dict[str, Any]:
    """Return the verdicts as JSON values, with every rule explained if `explained`."""
    zone = settings.bank.zone
    return {
        "incidents": [
            {
                "incident": result.incident.id,
                "services": list(result.incident.services),
                "regions": list(result.incident.regions),
                "assessments": [
                    assessment_document(assessment, zone)
                    | ({"explanation": explanation_document(rules, zone)} if explained else {})
                    for assessment, rules in zip(result.assessments, result.explanations, strict=True)
                ],
            }
            for result in graded
        ],
        "recurring": [recurrence_document(recurrence, zone) for recurrence in repeated],
    }


def recurring(graded: Sequence[Graded], basis: GradingBasis, now: datetime) -> list[Recurrence]:
    """Return the incidents with one root cause that reach a level only together, by each pack that has such a rule."""
    incidents = [result.incident for result in graded]
    return [recurrence for pack in basis.packs for recurrence in recurrences(incidents, pack, basis.hours, now)]
