"""The JSON documents of incidents, what-if and timelines.

Instants are ISO 8601 in the bank's local time, with offset. Absent values are None.
"""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import Connection

from incident_engine.domain.events.effect import sentences
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.assessment_document import assessment_document, to_local_iso
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.what_if import WhatIf
from incident_engine.domain.response.effects import effects_of
from incident_engine.domain.values import LocalizedText
from incident_engine.engine.reader import Reader
from incident_engine.store import read_models
from incident_engine.store.events import events_of
from incident_engine.store.steps import steps_of


def list_view(connection: Connection, zone: tzinfo, closed: bool | None, limit: int, offset: int) -> dict[str, Any]:
    """Return a page of incidents and their total number.

    Shape: `{"incidents": [row], "total": int}`; for a row see `read_models.incident_rows`.
    """
    rows = read_models.incident_rows(connection, zone, closed=closed, limit=limit, offset=offset)
    return {"incidents": rows, "total": read_models.incident_count(connection, closed=closed)}


def quarantine_view(connection: Connection, zone: tzinfo, state: str | None, limit: int, offset: int) -> dict[str, Any]:
    """Return a page of the quarantined reports in a state (None: any), and their total number.

    Shape: `{"quarantine": [row], "total": int}`; for a row see `read_models.quarantine_rows`.
    """
    rows = read_models.quarantine_rows(connection, zone, state, limit, offset)
    return {"quarantine": rows, "total": read_models.quarantine_count(connection, state)}


def incident_view(
    connection: Connection, reader: Reader, incident_id: str, now: datetime, zone: tzinfo
) -> dict[str, Any] | None:
    """Return an incident with its assessments as of `now`, its steps and deliveries; None if there is no such incident.

    Shape: `read_models.incident_rows`, and `{"detected_at", "recovery_estimated_at", "closed_by", "assessments":
    [assessment_document], "steps": [read_models.step_rows and `guessed_years`: the years without published days off in
    which working days up to `due_at` or `deadline` were counted], "deliveries": [read_models.delivery_rows]}`.
    """
    case = reader.case(connection, incident_id, now)
    row = read_models.incident_row(connection, incident_id, zone)
    if case is None or row is None:
        return None
    incident = case.incident
    guessed_years = reader.guessed_years(connection, case, now)
    return {
        **row,
        # The row is as of the last update; this instant may have been corrected since.
        "occurred_at": to_local_iso(incident.occurred_at, zone),
        "detected_at": to_local_iso(incident.detected_at, zone),
        "recovery_estimated_at": to_local_iso(incident.recovery_at, zone),
        "closed_by": incident.closing.by if incident.closing else None,
        "assessments": [assessment_document(assessment, zone) for assessment in case.assessments],
        "steps": [
            step | {"guessed_years": list(guessed_years.get(step["id"], ()))}
            for step in read_models.step_rows(connection, incident_id, zone)
        ],
        "deliveries": read_models.delivery_rows(connection, incident_id, zone),
    }


def what_if_view(
    connection: Connection, reader: Reader, incident_id: str, what_if: WhatIf, now: datetime, zone: tzinfo
) -> dict[str, Any] | None:
    """Return an incident's levels under an assumption beside those of the facts; None if there is no such incident.

    Shape: `{"incident", "at", "what_if": {"restored_at", "add_region": [code], "since"}, "assessments": [{"pack",
    "as_known": levels, "as_supposed": levels}]}`, where levels are `{"level", "trajectory", "next", "forecast",
    "obligations", "worst_level"}`. Raises InvalidDocumentError if the assumption contradicts the facts.
    """
    case = reader.case(connection, incident_id, now)
    if case is None:
        return None
    assumed_case = reader.what_if(connection, case, what_if, now)
    return {
        "incident": incident_id,
        "at": to_local_iso(now, zone),
        "what_if": {
            "restored_at": to_local_iso(what_if.restored_at, zone),
            "add_region": list(what_if.add_regions),
            "since": to_local_iso(what_if.since, zone),
        },
        "assessments": [
            {
                "pack": assumed.pack,
                "as_known": _levels(actual, zone),
                "as_supposed": _levels(assumed, zone),
            }
            for actual, assumed in zip(case.assessments, assumed_case.assessments, strict=True)
        ],
    }


