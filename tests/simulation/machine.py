"""The machine on which the engine runs: its parts wired as in the daemon, without threads; it crashes and restarts."""

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Self

from sqlalchemy import Connection, event

from incident_engine.common.errors import StoreError
from incident_engine.common.telemetry import Metrics
from incident_engine.delivery.dispatcher import Dispatcher
from incident_engine.delivery.endpoints import Endpoints
from incident_engine.delivery.slots import Batch
from incident_engine.domain.events.model import Repeats
from incident_engine.engine.factory import open_reader
from incident_engine.engine.receipts import Receipt
from incident_engine.engine.service import Engine
from incident_engine.intake.alertmanager import AlertmanagerFormat
from incident_engine.intake.base import IntakeContext
from incident_engine.intake.native import parse_events
from incident_engine.store import deliveries as outgoing
from incident_engine.store.database import Database
from incident_engine.store.timers import next_due, set_timer
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer
from simulation.bank import Bank
from simulation.channels import Net, SimulatedChannel
from simulation.clock import Agenda, SteppedLoop, WorldClock

_URGENT_FIRST = 0.9
"""How often what is urgent is committed first; it comes at once, but others may just have begun."""
_AT_ONCE = 6
"""At most so many pieces of work are committed together, chosen at random: a batch is what happens to wait."""


class Crashed(BaseException):
    """The machine has lost its memory. What was not committed never was."""


class FragileDatabase(Database):
    """A database whose transactions break off where they are told to."""

    def __init__(self, url: str) -> None:
        self._statements_left: int | None = None
        self._error: Callable[[], BaseException] = Crashed
        self._crash_after_commit = False
        super().__init__(url)
        self.writing.dispose()
        event.listen(self.writing, "do_connect", self._connect)

    def break_after(self, statements: int, error: Callable[[], BaseException]) -> None:
        """Raise an error in place of a statement to come; what its transaction wrote is rolled back."""
        self._statements_left, self._error = statements, error

    def crash_after_commit(self) -> None:
        """Crash once the next transaction is on disk, before anybody hears of it."""
        self._crash_after_commit = True

    def repair(self) -> None:
        """Break off nothing any more."""
        self._statements_left, self._crash_after_commit = None, False

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes."""
        with super().write() as connection:
            yield connection
        if self._crash_after_commit:
            self._crash_after_commit = False
            raise Crashed

    def _connect(self, _: object, __: object, arguments: list[Any], options: dict[str, Any]) -> sqlite3.Connection:
        """Connect so that every statement is counted, whoever runs it: SQLAlchemy by cursors, our own directly."""
        connection = sqlite3.connect(*arguments, factory=_Counted, **options)
        connection.count = self._count_statement
        return connection

    def _count_statement(self) -> None:
        if self._statements_left is None:
            return
        self._statements_left -= 1
        if self._statements_left < 0:
            self._statements_left = None
            raise self._error()


class _Counted(sqlite3.Connection):
    """A connection that says before each statement that it comes."""

    count: Callable[[], None]

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        """Run a statement."""
        made: sqlite3.Cursor = self.cursor().execute(sql, *given)
        return made

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor that counts."""
        made: Any = super().cursor(factory or _Counting)
        made.count = self.count
        return made


class _Counting(sqlite3.Cursor):
    count: Callable[[], None] = staticmethod(lambda: None)

    def execute(self, sql: str, *given: Any) -> Self:
        self.count()
        return super().execute(sql, *given)

    def fetchone(self) -> Any:
        self._count_fetch()
        return super().fetchone()

    def fetchall(self) -> list[Any]:
        self._count_fetch()
        return super().fetchall()

    def _count_fetch(self) -> None:
        try:
            self.count()
        except BaseException:
            self.close()  # as a statement that fails is reset: or it would keep its state of the database open
            raise

    def executemany(self, sql: str, *given: Any) -> Self:
        self.count()
        return super().executemany(sql, *given)


def store_failure() -> BaseException:
    """Return what a disk that does not answer raises."""
    return sqlite3.OperationalError("disk I/O error")


