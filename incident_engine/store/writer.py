"""The one writer: a thread that commits queued work, many pieces in one transaction.

The future of a piece of work gets its result after the commit, so an acknowledged event is on disk.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

from incident_engine.common import failpoints
from incident_engine.common.clock import ticks
from incident_engine.common.errors import OverloadedError, StoreError
from incident_engine.common.telemetry import RateLimitedLog, logger
from incident_engine.store.database import Database
from incident_engine.store.diagnosis import FailureState, explain
from incident_engine.store.unit_of_work import T, UnitOfWork, Work, in_savepoint, is_store_failure, transaction

BATCH = 500
"""At most this many events per commit. One request is never split."""
_TRY_AGAIN_SECONDS = 1.0
"""The pause after which a failing store is tried again when the queue is empty."""


@dataclass(frozen=True, slots=True)
class _LoopWaiter:
    """A coroutine in an event loop that waits for a piece of work."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    def set_running_or_notify_cancel(self) -> bool:
        """Return whether the waiter still wants the result, as `concurrent.futures.Future` does."""
        return not self.future.cancelled()


Waiting = Future[Any] | _LoopWaiter
_Item = tuple[Work, Waiting, int]
"""A piece of work, its waiter, and the number of its events."""


class _Signal(Enum):
    """An entry of the queue that is not work."""

    URGENT = auto()
    """Urgent work waits beside the queue."""
    END = auto()


WorkOutcome = tuple[Any, Exception | None]
"""(result, error): one of the two is None."""


