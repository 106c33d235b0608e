"""Logs and metrics. Each decision logs one line with a reason, which is also the label of its metric."""

import contextlib
import logging
import platform
import sys
import threading
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Protocol, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from incident_engine import __version__
from incident_engine.common.clock import ticks
from incident_engine.common.link_path import LINK_PATH, without_tokens

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, which no rule of ours needs

MANY_SOURCES = 200
"""The most distinct sources in metrics; further ones count as `other`, because every label value costs memory."""


class EventOutcome(StrEnum):
    """The outcome of reporting an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    INVALID = "invalid"
    QUARANTINED = "quarantined"
    OVERLOADED = "overloaded"
    OWN = "own"
    """An alert from the engine's own metrics, which changes nothing."""


class RefusedReason(StrEnum):
    """The reason for answering a request with 503, or for closing its connection before it has arrived."""

    QUEUE = "queue_full"
    CONNECTIONS = "too_many_connections"
    STORE = "store_in_trouble"
    UNFINISHED = "unfinished_request"
    """The connection was closed, because too many others of its address, or of all, waited for a request as well."""


class DeniedReason(StrEnum):
    """The reason for denying a request: the sender has no right to it."""

    NO_KEY = "no_key"
    WRONG_KEY = "wrong_key"
    MANY_WRONG_KEYS = "many_wrong_keys"
    """A wrong key of an address that sent too many of them."""
    PROXY = "proxy"
    """A request that came through a proxy, while no key is configured."""
    HOST = "host"
    CROSS_SITE = "cross_site"
    LINK = "link"
    """A link with a wrong signature."""


class LostReason(StrEnum):
    """The reason why a monitor's report is lost: no sender repeats a request that was answered with 4xx."""

    BODY_TOO_LARGE = "body_too_large"
    BODY_INVALID = "body_invalid"
    QUARANTINE_LIMIT = "quarantine_limit"
    """Alerts that cannot be mapped, beyond the most that one request may put in quarantine."""


class CircuitState(StrEnum):
    """The state of an endpoint's circuit breaker, from good to bad."""

    CLOSED = "closed"
    """Messages are sent."""
    HALF_OPEN = "half_open"
    """One message is sent as a probe."""
    OPEN = "open"
    """No message is sent until a pause is over."""


def configure_logging(stream: TextIO = sys.stderr, *, level: int = logging.INFO) -> None:
    """Log to a stream: one JSON object per line, or coloured text if the stream is a terminal."""
    is_terminal = bool(getattr(stream, "isatty", lambda: False)())
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hide_links,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Unbreakable(stream))),
        cache_logger_on_first_use=False,  # tests and drills configure logging several times in one process
    )


