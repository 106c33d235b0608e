"""The schema and its revisions: which one a database has, and the way from there to the newest."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from incident_engine import faults
from incident_engine.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Way:
    """From the revision that a database has (None: it is new) to the newest, with the revisions to be applied."""

    current: str | None
    newest: str
    revisions: tuple[str, ...]


@cache
def newest() -> str:
    """Return the revision of this version's schema."""
    return _newest(ScriptDirectory.from_config(_config()))


def way_of(connection: Connection, name: object) -> Way:
    """Return how far a database is from the newest schema.

    Raises StoreError if it belongs to another program or to a newer version; `name` is how it is called then.
    """
    scripts = ScriptDirectory.from_config(_config())
    head = _newest(scripts)
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        tables = inspect(connection).get_table_names()
        if tables:
            raise StoreError(
                f"{name} belongs to another program (it has a table '{tables[0]}'); name another store.url"
            )
    else:
        _refuse_newer(scripts, current, name)
    to_come = [script.revision for script in scripts.iterate_revisions(head, current or "base")]
    return Way(current, head, tuple(reversed(to_come)))


def migrate(connection: Connection, name: object) -> None:
    """Bring a database to the newest schema, within the caller's transaction: all of it, or nothing.

    Raises StoreError, and changes nothing, if the database is another program's or its schema is a newer version's.
    """
    way_of(connection, name)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    faults.reach(faults.Point.DURING_MIGRATION)


def refuse_other_schema(connection: Connection, name: object) -> None:
    """Raise StoreError unless a database has exactly the schema of this version."""
    way = way_of(connection, name)
    if way.current is None:
        raise StoreError(f"{name} is no database of incident-engine; name another store.url")
    if way.revisions:
        raise StoreError(
            f"{name} has the schema '{way.current}', this version reads '{way.newest}'; bring it up to date: "
            "incident-engine migrate, or start the daemon"
        )


def _newest(scripts: ScriptDirectory) -> str:
    head = scripts.get_current_head()
    assert head is not None  # noqa: S101 - there is a first revision
    return head


def _refuse_newer(scripts: ScriptDirectory, revision: str, name: object) -> None:
    try:
        scripts.get_revision(revision)
    except CommandError:
        raise StoreError(f"{name} has the schema '{revision}' of a newer incident-engine; start that version") from None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
