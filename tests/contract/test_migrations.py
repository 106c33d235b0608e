"""Migrations: forwards from every released schema, all data kept; and backwards never."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from support.builders import at, event_json, restored_json, started_json
from support.fixtures import house, rows
from support.migrations import LATER, add_revision
from support.reproduction import reproduced

from incident_engine.common.errors import StoreError
from incident_engine.store import migrate as revisions
from incident_engine.store import schema
from incident_engine.store.database import Database
from incident_engine.store.tables import cases, deliveries, metadata, quarantine, steps

DATA = Path(__file__).parent / "data"
RELEASED = ["0001"]
"""The schema of each release. A database of each is in `data`, as that release wrote it."""

Rows = dict[str, list[dict[str, Any]]]


def load(folder: Path, revision: str) -> Path:
    """Write the database of a release."""
    path = folder / "engine.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / f"schema-{revision}.sql").read_text(encoding="utf-8"))
    return path


def contents(path: Path) -> Rows:
    """Return every row of every table, as it is stored."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY 1')] for name in names}


def open_and_close(path: Path) -> None:
    Database(f"sqlite:///{path}").close()


@pytest.mark.parametrize("revision", RELEASED)
def test_every_row_and_document_of_a_release_is_kept(tmp_path: Path, revision: str) -> None:
    path = load(tmp_path, revision)
    before = contents(path)
    assert min(len(before[name]) for name in ("cases", "events", "assessments", "steps", "reports", "attempts")) > 1
    open_and_close(path)
    after = contents(path)
    del before["alembic_version"]
    for table, found in before.items():
        kept = [{name: row[name] for name in found[0]} for row in after[table]] if found else after[table]
        assert kept == found, table


@pytest.mark.parametrize("revision", RELEASED)
def test_the_schema_of_a_release_becomes_exactly_the_one_that_the_code_knows(tmp_path: Path, revision: str) -> None:
    database = Database(f"sqlite:///{load(tmp_path, revision)}")
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    database.close()


@pytest.mark.parametrize("revision", RELEASED)
def test_the_engine_goes_on_with_the_database_of_a_release(tmp_path: Path, revision: str) -> None:
    load(tmp_path, revision)
    with house(tmp_path) as engine:
        assert reproduced(engine) == 7
        closed, still_open = engine.rows(cases)
        assert (closed["level"], still_open["level"], still_open["closed_at"]) == ("III", "II", None)
        with engine.database.read() as connection:
            case = engine.reader.case(connection, still_open["id"], at("16:00"))
        assert case is not None
        assert case.assessments[0].level == "I"  # two provinces, three hours: Art. 9(1)2
        before = len(engine.rows(deliveries))
        assert engine.fire(at("16:00")) > 0
        assert [row["level"] for row in engine.rows(cases) if row["closed_at"] is None] == ["I"]
        assert len(engine.rows(deliveries)) > before
        about: dict[str, Any] = {"service": "payments"}
        (receipt,) = engine.report(at("16:10"), restored_json("up", at("16:05"), "CN-HN", "CN-HB", **about))
        assert receipt.incident == still_open["id"]
        (again,) = engine.report(
            at("16:11"), event_json("up", "outage.restored", at("16:05"), regions=["湖北", "CN-HN"], **about)
        )
        assert again.outcome == "duplicate"
        assert [row["times"] for row in engine.rows(quarantine)] == [2]


@pytest.mark.usefixtures("later_release")
@pytest.mark.parametrize("revision", RELEASED)
def test_a_copy_of_the_database_is_kept_as_it_was_before(tmp_path: Path, revision: str) -> None:
    path = load(tmp_path, revision)
    before = contents(path)
    open_and_close(path)
    copy = tmp_path / f"engine.db.schema-{revision}"
    assert contents(copy) == before
    written = copy.stat().st_mtime_ns
    open_and_close(path)  # what is up to date is not copied again
    assert copy.stat().st_mtime_ns == written


def test_the_files_are_named_by_their_revisions_in_order() -> None:
    found = sorted(path.name[:4] for path in (schema.MIGRATIONS / "versions").glob("*.py"))
    assert list(revisions.revisions_after(schema.MIGRATIONS, None) or ()) == found
    assert found[-1] == schema.newest_revision()


def test_a_new_database_is_not_copied(tmp_path: Path) -> None:
    open_and_close(tmp_path / "engine.db")
    assert not list(tmp_path.glob("*.schema-*"))


@pytest.fixture
def later_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this the release after the newest one, with a column more."""
    add_revision(tmp_path, monkeypatch, '    op.add_column("cases", sa.Column("more", sa.String()))\n')


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add a revision that changes tables and data, and then fails; return its file."""
    return add_revision(
        tmp_path,
        monkeypatch,
        '    op.execute("DELETE FROM attempts")\n'
        '    op.create_table("more", sa.Column("id", sa.String(), primary_key=True))\n'
        '    op.add_column("cases", sa.Column("more", sa.String()))\n'
        '    raise ValueError("the power went out")\n',
    )


def test_a_migration_that_fails_leaves_everything_as_it_was(tmp_path: Path, failing: Path) -> None:
    path = load(tmp_path, "0001")
    before = contents(path)
    with pytest.raises(ValueError, match="the power went out"):
        open_and_close(path)
    assert contents(path) == before  # not even the revisions before it were kept
    failing.unlink()
    open_and_close(path)
    assert rows_of(path) == {"cases": 2, "steps": 45}


def rows_of(path: Path) -> dict[str, int]:
    database = Database(f"sqlite:///{path}")
    found = {table.name: len(rows(database, table)) for table in (cases, steps)}
    database.close()
    return found


def test_what_a_newer_version_wrote_is_refused_and_left_alone(tmp_path: Path, failing: Path) -> None:
    path = tmp_path / "engine.db"
    failing.write_text(failing.read_text().replace("    raise", "    # raise"))
    open_and_close(path)
    before = contents(path)
    failing.unlink()  # from here on this is the older version
    with pytest.raises(StoreError, match=rf"has the schema '{LATER}' of a newer incident-engine; start that version"):
        open_and_close(path)
    assert contents(path) == before
    assert [row["version_num"] for row in before["alembic_version"]] == [LATER]


@pytest.mark.usefixtures("later_release")
def test_a_damaged_database_is_not_migrated(tmp_path: Path) -> None:
    path = load(tmp_path, "0001")
    with path.open("r+b") as file:
        file.seek(3 * 4096 + 100)
        file.write(b"\xff" * 8192)
    before = path.read_bytes()[:4096]
    with pytest.raises(StoreError, match=r"engine\.db"):
        open_and_close(path)
    assert path.read_bytes()[40:48] == before[40:48]  # the schema cookie


def test_an_outage_after_the_migration_has_an_incident_of_its_own(tmp_path: Path) -> None:
    load(tmp_path, "0001")
    with house(tmp_path) as engine:
        engine.report(at("2013-07-01 10:00"), started_json("new", at("2013-07-01 09:59"), "CN-SX"))
        assert len(engine.rows(cases)) == 3
