"""PostgreSQL alone: replicas that start together, write one after the other, freeze, and lose the server."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, func, insert, make_url, select, text
from sqlalchemy.pool import NullPool
from support.builders import at

from incident_engine.common.errors import StoreError
from incident_engine.store import postgresql
from incident_engine.store.database import Database
from incident_engine.store.flags import get_or_set_link_key
from incident_engine.store.read_only import read_only
from incident_engine.store.tables import cases
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer

from .test_store import AN_INCIDENT

NOW = at("10:35")


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    opened = Database(postgresql_url)
    yield opened
    opened.close()


def execute(url: str, *statements: str) -> list[Any]:
    """Do something behind the program's back; return the rows of the last statement."""
    engine = create_engine(make_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        results = [connection.execute(text(statement)) for statement in statements]
        rows = list(results[-1]) if results[-1].returns_rows else []
    engine.dispose()
    return rows


def hang_up(url: str) -> None:
    """Close every connection to a database from the server's side, as its restart does."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    execute(url, f"{others} WHERE datname = current_database() AND pid <> pg_backend_pid()")


def put(database: Database, name: str) -> None:
    with database.write() as connection:
        connection.execute(insert(cases).values(**AN_INCIDENT | {"id": name}))


def names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(select(cases.c.id)))


def test_replicas_that_start_together_migrate_once(postgresql_url: str) -> None:
    code = f"from incident_engine.store.database import Database; Database({postgresql_url!r}).close()"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    with read_only(postgresql_url) as connection:
        assert connection.scalar(select(func.count()).select_from(cases)) == 0
    assert execute(postgresql_url, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_replicas_that_start_together_agree_on_the_key_of_their_links(postgresql_url: str) -> None:
    replicas = [Database(postgresql_url) for _ in range(4)]

    def ask(number: int) -> str:
        with replicas[number].write() as connection:
            return get_or_set_link_key(connection, f"key-{number}")

    with ThreadPoolExecutor(4) as threads:
        keys = set(threads.map(ask, range(4)))
    assert len(keys) == 1
    for replica in replicas:
        replica.close()


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(postgresql_url: str) -> None:
    Database(postgresql_url).close()
    execute(postgresql_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"has the schema '9999' of a newer incident-engine; start that version"):
        Database(postgresql_url)
    with pytest.raises(StoreError, match="has the schema '9999' of a newer incident-engine"), read_only(postgresql_url):
        pass
    assert execute(postgresql_url, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_database_of_another_program_is_refused_and_left_alone(postgresql_url: str) -> None:
    execute(postgresql_url, "CREATE TABLE customers (what TEXT)")
    with pytest.raises(StoreError, match=r"belongs to another program \(it has a table 'customers'\)"):
        Database(postgresql_url)
    with pytest.raises(StoreError, match="belongs to another program"), read_only(postgresql_url):
        pass
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    assert execute(postgresql_url, tables) == [("customers",)]


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as refused:
        Database("postgresql+psycopg://engine:hush-hush@127.0.0.1:1/engine")
    assert "postgresql+psycopg://engine:***@127.0.0.1:1/engine cannot be used as a database" in str(refused.value)
    assert "Connection refused" in str(refused.value)
    assert "hush-hush" not in str(refused.value)


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match=r"pip install 'incident-engine\[postgresql\]'"):
        Database("postgresql+psycopg://engine@127.0.0.1/engine")


def test_one_replica_writes_at_a_time_and_the_next_sees_what_it_wrote(postgresql_url: str) -> None:
    one, two = Database(postgresql_url), Database(postgresql_url)
    begun, go_on = threading.Event(), threading.Event()
    seen: list[set[str]] = []

    def first() -> None:
        with one.write() as connection:
            begun.set()
            assert go_on.wait(30)
            connection.execute(insert(cases).values(**AN_INCIDENT | {"id": "one"}))

    def second() -> None:
        with two.write() as connection:
            seen.append(set(connection.scalars(select(cases.c.id))))

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(first)
        assert begun.wait(30)
        waiting = threads.submit(second)
        time.sleep(0.3)
        assert seen == []  # it waits, and takes no state that would be too old
        go_on.set()
        writing.result(30)
        waiting.result(30)
    assert seen == [{"one"}]
    one.close()
    two.close()


def test_a_replica_that_freezes_while_it_writes_loses_the_lock_and_what_it_wrote(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = {"idle_in_transaction_session_timeout": "300ms", "lock_timeout": "10s"}
    monkeypatch.setattr(postgresql, "_WRITING", postgresql._WRITING | shorter)
    frozen, other = Database(postgresql_url), Database(postgresql_url)

    def freeze() -> None:
        with frozen.write() as connection:
            connection.execute(insert(cases).values(**AN_INCIDENT | {"id": "frozen"}))
            put(other, "other")  # waits for the lock until the server takes it from the frozen one

    with pytest.raises(StoreError, match="idle-in-transaction timeout"):
        freeze()
    assert names(other) == {"other"}
    put(frozen, "thawed")  # with a connection of its own again
    assert names(frozen) == {"other", "thawed"}
    frozen.close()
    other.close()


def test_what_waits_too_long_for_another_writer_fails_clearly(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_WRITING", postgresql._WRITING | {"lock_timeout": "200ms"})
    one, two = Database(postgresql_url), Database(postgresql_url)
    with one.write(), pytest.raises(StoreError, match="canceling statement due to lock timeout"), two.write():
        pass
    one.close()
    two.close()


def test_writing_sessions_are_synced_and_bounded_and_reading_ones_see_one_state(database: Database) -> None:
    with database.write() as connection:
        shown = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in ("synchronous_commit", "idle_in_transaction_session_timeout", "lock_timeout")
        }
        assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
    assert shown == {
        "synchronous_commit": "on",
        "idle_in_transaction_session_timeout": "5s",
        "lock_timeout": "15s",
    }
    with database.read() as connection:
        assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"


def test_a_server_that_hung_up_is_found_again_by_itself(database: Database) -> None:
    put(database, "before")
    hang_up(database.url.render_as_string(hide_password=False))
    assert names(database) == {"before"}
    put(database, "after")
    assert names(database) == {"before", "after"}


def test_a_work_over_which_the_server_hangs_up_fails_and_the_writer_goes_on(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)

    def interrupted(unit: UnitOfWork) -> None:
        unit.connection.execute(insert(cases).values(**AN_INCIDENT | {"id": "interrupted"}))
        hang_up(url)
        unit.connection.execute(select(cases))

    writer = Writer(database, 10, lambda: None)
    writer.start()
    with pytest.raises(StoreError, match=r"the store could not save this request: .*terminating connection"):
        writer.submit(interrupted).result(30)
    writer.submit(lambda unit: unit.connection.execute(insert(cases).values(**AN_INCIDENT)) and None).result(30)
    assert names(database) == {"i"}
    writer.stop(10)


def test_numbers_go_on_beyond_thirty_two_bits(database: Database) -> None:
    columns = "SELECT DISTINCT data_type FROM information_schema.columns WHERE column_name IN ('seq', 'events_until')"
    assert execute(database.url.render_as_string(hide_password=False), columns) == [("bigint",)]


def test_what_is_due_or_open_is_indexed_alone(database: Database) -> None:
    indexes = "SELECT indexdef FROM pg_indexes WHERE indexname IN ('ix_deliveries_due', 'ix_cases_open')"
    found = execute(database.url.render_as_string(hide_password=False), indexes)
    assert sorted(row[0].partition(" WHERE ")[2] for row in found) == ["(closed_at IS NULL)", "(due_at IS NOT NULL)"]
