"""The watchdog: a thread that looks every few seconds, and depends on nothing that it looks at."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from incident_engine.common.clock import Clock, ticks
from incident_engine.common.telemetry import Metrics, logger
from incident_engine.config.settings import Settings
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.store.database import Database
from incident_engine.store.health import Health, Late, Limits, health
from incident_engine.watchdog import store_probe as stored
from incident_engine.watchdog.finding_state import FindingTracker
from incident_engine.watchdog.findings import UNREADY, Change, ClockReading, Kind, Observation, read_clock, texts
from incident_engine.watchdog.notifier import Notifier
from incident_engine.watchdog.probes import (
    ClockProbe,
    DispatcherStatus,
    EventLoopProbe,
    TimersStatus,
    WorkerProbe,
    WriterStatus,
)
from incident_engine.watchdog.store_probe import StoreProbe
from incident_engine.watchdog.texts import TEXTS

_SILENT_AFTER = 3
"""So many intervals without a look, and the watchdog itself is taken for dead."""


@dataclass(frozen=True, slots=True)
class WatchedParts:
    """What is looked at."""

    database: Database
    writer: WriterStatus
    dispatcher: DispatcherStatus
    timers: TimersStatus
    metrics: Metrics


class Watchdog:
    """Looks at everything, keeps the findings, and tells of them. `look` is one look."""

    def __init__(
        self,
        settings: Settings,
        watched: WatchedParts,
        clock: Clock,
        gauges: "WatchdogMetrics",
        notices: Notifier | None,
        *,
        drill: bool,
    ) -> None:
        """Without notices nobody is told but by /readyz, metrics and log. A drill's clock is made, and may leap."""
        self._settings = settings.watchdog
        self._watched = watched
        self._clock = clock
        self._drill = drill
        self._workers = WorkerProbe(watched.writer, watched.dispatcher, watched.timers, self._settings.worker)
        self._loop = EventLoopProbe(self._settings.loop, ticks)
        self._clock_watch = ClockProbe(self._settings.clock)
        self._store = StoreProbe(self._read, self._settings.worker, self._settings.interval / 2)
        self._register = FindingTracker(self._settings.quiet)
        self._notices = notices
        self._gauges = gauges
        self._last_event: int | None = None
        self._refused = watched.metrics.ahead
        self._log = logger("watchdog")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look, also at an event loop."""
        self._loop.attach(loop)
        if self._notices is None:
            self._log.info("nobody_is_told", reason="no_audience", set="watchdog.audience")
        else:
            self._notices.start()
        self._clock_watch.begin(read_clock(self._clock))
        self._gauges.probed()
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._notices is not None:
            self._notices.stop(timeout)

    def reasons(self) -> Iterator[str]:
        """Yield why this process is not ready: what does not run now, and findings. For any thread."""
        findings = {finding.kind: finding for finding in self._register.findings if finding.kind in UNREADY}
        for sight in self._workers.dead(read_clock(self._clock)):
            findings.setdefault(sight.kind, sight)
        yield from (finding.sentence for finding in findings.values())
        if self.is_silent:
            yield f"watchdog_silent: the last look was {self._gauges.age():.0f} s ago"

    def warnings(self) -> list[str]:
        """Return the findings that do not keep this process from being ready. For any thread."""
        return [finding.sentence for finding in self._register.findings if finding.kind not in UNREADY]

    @property
    def is_silent(self) -> bool:
        """Return whether the watchdog itself has not looked for long."""
        is_begun = self._thread.ident is not None and not self._stopping.is_set()
        return is_begun and self._gauges.age() > _SILENT_AFTER * self._settings.interval.total_seconds()

    @property
    def store_is_unreadable(self) -> bool:
        """Return whether the last look found that the store cannot be read."""
        return any(finding.kind is Kind.STORE_UNREADABLE for finding in self._register.findings)

    def probe(self, at: ClockReading) -> Sequence[Change]:
        """Take one look, and tell what changed."""
        sights, unknown = [], frozenset[Kind]()
        try:
            sights += [*self._workers.probe(at), *self._loop.probe(at)]
            sights += [] if self._drill else self._clock_watch.probe(at)
            found = self._store.probe(at)
            if isinstance(found, Health):
                sights += self._judged(found, at)
            else:
                unknown = stored.KINDS
                sights += [] if found is None else [found]
        except Exception as error:  # noqa: BLE001 - a fault of its own is a finding like any other
            unknown = frozenset(Kind)
            sights.append(
                Observation(Kind.PROBE_FAILED, at.now, texts(f"自检出错：{error!r}", f"a look failed: {error!r}"))
            )
        changes = self._register.update(sights, at, unknown)
        for change in changes:
            self._tell(change)
        self._gauges.probed()
        return changes

    def _run(self) -> None:
        interval = self._settings.interval.total_seconds()
        while not self._stopping.wait(interval):
            try:
                self.probe(read_clock(self._clock))
            except Exception as error:  # noqa: BLE001 - it goes on; until it succeeds it is silent, which is shown
                self._log.warning("probe_failed", reason="unexpected_error", error=repr(error))

    def _read(self, at: ClockReading) -> Health:
        limits = Limits(at.limit(self._settings.overdue), self._settings.deadline, self._settings.ahead)
        self._watched.database.prove_in_place()
        with self._watched.database.read() as connection:
            return health(connection, self._clock.now(), limits, self._last_event)

    def _judged(self, found: Health, at: ClockReading) -> Iterator[Observation]:
        refused = self._watched.metrics.ahead
        self._gauges.waiting(found.waiting)
        yield from stored.late(found)
        yield from stored.ahead(found, refused - self._refused, at)
        yield from stored.skewed(found, at, self._settings.clock)
        self._last_event, self._refused = found.last_event, refused

    def _tell(self, change: Change) -> None:
        finding = change.finding
        is_over = change.ended_at is not None
        self._gauges.show(finding.kind, is_found=not is_over)
        log = self._log.info if is_over else self._log.warning
        log(
            "finding_over" if is_over else "finding",
            reason=finding.kind.value,
            detail=finding.detail.en,
            since=finding.since.isoformat(),
            means=TEXTS[finding.kind].means.en,
        )
        if self._notices is not None:
            self._notices.post(change)


class WatchdogMetrics:
    """The watchdog's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._looked_at = ticks()
        self._findings = Gauge(
            "incident_engine_watchdog_finding",
            "Whether the watchdog finds this wrong: 1 if so.",
            ["kind"],
            registry=registry,
        )
        for kind in Kind:
            self._findings.labels(kind).set(0)
        age = Gauge(
            "incident_engine_watchdog_last_look_age_seconds",
            "How long ago the watchdog looked last; if it grows, the watchdog itself is dead.",
            registry=registry,
        )
        age.set_function(self.age)
        self._notices = Counter(
            "incident_engine_watchdog_notices",
            "Attempts to tell the operators of findings, by channel and outcome.",
            ["channel", "outcome"],
            registry=registry,
        )
        self._waiting = Gauge(
            "incident_engine_deliveries_waiting",
            "Deliveries that were due and wait on purpose, for a rate limit or an open circuit, at the last look.",
            registry=registry,
        )
        self._waiting_since = Gauge(
            "incident_engine_deliveries_waiting_since_timestamp_seconds",
            "When the oldest of them was made; 0 if there is none.",
            registry=registry,
        )

    def age(self) -> float:
        """Return how many seconds ago the last look was."""
        return ticks() - self._looked_at

    def probed(self) -> None:
        """Note a look."""
        self._looked_at = ticks()

    def show(self, kind: Kind, *, is_found: bool) -> None:
        """Show whether something is wrong."""
        self._findings.labels(kind).set(is_found)

    def count_notice(self, channel: str, outcome: DeliveryOutcome) -> None:
        """Count one attempt to tell."""
        self._notices.labels(channel, outcome).inc()

    def waiting(self, found: Late | None) -> None:
        """Show how many deliveries wait on purpose, and since when."""
        self._waiting.set(found.count if found else 0)
        self._waiting_since.set(found.since.timestamp() if found else 0)
