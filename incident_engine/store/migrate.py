"""Alembic's part in the schema: the revisions that there are, and applying them."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection


def since(scripts: Path, current: str | None) -> tuple[str, ...] | None:
    """Return the revisions after one (None: after nothing), oldest first; None if there is no such revision here."""
    directory = ScriptDirectory.from_config(_config(scripts))
    try:
        directory.get_revision(current or "base")
    except CommandError:
        return None
    found = directory.iterate_revisions("head", current or "base")
    return tuple(script.revision for script in reversed(list(found)))


def upgrade(scripts: Path, connection: Connection) -> None:
    """Apply what is missing, within the caller's transaction."""
    config = _config(scripts)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config(scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config
