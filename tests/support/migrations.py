"""A revision after the newest one, as a later release would bring it."""

import shutil
from pathlib import Path

import pytest

from incident_engine.store import schema

LATER = "9999"


def add_revision(folder: Path, monkeypatch: pytest.MonkeyPatch, upgrade: str) -> Path:
    """Add a revision with this body of `upgrade()` after the newest one, for one test; return its file."""
    scripts = folder / "migrations"
    shutil.copytree(schema.MIGRATIONS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    newest = max(path.name[:4] for path in (scripts / "versions").glob("*.py"))
    file = scripts / "versions" / f"{LATER}_later.py"
    file.write_text(
        f'revision = "{LATER}"\ndown_revision = "{newest}"\nfrom alembic import op\nimport sqlalchemy as sa\n\n'
        f"def upgrade():\n{upgrade}"
    )
    monkeypatch.setattr(schema, "MIGRATIONS", scripts)
    return file
