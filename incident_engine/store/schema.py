"""The schema's revisions: bringing a database to the newest, and refusing what is not ours or too new."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from incident_engine import faults
from incident_engine.errors import StoreError

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, name: str) -> None:
    """Bring a database to the newest schema.

    Raises StoreError, and changes nothing, if the database is another program's or its schema is a newer version's.
    """
    config = _config()
    _refuse_unknown(connection, config, name)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    faults.reach(faults.Point.DURING_MIGRATION)


def refuse_other_schema(connection: Connection, name: str) -> None:
    """Raise StoreError unless a database has exactly the schema of this version."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        raise StoreError(f"{name} is no database of incident-engine; name another store.url")
    if revision != head:
        raise StoreError(
            f"{name} has the schema '{revision}', this version reads '{head}'; start the daemon of it once"
        )


def _refuse_unknown(connection: Connection, config: Config, name: str) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        tables = inspect(connection).get_table_names()
        if tables:
            raise StoreError(
                f"{name} belongs to another program (it has a table '{tables[0]}'); name another store.url"
            )
        return
    try:
        ScriptDirectory.from_config(config).get_revision(revision)
    except CommandError:
        raise StoreError(f"{name} has the schema '{revision}' of a newer incident-engine; start that version") from None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
