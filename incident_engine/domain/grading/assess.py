"""Assess an incident by a pack: its levels, forecast and obligations, with the evidence for them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.model import LevelCorrected
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.evidence import evidence_of
from incident_engine.domain.grading.level_history import LevelChange, level_at, level_history, severity_of
from incident_engine.domain.grading.obligation_dates import statuses
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_levels import (
    changes_since_corrections,
    corrections_of,
    is_provisional,
    level_changes,
    other_interpretations,
    rule_instants,
)
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER


def assess(
    incident: Incident,
    pack: Pack,
    hours: Mapping[str, ServiceHours],
    now: datetime,
    previous_history: tuple[LevelChange, ...] = (),
    calendars: Mapping[str, Calendar] | None = None,
) -> Assessment:
    """Return the assessment of `incident` by `pack` at `now`.

    `hours` maps services to their service hours (a service without an entry is always open). `calendars` maps countries
    to calendars with the operators' changes; other countries have the published ones. `previous_history` is the
    trajectory of the last assessment. Its levels are retained even if a late report shows that they were not reached
    (银监办发〔2008〕53号 Art. 10); only a correction lowers them.
    """
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    in_force = incident.occurred_at is None or pack.is_in_force(incident.occurred_at)
    corrections = corrections_of(pack, incident.events(LevelCorrected))
    instants = rule_instants(pack, downtime) if in_force else dict.fromkeys(pack.conditions, NEVER)
    changes = [
        *level_changes(pack, instants),
        *(changes_since_corrections(pack, downtime, corrections) if in_force else ()),
    ]
    raw_history = level_history(pack.severity, changes, corrections)
    actual = level_at(raw_history, now)
    other = tuple(other_interpretations(pack, downtime, corrections, actual, now)) if in_force else ()
    retained = [step for step in previous_history if step.correction is None]  # corrections are events of the incident
    history = level_history(pack.severity, [*retained, *changes], corrections) if retained else raw_history
    # A level that was reached stays reached even if the clock is set back.
    known_until = max([now, *(step.at for step in previous_history)])
    trajectory = tuple(step for step in history if step.at <= known_until)
    severity = severity_of(pack.severity, trajectory)
    obligations = statuses(incident, pack, history, downtime, calendars or {}, now, in_force=in_force)
    evidence = evidence_of(incident, pack, downtime, instants, corrections, other, now, in_force=in_force)
    # The forecast counts service hours after now, and obligations count working days.
    counted_until = max([now, *(step.at for step in history)])
    guessed_years = {*downtime.guessed_years(counted_until), *(year for o in obligations for year in o.guessed_years)}
    return Assessment(
        pack=pack.pack,
        version=pack.version,
        content_hash=pack.content_hash,
        at=now,
        trajectory=trajectory,
        forecast=tuple(step for step in history if step.at > known_until),
        obligations=obligations,
        evidence=replace(evidence, guessed_years=tuple(sorted(guessed_years))),
        level_retained=severity > severity_of(pack.severity, [step for step in raw_history if step.at <= known_until]),
        provisional=is_provisional(pack, downtime, trajectory, corrections, known_until),
        severities=pack.severity,
        severity=severity,
    )
