"""The schema and its revisions: which one a database has, and the way from there to the newest."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from incident_engine.common import failpoints as faults
from incident_engine.common.errors import StoreError
from incident_engine.common.lazy_import import LazyModule

if TYPE_CHECKING:
    from incident_engine.store import migrate as revisions
else:
    revisions = LazyModule("incident_engine.store.migrate")  # alembic takes a tenth of a start and is rarely needed

MIGRATIONS = Path(__file__).parent / "migrations"
_MARK = "alembic_version"


@dataclass(frozen=True, slots=True)
class MigrationPath:
    """From the revision that a database has (None: it is new) to the newest, with the revisions to be applied."""

    current: str | None
    newest: str
    revisions: tuple[str, ...]


def newest() -> str:
    """Return the revision of this version's schema: the files are named by theirs, in order."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def migration_path(connection: Connection, name: object, advice: str = "name another store.url") -> MigrationPath:
    """Return how far a database is from the newest schema.

    Raises StoreError if it belongs to another program or to a newer version; `name` is how it is called then, and
    `advice` what to do if it is another program's.
    """
    head = newest()
    tables = inspect(connection).get_table_names()
    current = connection.scalar(text(f"SELECT version_num FROM {_MARK}")) if _MARK in tables else None  # noqa: S608
    if current == head:
        return MigrationPath(current, head, ())
    if current is None and (others := [table for table in tables if table != _MARK]):
        raise StoreError(f"{name} belongs to another program (it has a table '{others[0]}'); {advice}")
    to_come = revisions.since(MIGRATIONS, current)
    if to_come is None:
        raise StoreError(f"{name} has the schema '{current}' of a newer incident-engine; start that version")
    return MigrationPath(current, head, to_come)


def migrate(connection: Connection, name: object) -> None:
    """Bring a database to the newest schema, within the caller's transaction: all of it, or nothing.

    Raises StoreError, and changes nothing, if the database is another program's or its schema is a newer version's.
    """
    if migration_path(connection, name).revisions:
        revisions.upgrade(MIGRATIONS, connection)
    faults.reach(faults.Point.DURING_MIGRATION)


def refuse_other_schema(connection: Connection, name: object) -> None:
    """Raise StoreError unless a database has exactly the schema of this version."""
    way = migration_path(connection, name)
    if way.current is None:
        raise StoreError(f"{name} is no database of incident-engine; name another store.url")
    if way.revisions:
        raise StoreError(
            f"{name} has the schema '{way.current}', this version reads '{way.newest}'; bring it up to date: "
            "incident-engine migrate, or start the daemon"
        )
