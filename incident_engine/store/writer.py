"""The one writer: a thread that commits what waits in its queue, many pieces of work in one transaction.

A piece of work is done when its future has a result; that is after the commit, so what is acknowledged is on disk.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)

from incident_engine import faults
from incident_engine.errors import OverloadedError, StoreError
from incident_engine.store.database import Database
from incident_engine.store.trouble import Trouble, explained
from incident_engine.telemetry import Sparing, logger

T = TypeVar("T")
BATCH = 500
_TRY_AGAIN_SECONDS = 1.0
"""How soon a store in trouble is tried again if nobody wants anything of it."""
_STORE_FAILS = DatabaseError
_ONE_WORK_FAILS = (DataError, IntegrityError, ProgrammingError, NotSupportedError)


@dataclass(slots=True)
class Unit:
    """One piece of work's share of a transaction, and what it wants done once the transaction is on disk."""

    connection: Connection
    after_commit: list[Callable[[], None]] = field(default_factory=list)


Work = Callable[[Unit], Any]


def in_savepoint(unit: Unit, work: Callable[[Unit], T]) -> tuple[T | None, Exception | None]:
    """Do a piece of work so that its failure is its own: what it wrote and wanted done is dropped with it.

    Returns its result or its failure. A failure of the store itself is raised: a disk that is full or broken may have
    rolled back the others' work with this one's.
    """
    part = Unit(unit.connection)
    try:
        with unit.connection.begin_nested():
            result = work(part)
    except _STORE_FAILS as error:
        if isinstance(error, _ONE_WORK_FAILS):
            return None, error
        raise
    except Exception as error:  # noqa: BLE001 - it is handed to whoever wanted the work
        return None, error
    unit.after_commit.extend(part.after_commit)
    return result, None


class Writer:
    """Commits work in groups. `on_commit` is called after each commit, in the writer's thread."""

    def __init__(self, database: Database, capacity: int, on_commit: Callable[[], None]) -> None:
        self._database = database
        self._queue: queue.SimpleQueue[tuple[Work, Future[Any]] | None] = queue.SimpleQueue()
        self._capacity = capacity
        self._on_commit = on_commit
        self._log = logger("writer")
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._closing = threading.Event()
        self.trouble = Trouble()
        self._overflow = Sparing(self._log.warning, 1)
        self._failures = Sparing(self._log.warning, 60)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Return whether the thread works."""
        return self._thread.is_alive()

    def submit(self, work: Callable[[Unit], T], *, urgent: bool = False) -> Future[T]:
        """Queue a piece of work; its future ends after the commit.

        Raises OverloadedError when the queue is full. Urgent work (our own: timers, deliveries, a few at a time) is
        always taken, so that a storm of requests cannot keep us from what is due.
        """
        if not urgent and (self._closing.is_set() or self._queue.qsize() >= self._capacity):
            if self._closing.is_set():
                raise OverloadedError("the daemon is stopping")
            self._overflow("queue_full", reason="queue_full", capacity=self._capacity)
            raise OverloadedError("too many requests wait")
        future: Future[T] = Future()
        self._queue.put((work, future))
        return future

    def stop(self, timeout: float) -> None:
        """Finish what is queued, then end."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (item := self._next()) is not None:
            batch = [item]
            ending = False
            while len(batch) < BATCH:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ending = True
                    break
                batch.append(following)
            self._commit(batch)
            if ending:
                return

    def _next(self) -> tuple[Work, Future[Any]] | None:
        """Return what waits longest; while the store is in trouble, see meanwhile whether it has passed."""
        while True:
            try:
                return self._queue.get(timeout=_TRY_AGAIN_SECONDS if self.trouble.reason else None)
            except queue.Empty:
                self._commit([(lambda unit: self._database.prove_writable(unit.connection), Future())])

    def _commit(self, batch: list[tuple[Work, Future[Any]]]) -> None:
        wanted = [(work, future) for work, future in batch if future.set_running_or_notify_cancel()]
        if self.trouble.is_lasting:
            self._fail(wanted)
            return
        outcomes: list[tuple[Any, Exception | None]] = []
        after_commit: list[Callable[[], None]] = []
        try:
            with self._database.write() as connection:
                unit = Unit(connection)
                outcomes += [in_savepoint(unit, work) for work, _ in wanted]
                after_commit = unit.after_commit
                faults.reach(faults.Point.BEFORE_COMMIT)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of the batch is on disk: say so to each
            self.trouble.note(error)
            self._failures("commit_failed", reason="commit_failed", error=explained(error))
            self._fail(wanted)
            return
        if self.trouble.reason is not None:
            self._log.info("commit_works_again", reason="commit_works_again")
            self._failures.begin_anew()
            self.trouble.over()
        self._follow_up([partial(faults.reach, faults.Point.AFTER_COMMIT), *after_commit])
        for (_, future), (result, failure) in zip(wanted, outcomes, strict=True):
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
        self._follow_up([self._on_commit])

    def _fail(self, batch: list[tuple[Work, Future[Any]]]) -> None:
        for _, future in batch:
            future.set_exception(StoreError(f"the store did not take it: {self.trouble.reason}"))

    def _follow_up(self, actions: list[Callable[[], None]]) -> None:
        for action in actions:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - the writer must go on; what was committed stays committed
                self._warn("after_commit_failed", error)

    def _warn(self, reason: str, error: Exception) -> None:
        self._log.warning(reason, reason=reason, error=str(error) or repr(error))
