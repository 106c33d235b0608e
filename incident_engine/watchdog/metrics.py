"""The metrics of the watchdog: findings, the age of its last probe, notices, and deliveries that wait."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from incident_engine.common.clock import ticks
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.store.health import Late
from incident_engine.watchdog.findings import Kind


class WatchdogMetrics:
    """Publishes the watchdog's metrics and knows the age of its last probe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._probed_at = ticks()
        self._findings = Gauge(
            "incident_engine_watchdog_finding",
            "Whether the watchdog finds this wrong: 1 if so.",
            ["kind"],
            registry=registry,
        )
        # Each kind has a series from the start: an alert rule cannot tell "absent" from "all is well".
        for kind in Kind:
            self._findings.labels(kind).set(0)
        age = Gauge(
            "incident_engine_watchdog_last_probe_age_seconds",
            "Seconds since the last probe of the watchdog; if it grows, the watchdog itself is dead.",
            registry=registry,
        )
        age.set_function(self.probe_age)  # computed at each scrape, so that it grows without the watchdog
        self._notices = Counter(
            "incident_engine_watchdog_notices",
            "Attempts to notify the operators of findings, by channel and outcome.",
            ["channel", "outcome"],
            registry=registry,
        )
        self._waiting = Gauge(
            "incident_engine_deliveries_waiting",
            "Deliveries that were due and wait on purpose, for a rate limit or an open circuit, at the last probe.",
            registry=registry,
        )
        self._waiting_since = Gauge(
            "incident_engine_deliveries_waiting_since_timestamp_seconds",
            "When the oldest of them was made; 0 if there is none.",
            registry=registry,
        )

    def probe_age(self) -> float:
        """Return the seconds since the last probe."""
        return ticks() - self._probed_at

    def record_probe(self) -> None:
        """Record that a probe has ended now."""
        self._probed_at = ticks()

    def show_finding(self, kind: Kind, *, is_found: bool) -> None:
        """Set the metric of a kind of finding."""
        self._findings.labels(kind).set(is_found)

    def count_notice(self, channel: str, outcome: DeliveryOutcome) -> None:
        """Count one attempt to notify a reader."""
        self._notices.labels(channel, outcome).inc()

    def show_waiting(self, rows: Late | None) -> None:
        """Set the count of deliveries that wait on purpose, and the instant of the oldest."""
        self._waiting.set(rows.count if rows else 0)
        self._waiting_since.set(rows.since.timestamp() if rows else 0)
