"""SQLite: one file, held by one process, written ahead and fully synced."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from incident_engine.common.errors import StoreError
from incident_engine.store.file_lock import Identity, acquire, identity, lock_of

_BEGIN = "incident_engine_begin"


class SqliteFile:
    """A database file that this process alone has."""

    def __init__(self, url: URL) -> None:
        path = Path(url.database or "")
        self.name = str(path)
        self._path = path
        self._lock = acquire(path)
        self._identity = _made(path)
        self.reading = _engine(url, pool_size=8)
        self.writing = _engine(url, pool_size=1)  # readers, however many, cannot keep the writer waiting

    @contextmanager
    def begin(self, *, patiently: bool = False) -> Iterator[Connection]:
        """Open a transaction that writes. Nobody else has the file: whether `patiently` makes no difference.

        Raises StoreError if the file was moved, removed or replaced: what is written then would be lost.
        """
        self.prove_in_place()
        connection = self.writing.connect().execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        with connection, connection.begin():
            yield connection

    def prove_in_place(self) -> None:
        """Raise StoreError unless the file and its lock are those that were opened."""
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
        """Close every connection and let others have the file."""
        self.reading.dispose()
        self.writing.dispose()
        self._lock.close()


def _made(path: Path) -> Identity:
    """Return which file it is; a new one is for its owner alone, since it holds names and the key of the links."""
    try:
        if not path.exists():
            path.touch(mode=0o600)
        return identity(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}") from error


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
