"""The watchdog: a thread that probes the daemon every few seconds and depends on no part that it probes."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from incident_engine.common.clock import Clock, ticks
from incident_engine.common.telemetry import Metrics, logger
from incident_engine.config.settings import Settings
from incident_engine.store.database import Database
from incident_engine.store.health import Health, Limits, health
from incident_engine.watchdog import store_probe
from incident_engine.watchdog.finding_state import FindingTracker
from incident_engine.watchdog.findings import UNREADY, Change, ClockReading, Kind, Observation, read_clock, texts
from incident_engine.watchdog.metrics import WatchdogMetrics
from incident_engine.watchdog.notifier import Notifier
from incident_engine.watchdog.probes import (
    ClockProbe,
    DispatcherStatus,
    EventLoopProbe,
    LossProbe,
    TimersStatus,
    WorkerProbe,
    WriterStatus,
)
from incident_engine.watchdog.quarantine_probe import find_quarantined, find_truncated
from incident_engine.watchdog.silence_probe import find_silent
from incident_engine.watchdog.store_probe import StoreProbe
from incident_engine.watchdog.texts import TEXTS

_SILENT_AFTER = 3
"""Intervals without a probe after which the watchdog itself counts as dead."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The parts of the daemon that are probed."""

    database: Database
    writer: WriterStatus
    dispatcher: DispatcherStatus
    timers: TimersStatus
    metrics: Metrics


class Watchdog:
    """Probes every part, tracks the findings, and reports them to log, metrics, /readyz and the operators."""

    def __init__(
        self,
        settings: Settings,
        watched: Watched,
        clock: Clock,
        metrics: "WatchdogMetrics",
        notifier: Notifier | None,
        *,
        drill: bool,
    ) -> None:
        """Without a notifier only /readyz, metrics and log report findings. In a drill the clock is not probed."""
        self._settings = settings.watchdog
        self._patience = settings.quarantine.tell_after
        self._silent_after = settings.intake.silent_after
        self._zone = settings.bank.zone
        self._watched = watched
        self._clock = clock
        self._drill = drill
        self._workers = WorkerProbe(watched.writer, watched.dispatcher, watched.timers, self._settings.worker)
        self._loop = EventLoopProbe(self._settings.loop, ticks)
        self._clock_probe = ClockProbe(self._settings.clock)
        self._losses = LossProbe(watched.metrics.lost)
        self._store = StoreProbe(self._read_health, self._settings.worker, self._settings.interval / 2)
        self._tracker = FindingTracker(self._settings.quiet)
        self._notifier = notifier
        self._metrics = metrics
        self._last_event: int | None = None
        self._refused_ahead = watched.metrics.ahead
        self._truncated = watched.metrics.truncated
        self._log = logger("watchdog")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; `loop` is the event loop to probe."""
        self._loop.attach(loop)
        if not self._settings.audience:
            self._log.info("nobody_is_told", reason="no_audience", set="watchdog.audience")
        if self._notifier is not None:
            self._notifier.start()
        self._clock_probe.start(read_clock(self._clock))
        self._metrics.record_probe()  # or /readyz would report silence before the first interval has passed
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Stop probing, then notifying; wait up to `timeout` seconds for each."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._notifier is not None:
            self._notifier.stop(timeout)

    def reasons(self) -> Iterator[str]:
        """Yield each reason why this process is not ready, as `kind: sentence`. Safe in any thread."""
        findings = {finding.kind: finding for finding in self._tracker.findings if finding.kind in UNREADY}
        # A dead worker makes the daemon unready at once, not only at the next probe.
        for observation in self._workers.dead_workers(read_clock(self._clock)):
            findings.setdefault(observation.kind, observation)
        yield from (finding.sentence for finding in findings.values())
        if self.is_silent:
            yield f"watchdog_silent: the last probe was {self._metrics.probe_age():.0f} s ago"

    def warnings(self) -> list[str]:
        """Return the findings that leave this process ready, as `kind: sentence`. Safe in any thread."""
        return [finding.sentence for finding in self._tracker.findings if finding.kind not in UNREADY]

    @property
    def is_silent(self) -> bool:
        """Return whether the watchdog runs but has not probed for three intervals."""
        is_running = self._thread.ident is not None and not self._stopping.is_set()
        return is_running and self._metrics.probe_age() > _SILENT_AFTER * self._settings.interval.total_seconds()

    @property
    def store_is_unreadable(self) -> bool:
        """Return whether the store could not be read at the last probe."""
        return any(finding.kind is Kind.STORE_UNREADABLE for finding in self._tracker.findings)

    def probe(self, at: ClockReading) -> Sequence[Change]:
        """Probe every part once; report and return the findings that appeared or ended."""
        observations, unknown = [], frozenset[Kind]()
        try:
            observations += [*self._workers.probe(at), *self._loop.probe(at), *self._losses.probe(at)]
            # A drill sets its own clock, often by hours at once.
            observations += [] if self._drill else self._clock_probe.probe(at)
            truncated = self._watched.metrics.truncated
            observations += find_truncated(truncated - self._truncated, at)
            self._truncated = truncated
            health_or_fault = self._store.probe(at)
            if isinstance(health_or_fault, Health):
                refused_ahead = self._watched.metrics.ahead
                self._metrics.show_waiting(health_or_fault.waiting)
                observations += store_probe.find_late(health_or_fault)
                newly_refused = refused_ahead - self._refused_ahead
                observations += find_quarantined(health_or_fault, at)
                observations += find_silent(health_or_fault.silent, self._zone, at.now)
                observations += store_probe.find_events_ahead(health_or_fault, newly_refused, at)
                observations += store_probe.find_clock_skew(health_or_fault, at, self._settings.clock)
                self._last_event, self._refused_ahead = health_or_fault.last_event, refused_ahead
            else:
                unknown = store_probe.KINDS
                observations += [] if health_or_fault is None else [health_or_fault]
        except Exception as error:  # noqa: BLE001 - a defect of the watchdog is a finding like any other
            unknown = frozenset(Kind)
            detail = texts(f"自检出错：{error!r}", f"a probe failed: {error!r}")
            observations.append(Observation(Kind.PROBE_FAILED, at.now, detail))
        changes = self._tracker.update(observations, at, unknown)
        for change in changes:
            self._report(change)
        self._metrics.record_probe()
        return changes

    def _run(self) -> None:
        interval = self._settings.interval.total_seconds()
        while not self._stopping.wait(interval):
            try:
                self.probe(read_clock(self._clock))
            except Exception as error:  # noqa: BLE001 - the thread must go on; a lasting fault shows as silence
                self._log.warning("probe_failed", reason="unexpected_error", error=repr(error))

    def _read_health(self, at: ClockReading) -> Health:
        # Timers and leases run on the drill's clock, but deadlines and clocks of senders do not run faster.
        settings = self._settings
        limits = Limits(
            at.to_clock_time(settings.overdue), settings.deadline, settings.ahead, self._silent_after, self._patience
        )
        self._watched.database.prove_in_place()
        with self._watched.database.read() as connection:
            return health(connection, self._clock.now(), limits, self._last_event)

    def _report(self, change: Change) -> None:
        finding = change.finding
        has_ended = change.ended_at is not None
        self._metrics.show_finding(finding.kind, is_found=not has_ended)
        log = self._log.info if has_ended else self._log.warning
        log(
            "finding_over" if has_ended else "finding",
            reason=finding.kind.value,
            detail=finding.detail.en,
            since=finding.since.isoformat(),
            means=TEXTS[finding.kind].means.en,
        )
        if self._notifier is not None:
            self._notifier.post(change)
