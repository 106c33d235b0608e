"""The schema of a database: its revision, the newest one, and the way from one to the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from incident_engine.common import failpoints
from incident_engine.common.errors import StoreError
from incident_engine.common.lazy_import import LazyModule

if TYPE_CHECKING:
    from incident_engine.store import migrate
else:
    migrate = LazyModule("incident_engine.store.migrate")  # alembic takes a tenth of a start and is rarely needed

MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True)
class MigrationPath:
    """The revisions between a database and the newest schema."""

    current: str | None
    """The database's revision; None if it is empty."""
    newest: str
    revisions: tuple[str, ...]
    """The revisions to apply, oldest first."""


def newest_revision() -> str:
    """Return the newest revision of this version."""
    # Each file is named after its revision, so alembic need not be imported to know the newest.
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def migration_path(connection: Connection, name: object, advice: str = "name another store.url") -> MigrationPath:
    """Return the way of a database to the newest schema.

    Raises StoreError if it belongs to another program or to a newer version. The error calls the database `name`, and
    gives `advice` if it is another program's.
    """
    head = newest_revision()
    tables = inspect(connection).get_table_names()
    stored = f"SELECT version_num FROM {_VERSION_TABLE}"  # noqa: S608 - a constant
    current = connection.scalar(text(stored)) if _VERSION_TABLE in tables else None
    if current == head:
        return MigrationPath(current, head, ())
    if current is None and (others := [table for table in tables if table != _VERSION_TABLE]):
        raise StoreError(f"{name} belongs to another program (it has a table '{others[0]}'); {advice}")
    missing = migrate.revisions_after(MIGRATIONS, current)
    if missing is None:
        raise StoreError(f"{name} has the schema '{current}' of a newer incident-engine; start that version")
    return MigrationPath(current, head, missing)


def upgrade(connection: Connection, name: object) -> None:
    """Bring a database to the newest schema within the caller's transaction, completely or not at all.

    Raises StoreError, and changes nothing, if the database is another program's or its schema is a newer version's.
    """
    if migration_path(connection, name).revisions:
        migrate.upgrade(MIGRATIONS, connection)
    failpoints.reach(failpoints.Point.DURING_MIGRATION)


def refuse_other_schema(connection: Connection, name: object) -> None:
    """Raise StoreError unless a database has exactly the schema of this version."""
    path = migration_path(connection, name)
    if path.current is None:
        raise StoreError(f"{name} is no database of incident-engine; name another store.url")
    if path.revisions:
        raise StoreError(
            f"{name} has the schema '{path.current}', this version reads '{path.newest}'; bring it up to date: "
            "incident-engine migrate, or start the daemon"
        )
