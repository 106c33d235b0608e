"""What Prometheus scrapes about open incidents. Per incident only for the worst, so that a storm stays scrapable."""

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
from incident_engine.store import read_models as queries
from incident_engine.store.database import Database

WORST = 50
"""How many open incidents have series of their own; all of them are counted."""
Samples = Sequence[tuple[Sequence[str], float]]
"""Labels and value of each."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown of one verdict."""

    level: Samples
    escalation: Samples
    due: Samples


class OpenIncidentCollector(Collector):
    """Reads the store at each scrape."""

    def __init__(self, database: Database, primary: Pack) -> None:
        self._database = database
        self._primary = primary
        self._read: dict[int, _Shown] = {}

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the store is not asked before the first scrape."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges; none while the database is away, so that the other metrics can be seen meanwhile."""
        try:
            with self._database.read() as connection:
                counts = queries.open_incidents_by_level(connection)
                verdicts = self._verdicts(connection)
                quarantined = queries.quarantine_count(connection)
        except StoreError as error:
            logger("web").warning("incidents_not_counted", reason="store_error", error=str(error))
            return
        yield self._counted(counts)
        yield _quarantined(quarantined)
        yield from self._each(verdicts)

    def _counted(self, counts: Mapping[str | None, int]) -> Metric:
        family = GaugeMetricFamily(
            "incident_engine_open_incidents", "Incidents not closed, by level of the primary pack.", labels=["level"]
        )
        shown = dict.fromkeys([*self._primary.severity, None, *counts])  # others: of packs chosen before
        for level in shown:
            family.add_metric([level or "none"], counts.get(level, 0))
        return family

    def _verdicts(self, connection: Connection) -> list[_Shown]:
        """Return what is shown of the worst. A verdict is never changed: each is read once while it is among them."""
        numbers, before = queries.worst_open_verdicts(connection, WORST), self._read
        read = queries.verdicts(connection, [number for number in numbers if number not in before])
        known = before | {number: _shown(verdict) for number, verdict in read.items()}
        found = {number: known[number] for number in numbers}
        self._read = found  # another scrape at the same time has its own
        return list(found.values())

    def _each(self, verdicts: Iterable[_Shown]) -> Iterable[Metric]:
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
        for shown in verdicts:
            for family, samples in ((level, shown.level), (escalation, shown.escalation), (due, shown.due)):
                for labels, value in samples:
                    family.add_metric(labels, value)
        yield from (level, escalation, due)


def _shown(verdict: Mapping[str, Any]) -> _Shown:
    incident, pack, following = verdict["incident"], verdict["pack"], verdict["next"]
    # Of several instances in one state the earliest is the most urgent.
    told = [status for status in reversed(verdict["obligations"]) if status["due_at"]]
    owed = {(status["id"], status["state"]): status for status in told}
    return _Shown(
        level=[([incident, pack, verdict["level"] or "none"], verdict["severity"])],
        escalation=[([incident, pack, following["level"] or "none"], _seconds(following["at"]))] if following else [],
        due=[([incident, pack, name, state], _seconds(status["due_at"])) for (name, state), status in owed.items()],
    )


def _quarantined(count: int) -> Metric:
    family = GaugeMetricFamily("incident_engine_quarantined_alerts", "Alerts that could not be mapped and wait.")
    family.add_metric([], count)
    return family


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
