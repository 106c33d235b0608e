"""The few places in which the databases are not of one mind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, Connection, Integer, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from incident_engine.common.errors import StoreError

Insert: TypeAlias = sqlite.Insert | postgresql.Insert

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A number that counts up for ever; SQLite's own counting column must be an INTEGER, which has 64 bits there."""


def driver(connection: Connection) -> Any:
    """Return the driver's own connection under one of SQLAlchemy, with the transaction that is under way."""
    return connection.connection.driver_connection


def fetch(connection: Connection, statement: str, values: Sequence[object] = ()) -> Sequence[Any]:
    """Return the rows of a query in the driver's own words: for the hot path, at a tenth of SQLAlchemy's cost.

    Its errors are SQLAlchemy's.
    """
    with as_sqlalchemy_errors(connection, statement):
        rows: Sequence[Any] = driver(connection).execute(statement, values).fetchall()
    return rows


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what is written within the block, and nothing else, if it fails. Raises as SQLAlchemy does."""
    _say(connection, "SAVEPOINT work")
    try:
        yield
    except BaseException as error:
        try:
            _say(connection, "ROLLBACK TO SAVEPOINT work")
            _say(connection, "RELEASE SAVEPOINT work")
        except DBAPIError:
            if isinstance(error, (DBAPIError, StoreError)):
                raise error from None  # the database has rolled back everything, and that is why
            raise
        raise
    _say(connection, "RELEASE SAVEPOINT work")


def _say(connection: Connection, statement: str) -> None:
    with as_sqlalchemy_errors(connection, statement):
        driver(connection).execute(statement)


@contextmanager
def as_sqlalchemy_errors(connection: Connection, statement: str) -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy's own, also those that come while rows are fetched."""
    errors: Any = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except errors as error:
        dialect = connection.dialect
        is_lost = dialect.is_disconnect(error, connection.connection, None)
        if is_lost:
            connection.invalidate(error)  # or the attempt to roll back would hide why
        raise DBAPIError.instance(
            statement, None, error, errors, hide_parameters=True, connection_invalidated=is_lost, dialect=dialect
        ) from error


def upsert(dialect: str, table: Table) -> Insert:
    """Return an insert, for the database of that name, that may say what to do when the row is there already."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
