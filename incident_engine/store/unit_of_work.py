"""One unit of work within a transaction, and what it wants done before and after the commit."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)

from incident_engine.common import failpoints as faults
from incident_engine.common.errors import StoreError
from incident_engine.store.database import Database
from incident_engine.store.dialect import savepoint

T = TypeVar("T")


_STORE_FAILS = (StoreError, DatabaseError)


_ONE_WORK_FAILS = (DataError, IntegrityError, ProgrammingError, NotSupportedError)


@dataclass(slots=True)
class UnitOfWork:
    """One piece of work's share of a transaction, and what it wants done once the transaction is on disk."""

    connection: Connection
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    before_commit: dict[Hashable, "Work"] = field(default_factory=dict)
    """What is done once, before the transaction ends, however many pieces of work want it; the last one says how."""
    on_rollback: list[Callable[[], None]] = field(default_factory=list)
    """What is undone outside the database if this work is rolled back."""
    shared: dict[Hashable, Any] = field(default_factory=dict)
    """What pieces of work in one transaction keep for each other."""
    unchanged: int = 0
    """How many pieces of work changed nothing of what is due."""
    nothing_due_changed: bool = False
    """Whether no piece of work did."""

    def run_before_commit(self, key: Hashable = None) -> None:
        """Do now what is to be done at the end: one thing, or (None) everything."""
        keys = list(self.before_commit) if key is None else [key]
        for name in keys:
            work = self.before_commit.pop(name, None)
            if work is not None:
                work(self)

    def roll_back(self) -> None:
        """Undo outside the database what this work did there."""
        for action in reversed(self.on_rollback):
            action()


Work = Callable[[UnitOfWork], Any]


@contextmanager
def transaction(database: Database) -> Iterator[UnitOfWork]:
    """Open a transaction for one piece of work; what it wants done after the commit is left to the caller."""
    unit: UnitOfWork | None = None
    try:
        with database.write() as connection:
            unit = UnitOfWork(connection)
            yield unit
            unit.run_before_commit()
            faults.reach(faults.Point.BEFORE_COMMIT)
    except BaseException:
        if unit is not None:
            unit.roll_back()
        raise


def in_savepoint(unit: UnitOfWork, work: Callable[[UnitOfWork], T]) -> tuple[T | None, Exception | None]:
    """Do a piece of work so that its failure is its own: what it wrote and wanted done is dropped with it.

    Returns its result or its failure. A failure of the store itself is raised: a disk that is full or broken may have
    rolled back the others' work with this one's. What others left for the end is done before: it must not go with it.
    """
    unit.run_before_commit()
    part = UnitOfWork(unit.connection)
    try:
        with savepoint(unit.connection):
            result = work(part)
            part.run_before_commit()
    except Exception as error:
        part.roll_back()
        if _is_of_the_store(error):
            raise
        return None, error
    unit.after_commit.extend(part.after_commit)
    unit.on_rollback.extend(part.on_rollback)
    return result, None


def _is_of_the_store(error: Exception) -> bool:
    return isinstance(error, StoreError) or (isinstance(error, _STORE_FAILS) and not isinstance(error, _ONE_WORK_FAILS))
