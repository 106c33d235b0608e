"""Opening the database, whichever it is: a SQLite file, or a PostgreSQL server for several replicas."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import DatabaseError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from incident_engine.common.errors import StoreError
from incident_engine.common.telemetry import logger
from incident_engine.store import schema
from incident_engine.store.backup import copy_database
from incident_engine.store.diagnosis import cause, explained
from incident_engine.store.postgresql import PostgresqlServer
from incident_engine.store.sqlite import SqliteFile

_STORE_FAILS = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""Of these, a session that froze in a transaction and was ended by the server is an internal error (class 25)."""


class Database:
    """An opened database with the newest schema."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        is_file = self.url.drivername == "sqlite"
        self._backend = SqliteFile(self.url) if is_file else PostgresqlServer(self.url)
        self.name = self._backend.name
        """How errors name it; without a password."""
        self.is_shared = not is_file
        """Whether other replicas write to it."""
        self.copied_to: Path | None = None
        """Where the file is kept as it was before it was brought to a newer schema; None if it was not."""
        self.engine = self._backend.reading
        self.writing = self._backend.writing
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes; committed at the end, rolled back on an error.

        Raises StoreError if the database cannot be reached or fails.
        """
        with _failing(self.name), self._backend.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads one consistent state. Raises StoreError as `write` does."""
        with _failing(self.name), self.engine.connect() as connection, connection.begin():
            yield connection

    def prove_in_place(self) -> None:
        """Raise StoreError if a database file was moved, removed or replaced since it was opened."""
        if isinstance(self._backend, SqliteFile):
            self._backend.prove_in_place()

    def prove_writable(self, connection: Connection) -> None:
        """Write something that changes nothing, so that a transaction shows whether the disk takes it."""
        connection.exec_driver_sql("SELECT 1" if self.is_shared else "PRAGMA user_version = 0")

    def close(self) -> None:
        """Close every connection; a file may be had by others then."""
        self._backend.close()

    def _migrate(self) -> None:
        """Bring the schema up to date. A file that is changed by it is copied first, beside itself."""
        try:
            if not self.is_shared:
                self._copy_before()
            with self._backend.begin(patiently=True) as connection:
                schema.migrate(connection, self.name)
        except DatabaseError as error:
            raise StoreError(f"{self.name} cannot be used as a database: {explained(error)}") from error

    def _copy_before(self) -> None:
        path = Path(self.url.database or "")
        with self.engine.connect() as connection:
            way = schema.migration_path(connection, self.name)
        if way.current is None or not way.revisions:
            return
        self.copied_to = path.with_name(f"{path.name}.schema-{way.current}")
        copy_database(path, self.copied_to)
        about = {"from": way.current, "to": way.newest, "copy": str(self.copied_to)}
        logger("store").info("schema_upgrade", reason="older_schema", **about)


@contextmanager
def _failing(name: str) -> Iterator[None]:
    try:
        yield
    except _STORE_FAILS as error:
        raise StoreError(f"{name} fails: {cause(error)}") from error
