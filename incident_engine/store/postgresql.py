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

_LIBRARIES = ("psycopg", "procrastinate")
_LOCK = int.from_bytes(b"incident")
"""Key of the advisory lock that a writing transaction holds until its end; advisory locks are local to a database."""
_CONNECT_SECONDS = 5
_READERS = 5
"""Connections that stay open for readers; as many again are opened while all of them are busy."""
_WRITING = {
    "synchronous_commit": "on",  # an acknowledged event is on disk, whatever the server's default
    "idle_in_transaction_session_timeout": "5s",  # a frozen replica must release the lock
    "lock_timeout": "15s",  # longer than that: replicas outlast a frozen one instead of failing with it
}
_MIGRATING = {"idle_in_transaction_session_timeout": "60s", "lock_timeout": "10min"}
"""Timeouts of a migration, and of replicas that wait for another one's."""


class PostgresqlServer:
    """A database on a server, shared with other replicas."""

    def __init__(self, url: URL) -> None:
        _refuse_without_libraries()
        self.name = without_password(url)
        # All reads of a transaction see the same state.
        self.reading = _engine(url, {}, pool_size=_READERS, max_overflow=_READERS, isolation_level="REPEATABLE READ")
        # Each statement sees the last writer's commit; a snapshot from before the lock would be stale.
        self.writing = _engine(url, _WRITING, pool_size=1, isolation_level="READ COMMITTED")

    @contextmanager
    def begin(self, *, for_migration: bool = False) -> Iterator[Connection]:
        """Open a writing transaction; no other process writes until it ends. Waits for the current writer.

        `for_migration` waits for as long as a migration may take.
        """
        with self.writing.connect() as connection, connection.begin():
            for name, value in _MIGRATING.items() if for_migration else ():
                connection.exec_driver_sql(f"SET LOCAL {name} = '{value}'")
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.reading.dispose()
        self.writing.dispose()


def without_password(url: URL) -> str:
    """Return an address without its password, for logs and errors."""
    return url.render_as_string(hide_password=True)


def conninfo(url: URL) -> str:
    """Return an address in the form of libpq, with its password."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def reading_engine(url: URL) -> Engine:
    """Return an engine that reads beside the replicas; the server refuses its writes."""
    _refuse_without_libraries()
    session = {"default_transaction_read_only": "on"}
    return _engine(url, session, poolclass=NullPool, isolation_level="REPEATABLE READ")


def _refuse_without_libraries() -> None:
    if any(importlib.util.find_spec(name) is None for name in _LIBRARIES):
        raise StoreError(
            "store.url names PostgreSQL, for which psycopg and procrastinate are needed; "
            "pip install 'incident-engine[postgresql]'"
        )


def _engine(url: URL, session: dict[str, str], **options: Any) -> Engine:
    engine = create_engine(
        url,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "incident-engine"},
        pool_pre_ping=True,  # after a restart of the server, dead connections are replaced
        hide_parameters=True,  # events are confidential and must not appear in errors
        **options,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            for name, value in session.items():
                cursor.execute(f"SET {name} = '{value}'")
        connection.commit()  # SET is undone by a rollback of the transaction that it stands in

    return engine
