"""The contract of the store is one; both databases must keep it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgresql import new_database, shared_server

from incident_engine.store.database import Database

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(params=DATABASES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where an empty database is, once for each kind."""
    return new_database(shared_server()) if request.param == "postgresql" else f"sqlite:///{tmp_path / 'engine.db'}"


@pytest.fixture
def postgresql_url() -> str:
    """Return where an empty database of PostgreSQL is."""
    return new_database(shared_server())


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """Return an empty database, once of each kind."""
    opened = Database(store_url)
    yield opened
    opened.close()
