"""The update of one case: fold, assess, plan, reconcile, and write the difference."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from incident_engine.common.signed_links import Links
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import EVENT, Recorded
from incident_engine.domain.events.types import ITSELF, EventType
from incident_engine.domain.grading.assessment_document import assessment_document
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.automatic_closing import closes_itself_at
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.values import RESOLUTION
from incident_engine.engine.case_types import GradedCase
from incident_engine.engine.decision_log import Reason, log_after_commit
from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.engine.steps import StepRunner
from incident_engine.store import cases, steps
from incident_engine.store.assessments import insert_assessment
from incident_engine.store.timers import set_timer
from incident_engine.store.unit_of_work import UnitOfWork

Grade = Callable[[Connection, Incident, datetime], GradedCase]
"""Return a folded incident with its verdicts at an instant."""


class CaseUpdater:
    """Writes everything that follows from the events of a case at an instant."""

    def __init__(
        self,
        settings: Settings,
        rulebook: Rulebook,
        links: Links,
        grade: Grade,
        cache: IncidentCache,
        *,
        drill: bool = False,
    ) -> None:
        self._zone = settings.bank.zone
        self._window = settings.intake.window
        self._cache = cache
        self._steps = StepRunner(settings, rulebook, links, drill=drill)
        self._grade = grade

    def update_case(self, unit: UnitOfWork, case_id: str, now: datetime) -> Mapping[str, Any]:
        """Write verdicts, steps, reports, summary and the next timer of a case. Return its columns in table `cases`."""
        connection = unit.connection
        self._cache.flush(connection)
        case = self._grade(connection, self._cache.incident(connection, case_id), now)
        ends_at = closes_itself_at(case.incident, case.assessments, self._window)
        if ends_at is not None and now >= ends_at:
            self._close(unit, case_id, now)
            # Graded again, because the closing changes obligations and the plan.
            case = self._grade(connection, self._cache.incident(connection, case_id), now)
        self._store_verdicts(unit, case, now)
        self._steps.advance(unit, case, now)
        level = case.assessments[0].level
        severity = case.packs[0].severity[level] if level else 0
        columns = {**case.type.columns(case.incident, now), "level": level, "severity": severity}
        cases.update_case(connection, case_id, columns)
        set_timer(connection, case_id, self._next_change_at(unit, case, now))
        return columns

    def _store_verdicts(self, unit: UnitOfWork, case: GradedCase, now: datetime) -> None:
        for assessment, before in zip(case.assessments, case.before, strict=True):
            document = assessment_document(assessment, self._zone)
            # The same verdict at a later instant is not stored again: a case has thousands of updates in a storm.
            if before is None or _content(before) != _content(document):
                insert_assessment(unit.connection, case.incident.id, now, document)
            if assessment.level != (before["level"] if before else None):
                change = document["trajectory"][-1]
                reached = Reason.LEVEL_CORRECTED if "corrected_by" in change else Reason.LEVEL_REACHED
                log_after_commit(
                    unit,
                    Reason.LEVEL_RETAINED if assessment.level_retained else reached,
                    incident=case.incident.id,
                    pack=assessment.pack,
                    incident_level=assessment.level,
                    at=change["at"],
                    cite=change["cite"],
                    by=change.get("corrected_by"),
                )

    def _close(self, unit: UnitOfWork, case_id: str, now: datetime) -> None:
        event = EVENT.validate_python(
            {
                "source": ITSELF,
                "id": f"closed/{case_id}/{now.isoformat()}",
                "type": EventType.INCIDENT_CLOSED,
                "incident": case_id,
                "occurred_at": now,
                "data": {"by": ITSELF, "reason": Reason.CLOSED_BELOW_LOWEST_LEVEL.value},
            }
        )
        self._cache.append(unit, Recorded(event, now), case_id)
        # The stored verdict names the last event on which it rests, which must have its number by then.
        self._cache.flush(unit.connection)
        log_after_commit(unit, Reason.CLOSED_BELOW_LOWEST_LEVEL, incident=case_id)

    def _next_change_at(self, unit: UnitOfWork, case: GradedCase, now: datetime) -> datetime | None:
        """Return the next instant at which a level, an obligation, a step or the end comes without a new event."""
        instants = [assessment.next.at for assessment in case.assessments if assessment.next is not None]
        for assessment in case.assessments:
            for status in assessment.obligations:
                if status.state is ObligationState.PENDING and status.due_at is not None:
                    instants.append(status.due_at + RESOLUTION)  # at the deadline itself it is not overdue yet
                instants += [at for at in (status.applies_at, status.met_at) if at is not None and at > now]
        closes_at = closes_itself_at(case.incident, case.assessments, self._window)
        instants += [at for at in (steps.next_due_at(unit.connection, case.incident.id), closes_at) if at is not None]
        return min(instants, default=None)


def _content(document: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the parts of a verdict's document in which it differs from another, whenever they were given."""
    obligations = [
        (status["id"], status["instance"], status["state"], status["due_at"]) for status in document["obligations"]
    ]
    return (
        document["content_hash"],
        document["trajectory"],
        document["forecast"],
        document["level_retained"],
        document["provisional"],
        [other["level"] for other in document["evidence"]["interpretations"]],
        obligations,
        document["evidence"]["restored_at"],
        document["evidence"].get("corrections", []),
    )
