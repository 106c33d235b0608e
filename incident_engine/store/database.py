"""Opening the database: one file, one daemon, the newest schema."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import DatabaseError, OperationalError

from incident_engine import faults
from incident_engine.errors import StoreError
from incident_engine.store.trouble import explained

_MIGRATIONS = Path(__file__).parent / "migrations"
_BEGIN = "incident_engine_begin"


class Database:
    """An opened database with the newest schema, held by this process alone."""

    def __init__(self, url: str) -> None:
        self.path = Path(make_url(url).database or "")
        self._lock = _hold(self.path)
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

    def prove_writable(self, connection: Connection) -> None:
        """Write something that changes nothing, so that a transaction shows whether the disk takes it."""
        connection.exec_driver_sql("PRAGMA user_version = 0")

    def close(self) -> None:
        """Close every connection and let others have the file."""
        self.engine.dispose()
        self.writing.dispose()
        self._lock.close()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        try:
            with self.write() as connection:
                self._refuse_unknown(connection, config)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                faults.reach(faults.Point.DURING_MIGRATION)
        except (OperationalError, DatabaseError) as error:
            raise StoreError(f"{self.path} cannot be used as a database: {explained(error)}") from error

    def _refuse_unknown(self, connection: Connection, config: Config) -> None:
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None:
            tables = inspect(connection).get_table_names()
            if tables:
                raise StoreError(
                    f"{self.path} belongs to another program (it has a table '{tables[0]}'); name another store.url"
                )
            return
        try:
            ScriptDirectory.from_config(config).get_revision(revision)
        except CommandError:
            raise StoreError(
                f"{self.path} has the schema '{revision}' of a newer incident-engine; start that version"
            ) from None


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
