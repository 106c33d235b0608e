"""The assessment as JSON values, for `grade`, the API and the store. Instants are in ISO 8601 and local time."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.grading.assessment import Assessment, Evidence, RegionEvidence
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.obligation_status import ObligationStatus
from incident_engine.domain.incidents.incident import Interval, Measurement
from incident_engine.domain.regions import region_name
from incident_engine.domain.values import NEVER


def assessment_document(assessment: Assessment, zone: tzinfo) -> dict[str, Any]:
    """Return an assessment as JSON values; docs/grading.md describes the keys."""
    upcoming = assessment.next
    return {
        "pack": assessment.pack,
        "version": assessment.version,
        "content_hash": assessment.content_hash,
        "at": to_local_iso(assessment.at, zone),
        "level": assessment.level,
        "severity": assessment.severity,
        "level_retained": assessment.level_retained,
        "provisional": assessment.provisional,
        "trajectory": [level_change_document(step, zone) for step in assessment.trajectory],
        "next": level_change_document(upcoming, zone) if upcoming else None,
        "forecast": [level_change_document(step, zone) for step in assessment.forecast],
        "obligations": [obligation_document(status, zone) for status in assessment.obligations],
        "evidence": evidence_document(assessment.evidence, zone),
    }


def trajectory_from(document: Mapping[str, Any]) -> tuple[LevelChange, ...]:
    """Return the trajectory in the document of an assessment, without corrections: those are read from the events."""
    return tuple(
        LevelChange(step["level"], datetime.fromisoformat(step["at"]), step["rule"], step["cite"])
        for step in document["trajectory"]
        if "corrected_by" not in step
    )


def to_local_iso(instant: datetime | None, zone: tzinfo) -> str | None:
    """Return an instant in ISO 8601 with the zone's offset; None for None and NEVER."""
    return None if instant is None or instant == NEVER else instant.astimezone(zone).isoformat()


def level_change_document(step: LevelChange, zone: tzinfo) -> dict[str, Any]:
    """Return a level change; one by a person has the person and the reason."""
    document = {"level": step.level, "at": to_local_iso(step.at, zone), "rule": step.rule, "cite": step.cite}
    if step.correction is not None:
        document |= {"corrected_by": step.correction.data.by, "reason": step.correction.data.reason}
    return document


def obligation_document(status: ObligationStatus, zone: tzinfo) -> dict[str, Any]:
    """Return the status of one instance of an obligation."""
    return {
        "id": status.id,
        "instance": status.instance,
        "due_at": to_local_iso(status.due_at, zone),
        "cite": status.cite,
        "state": status.state.value,
        "to": status.to,
        "applies_at": to_local_iso(status.applies_at, zone),
        "met_at": to_local_iso(status.met_at, zone),
        "met_by": status.met_by,
        "met_late": status.met_late,
        "overdue_at_detection": status.overdue_at_detection,
        "missed": status.missed,
        "guessed_years": list(status.guessed_years),
    }


def evidence_document(evidence: Evidence, zone: tzinfo) -> dict[str, Any]:
    """Return the evidence of an assessment."""
    return {
        "in_force": evidence.in_force,
        "guessed_years": list(evidence.guessed_years),
        "occurred_at": to_local_iso(evidence.occurred_at, zone),
        "detected_at": to_local_iso(evidence.detected_at, zone),
        "restored_at": to_local_iso(evidence.restored_at, zone),
        "regions": [region_document(region, zone) for region in evidence.regions],
        "rules": [
            {
                "rule": rule.rule,
                "level": rule.level,
                "cite": rule.cite,
                "at": to_local_iso(rule.at, zone),
                "regions": [{"region": region, "at": to_local_iso(at, zone)} for region, at in rule.regions],
            }
            for rule in evidence.rules
        ],
        "interpretations": [
            {"parameter": other.point, "value": other.value, "level": other.level} for other in evidence.interpretations
        ],
        "harms": [harm_document(harm, zone) for harm in evidence.harms],
        "measurements": [measurement_document(measurement, zone) for measurement in evidence.measurements],
        "closed_doors": [
            {"at": to_local_iso(point.at, zone), "recovery_expected_at": to_local_iso(point.recovery_at, zone)}
            for point in evidence.forecast_points
        ],
        "corrections": [
            {
                "at": to_local_iso(correction.occurred_at, zone),
                "level": correction.data.level,
                "by": correction.data.by,
                "reason": correction.data.reason,
            }
            for correction in evidence.corrections
        ],
    }


def interval_document(service: str, interval: Interval, zone: tzinfo) -> dict[str, Any]:
    """Return one impairment of a service, with the ids of the events that started and ended it."""
    return {
        "service": service,
        "start": to_local_iso(interval.start, zone),
        "end": to_local_iso(interval.end, zone),
        "impairment": interval.impairment.value,
        "started_by": "/".join(interval.started_by),
        "ended_by": "/".join(interval.ended_by) if interval.ended_by else None,
    }


def window_document(service: str, start: datetime, end: datetime, zone: tzinfo) -> dict[str, Any]:
    """Return a maintenance window of a service."""
    return {"service": service, "start": to_local_iso(start, zone), "end": to_local_iso(end, zone)}


def harm_document(harm: HarmAssessed, zone: tzinfo) -> dict[str, Any]:
    """Return a person's judgement of a harm."""
    return {"at": to_local_iso(harm.occurred_at, zone), **harm.data.model_dump(mode="json")}


def measurement_document(measurement: Measurement, zone: tzinfo) -> dict[str, Any]:
    """Return a reported figure of the impact."""
    return {
        "at": to_local_iso(measurement.at, zone),
        "name": measurement.name,
        "value": measurement.value,
        "by": measurement.by,
    }


def region_document(region: RegionEvidence, zone: tzinfo) -> dict[str, Any]:
    """Return the downtime of one region: its totals in seconds, its impairments and its maintenance."""
    return {
        "region": region.region,
        "name": {"zh-CN": region_name(region.region, "zh-CN"), "en": region_name(region.region, "en")},
        "services": list(region.services),
        "counted_seconds": region.counted.total_seconds(),
        "in_service_seconds": region.in_service.total_seconds(),
        "wall_clock_seconds": region.wall_clock.total_seconds(),
        "intervals": [interval_document(service, interval, zone) for service, interval in region.intervals],
        "maintenance": [window_document(*window, zone) for window in region.maintenance],
    }
