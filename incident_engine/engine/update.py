"""Bringing one incident up to date: fold, assess, plan, reconcile, and write the difference."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_engine.common.signed_links import Links
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import EVENT, Recorded
from incident_engine.domain.events.types import ITSELF, EventType
from incident_engine.domain.grading.assessment_document import assessment_document
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.response.automatic_closing import closes_itself_at
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.values import RESOLUTION
from incident_engine.engine.case_types import GradedCase
from incident_engine.engine.decision_log import Reason, log_after_commit
from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.engine.reader import Reader
from incident_engine.engine.steps import StepRunner
from incident_engine.store import cases, steps
from incident_engine.store.assessments import insert_assessment
from incident_engine.store.timers import set_timer
from incident_engine.store.unit_of_work import UnitOfWork


class CaseUpdater:
    """Knows the packs, and what follows from an incident at an instant."""

    def __init__(
        self,
        settings: Settings,
        rulebook: Rulebook,
        links: Links,
        reader: Reader,
        ledger: IncidentCache,
        *,
        drill: bool = False,
    ) -> None:
        self._settings = settings
        self._cache = ledger
        self._steps = StepRunner(settings, rulebook, links, drill=drill)
        self._reader = reader

    def update_case(self, unit: UnitOfWork, case_id: str, now: datetime) -> Mapping[str, Any]:
        """Write everything that follows from the incident's events at `now`, and when to look again.

        Returns what the incident's row says of it now.
        """
        connection = unit.connection
        self._cache.flush(connection)
        case = self._reader.graded(connection, self._cache.incident(connection, case_id), now)
        ends_at = closes_itself_at(case.incident, case.assessments, self._settings.intake.window)
        if ends_at is not None and now >= ends_at:
            self._close(unit, case_id, now)
            case = self._reader.graded(connection, self._cache.incident(connection, case_id), now)
        self._keep_verdicts(unit, case, now)
        self._steps.advance(unit, case, now)
        summary = _summary(case, now)
        cases.update_case(connection, case_id, summary)
        set_timer(unit.connection, case_id, self._wake_at(unit, case, now))
        return summary

    def _keep_verdicts(self, unit: UnitOfWork, case: GradedCase, now: datetime) -> None:
        for assessment, before in zip(case.assessments, case.before, strict=True):
            document = assessment_document(assessment, self._settings.bank.zone)
            if before is None or _verdict(before) != _verdict(document):
                insert_assessment(unit.connection, case.incident.id, now, document)
            if assessment.level != (before["level"] if before else None):
                rise = document["trajectory"][-1]
                reached = Reason.LEVEL_CORRECTED if "corrected_by" in rise else Reason.LEVEL_REACHED
                log_after_commit(
                    unit,
                    Reason.LEVEL_RETAINED if assessment.level_retained else reached,
                    incident=case.incident.id,
                    pack=assessment.pack,
                    incident_level=assessment.level,
                    at=rise["at"],
                    cite=rise["cite"],
                    by=rise.get("corrected_by"),
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
        self._cache.flush(unit.connection)
        log_after_commit(unit, Reason.CLOSED_BELOW_LOWEST_LEVEL, incident=case_id)

    def _wake_at(self, unit: UnitOfWork, case: GradedCase, now: datetime) -> datetime | None:
        """Return the next instant at which anything changes by itself: a level, an obligation, a step, the end."""
        instants = [assessment.next.at for assessment in case.assessments if assessment.next is not None]
        instants += [
            status.due_at + RESOLUTION
            for assessment in case.assessments
            for status in assessment.obligations
            if status.state is ObligationState.PENDING and status.due_at is not None
        ]
        instants += [
            instant
            for assessment in case.assessments
            for status in assessment.obligations
            for instant in (status.applies_at, status.met_at)
            if instant is not None and instant > now
        ]
        next_step = steps.next_due_at(unit.connection, case.incident.id)
        instants += [] if next_step is None else [next_step]
        ends_at = closes_itself_at(case.incident, case.assessments, self._settings.intake.window)
        if ends_at is not None:
            instants.append(ends_at)
        return min(instants, default=None)


def _summary(case: GradedCase, now: datetime) -> dict[str, Any]:
    level = case.assessments[0].level
    severity = case.packs[0].severity[level] if level else 0
    return {**case.type.columns(case.incident, now), "level": level, "severity": severity}


def _verdict(document: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what makes two verdicts the same, whenever they were reached."""
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
