"""PostgreSQL: one database for several replicas, of which one writes at a time.

Sources: https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS and
https://www.postgresql.org/docs/current/runtime-config-client.html (the timeouts).
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from incident_engine.common.errors import StoreError

_NEEDED = ("psycopg", "procrastinate")
_LOCK = int.from_bytes(b"incident")
"""The advisory lock that a writing transaction holds until its end; advisory locks are each database's own."""
_CONNECT_SECONDS = 5
_READERS = 5
"""Connections that are kept; as many again are opened when they are all busy."""
_WRITING = {
    "synchronous_commit": "on",  # whoever is answered is on disk, whatever the server's default
    "idle_in_transaction_session_timeout": "5s",  # a frozen replica must let go of the lock
    "lock_timeout": "15s",  # longer: who waits for a frozen replica is served once it has lost the lock
}
_PATIENTLY = {"idle_in_transaction_session_timeout": "60s", "lock_timeout": "10min"}
"""While migrating, and while another replica migrates."""


class PostgresqlServer:
    """A database on a server, shared with other replicas."""

    def __init__(self, url: URL) -> None:
        _refuse_without_libraries()
        self.name = shown(url)
        # Every read of a transaction sees one state.
        self.reading = _engine(url, {}, pool_size=_READERS, max_overflow=_READERS, isolation_level="REPEATABLE READ")
        # Each statement sees what the last writer committed: a state taken before the lock was had would be too old.
        self.writing = _engine(url, _WRITING, pool_size=1, isolation_level="READ COMMITTED")

    @contextmanager
    def begin(self, *, patiently: bool = False) -> Iterator[Connection]:
        """Open a transaction that nobody else can write beside, in any process. Waits for whoever writes now.

        `patiently` waits as long as a migration may take.
        """
        with self.writing.connect() as connection, connection.begin():
            for name, value in _PATIENTLY.items() if patiently else ():
                connection.exec_driver_sql(f"SET LOCAL {name} = '{value}'")
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.reading.dispose()
        self.writing.dispose()


def shown(url: URL) -> str:
    """Return an address as it may be shown: without its password."""
    return url.render_as_string(hide_password=True)


def conninfo(url: URL) -> str:
    """Return an address as PostgreSQL's own library wants it, with its password."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def reading_engine(url: URL) -> Engine:
    """Return an engine that reads beside the replicas, and never writes."""
    _refuse_without_libraries()
    given = {"default_transaction_read_only": "on"}
    return _engine(url, given, poolclass=NullPool, isolation_level="REPEATABLE READ")


def _refuse_without_libraries() -> None:
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise StoreError(
            "store.url names PostgreSQL, for which psycopg and procrastinate are needed; "
            "pip install 'incident-engine[postgresql]'"
        )


def _engine(url: URL, session: dict[str, str], **more: Any) -> Engine:
    engine = create_engine(
        url,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "incident-engine"},
        pool_pre_ping=True,  # a server that was restarted is found again by itself
        hide_parameters=True,  # what others reported must not stand in an error
        **more,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            for name, value in session.items():
                cursor.execute(f"SET {name} = '{value}'")
        connection.commit()

    return engine
