"""SQLite: one file, held by one process, written ahead and fully synced."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from incident_engine.errors import StoreError

_BEGIN = "incident_engine_begin"


class SqliteFile:
    """A database file that this process alone has."""

    def __init__(self, url: URL) -> None:
        path = Path(url.database or "")
        self.name = str(path)
        self._lock = _hold(path)
        self.reading = _engine(url, pool_size=8)
        self.writing = _engine(url, pool_size=1)  # readers, however many, cannot keep the writer waiting

    @contextmanager
    def begin(self, *, patiently: bool = False) -> Iterator[Connection]:
        """Open a transaction that writes. Nobody else has the file: whether `patiently` makes no difference."""
        connection = self.writing.connect().execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        with connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection and let others have the file."""
        self.reading.dispose()
        self.writing.dispose()
        self._lock.close()


def reading_engine(url: URL) -> Engine:
    """Return an engine that reads a file which another process may hold, and never writes it.

    Raises StoreError if there is no such file.
    """
    path = Path(url.database or "")
    if not path.is_file():
        raise StoreError(f"there is no database {path}; start the daemon first, or name its store.url (--config)")
    given = f"sqlite:///file:{path.resolve()}?mode=ro&uri=true"
    engine = create_engine(given, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: every read sees the same state
        connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _hold(path: Path) -> IO[str]:
    """Take the file for this process alone; the system lets go when the process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Path(f"{path}.lock").open("w", encoding="utf-8")  # noqa: SIM115 - held until the database is closed
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(f"{path} is in use by another incident-engine; stop it, or name another store.url") from None
    return lock


def _engine(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": 10},
        pool_size=pool_size,
        hide_parameters=True,  # what others reported must not stand in an error
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, so that savepoints and reads are real transactions
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine
