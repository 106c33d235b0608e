"""What the API answers about incidents."""

from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import Connection

from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.assessment_document import assessment_document, to_local_iso
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.what_if import WhatIf
from incident_engine.engine.reader import Reader
from incident_engine.store import read_models as queries


def list_view(connection: Connection, zone: tzinfo, closed: bool | None, limit: int, offset: int) -> dict[str, Any]:
    """Return a page of incidents and how many there are in all."""
    rows = queries.incident_rows(connection, zone, closed=closed, limit=limit, offset=offset)
    return {"incidents": rows, "total": queries.incident_count(connection, closed=closed)}


def quarantine_view(connection: Connection, zone: tzinfo, limit: int, offset: int) -> dict[str, Any]:
    """Return a page of what could not be mapped and how many there are in all."""
    rows = queries.quarantine_rows(connection, zone, limit, offset)
    return {"quarantine": rows, "total": queries.quarantine_count(connection)}


def incident_view(
    connection: Connection, reader: Reader, incident_id: str, now: datetime, zone: tzinfo
) -> dict[str, Any] | None:
    """Return an incident with its verdicts as of `now`, its steps and deliveries; None if there is none."""
    case = reader.case(connection, incident_id, now)
    row = queries.incident_row(connection, incident_id, zone)
    if case is None or row is None:
        return None
    incident = case.incident
    return {
        **row,
        "occurred_at": to_local_iso(incident.occurred_at, zone),
        "detected_at": to_local_iso(incident.detected_at, zone),
        "recovery_estimated_at": to_local_iso(incident.recovery_at, zone),
        "closed_by": incident.closing.by if incident.closing else None,
        "assessments": [assessment_document(assessment, zone) for assessment in case.assessments],
        "steps": queries.step_rows(connection, incident_id, zone),
        "deliveries": queries.delivery_rows(connection, incident_id, zone),
    }


def what_if_view(
    connection: Connection, reader: Reader, incident_id: str, hypothesis: WhatIf, now: datetime, zone: tzinfo
) -> dict[str, Any] | None:
    """Return the course of an incident's level under a hypothesis, beside that of the facts; None if there is none.

    Raises InvalidDocumentError if the hypothesis contradicts the facts.
    """
    known = reader.case(connection, incident_id, now)
    if known is None:
        return None
    supposed = reader.what_if(connection, known, hypothesis, now)
    return {
        "incident": incident_id,
        "at": to_local_iso(now, zone),
        "hypothesis": {
            "restored_at": to_local_iso(hypothesis.restored_at, zone),
            "add_region": list(hypothesis.add_regions),
            "since": to_local_iso(hypothesis.since, zone),
        },
        "assessments": [
            {
                "pack": there.pack,
                "as_known": _course(here, zone),
                "as_supposed": _course(there, zone),
            }
            for here, there in zip(known.assessments, supposed.assessments, strict=True)
        ],
    }


def _course(assessment: Assessment, zone: tzinfo) -> dict[str, Any]:
    document = assessment_document(assessment, zone)
    worst = (*assessment.trajectory, *assessment.forecast)[-1:]
    names = ("level", "trajectory", "next", "forecast", "obligations")
    return {name: document[name] for name in names} | {"worst_level": worst[0].level if worst else None}


def timeline_view(
    connection: Connection, reader: Reader, incident_id: str, now: datetime, zone: tzinfo
) -> dict[str, Any] | None:
    """Return everything that happened to an incident in order of time; None if there is none."""
    case = reader.case(connection, incident_id, now)
    if case is None:
        return None
    events = queries.event_rows(connection, incident_id, zone)
    entries = [
        *({"at": event["occurred_at"], "kind": "event", **event} for event in events),
        *(entry for assessment in case.assessments for entry in _rises(assessment, zone)),
        *(entry for assessment in case.assessments for entry in _obligations(assessment, zone)),
        *_steps(connection, incident_id, zone),
        *_attempts(connection, incident_id, zone),
    ]
    entries.sort(key=lambda entry: datetime.fromisoformat(entry["at"]))
    return {"incident": incident_id, "timeline": entries}


def _rises(assessment: Assessment, zone: tzinfo) -> list[dict[str, Any]]:
    return [
        {
            "at": to_local_iso(rise.at, zone),
            "kind": "level",
            "pack": assessment.pack,
            "level": rise.level,
            "rule": rise.rule,
            "cite": rise.cite,
            "corrected_by": rise.correction.data.by if rise.correction else None,
            "reason": rise.correction.data.reason if rise.correction else None,
        }
        for rise in assessment.trajectory
    ]


def _obligations(assessment: Assessment, zone: tzinfo) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for status in assessment.obligations:
        about = {"kind": "obligation", "pack": assessment.pack, "obligation": status.key, "cite": status.cite}
        if status.state is ObligationState.MET and status.met_at is not None:
            entries.append(
                {
                    "at": to_local_iso(status.met_at, zone),
                    **about,
                    "state": "met",
                    "by": status.met_by,
                    "due_at": to_local_iso(status.due_at, zone),
                    "late": status.met_late,
                }
            )
        missed = status.state is ObligationState.OVERDUE or status.met_late
        if missed:
            entries.append({"at": to_local_iso(status.due_at, zone), **about, "state": "overdue"})
    return entries


def _steps(connection: Connection, incident_id: str, zone: tzinfo) -> list[dict[str, Any]]:
    return [
        {
            "at": step["started_at"],
            "kind": "step",
            "step": step["id"],
            "audience": step["audience"],
            "template": step["template"],
            "state": step["state"],
        }
        for step in queries.step_rows(connection, incident_id, zone)
        if step["started_at"] is not None
    ]


def _attempts(connection: Connection, incident_id: str, zone: tzinfo) -> list[dict[str, Any]]:
    return [
        {
            "at": attempt["ended_at"] or attempt["started_at"],
            "kind": "delivery",
            "delivery": delivery["id"],
            "step": delivery["step_id"],
            "contact": delivery["contact"],
            "channel": delivery["channel"],
            "subject": delivery["subject"],
            "attempt": attempt["number"],
            "outcome": attempt["outcome"],
            "detail": attempt["detail"],
        }
        for delivery in queries.delivery_rows(connection, incident_id, zone)
        for attempt in delivery["attempts"]
    ]