def _levels(assessment: Assessment, zone: tzinfo) -> dict[str, Any]:
    document = assessment_document(assessment, zone)
    worst = (*assessment.trajectory, *assessment.forecast)[-1:]  # levels only change, so the last one is the worst
    names = ("level", "trajectory", "next", "forecast", "obligations")
    return {name: document[name] for name in names} | {"worst_level": worst[0].level if worst else None}


def timeline_view(
    connection: Connection,
    reader: Reader,
    incident_id: str,
    now: datetime,
    zone: tzinfo,
    service_names: Mapping[str, LocalizedText],
) -> dict[str, Any] | None:
    """Return all events, levels, obligations, steps and attempts of an incident by time; None if there is no incident.

    Shape: `{"incident", "timeline": [{"at", "kind", …}]}`. The other keys depend on `kind`:
    - `event`: the event in the native format, its `effect`, and `detail`, a sentence by language;
    - `level`: `pack`, `level`, `rule`, `cite`, `corrected_by`, `reason`;
    - `obligation`: `pack`, `obligation`, `cite`, `state` ("met" or "overdue"); if met also `by`, `due_at`, `late`;
    - `step`: `step`, `audience`, `template`, `state`;
    - `delivery`: `delivery`, `step`, `contact`, `channel`, `subject`, `attempt`, `outcome`, `detail`.
    """
    case = reader.case(connection, incident_id, now)
    if case is None:
        return None
    stored = {step_id: row.step for step_id, row in steps_of(connection, incident_id).items()}
    effects = effects_of(events_of(connection, incident_id), stored)
    events = [
        event | {"effect": effect.effect.value, "detail": sentences(effect, zone, service_names)}
        for event in read_models.event_rows(connection, incident_id, zone)
        if (effect := effects[event["source"], event["id"]])
    ]
    entries = [
        *({"at": event["occurred_at"], "kind": "event", **event} for event in events),
        *(entry for assessment in case.assessments for entry in _level_changes(assessment, zone)),
        *(entry for assessment in case.assessments for entry in _obligations(assessment, zone)),
        *(
            {
                "at": step["started_at"],
                "kind": "step",
                "step": step["id"],
                "audience": step["audience"],
                "template": step["template"],
                "state": step["state"],
            }
            for step in read_models.step_rows(connection, incident_id, zone)
            if step["started_at"] is not None
        ),
        *_attempts(connection, incident_id, zone),
    ]
    # By instant, not by text: an event may carry another offset. The sort is stable, so causes stay before effects.
    entries.sort(key=lambda entry: datetime.fromisoformat(entry["at"]))
    return {"incident": incident_id, "timeline": entries}


def _level_changes(assessment: Assessment, zone: tzinfo) -> list[dict[str, Any]]:
    return [
        {
            "at": to_local_iso(change.at, zone),
            "kind": "level",
            "pack": assessment.pack,
            "level": change.level,
            "rule": change.rule,
            "cite": change.cite,
            "corrected_by": change.correction.data.by if change.correction else None,
            "reason": change.correction.data.reason if change.correction else None,
        }
        for change in assessment.trajectory
    ]


def _obligations(assessment: Assessment, zone: tzinfo) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for status in assessment.obligations:
        common = {"kind": "obligation", "pack": assessment.pack, "obligation": status.key, "cite": status.cite}
        if status.state is ObligationState.MET and status.met_at is not None:
            entries.append(
                {
                    "at": to_local_iso(status.met_at, zone),
                    **common,
                    "state": "met",
                    "by": status.met_by,
                    "due_at": to_local_iso(status.due_at, zone),
                    "late": status.met_late,
                }
            )
        # An obligation that was met late has two entries: the missed deadline and the completion.
        if status.state is ObligationState.OVERDUE or status.met_late:
            entries.append({"at": to_local_iso(status.due_at, zone), **common, "state": "overdue"})
    return entries


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
        for delivery in read_models.delivery_rows(connection, incident_id, zone)
        for attempt in delivery["attempts"]
    ]
