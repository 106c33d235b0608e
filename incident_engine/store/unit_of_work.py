"""A unit of work: one write transaction, and the actions that wait for its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)

from incident_engine.common import failpoints
from incident_engine.common.errors import StoreError
from incident_engine.common.telemetry import EventOutcome
from incident_engine.domain.events.effect import Effect
from incident_engine.domain.events.types import EventType
from incident_engine.store.database import Database
from incident_engine.store.dialect import savepoint

T = TypeVar("T")

_CONFINED = (DataError, IntegrityError, ProgrammingError, NotSupportedError)
"""Database errors that concern one statement; after any other the whole transaction may be lost."""


class ReceiptGroup(NamedTuple):
    """The events of one transaction that are counted and logged together."""

    source: str
    outcome: EventOutcome
    type: EventType
    case_id: str | None
    effect: Effect


GroupKey = tuple[str, EventOutcome, EventType, str | None, Effect]
"""The fields of a ReceiptGroup, without the cost of making one for each alert of a storm."""


@dataclass(slots=True)
class AfterCommit:
    """Actions to run once a transaction is on disk; iterates over them in the order in which they run."""

    _deliveries: list[Callable[[], None]] = field(default_factory=list)
    _others: list[Callable[[], None]] = field(default_factory=list)

    def append(self, action: Callable[[], None]) -> None:
        """Add an action that runs after all that were added before."""
        self._others.append(action)

    def append_delivery(self, action: Callable[[], None]) -> None:
        """Add the start of claimed deliveries. It runs before all other actions, because people wait for it."""
        self._deliveries.append(action)

    def extend(self, other: "AfterCommit") -> None:
        """Add the actions of a savepoint that was released."""
        self._deliveries += other._deliveries
        self._others += other._others

    def __iter__(self) -> Iterator[Callable[[], None]]:
        yield from self._deliveries
        yield from self._others


@dataclass(slots=True)
class UnitOfWork:
    """Carries the connection of one transaction or savepoint, and the actions that wait for its end.

    They run in this order:

    1. Before the commit `flush`, then `updates` in the order in which their cases were first registered, each once.
       In the writer's transactions its `before_commit` follows, which claims deliveries and reads the next due instant.
    2. After the commit the deliveries of `after_commit`, then its other actions.
    3. After a rollback, instead of 2, `on_rollback`, the latest first.

    A savepoint has its own unit of work. Its `flush` and `updates` run within the savepoint; the enclosing unit takes
    over its `after_commit` and `on_rollback` when the savepoint is released.
    """

    connection: Connection
    flush: "Work | None" = None
    """Writes the events that were appended in memory."""
    updates: "dict[str, Work]" = field(default_factory=dict)
    """The update of each changed case, by case id. A later registration replaces an earlier one."""
    receipts: dict[ReceiptGroup, list[str]] = field(default_factory=dict)
    """The ids of the events that were taken, by group."""
    after_commit: AfterCommit = field(default_factory=AfterCommit)
    on_rollback: list[Callable[[], None]] = field(default_factory=list)
    """Actions that undo in memory changes that the database rolled back."""
    unchanged: int = 0
    """The number of pieces of work that left every due instant as it was."""
    nothing_due_changed: bool = False
    """Whether all pieces of work did so. Set by the writer, before its `before_commit`."""

    def run_before_commit(self) -> None:
        """Run `flush`, then all `updates`."""
        work, self.flush = self.flush, None
        if work is not None:
            work(self)
        # A copy of the ids, because each update removes its entry.
        for case_id in list(self.updates):
            self.run_update(case_id)

    def run_update(self, case_id: str) -> None:
        """Run the update of one case now, if there is one."""
        work = self.updates.pop(case_id, None)
        if work is not None:
            work(self)

    def run_on_rollback(self) -> None:
        """Undo the changes in memory, the latest first."""
        # A later change may rest on an earlier one.
        for action in reversed(self.on_rollback):
            action()


Work = Callable[[UnitOfWork], Any]


@contextmanager
def transaction(database: Database) -> Iterator[UnitOfWork]:
    """Open a write transaction and commit it when the block ends. The caller runs its `after_commit`."""
    unit: UnitOfWork | None = None
    try:
        with database.write() as connection:
            unit = UnitOfWork(connection)
            yield unit
            unit.run_before_commit()
            failpoints.reach(failpoints.Point.BEFORE_COMMIT)
    except BaseException:
        if unit is not None:
            unit.run_on_rollback()
        raise


def in_savepoint(unit: UnitOfWork, work: Callable[[UnitOfWork], T]) -> tuple[T | None, Exception | None]:
    """Run a piece of work in a savepoint. Return its result, or the failure with which it was rolled back.

    Raises a failure of the store itself: a full or broken disk may have rolled back the whole transaction.
    """
    # Work that others put off must not be rolled back with this savepoint.
    unit.run_before_commit()
    part = UnitOfWork(unit.connection)
    try:
        with savepoint(unit.connection):
            result = work(part)
            part.run_before_commit()
    except Exception as error:
        part.run_on_rollback()
        if is_store_failure(error):
            raise
        return None, error
    unit.after_commit.extend(part.after_commit)
    unit.on_rollback.extend(part.on_rollback)
    return result, None


def is_store_failure(error: Exception) -> bool:
    """Return whether an error comes from the store itself, not from one piece of work."""
    return isinstance(error, StoreError) or (isinstance(error, DatabaseError) and not isinstance(error, _CONFINED))
