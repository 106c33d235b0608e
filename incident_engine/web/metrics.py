"""Metrics of open incidents. Only the worst have series of their own, so that a storm stays scrapable."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from incident_engine.common.errors import StoreError
from incident_engine.common.telemetry import logger
from incident_engine.domain.grading.pack import Pack
from incident_engine.store import read_models
from incident_engine.store.database import Database

WORST = 50
"""The number of open incidents with series of their own; all of them are counted."""
Samples = Sequence[tuple[Sequence[str], float]]
"""(labels, value) of each sample."""


@dataclass(frozen=True, slots=True)
class _AssessmentSamples:
    """The samples of one assessment."""

    level: Samples
    escalation: Samples
    due: Samples


class OpenIncidentCollector(Collector):
    """Reads the store at each scrape."""

    def __init__(self, database: Database, primary: Pack) -> None:
        self._database = database
        self._primary = primary
        self._samples: dict[int, _AssessmentSamples] = {}
        """By number of the assessment, for the worst at the last scrape."""

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering this collector does not read the store."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics; nothing while the database fails, so that all other metrics stay visible."""
        try:
            with self._database.read() as connection:
                counts = read_models.open_incidents_by_level(connection)
                samples = self._worst_samples(connection)
                quarantined = read_models.quarantine_count(connection)
        except StoreError as error:
            logger("web").warning("incidents_not_counted", reason="store_error", error=str(error))
            return
        open_incidents = GaugeMetricFamily(
            "incident_engine_open_incidents", "Incidents not closed, by level of the primary pack.", labels=["level"]
        )
        # Levels without incidents have series as well; `counts` may add levels of a primary pack from before.
        for level in dict.fromkeys([*self._primary.severity, None, *counts]):
            open_incidents.add_metric([level or "none"], counts.get(level, 0))
        yield open_incidents
        in_quarantine = GaugeMetricFamily(
            "incident_engine_quarantined_alerts", "Alerts that could not be mapped and wait."
        )
        in_quarantine.add_metric([], quarantined)
        yield in_quarantine
        yield from _incident_families(samples)

    def _worst_samples(self, connection: Connection) -> list[_AssessmentSamples]:
        """Return the samples of the worst incidents' latest assessments."""
        numbers, cached = read_models.worst_open_verdicts(connection, WORST), self._samples
        # An assessment never changes, so each is read once while it is among the worst.
        verdicts = read_models.verdicts(connection, [number for number in numbers if number not in cached])
        available = cached | {number: _samples_of(verdict) for number, verdict in verdicts.items()}
        samples = {number: available[number] for number in numbers}
        self._samples = samples  # replaced, not changed: another scrape may run at the same time
        return list(samples.values())


def _incident_families(assessments: Iterable[_AssessmentSamples]) -> Iterable[Metric]:
    level = GaugeMetricFamily(
        "incident_engine_incident_level",
        "Severity of an open incident's level: 0 below the lowest, 1 the least severe, rising to the worst.",
        labels=["incident", "pack", "level"],
    )
    escalation = GaugeMetricFamily(
        "incident_engine_incident_next_escalation_timestamp_seconds",
        "When an open incident will reach its next level if nothing new happens.",
        labels=["incident", "pack", "level"],
    )
    due = GaugeMetricFamily(
        "incident_engine_obligation_due_timestamp_seconds",
        "By when an obligation of an open incident must be met.",
        labels=["incident", "pack", "obligation", "state"],
    )
    for assessment in assessments:
        for family, samples in ((level, assessment.level), (escalation, assessment.escalation), (due, assessment.due)):
            for labels, value in samples:
                family.add_metric(labels, value)
    yield from (level, escalation, due)


def _samples_of(verdict: Mapping[str, Any]) -> _AssessmentSamples:
    incident, pack, following = verdict["incident"], verdict["pack"], verdict["next"]
    # Of several instances in one state the earliest is the most urgent; coming last, it replaces the others.
    statuses = [status for status in reversed(verdict["obligations"]) if status["due_at"]]
    earliest = {(status["id"], status["state"]): status for status in statuses}
    return _AssessmentSamples(
        level=[([incident, pack, verdict["level"] or "none"], verdict["severity"])],
        escalation=[([incident, pack, following["level"] or "none"], _seconds(following["at"]))] if following else [],
        due=[([incident, pack, name, state], _seconds(status["due_at"])) for (name, state), status in earliest.items()],
    )


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