def _hide_links(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Hide the token of every signed link in a line, with which a reader of the log could act."""
    for name, value in line.items():
        if isinstance(value, str) and LINK_PATH in value:
            line[name] = without_tokens(value)
    return line


class _Unbreakable:
    """A stream that ignores write errors: a full disk or a closed pipe must not stop the engine."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _LibraryHandler(logging.Handler):
    """Logs the warnings of libraries as structured lines."""

    def emit(self, record: logging.LogRecord) -> None:
        logger(record.name).warning("library_warning", reason="library_warning", message=record.getMessage())


class Log(Protocol):
    """A logger of structured lines."""

    def info(self, event: str, **fields: object) -> object:
        """Log a decision."""
        ...

    def warning(self, event: str, **fields: object) -> object:
        """Log a problem that an operator should examine."""
        ...


def logger(room: str) -> Log:
    """Return the logger of one part of the program."""
    log: Log = structlog.get_logger(room=room)
    return log


class RateLimitedLog:
    """Logs one kind of line at most once per interval; the field `times` counts the suppressed lines, too."""

    def __init__(self, log: Callable[..., object], seconds: float) -> None:
        self._log = log
        self._seconds = seconds
        self._lock = threading.Lock()
        self._pending = 0
        self._logged_at: float | None = None

    def __call__(self, event: str, **fields: object) -> None:
        """Log the line, or only count it."""
        with self._lock:
            self._pending += 1
            now = ticks()
            if self._logged_at is not None and now - self._logged_at < self._seconds:
                return
            times, self._pending, self._logged_at = self._pending, 0, now
        self._log(event, times=times, **fields)  # outside the lock: a stream may block

    def reset(self) -> None:
        """Log the next line at once, because it reports a new problem."""
        with self._lock:
            self._pending, self._logged_at = 0, None


class Metrics:
    """The counters, gauges and histograms of the program, and the registry that Prometheus scrapes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sources: set[str] = set()
        self._events = Counter(
            "incident_engine_events",
            "Events reported, by source and outcome.",
            ["source", "outcome"],
            registry=self.registry,
        )
        self.ahead = 0
        """The number of events that occurred too far ahead of this machine's clock; the watchdog reads it."""
        self._ahead = Counter(
            "incident_engine_events_ahead",
            "Events refused or quarantined because they are ahead of this machine's clock.",
            registry=self.registry,
        )
        self.truncated = 0
        """The number of alerts that monitors left out of their notifications; the watchdog reads it."""
        self._truncated = Counter(
            "incident_engine_alerts_truncated",
            "Alerts that monitors left out of their notifications (truncatedAlerts); a repeat is not counted again.",
            registry=self.registry,
        )
        self.lost: dict[LostReason, int] = dict.fromkeys(LostReason, 0)
        """The number of lost bodies or alerts by reason; the watchdog reads it."""
        self._lost = Counter(
            "incident_engine_reports_lost",
            "Request bodies, or alerts in them, that were refused for good, by source and reason.",
            ["source", "reason"],
            registry=self.registry,
        )
        self._refused = Counter(
            "incident_engine_requests_refused",
            "Requests answered 503 or cut off, by reason; none of their events was stored.",
            ["reason"],
            registry=self.registry,
        )
        for reason in RefusedReason:
            self._refused.labels(reason)  # a series at 0, so that rate() sees the first refusal
        self._quarantined = Counter(
            "incident_engine_reports_quarantined",
            "Reports that entered the quarantine, by source and reason; a repeat is not counted again.",
            ["source", "reason"],
            registry=self.registry,
        )
        self._denied = Counter(
            "incident_engine_requests_denied",
            "Requests whose sender has no right to them, by reason.",
            ["reason"],
            registry=self.registry,
        )
        for denied in DeniedReason:
            self._denied.labels(denied)
        self._deliveries = Counter(
            "incident_engine_deliveries",
            "Attempts to deliver a message, by channel and outcome.",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self._digests = Counter(
            "incident_engine_digest_deliveries",
            "Deliveries sent together with others in one digest message.",
            ["channel"],
            registry=self.registry,
        )
        self._postponed = Counter(
            "incident_engine_deliveries_postponed",
            "Postponements of due deliveries, by channel and reason.",
            ["channel", "reason"],
            registry=self.registry,
        )
        self._circuits = Gauge(
            "incident_engine_channel_circuit",
            "1 for the state of a channel's circuit (the worst of its endpoints'): closed, half_open or open; else 0.",
            ["channel", "state"],
            registry=self.registry,
        )
        self.lateness = Histogram(
            "incident_engine_timer_lateness_seconds",
            "Seconds between a timer's due instant and its firing.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
            registry=self.registry,
        )
        self.registry.register(_BuildInfo())

    def count_events(self, source: str, outcome: EventOutcome, number: int = 1) -> None:
        """Count reported events."""
        self._events.labels(self._bounded(source), outcome).inc(number)

    def count_quarantined(self, source: str, reason: str, number: int = 1) -> None:
        """Count reports that entered the quarantine."""
        self._quarantined.labels(self._bounded(source), reason).inc(number)

    def count_ahead(self, events: int) -> None:
        """Count events that occurred too far ahead of this machine's clock."""
        self.ahead += events
        self._ahead.inc(events)

    def count_truncated(self, alerts: int) -> None:
        """Count alerts that a monitor left out of its notification."""
        self.truncated += alerts
        self._truncated.inc(alerts)

    def count_lost(self, source: str, reason: LostReason, number: int = 1) -> None:
        """Count request bodies, or alerts in them, that were refused for good."""
        self.lost[reason] += number
        self._lost.labels(source, reason).inc(number)

    def count_refused(self, reason: RefusedReason) -> None:
        """Count one request that was answered 503 or cut off."""
        self._refused.labels(reason).inc()

    def count_denied(self, reason: DeniedReason) -> None:
        """Count one request whose sender has no right to it."""
        self._denied.labels(reason).inc()

    def count_delivery(self, channel: str, outcome: str) -> None:
        """Count one attempt to deliver."""
        self._deliveries.labels(channel, outcome).inc()

    def count_digest(self, channel: str, deliveries: int) -> None:
        """Count deliveries sent in one digest message."""
        self._digests.labels(channel).inc(deliveries)

    def count_postponed(self, channel: str, reason: str) -> None:
        """Count one delivery that was due and had to wait."""
        self._postponed.labels(channel, reason).inc()

    def show_circuit(self, channel: str, state: CircuitState) -> None:
        """Set the gauges of a channel's circuit to its state."""
        for candidate in CircuitState:
            self._circuits.labels(channel, candidate).set(candidate is state)

    def _bounded(self, source: str) -> str:
        if source not in self._sources and len(self._sources) >= MANY_SOURCES:
            source = "other"
        self._sources.add(source)
        return source


class _BuildInfo(Collector):
    def collect(self) -> Iterable[Metric]:
        """Yield a constant 1 with the versions as labels, as Prometheus' own build_info metrics do."""
        info = GaugeMetricFamily(
            "incident_engine_build_info", "Version of incident-engine and of Python.", labels=["version", "python"]
        )
        info.add_metric([__version__, platform.python_version()], 1)
        yield info
