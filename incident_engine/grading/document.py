"""The verdict as a document: what `grade` prints, the API answers and the store keeps. Instants in local time."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from incident_engine.facts.regions import region_name
from incident_engine.facts.values import NEVER
from incident_engine.grading.assess import Assessment, Evidence, ObligationStatus, Reached, RegionEvidence


def assessment_document(assessment: Assessment, zone: tzinfo) -> dict[str, Any]:
    """Return an assessment as JSON values."""
    upcoming = assessment.next
    return {
        "pack": assessment.pack,
        "version": assessment.version,
        "content_hash": assessment.content_hash,
        "at": spelled(assessment.at, zone),
        "level": assessment.level,
        "severity": assessment.severity,
        "held": assessment.held,
        "trajectory": [_reached(step, zone) for step in assessment.trajectory],
        "next": _reached(upcoming, zone) if upcoming else None,
        "forecast": [_reached(step, zone) for step in assessment.forecast],
        "obligations": [_obligation(status, zone) for status in assessment.obligations],
        "evidence": _evidence(assessment.evidence, zone),
    }


def trajectory_from(document: Mapping[str, Any]) -> tuple[Reached, ...]:
    """Return the trajectory that a verdict's document holds."""
    return tuple(
        Reached(step["level"], datetime.fromisoformat(step["at"]), step["rule"], step["cite"])
        for step in document["trajectory"]
    )


def spelled(instant: datetime | None, zone: tzinfo) -> str | None:
    """Return an instant in ISO 8601 with the zone's offset; None for what never comes."""
    return None if instant is None or instant == NEVER else instant.astimezone(zone).isoformat()


def _reached(step: Reached, zone: tzinfo) -> dict[str, Any]:
    return {"level": step.level, "at": spelled(step.at, zone), "rule": step.rule, "cite": step.cite}


def _obligation(status: ObligationStatus, zone: tzinfo) -> dict[str, Any]:
    return {
        "id": status.id,
        "due_at": spelled(status.due_at, zone),
        "cite": status.cite,
        "state": status.state.value,
        "to": status.to,
        "applies_at": spelled(status.applies_at, zone),
        "met_at": spelled(status.met_at, zone),
        "met_by": status.met_by,
        "met_late": status.met_late,
        "overdue_at_detection": status.overdue_at_detection,
    }


def _evidence(evidence: Evidence, zone: tzinfo) -> dict[str, Any]:
    return {
        "in_force": evidence.in_force,
        "guessed_years": list(evidence.guessed_years),
        "occurred_at": spelled(evidence.occurred_at, zone),
        "detected_at": spelled(evidence.detected_at, zone),
        "restored_at": spelled(evidence.restored_at, zone),
        "regions": [_region(region, zone) for region in evidence.regions],
        "rules": [
            {
                "rule": rule.rule,
                "level": rule.level,
                "cite": rule.cite,
                "at": spelled(rule.at, zone),
                "regions": [{"region": region, "at": spelled(at, zone)} for region, at in rule.regions],
            }
            for rule in evidence.rules
        ],
    }


def _region(region: RegionEvidence, zone: tzinfo) -> dict[str, Any]:
    return {
        "region": region.region,
        "name": {"zh-CN": region_name(region.region, "zh-CN"), "en": region_name(region.region, "en")},
        "services": list(region.services),
        "in_service_seconds": region.in_service.total_seconds(),
        "wall_clock_seconds": region.wall_clock.total_seconds(),
        "intervals": [
            {"service": service, "start": spelled(start, zone), "end": spelled(end, zone), "impairment": impairment}
            for service, start, end, impairment in region.intervals
        ],
    }
