"""Reading a database beside the daemon that holds it: nothing is written, nothing is locked, nothing is migrated."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from incident_engine.errors import StoreError
from incident_engine.store.schema import way_of


@contextmanager
def read_only(url: str, *, any_schema: bool = False) -> Iterator[Connection]:
    """Open a transaction that reads one consistent state of a database file.

    Raises StoreError if there is no such file, or its schema is not the one of this version (unless any may do).
    """
    path = Path(make_url(url).database or "")
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

    try:
        with engine.connect() as connection, connection.begin():
            if not any_schema:
                _refuse_other_schema(connection, path)
            yield connection
    except DatabaseError as error:
        raise StoreError(f"{path} cannot be read as a database: {error.orig}") from error
    finally:
        engine.dispose()


def _refuse_other_schema(connection: Connection, path: Path) -> None:
    way = way_of(connection, path)
    if way.current is None:
        raise StoreError(f"{path} is no database of incident-engine; name another store.url")
    if way.revisions:
        raise StoreError(
            f"{path} has the schema '{way.current}', this version reads '{way.newest}'; bring it up to date: "
            "incident-engine migrate, or start the daemon"
        )
