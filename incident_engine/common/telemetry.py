"""Logs and metrics. One line per decision, with a reason that is also the metric's label."""

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

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, which no rule of ours needs

MANY_SOURCES = 200
"""Beyond so many distinct sources, events are counted under `other`: a label must not grow without bound."""


class EventOutcome(StrEnum):
    """What became of a reported event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    QUARANTINED = "quarantined"
    OVERLOADED = "overloaded"


class RefusedReason(StrEnum):
    """Why a request was answered 503."""

    QUEUE = "queue_full"
    CONNECTIONS = "too_many_connections"
    STORE = "store_in_trouble"


class CircuitState(StrEnum):
    """Whether a target is sent to: always, once to see, or not at all for a while; from good to bad."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


def configure_logging(stream: TextIO = sys.stderr, *, level: int = logging.INFO) -> None:
    """Log to a stream: one JSON object a line, or coloured text when it is a terminal."""
    is_terminal = bool(getattr(stream, "isatty", lambda: False)())
    logging.basicConfig(handlers=[_Forwarded()], level=logging.WARNING, force=True)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Unbreakable(stream))),
        cache_logger_on_first_use=False,
    )


class _Unbreakable:
    """A stream that never fails: a full disk under the log, or a reader that has gone, must not stop the engine."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _Forwarded(logging.Handler):
    """Warnings of libraries, in our form."""

    def emit(self, record: logging.LogRecord) -> None:
        logger(record.name).warning("library_warning", reason="library_warning", message=record.getMessage())


class Log(Protocol):
    """A logger of structured lines."""

    def info(self, event: str, **fields: object) -> object:
        """Log a decision."""
        ...

    def warning(self, event: str, **fields: object) -> object:
        """Log what somebody should look at."""
        ...


def logger(room: str) -> Log:
    """Return the logger of one room."""
    log: Log = structlog.get_logger(room=room)
    return log


class RateLimitedLog:
    """Logs one kind of line at most once in so many seconds; `times` says how often it would have been logged."""

    def __init__(self, log: Callable[..., object], seconds: float) -> None:
        self._log = log
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept_back = 0
        self._logged_at: float | None = None

    def __call__(self, event: str, **fields: object) -> None:
        """Log the line, or only count it."""
        with self._lock:
            self._kept_back += 1
            now = ticks()
            if self._logged_at is not None and now - self._logged_at < self._seconds:
                return
            times, self._kept_back, self._logged_at = self._kept_back, 0, now
        self._log(event, times=times, **fields)

    def reset(self) -> None:
        """Log the next line at once: it tells of something new."""
        with self._lock:
            self._kept_back, self._logged_at = 0, None


class Metrics:
    """The counters and histograms that the rooms feed, and the registry that Prometheus scrapes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sources: set[str] = set()
        self._events = Counter(
            "incident_engine_events",
            "Events reported, by source and what became of them.",
            ["source", "outcome"],
            registry=self.registry,
        )
        self.ahead = 0
        """How many events occurred too far ahead of this machine's clock."""
        self._ahead = Counter(
            "incident_engine_events_ahead",
            "Events that were refused or put in quarantine because they lie ahead of this machine's clock.",
            registry=self.registry,
        )
        self._refused = Counter(
            "incident_engine_requests_refused",
            "Requests answered 503, by reason; nothing of them was stored.",
            ["reason"],
            registry=self.registry,
        )
        for reason in RefusedReason:
            self._refused.labels(reason)
        self._deliveries = Counter(
            "incident_engine_deliveries",
            "Attempts to deliver a message, by channel and outcome.",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self._bundled = Counter(
            "incident_engine_deliveries_bundled",
            "Deliveries that went out together with others, in one message.",
            ["channel"],
            registry=self.registry,
        )
        self._postponed = Counter(
            "incident_engine_deliveries_postponed",
            "How often a delivery that was due had to wait, by channel and reason.",
            ["channel", "reason"],
            registry=self.registry,
        )
        self._circuits = Gauge(
            "incident_engine_channel_circuit",
            "Whether a channel's circuit (the worst of its targets') is in this state: closed, half_open or open.",
            ["channel", "state"],
            registry=self.registry,
        )
        self.lateness = Histogram(
            "incident_engine_timer_lateness_seconds",
            "How long after its due instant a timer was fired.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
            registry=self.registry,
        )
        self.registry.register(_BuildInfo())

    def count_events(self, source: str, outcome: EventOutcome, number: int = 1) -> None:
        """Count reported events."""
        if source not in self._sources and len(self._sources) >= MANY_SOURCES:
            source = "other"
        self._sources.add(source)
        self._events.labels(source, outcome).inc(number)

    def count_ahead(self, events: int) -> None:
        """Count events that occurred too far ahead of this machine's clock."""
        self.ahead += events
        self._ahead.inc(events)

    def count_refused(self, reason: RefusedReason) -> None:
        """Count one request that was answered 503."""
        self._refused.labels(reason).inc()

    def count_delivery(self, channel: str, outcome: str) -> None:
        """Count one attempt to deliver."""
        self._deliveries.labels(channel, outcome).inc()

    def count_digest(self, channel: str, deliveries: int) -> None:
        """Count deliveries that went out in one message."""
        self._bundled.labels(channel).inc(deliveries)

    def count_postponed(self, channel: str, reason: str) -> None:
        """Count one delivery that was due and had to wait."""
        self._postponed.labels(channel, reason).inc()

    def show_circuit(self, channel: str, state: CircuitState) -> None:
        """Show the state of a channel's circuit."""
        for each in CircuitState:
            self._circuits.labels(channel, each).set(each is state)


class _BuildInfo(Collector):
    def collect(self) -> Iterable[Metric]:
        """Yield the build's version as labels of a constant 1."""
        info = GaugeMetricFamily(
            "incident_engine_build_info", "Version of incident-engine and of Python.", labels=["version", "python"]
        )
        info.add_metric([__version__, platform.python_version()], 1)
        yield info
