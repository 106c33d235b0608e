"""The explanation of an assessment as JSON values, for `grade --explain`. Instants are in ISO 8601 and local time."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from incident_engine.domain.grading.assessment_document import (
    harm_document,
    interval_document,
    measurement_document,
    to_local_iso,
    window_document,
)
from incident_engine.domain.grading.explanation import ExplainedCondition, ExplainedRegion, ExplainedRule
from incident_engine.domain.regions import region_name


def explanation_document(rules: Sequence[ExplainedRule], zone: tzinfo) -> list[dict[str, Any]]:
    """Return an explanation as JSON values, with instants in ISO 8601 and local time."""
    return [
        {
            "rule": explained.rule.id,
            "level": explained.rule.level,
            "cite": explained.rule.cite,
            "says": explained.rule.says.as_mapping(),
            "at": to_local_iso(explained.at, zone),
            "when": explained_condition_document(explained.when, zone),
        }
        for explained in rules
    ]


def explained_condition_document(condition: ExplainedCondition, zone: tzinfo) -> dict[str, Any]:
    """Return a condition with its parts, or with the facts that meet it."""
    document: dict[str, Any] = {
        "kind": condition.kind,
        "at": to_local_iso(condition.at, zone),
        "limit": condition.limit,
    }
    if condition.parts:
        document["parts"] = [explained_condition_document(part, zone) for part in condition.parts]
    if condition.regions:
        document["regions"] = [explained_region_document(region, zone) for region in condition.regions]
    if condition.harms:
        document["harms"] = [harm_document(harm, zone) for harm in condition.harms]
    if condition.measurements:
        document["measurements"] = [measurement_document(measurement, zone) for measurement in condition.measurements]
    if condition.forecast_point is not None:
        document["recovery_expected_at"] = to_local_iso(condition.forecast_point.recovery_at, zone)
    return document


def explained_region_document(region: ExplainedRegion, zone: tzinfo) -> dict[str, Any]:
    """Return the part of one region in a limit: its outages, the segments that count, and their total in seconds."""
    return {
        "region": region.region,
        "name": {locale: region_name(region.region, locale) for locale in ("zh-CN", "en")},
        "reported": [interval_document(service, interval, zone) for service, interval in region.reported],
        "maintenance": [window_document(*window, zone) for window in region.maintenance],
        "counted": [
            {
                "start": to_local_iso(start, zone),
                "end": to_local_iso(end, zone),
                "seconds": (end - start).total_seconds(),
            }
            for start, end in region.counted
        ],
        "total_seconds": region.total.total_seconds(),
        "at": to_local_iso(region.at, zone),
    }