class _SteppedWriter(Writer):
    """The writer without its thread: a group is committed whenever it is told to."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._ordinary: deque[Any] = deque()

    def commit_some(self, rng: Random) -> bool:
        """Commit some of what waits. Return whether anything did."""
        waiting = self._urgent if self._urgent and rng.random() < _URGENT_FIRST else self._waiting()
        batch = [waiting.popleft() for _ in range(min(len(waiting), rng.randint(1, _AT_ONCE)))]
        if batch:
            self._commit(batch)
        return bool(batch or self._urgent)

    def _waiting(self) -> deque[Any]:
        """Return what waits and is not urgent."""
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if isinstance(item, tuple):
                self._ordinary.append(item)
        return self._ordinary


class _WatchedDispatcher(Dispatcher):
    """The dispatcher, whose other sides know which deliveries a bundle carries."""

    net: Net

    async def _deliver(self, batch: Batch, lease_until: datetime) -> None:
        self.net.expect(batch)
        await super()._deliver(batch, lease_until)


class Machine:
    """The engine's parts, wired as `daemon.py` does it."""

    def __init__(self, bank: Bank, database: FragileDatabase, clock: WorldClock, agenda: Agenda, net: Net) -> None:
        self._bank = bank
        self._clock = clock
        self._agenda = agenda
        self._net = net
        self._waiting: dict[int, tuple[Future[Any], Callable[[list[Receipt] | Exception], None]]] = {}
        self._asked = 0
        self._armed: datetime | None = None
        self._next_due: tuple[datetime | None, datetime | None] | None = None
        self.database = database
        self.up = False
        self.life = 0

    def start(self) -> None:
        """Start with an empty memory on what is stored."""
        self.up = True
        self.life += 1
        self.metrics = Metrics()
        self._net.life = self.life
        self._net.loop = self._loop = SteppedLoop(self._clock, self._agenda)
        settings, rulebook = self._bank.settings, self._bank.rulebook
        self._writer = _SteppedWriter(
            self.database, settings.intake.queue, self._after_commit, before_commit=[self._before_commit]
        )
        self._engine = Engine(settings, rulebook, open_reader(settings, rulebook), self.metrics)
        channels = dict.fromkeys(settings.channels, SimulatedChannel(self._net))
        self._dispatcher = _WatchedDispatcher(
            self._writer, channels, settings.retry, self._clock, self.metrics, Endpoints(settings.channels)
        )
        self._dispatcher.net = self._net
        self._loop.call_soon(self._dispatcher.start)
        self._loop.spin()
        now = self._clock.now()
        self._writer.submit(lambda unit: outgoing.release_all(unit.connection, now), urgent=True)

    def crash(self) -> None:
        """Lose all memory. Whoever waits for an answer gets none."""
        self.up = False
        self.database.repair()
        self._armed = self._next_due = None
        self._writer = _SteppedWriter(self.database, 1, lambda: None)  # what was queued is lost with the memory
        self._drop_loop()
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            answer(StoreError("the connection was reset"))

    def stop(self, rng: Random) -> None:
        """Stop in order, but without patience: what is under way is given up, what is queued is committed."""
        stopping = self._loop.create_task(self._dispatcher.stop(0))
        while not stopping.done():
            self._loop.spin()
            if not self._writer.commit_some(rng) and not stopping.done():
                break
        while self._writer.commit_some(rng):
            self._loop.spin()
        self.crash()

    def _drop_loop(self) -> None:
        for task in self._tasks():
            task.cancel()
        self._loop.spin()
        self._loop.close()

    def _tasks(self) -> list[Any]:
        return list(asyncio.all_tasks(self._loop))

    def report(self, document: Mapping[str, Any], answer: Callable[[list[Receipt] | Exception], None]) -> None:
        """Report one event as the API does; `answer` is called once, after the commit or without one."""
        if not self.up:
            answer(StoreError("nobody listens"))
            return
        events = parse_events([dict(document)], self._bank.settings.service_names)
        self._submit(events, Repeats.EXACT, answer)

    def notify(self, alert: Mapping[str, Any], answer: Callable[[list[Receipt] | Exception], None]) -> None:
        """Report one alert as Alertmanager does; `answer` is called once, after the commit or without one."""
        if not self.up:
            answer(StoreError("nobody listens"))
            return
        context = IntakeContext(self._clock.now() + timedelta(days=1), timedelta(0))  # whatever the clock says
        body = json.dumps({"version": "4", "alerts": [alert]}).encode()
        batch = AlertmanagerFormat(self._bank.settings).parse(body, context)
        assert not batch.rejected
        self._submit(batch.events, Repeats.ALERTS, answer)

    def _submit(
        self, events: Sequence[Any], repeats: Repeats, answer: Callable[[list[Receipt] | Exception], None]
    ) -> None:
        now = self._clock.now()
        self._asked += 1
        key = self._asked
        future = self._writer.submit(lambda unit: self._engine.report(unit, events, now, repeats=repeats))
        self._waiting[key] = future, answer
        future.add_done_callback(partial(self._answered, key))

    def _answered(self, key: int, future: Future[list[Receipt]]) -> None:
        _, answer = self._waiting.pop(key)
        error = future.exception()
        assert error is None or isinstance(error, Exception)
        answer(error or future.result())

    @property
    def wakes_at(self) -> int | None:
        """Return when the alarm rings, in true time, as the clock goes now."""
        return self._clock.true_of(self._armed) if self.up and self._armed is not None else None

    def ring(self) -> None:
        """The alarm rings: do what is due."""
        self._armed = None
        self._writer.submit(lambda unit: self._engine.fire(unit, self._clock.now()), urgent=True)
        self._dispatcher.notify()

    def settle(self, rng: Random) -> None:
        """Commit and send until nothing is left to do at this instant. Raises Crashed."""
        while self.up:
            self._loop.spin()
            if not self._writer.commit_some(rng):
                return

    def _before_commit(self, unit: UnitOfWork) -> None:
        if not unit.nothing_due_changed:
            self._dispatcher.claim_within(unit)
            found = next_due(unit.connection)
            unit.after_commit.append(partial(setattr, self, "_next_due", found))

    def _after_commit(self) -> None:
        found, self._next_due = self._next_due, None
        if found is None:
            with self.database.read() as connection:
                found = next_due(connection)
        timer, delivery = found
        if delivery is not None and delivery <= self._clock.now():
            self._dispatcher.notify()
            delivery = None
        self._armed = min((instant for instant in (timer, delivery) if instant is not None), default=None)

    def again(self, incident_id: str, now: datetime) -> Iterator[Connection]:
        """Yield, before and after an engine without any memory has brought an incident up to date, a connection.

        Nothing of it is kept.
        """
        settings, rulebook = self._bank.settings, self._bank.rulebook
        engine = Engine(settings, rulebook, open_reader(settings, rulebook), Metrics())
        with self.database.engine.connect() as connection:  # not the one that breaks off
            transaction = connection.begin()
            try:
                yield connection
                set_timer(connection, incident_id, datetime.fromisoformat("1971-01-01T00:00:00+00:00"))
                unit = UnitOfWork(connection)
                engine.fire(unit, now)
                unit.run_before_commit()
                yield connection
            finally:
                transaction.rollback()
