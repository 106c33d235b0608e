"""The store: instants, illegal states, migrations, and who may have the file."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table, insert, inspect, select
from sqlalchemy.exc import IntegrityError
from support.builders import at
from support.fixtures import MICROSECOND, SHANGHAI

from incident_engine.common.errors import StoreError
from incident_engine.store.database import Database
from incident_engine.store.tables import (
    attempts,
    cases,
    deliveries,
    events,
    metadata,
    quarantine,
    steps,
    timers,
)

NOW = at("10:35")

AN_INCIDENT: dict[str, Any] = {
    "id": "i",
    "kind": "incident",
    "service_group": "banking",
    "opened_at": NOW,
    "first_at": NOW,
    "severity": 0,
    "packs": {},
    "services": [],
    "regions": [],
}
A_STEP: dict[str, Any] = {
    "id": "s",
    "case_id": "i",
    "playbook": "p",
    "step": "s",
    "instance": "1",
    "due_at": NOW,
    "audience": "a",
    "template": "t",
    "state": "pending",
}
A_DELIVERY: dict[str, Any] = {
    "id": "d",
    "step_id": "s",
    "case_id": "i",
    "contact": "c",
    "channel": "outbox",
    "locale": "en",
    "subject": "s",
    "body": "b",
    "priority": 2,
    "position": 0,
    "state": "pending",
    "attempts": 0,
    "due_at": NOW,
    "created_at": NOW,
}
AN_EVENT: dict[str, Any] = {
    "source": "monitor",
    "event_id": "1",
    "case_id": "i",
    "type": "note.added",
    "occurred_at": NOW,
    "received_at": NOW,
    "document": {},
}


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def put(database: Database, table: Table, **values: Any) -> None:
    with database.write() as connection:
        connection.execute(insert(table).values(**values))


def prepare(database: Database) -> None:
    put(database, cases, **AN_INCIDENT)
    put(database, steps, **A_STEP)


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2013, 6, 23, 10, 35, 0, 1, tzinfo=SHANGHAI),
        datetime(2013, 6, 23, 10, 35, 0, 999_999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
    ],
)
def test_an_instant_comes_back_to_the_microsecond_and_in_utc(database: Database, instant: datetime) -> None:
    put(database, cases, **AN_INCIDENT | {"opened_at": instant})
    with database.read() as connection:
        back = connection.scalar(select(cases.c.opened_at))
    assert back == instant
    assert back.utcoffset() == timedelta(0)


def test_instants_a_microsecond_apart_are_kept_apart_and_in_order(database: Database) -> None:
    for place, instant in enumerate((NOW + MICROSECOND, NOW)):
        put(database, cases, **AN_INCIDENT | {"id": f"i{place}", "opened_at": instant})
    with database.read() as connection:
        ordered = list(connection.scalars(select(cases.c.id).order_by(cases.c.opened_at)))
        before = list(connection.scalars(select(cases.c.id).where(cases.c.opened_at <= NOW)))
    assert ordered == ["i1", "i0"]
    assert before == ["i1"]


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (steps, A_STEP | {"id": "s2", "state": "sent"}),
        (deliveries, A_DELIVERY | {"state": "lost"}),
        (deliveries, A_DELIVERY | {"state": "pending", "due_at": None}),
        (deliveries, A_DELIVERY | {"state": "sending", "due_at": None}),
        (deliveries, A_DELIVERY | {"state": "delivered", "due_at": NOW}),
        (deliveries, A_DELIVERY | {"state": "failed", "due_at": NOW}),
        (deliveries, A_DELIVERY | {"step_id": "no such step"}),
        (steps, A_STEP | {"id": "s2", "case_id": "no such incident"}),
        (timers, {"case_id": "no such incident", "due_at": NOW}),
        (attempts, {"delivery_id": "no such delivery", "number": 1, "started_at": NOW}),
        (events, AN_EVENT | {"case_id": "no such incident"}),
        (cases, AN_INCIDENT),
    ],
)
def test_an_illegal_state_is_refused_by_the_database_itself(
    database: Database, table: Table, values: dict[str, Any]
) -> None:
    prepare(database)
    with pytest.raises(IntegrityError):
        put(database, table, **values)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (events, AN_EVENT),
        (
            quarantine,
            {
                "source": "s",
                "key": "k",
                "reason": "r",
                "detail": "d",
                "document": {},
                "first_received_at": NOW,
                "last_received_at": NOW,
                "times": 1,
            },
        ),
        (timers, {"case_id": "i", "due_at": NOW}),
    ],
)
def test_what_is_unique_is_stored_once(database: Database, table: Table, values: dict[str, Any]) -> None:
    prepare(database)
    put(database, table, **values)
    with pytest.raises(IntegrityError):
        put(database, table, **values)


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_the_checks_and_partial_indexes_on_a_file_that_alembic_does_not_compare(
    tmp_path: Path,
) -> None:
    def statements(path: Path) -> dict[str, str]:
        with sqlite3.connect(path) as connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        connection.close()
        return {name: " ".join(sql.split()) for name, sql in found if name != "alembic_version"}

    migrated, created = Database(url(tmp_path / "migrated.db")), Database(url(tmp_path / "created.db"))
    with created.write() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert len(inspect(migrated.engine).get_check_constraints("deliveries")) == 2
    for table in metadata.sorted_tables:
        by_migration = inspect(migrated.engine).get_check_constraints(table.name)
        by_code = inspect(created.engine).get_check_constraints(table.name)
        assert {(c["name"], c["sqltext"]) for c in by_migration} == {(c["name"], c["sqltext"]) for c in by_code}
    for found in (migrated, created):
        found.close()
    ours, theirs = statements(tmp_path / "migrated.db"), statements(tmp_path / "created.db")
    assert {name: sql for name, sql in ours.items() if name.startswith("ix_")} == {
        name: sql for name, sql in theirs.items() if name.startswith("ix_")
    }


def test_a_database_that_is_opened_again_keeps_what_it_holds(store_url: str) -> None:
    for _ in range(2):
        database = Database(store_url)
        with database.read() as connection:
            count = len(connection.execute(select(cases)).all())
        if count == 0:
            put(database, cases, **AN_INCIDENT)
        database.close()
    assert count == 1


def test_every_connection_to_a_file_writes_ahead_fully_synced_and_with_foreign_keys(tmp_path: Path) -> None:
    database = Database(url(tmp_path / "engine.db"))
    with database.read() as first, database.read() as second:
        for connection in (first, second):
            pragmas = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
            assert pragmas == ["wal", 2, 1]  # 2 is FULL
    database.close()


def test_a_reader_sees_one_state_while_a_writer_commits(database: Database) -> None:
    with database.read() as reader:
        assert reader.execute(select(cases)).all() == []
        put(database, cases, **AN_INCIDENT)
        assert reader.execute(select(cases)).all() == []
    with database.read() as reader:
        assert len(reader.execute(select(cases)).all()) == 1


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    Database(url(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match=r"engine\.db has the schema '9999' of a newer incident-engine; start that"):
        Database(url(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    content = "these are the notes of the shift, and no database at all\n" * 40
    path.write_text(content)
    with pytest.raises(StoreError, match=r"notes\.txt cannot be used as a database: file is not a database"):
        Database(url(path))
    assert path.read_text() == content


@pytest.mark.parametrize("table", ["customers", "events", "alembic_versions"])
def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, table: str) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} (what TEXT)")
    connection.close()
    with pytest.raises(StoreError, match=rf"other\.db belongs to another program \(it has a table '{table}'\)"):
        Database(url(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [(table,)]
    connection.close()


def test_a_file_that_another_opening_holds_is_refused_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    first = Database(url(path))
    with pytest.raises(StoreError, match=r"is in use by another incident-engine; stop it, or name another store\.url"):
        Database(url(path))
    first.close()
    Database(url(path)).close()


def test_a_file_that_another_process_holds_is_refused_until_that_process_ends_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    code = (
        "import sys, time\n"
        "from incident_engine.store.database import Database\n"
        f"database = Database({url(path)!r})\n"
        "print('held', flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert "held\n" in other.stdout  # a line of the log about the new database may come first
            with pytest.raises(StoreError, match="is in use by another incident-engine"):
                Database(url(path))
        finally:
            other.kill()
            other.wait(30)
    Database(url(path)).close()


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder in which this process may not write; root may write anywhere, so root steps down meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65_534)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_named(read_only: Path) -> None:
    with pytest.raises(StoreError, match=f"{read_only} cannot be written: Permission denied"):
        Database(url(read_only / "engine.db"))


def test_a_folder_that_cannot_be_made_is_named(read_only: Path) -> None:
    with pytest.raises(StoreError, match=f"{read_only / 'var'} cannot be written: Permission denied"):
        Database(url(read_only / "var" / "engine.db"))


def test_a_folder_that_does_not_exist_is_made(tmp_path: Path) -> None:
    Database(url(tmp_path / "some" / "where" / "engine.db")).close()
    assert (tmp_path / "some" / "where" / "engine.db").is_file()