class Writer:
    """Commits work in groups. `on_begin` and `before_commit` are called at both ends of each transaction, within it.

    `on_commit` is called after each commit that may have changed what is due next. All are called in the writer's
    thread.
    """

    def __init__(
        self,
        database: Database,
        capacity: int,
        on_commit: Callable[[], None],
        on_begin: Callable[[UnitOfWork], None] | None = None,
        before_commit: Sequence[Callable[[UnitOfWork], None]] = (),
    ) -> None:
        self._database = database
        self._queue: queue.SimpleQueue[_Item | _Signal] = queue.SimpleQueue()
        self._urgent: deque[_Item] = deque()
        self._carried_over: _Item | None = None
        """The item that did not fit into the last batch."""
        self._capacity = capacity
        self._on_commit = on_commit
        self._on_begin = on_begin or (lambda _: None)
        self._before_commit = before_commit
        self._log = logger("writer")
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._closing = threading.Event()
        self.taken = 0
        """The number of works taken from the queue so far; the watchdog sees by it that the writer moves on."""
        self.busy_since: float | None = None
        """When the current batch started, in ticks; None between batches."""
        self.failure = FailureState()
        self._overflow = RateLimitedLog(self._log.warning, 1)
        self._failures = RateLimitedLog(self._log.warning, 60)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    @property
    def queued(self) -> int:
        """Return the number of waiting works."""
        return self._queue.qsize()  # urgent work has its signal there

    def submit(self, work: Callable[[UnitOfWork], T], *, urgent: bool = False) -> Future[T]:
        """Queue a piece of work; its future ends after the commit.

        Raises OverloadedError if the queue is full. Urgent work (timers and deliveries, a few at a time) is always
        taken and comes next, in a transaction of its own, so that a storm of requests cannot delay what is due.
        """
        future: Future[T] = Future()
        self._put((work, future, 1), urgent=urgent)
        return future

    async def do(self, work: Callable[[UnitOfWork], T], events: int = 1) -> T:
        """Queue a piece of work from an event loop; return its result after the commit. Raises as `submit` does.

        `events` is the number of its events. Cheaper than `submit` on the intake path: no future of another thread has
        to be wrapped for the loop.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put((work, _LoopWaiter(loop, future), events), urgent=False)
        return await future

    def _put(self, item: _Item, *, urgent: bool) -> None:
        if urgent:
            self._urgent.append(item)
            self._queue.put(_Signal.URGENT)  # the thread waits at the queue only
            return
        if self._closing.is_set() or self._queue.qsize() >= self._capacity:
            if self._closing.is_set():
                raise OverloadedError("the daemon is stopping")
            self._overflow("queue_full", reason="queue_full", capacity=self._capacity)
            raise OverloadedError("too many requests wait")
        self._queue.put(item)

    def stop(self, timeout: float) -> None:
        """Finish the queued work, then end the thread; wait for it for `timeout` seconds."""
        self._closing.set()
        self._queue.put(_Signal.END)
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closing.is_set() or self.queued or self._carried_over:
            batch = self._gather()
            urgent = [self._urgent.popleft() for _ in range(len(self._urgent))]
            for group in (urgent, batch):
                if group:
                    self.taken, self.busy_since = self.taken + len(group), ticks()
                    self._commit(group)
                    self.busy_since = None

    def _gather(self) -> list[_Item]:
        """Wait for work; return the next batch, empty if only urgent work waits."""
        batch: list[_Item] = []
        item: _Item | _Signal | None = self._carried_over
        while item is None:
            try:
                item = self._queue.get(timeout=_TRY_AGAIN_SECONDS if self.failure.reason else None)
            except queue.Empty:
                # Without a probe an idle daemon would stay unready although its store works again.
                self._commit([(lambda unit: self._database.prove_writable(unit.connection), Future(), 1)])
        self._carried_over = None
        events = 0
        while True:
            if isinstance(item, tuple):
                events += max(1, item[2])
                if batch and events > BATCH:
                    self._carried_over = item
                    break
                batch.append(item)
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        return batch

    def _commit(self, batch: Sequence[_Item]) -> None:
        wanted = [(work, future) for work, future, _ in batch if future.set_running_or_notify_cancel()]
        if self.failure.is_lasting:
            self._fail(wanted)
            return
        try:
            outcomes, unit = self._do([work for work, _ in wanted])
        except Exception as error:  # noqa: BLE001 - nothing of the batch is on disk, so each waiter gets the error
            self.failure.record_failure(error)
            self._follow_up([partial(self._failures, "commit_failed", reason="commit_failed", error=explain(error))])
            self._fail(wanted)
            return
        if self.failure.reason is not None:
            self.failure.record_success()
            self._failures.reset()
            self._follow_up([partial(self._log.info, "commit_works_again", reason="commit_works_again")])
        self._follow_up([partial(failpoints.reach, failpoints.Point.AFTER_COMMIT), *unit.after_commit])
        self._resolve_waiters([(waiting, outcome) for (_, waiting), outcome in zip(wanted, outcomes, strict=True)])
        if not unit.nothing_due_changed:
            self._follow_up([self._on_commit])

    def _fail(self, batch: Sequence[tuple[Work, Waiting]]) -> None:
        error = StoreError(f"the store could not save this request: {self.failure.reason}")
        self._resolve_waiters([(waiting, (None, error)) for _, waiting in batch])

    def _resolve_waiters(self, answers: Sequence[tuple[Waiting, WorkOutcome]]) -> None:
        """Give each waiter its outcome: one call for all of an event loop, because each call from here wakes it up."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], WorkOutcome]]] = {}
        for waiting, outcome in answers:
            if isinstance(waiting, _LoopWaiter):
                by_loop.setdefault(waiting.loop, []).append((waiting.future, outcome))
            else:
                _resolve(waiting, outcome)
        for loop, resolved in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve_all, resolved)
            except RuntimeError as error:  # the loop has ended, and its waiters with it
                self._warn("nobody_waits", error)

    def _do(self, works: Sequence[Work]) -> tuple[list[WorkOutcome], UnitOfWork]:
        """Do all works in one transaction; if one fails, do all again, each in a savepoint of its own.

        Savepoints cost a statement a work, and failures are rare: so the first try does without.
        """
        try:
            with transaction(self._database) as unit:
                self._on_begin(unit)
                outcomes: list[WorkOutcome] = [(work(unit), None) for work in works]
                self._end(unit, len(works))
        except Exception as error:
            if is_store_failure(error):
                raise
            if len(works) == 1:  # it would fail again in its savepoint
                return [(None, error)], UnitOfWork(unit.connection)
            with transaction(self._database) as unit:
                self._on_begin(unit)
                outcomes = [in_savepoint(unit, work) for work in works]
                self._end(unit, len(works))
        return outcomes, unit

    def _end(self, unit: UnitOfWork, works: int) -> None:
        """Run the deferred work, then the `before_commit` hooks, which see every row as it will be."""
        unit.run_before_commit()
        unit.nothing_due_changed = unit.unchanged >= works
        for hook in self._before_commit:
            hook(unit)

    def _follow_up(self, actions: Sequence[Callable[[], object]]) -> None:
        for action in actions:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - the writer must go on; the commit stands
                self._warn("after_commit_failed", error)

    def _warn(self, reason: str, error: Exception) -> None:
        self._log.warning(reason, reason=reason, error=str(error) or repr(error))


def _resolve(future: Future[Any] | asyncio.Future[Any], outcome: WorkOutcome) -> None:
    result, failure = outcome
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)


def _resolve_all(resolved: Sequence[tuple[asyncio.Future[Any], WorkOutcome]]) -> None:
    for future, outcome in resolved:
        if not future.done():  # the waiter may have gone
            _resolve(future, outcome)
