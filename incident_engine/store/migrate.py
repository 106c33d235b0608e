"""Alembic's part of the schema: the revisions that this version knows, and their application."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection


def revisions_after(scripts: Path, current: str | None) -> tuple[str, ...] | None:
    """Return the revisions after `current` (None: an empty database), oldest first; None if it is unknown here."""
    directory = ScriptDirectory.from_config(_config(scripts))
    try:
        directory.get_revision(current or "base")
    except CommandError:
        return None
    newest_first = directory.iterate_revisions("head", current or "base")
    return tuple(script.revision for script in reversed(list(newest_first)))


def upgrade(scripts: Path, connection: Connection) -> None:
    """Apply all missing revisions within the caller's transaction."""
    config = _config(scripts)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config(scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))  # configparser would interpolate "%"
    return config
