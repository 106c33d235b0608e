"""Opens the database: a SQLite file, or a PostgreSQL server for several replicas."""

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
from incident_engine.store.diagnosis import cause, explain
from incident_engine.store.postgresql import PostgresqlServer
from incident_engine.store.sqlite import SqliteFile

_STORE_FAILS = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""Errors of the database itself, not of a statement.

A session that PostgreSQL ends because it idled in a transaction is an InternalError (class 25)."""


class Database:
    """An open database with the newest schema."""

    def __init__(self, url: str) -> None:
        """Open and migrate the database. Raises StoreError if it cannot be used."""
        self.url = make_url(url)
        is_file = self.url.drivername == "sqlite"
        self._backend = SqliteFile(self.url) if is_file else PostgresqlServer(self.url)
        self.name = self._backend.name
        """The path or address for errors, without a password."""
        self.is_shared = not is_file
        """Whether other replicas write to it."""
        self.copied_to: Path | None = None
        """The copy of the file from before its migration; None if it was not migrated."""
        self.engine = self._backend.reading
        self.writing = self._backend.writing
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a writing transaction; it is committed at the end and rolled back on an error.

        Raises StoreError if the database cannot be reached or fails.
        """
        with _store_errors(self.name), self._backend.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads one consistent state. Raises StoreError as `write` does."""
        with _store_errors(self.name), self.engine.connect() as connection, connection.begin():
            yield connection

    def prove_in_place(self) -> None:
        """Raise StoreError if a database file was moved, removed or replaced since it was opened."""
        if isinstance(self._backend, SqliteFile):
            self._backend.prove_in_place()

    def prove_writable(self, connection: Connection) -> None:
        """Write without changing anything; the commit fails if the disk accepts no writes."""
        # On a server, reaching it and taking the lock is the proof.
        connection.exec_driver_sql("SELECT 1" if self.is_shared else "PRAGMA user_version = 0")

    def close(self) -> None:
        """Close all connections and release the file."""
        self._backend.close()

    def _migrate(self) -> None:
        """Bring the schema up to date; a file that has an older one is copied first."""
        try:
            if not self.is_shared:
                self._copy_before_migration()
            with self._backend.begin(for_migration=True) as connection:
                schema.upgrade(connection, self.name)
        except DatabaseError as error:
            raise StoreError(f"{self.name} cannot be used as a database: {explain(error)}") from error

    def _copy_before_migration(self) -> None:
        path = Path(self.url.database or "")
        with self.engine.connect() as connection:
            migration = schema.migration_path(connection, self.name)
        if migration.current is None or not migration.revisions:
            return
        self.copied_to = path.with_name(f"{path.name}.schema-{migration.current}")
        copy_database(path, self.copied_to)
        fields = {"from": migration.current, "to": migration.newest, "copy": str(self.copied_to)}
        logger("store").info("schema_upgrade", reason="older_schema", **fields)


@contextmanager
def _store_errors(name: str) -> Iterator[None]:
    try:
        yield
    except _STORE_FAILS as error:
        raise StoreError(f"{name} fails: {cause(error)}") from error
