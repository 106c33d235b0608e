"""Reads a database beside the daemon that holds it: without writing, locking or migrating."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import DatabaseError

from incident_engine.common.errors import StoreError
from incident_engine.store import postgresql, schema, sqlite
from incident_engine.store.diagnosis import cause
from incident_engine.store.flags import RULES_TRIED, get_flag


@contextmanager
def read_only(url: str, *, any_schema: bool = False) -> Iterator[Connection]:
    """Open a transaction that reads one consistent state of a database.

    Raises StoreError if there is no such database, or it has not this version's schema and `any_schema` is False.
    """
    address = make_url(url)
    is_file = address.drivername == "sqlite"
    name = str(address.database) if is_file else postgresql.without_password(address)
    engine = sqlite.reading_engine(address) if is_file else postgresql.reading_engine(address)
    try:
        with engine.connect() as connection, connection.begin():
            if not any_schema:
                schema.refuse_other_schema(connection, name)
            yield connection
    except DatabaseError as error:
        raise StoreError(f"{name} cannot be read as a database: {cause(error)}") from error
    finally:
        engine.dispose()


def tried_rules(url: str) -> str | None:
    """Return the fingerprint of the rules with which a daemon last started on a database; None if it is unknown."""
    try:
        with read_only(url, any_schema=True) as connection:
            return get_flag(connection, RULES_TRIED)
    except StoreError:
        # An unreadable database is reported by the start itself; here it only means that templates are tried again.
        return None
