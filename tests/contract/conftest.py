"""The contract of the store is one; both databases must keep it."""

from pathlib import Path

import pytest
from support.postgresql import new_database, shared_server

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(params=DATABASES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where an empty database is, once for each kind."""
    return new_database(shared_server()) if request.param == "postgresql" else f"sqlite:///{tmp_path / 'engine.db'}"


@pytest.fixture
def postgresql_url() -> str:
    """Return where an empty database of PostgreSQL is."""
    return new_database(shared_server())
