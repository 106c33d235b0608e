"""SQLite: one file, held by one process, with a write-ahead log and full sync."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from incident_engine.common.errors import StoreError
from incident_engine.common.telemetry import logger
from incident_engine.store.file_lock import Identity, acquire, identity, lock_of

_BEGIN = "incident_engine_begin"
"""Execution option with the BEGIN statement of a transaction."""


class SqliteFile:
    """A database file that only this process uses."""

    def __init__(self, url: URL) -> None:
        path = Path(url.database or "")
        self.name = str(path)
        self._path = path
        self._lock = acquire(path)
        self._identity = _create(path)
        self.reading = _engine(url, pool_size=8)
        self.writing = _engine(url, pool_size=1)  # a pool of its own: busy readers cannot make the writer wait

    @contextmanager
    def begin(self, *, for_migration: bool = False) -> Iterator[Connection]:
        """Open a writing transaction. `for_migration` has no effect, as no other process can hold the file.

        Raises StoreError if the file was moved, removed or replaced: its writes would be lost.
        """
        self.prove_in_place()
        # IMMEDIATE takes the write lock now; a deferred transaction could fail halfway when it first writes.
        connection = self.writing.connect().execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        with connection, connection.begin():
            yield connection

    def prove_in_place(self) -> None:
        """Raise StoreError unless the file and its lock are the ones that were opened."""
        for path, opened in ((self._path, self._identity), (lock_of(self._path), identity(self._lock.fileno()))):
            try:
                is_ours = identity(path) == opened
            except OSError:
                is_ours = False
            if not is_ours:
                raise StoreError(
                    f"{path} was moved, removed or replaced under the daemon; put it back, or stop the daemon and "
                    "restore a backup"
                )

    def close(self) -> None:
        """Close all connections and release the file."""
        self.reading.dispose()
        self.writing.dispose()
        self._lock.close()


def _create(path: Path) -> Identity:
    """Create the file if it is missing, and return its identity. Raises StoreError if it cannot be opened."""
    try:
        if not path.exists():
            path.touch(mode=0o600)  # it will hold people's names and the key that signs links
            # A mistyped path, or another working directory, would otherwise start from nothing without a word.
            logger("store").info("database_created", reason="no_database_there", path=str(path.absolute()))
        return identity(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}") from error


def reading_engine(url: URL) -> Engine:
    """Return an engine that reads a file which another process may hold, and never writes to it.

    Raises StoreError if there is no such file.
    """
    path = Path(url.database or "")
    if not path.is_file():
        raise StoreError(f"there is no database {path}; start the daemon first, or name its store.url (--config)")
    address = f"sqlite:///file:{path.resolve()}?mode=ro&uri=true"
    engine = create_engine(address, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3 would begin no transaction for reads; each would see another state
        connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _engine(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": 10},
        pool_size=pool_size,
        hide_parameters=True,  # events are confidential and must not appear in errors
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3's implicit BEGIN spares reads and breaks savepoints
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # NORMAL may lose acknowledged events when the power fails
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine
