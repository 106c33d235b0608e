"""The parts of the daemon that the API and the pages work with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from incident_engine.common.clock import Clock
from incident_engine.common.signed_links import Links
from incident_engine.common.telemetry import Metrics
from incident_engine.config.settings import Settings
from incident_engine.engine.reader import Reader
from incident_engine.engine.receipts import EventReporter
from incident_engine.store.database import Database
from incident_engine.store.writer import Writer


@dataclass(frozen=True, slots=True)
class AppContext:
    """The parts that request handlers use; the daemon builds them."""

    settings: Settings
    database: Database
    writer: Writer
    engine: EventReporter
    reader: Reader
    metrics: Metrics
    clock: Clock
    keys: Sequence[str]
    links: Links
    unready: Callable[[], list[str]]
    """Return the reasons why the daemon is not ready; empty when it is."""
    warnings: Callable[[], list[str]] = list
    """Return the problems that do not keep the daemon from being ready."""
