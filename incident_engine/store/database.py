"""Opening the database: one file, one daemon, the newest schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError

from incident_engine.errors import StoreError
from incident_engine.store.copying import copy_database
from incident_engine.store.holding import hold
from incident_engine.store.schema import Way, upgrade, way_of
from incident_engine.telemetry import logger

_BEGIN = "incident_engine_begin"


class Database:
    """An opened database with the newest schema, held by this process alone."""

    def __init__(self, url: str) -> None:
        self.path = Path(make_url(url).database or "")
        self.copied_to: Path | None = None
        """Where the database is kept as it was before it was brought to a newer schema; None if it was not."""
        self._lock = hold(self.path)
        self.engine = _engine(url, pool_size=8)
        self.writing = _engine(url, pool_size=1)  # readers, however many, cannot keep the writer waiting
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes; committed at the end, rolled back on an error."""
        connection = self.writing.connect().execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        with connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads one consistent state."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection and let others have the file."""
        self.engine.dispose()
        self.writing.dispose()
        self._lock.close()

    def _migrate(self) -> None:
        """Bring the schema up to date. A database that is changed by it is copied first, beside itself."""
        try:
            with self.read() as connection:
                way = way_of(connection, self.path)
            if way.current is not None and way.revisions:
                self._copy_before(way)
            with self.write() as connection:
                upgrade(connection)
        except DatabaseError as error:
            raise StoreError(f"{self.path} cannot be used as a database: {error.orig}") from error

    def _copy_before(self, way: Way) -> None:
        copy = self.path.with_name(f"{self.path.name}.schema-{way.current}")
        copy_database(self.path, copy)
        self.copied_to = copy
        about = {"from": way.current, "to": way.newest, "copy": str(copy)}
        logger("store").info("schema_upgrade", reason="older_schema", **about)


def _engine(url: str, pool_size: int) -> Engine:
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
