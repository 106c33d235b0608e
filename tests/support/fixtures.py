"""A clock that a test sets, a bank in a folder of its own, and its engine with or without the API."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Table, select
from starlette.testclient import TestClient

from incident_engine.common.signed_links import Links
from incident_engine.common.telemetry import Metrics
from incident_engine.config.rulebook import SHIPPED, load_rulebook
from incident_engine.config.settings import PREFIX, Settings, load_settings
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.factory import open_reader
from incident_engine.engine.reader import Reader
from incident_engine.engine.receipts import Receipt
from incident_engine.engine.service import Engine
from incident_engine.intake.native import parse_events
from incident_engine.store.database import Database
from incident_engine.store.unit_of_work import UnitOfWork, transaction
from incident_engine.store.writer import Writer
from incident_engine.web.app import create_app
from incident_engine.web.context import AppContext

T = TypeVar("T")
CONFIG = SHIPPED / "config.yaml"
LEAST = {PREFIX + "PLAYBOOKS": '["outage-response"]', PREFIX + "CLOSING__OBSERVATION": "0s"}
"""The shipped configuration with the least of the shipped playbooks."""
SHANGHAI = ZoneInfo("Asia/Shanghai")
MICROSECOND = timedelta(microseconds=1)
INCIDENT = "core-20130623"


class SetClock:
    """A clock that stands still until a test sets it."""

    def __init__(self, now: datetime) -> None:
        self.speed = 1.0
        self._now = now

    def now(self) -> datetime:
        """Return the instant that was set."""
        return self._now

    def set(self, instant: datetime) -> None:
        """Set the clock."""
        self._now = instant

    def advance(self, by: timedelta) -> None:
        """Set the clock forward."""
        self._now += by

    def real_time_of(self, instant: datetime) -> datetime:
        """Return when this clock would show `instant` if it ran from now on."""
        return datetime.now(UTC) + (instant - self._now)


def bank(folder: Path, **overrides: str) -> Settings:
    """Return the shipped bank, kept in a folder of its own; overrides are named as in the environment."""
    environment = {
        "STORE__URL": f"sqlite:///{folder / 'engine.db'}",
        "CHANNELS__OUTBOX__DIRECTORY": str(folder / "outbox"),
        **overrides,
    }
    return load_settings(CONFIG, LEAST | {PREFIX + name: value for name, value in environment.items()})


@cache
def shipped_settings() -> Settings:
    """Return the settings of the shipped bank."""
    return load_settings(CONFIG, LEAST)


@cache
def shipped_rulebook() -> Rulebook:
    """Return the shipped rules; reading and trying them takes half a second, and they never change."""
    return load_rulebook(shipped_settings(), CONFIG)


def rulebook_of(settings: Settings) -> Rulebook:
    """Return the rules that settings name."""
    shipped = shipped_settings()
    same = [getattr(settings, part) == getattr(shipped, part) for part in ("grading", "audiences", "contacts", "hours")]
    if settings.rules.directory is not None or not all(same):
        return load_rulebook(settings, CONFIG)
    return shipped_rulebook() if settings.playbooks == shipped.playbooks else _with_playbooks(settings.playbooks)


@cache
def _with_playbooks(names: tuple[str, ...]) -> Rulebook:
    return load_rulebook(load_settings(CONFIG, {PREFIX + "PLAYBOOKS": json.dumps(names)}), CONFIG)


@dataclass(slots=True)
class House:
    """The engine on a database, without threads: every call is one transaction."""

    settings: Settings
    database: Database
    engine: Engine
    reader: Reader
    metrics: Metrics

    def work(self, work: Callable[[UnitOfWork], T]) -> T:
        """Do one piece of work in a transaction, then its follow-ups."""
        with transaction(self.database) as unit:
            result = work(unit)
        for follow_up in unit.after_commit:
            follow_up()
        return result

    def report(self, now: datetime, *documents: dict[str, Any]) -> list[Receipt]:
        """Report events in the native format."""
        events = parse_events(list(documents), self.settings.service_names)
        return self.work(lambda unit: self.engine.report(unit, events, now))

    def fire(self, now: datetime) -> int:
        """Do the work that is due at `now`."""
        return self.work(lambda unit: self.engine.fire(unit, now))

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """Return all rows of a table."""
        return rows(self.database, table)


def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    """Return all rows of a table, in the order in which they were written."""
    with database.read() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


@contextmanager
def house(folder: Path, settings: Settings | None = None, rulebook: Rulebook | None = None) -> Iterator[House]:
    """Open the engine on a folder's database; to open it again is a restart."""
    settings = settings or bank(folder)
    rules, metrics = rulebook or rulebook_of(settings), Metrics()
    reader = open_reader(settings, rules)
    database = Database(settings.store.url)
    try:
        yield House(settings, database, Engine(settings, rules, reader, metrics), reader, metrics)
    finally:
        database.close()


@dataclass(slots=True)
class Served:
    """The API over a real engine, with a clock that the test sets."""

    client: TestClient
    clock: SetClock
    database: Database
    writer: Writer
    engine: Engine
    reader: Reader
    settings: Settings
    unready: list[str]
    warnings: list[str]

    def fire(self) -> int:
        """Do the work that is due now."""
        return self.writer.submit(lambda unit: self.engine.fire(unit, self.clock.now()), urgent=True).result(30)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """Return all rows of a table."""
        return rows(self.database, table)


@contextmanager
def served(
    folder: Path, now: datetime, *, keys: tuple[str, ...] = (), links: Links | None = None, **overrides: str
) -> Iterator[Served]:
    """Serve the API in this process."""
    links = links or Links()
    settings, clock, metrics = bank(folder, **overrides), SetClock(now), Metrics()
    rulebook = rulebook_of(settings)
    database = Database(settings.store.url)
    writer = Writer(database, settings.intake.queue, lambda: None)
    reader = open_reader(settings, rulebook)
    engine = Engine(settings, rulebook, reader, metrics, links)
    unready: list[str] = []
    warnings: list[str] = []
    context = AppContext(
        settings, database, writer, engine, reader, metrics, clock, keys, links, lambda: unready, lambda: warnings
    )
    writer.start()
    try:
        with TestClient(create_app(context), raise_server_exceptions=False, base_url="http://127.0.0.1") as client:
            yield Served(client, clock, database, writer, engine, reader, settings, unready, warnings)
    finally:
        writer.stop(10)
        database.close()


@contextmanager
def held_up(writer: Writer) -> Iterator[None]:
    """Keep the writer busy while the block runs: work that is submitted meanwhile waits in the queue."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(_: UnitOfWork) -> None:
        begun.set()
        go_on.wait(60)

    busy = writer.submit(wait, urgent=True)
    assert begun.wait(30)
    try:
        yield
    finally:
        go_on.set()
        busy.result(30)


def eventually(probe: Callable[[], T], seconds: float = 30) -> T:
    """Return the first true result of a function that is called repeatedly; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.01)
