"""The few places in which SQLite and PostgreSQL differ, or in which the driver is used without SQLAlchemy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, Connection, Integer, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from incident_engine.common.errors import StoreError

Insert: TypeAlias = sqlite.Insert | postgresql.Insert

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit number that the database counts up; SQLite only does so for a column of type INTEGER, which has 64 bits."""


def driver(connection: Connection) -> Any:
    """Return the driver's own connection below SQLAlchemy's, with its current transaction."""
    return connection.connection.driver_connection


def fetch(connection: Connection, statement: str, values: Sequence[object] = ()) -> Sequence[Any]:
    """Return the rows of a query in the driver's own values: for the hot path, at a tenth of SQLAlchemy's cost.

    Raises SQLAlchemy's errors.
    """
    with as_sqlalchemy_errors(connection, statement):
        rows: Sequence[Any] = driver(connection).execute(statement, values).fetchall()
    return rows


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Run the block in a savepoint: if it fails, its own writes are rolled back and no others.

    Raises SQLAlchemy's errors.
    """
    _execute(connection, "SAVEPOINT work")
    try:
        yield
    except BaseException as error:
        try:
            _execute(connection, "ROLLBACK TO SAVEPOINT work")
            _execute(connection, "RELEASE SAVEPOINT work")
        except DBAPIError:
            # The database has rolled back the whole transaction; the first error says why, this one does not.
            if isinstance(error, (DBAPIError, StoreError)):
                raise error from None
            raise
        raise
    _execute(connection, "RELEASE SAVEPOINT work")


def _execute(connection: Connection, statement: str) -> None:
    with as_sqlalchemy_errors(connection, statement):
        driver(connection).execute(statement)


@contextmanager
def as_sqlalchemy_errors(connection: Connection, statement: str) -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy's, including those that occur while rows are fetched."""
    errors: Any = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except errors as error:
        dialect = connection.dialect
        is_lost = dialect.is_disconnect(error, connection.connection, None)
        if is_lost:
            connection.invalidate(error)  # otherwise the failing rollback would hide this error
        raise DBAPIError.instance(
            statement, None, error, errors, hide_parameters=True, connection_invalidated=is_lost, dialect=dialect
        ) from error


def upsert(dialect: str, table: Table) -> Insert:
    """Return an insert with `on_conflict_do_…` for the dialect of that name."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
