"""The evidence of an assessment: the facts, the rules that were reached, and other interpretations."""

from collections.abc import Mapping
from datetime import datetime

from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.assessment import Evidence, InterpretationEvidence, RegionEvidence, RuleEvidence
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.interpretation import HoursClock
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident


def evidence_of(
    incident: Incident,
    pack: Pack,
    downtime: Downtime,
    instants: Mapping[str, datetime],
    corrections: tuple[LevelCorrected, ...],
    interpretations: tuple[InterpretationEvidence, ...],
    now: datetime,
    *,
    in_force: bool,
) -> Evidence:
    """Return the evidence at `now`. `instants` maps all rules to the instants at which they are reached."""
    return Evidence(
        in_force=in_force,
        guessed_years=(),  # known once the forecast and the obligations are
        occurred_at=incident.occurred_at,
        detected_at=incident.detected_at,
        restored_at=incident.restored_at,
        regions=tuple(_region(incident, downtime, region, now) for region in downtime.regions),
        rules=tuple(
            RuleEvidence(rule.id, rule.level, rule.cite, at, downtime.regions_meeting(rule.limits, at))
            for rule, at in ((rule, instants[rule.id]) for rule in pack.rules)
            if at <= now
        ),
        interpretations=interpretations,
        harms=incident.events(HarmAssessed),
        measurements=tuple(measurement for measurement in incident.measurements if measurement.name in pack.measures),
        forecast_points=downtime.forecast_points() if pack.forecasts else (),
        corrections=corrections,
    )


def _region(incident: Incident, downtime: Downtime, region: str, now: datetime) -> RegionEvidence:
    outages = [outage for outage in incident.outages if outage.region == region]
    return RegionEvidence(
        region=region,
        services=tuple(sorted({outage.service for outage in outages})),
        intervals=tuple((outage.service, interval) for outage in outages for interval in outage.intervals),
        maintenance=tuple(
            (outage.service, start, end)
            for outage in outages
            for start, end in outage.maintenance
            if start < outage.intervals[-1].end
        ),
        counted=downtime.elapsed(region, None, now),
        in_service=downtime.elapsed(region, HoursClock.SERVICE_HOURS, now),
        wall_clock=downtime.elapsed(region, HoursClock.WALL_CLOCK, now),
    )
