"""Bringing one incident up to date: fold, assess, plan, reconcile, and write the difference."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_engine.common.signed_links import Links
from incident_engine.config.rulebook import Rulebook
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import EVENT, Recorded
from incident_engine.domain.events.types import ITSELF, EventType
from incident_engine.domain.grading.assessment_document import assessment_document
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.values import RESOLUTION
from incident_engine.engine.decision_log import Reason, say
from incident_engine.engine.incident_cache import Ledger
from incident_engine.engine.reader import Case, Reader
from incident_engine.engine.steps import StepWork
from incident_engine.store import incidents as records
from incident_engine.store import steps
from incident_engine.store.timers import set_timer
from incident_engine.store.unit_of_work import Unit


class Upkeep:
    """Knows the packs, and what follows from an incident at an instant."""

    def __init__(
        self,
        settings: Settings,
        rulebook: Rulebook,
        links: Links,
        reader: Reader,
        ledger: Ledger,
        *,
        drill: bool = False,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._steps = StepWork(settings, rulebook, links, drill=drill)
        self._reader = reader

    def bring_up_to_date(self, unit: Unit, incident_id: str, now: datetime) -> Mapping[str, Any]:
        """Write everything that follows from the incident's events at `now`, and when to look again.

        Returns what the incident's row says of it now.
        """
        connection = unit.connection
        self._ledger.flush(connection)
        case = self._reader.graded(connection, self._ledger.incident(connection, incident_id), now)
        ends_at = self._ends_at(case)
        if ends_at is not None and now >= ends_at:
            self._close(unit, incident_id, now)
            case = self._reader.graded(connection, self._ledger.incident(connection, incident_id), now)
        self._keep_verdicts(unit, case, now)
        self._steps.carry_on(unit, case, now)
        summary = _summary(case, now)
        records.update_incident(connection, incident_id, summary)
        set_timer(unit.connection, incident_id, self._wake_at(unit, case, now))
        return summary

    def _keep_verdicts(self, unit: Unit, case: Case, now: datetime) -> None:
        for assessment, before in zip(case.assessments, case.before, strict=True):
            document = assessment_document(assessment, self._settings.bank.zone)
            if before is None or _verdict(before) != _verdict(document):
                records.insert_assessment(unit.connection, case.incident.id, now, document)
            if assessment.level != (before["level"] if before else None):
                rise = document["trajectory"][-1]
                reached = Reason.LEVEL_CORRECTED if "corrected_by" in rise else Reason.LEVEL_REACHED
                say(
                    unit,
                    Reason.LEVEL_HELD if assessment.held else reached,
                    incident=case.incident.id,
                    pack=assessment.pack,
                    incident_level=assessment.level,
                    at=rise["at"],
                    cite=rise["cite"],
                    by=rise.get("corrected_by"),
                )

    def _ends_at(self, case: Case) -> datetime | None:
        """Return when a blip that never reached a level, and asks for nothing, ends by itself: nobody need close it."""
        incident = case.incident
        graded = any(assessment.trajectory or assessment.forecast for assessment in case.assessments)
        graded = graded or any(
            status.state in (ObligationState.PENDING, ObligationState.OVERDUE)
            for assessment in case.assessments
            for status in assessment.obligations
        )
        quiet_since = incident.restored_at or incident.first_event_at
        if incident.closing is not None or incident.is_down or graded or quiet_since is None:
            return None
        # A figure opens it again: at that instant it cannot be closed, the figure would open it anew.
        told_at = [*(found.at for found in incident.measurements), *(at for at, _ in incident.root_causes)]
        return max([quiet_since, *told_at]) + self._settings.intake.window

    def _close(self, unit: Unit, incident_id: str, now: datetime) -> None:
        event = EVENT.validate_python(
            {
                "source": ITSELF,
                "id": f"closed/{incident_id}/{now.isoformat()}",
                "type": EventType.INCIDENT_CLOSED,
                "incident": incident_id,
                "occurred_at": now,
                "data": {"by": ITSELF, "reason": Reason.CLOSED_BELOW_LOWEST_LEVEL.value},
            }
        )
        self._ledger.append(unit, Recorded(event, now), incident_id)
        self._ledger.flush(unit.connection)
        say(unit, Reason.CLOSED_BELOW_LOWEST_LEVEL, incident=incident_id)

    def _wake_at(self, unit: Unit, case: Case, now: datetime) -> datetime | None:
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
        ends_at = self._ends_at(case)
        if ends_at is not None:
            instants.append(ends_at)
        return min(instants, default=None)


def _summary(case: Case, now: datetime) -> dict[str, Any]:
    incident, primary, pack = case.incident, case.assessments[0], case.packs[0]
    first_at = incident.occurred_at or incident.first_event_at or now
    return {
        "first_at": first_at,
        "last_at": None if incident.is_down else incident.restored_at or first_at,
        "closed_at": incident.closing.at if incident.closing else None,
        "level": primary.level,
        "severity": pack.severity[primary.level] if primary.level else 0,
        "services": list(incident.services),
        "regions": list(incident.regions),
    }


def _verdict(document: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what makes two verdicts the same, whenever they were reached."""
    obligations = [
        (status["id"], status["instance"], status["state"], status["due_at"]) for status in document["obligations"]
    ]
    return (
        document["content_hash"],
        document["trajectory"],
        document["forecast"],
        document["held"],
        document["provisional"],
        [other["level"] for other in document["evidence"]["readings"]],
        obligations,
        document["evidence"]["restored_at"],
        document["evidence"].get("corrections", []),
    )
