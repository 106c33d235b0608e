"""Prepared statements mean what SQLAlchemy would have made of them, on both databases; savepoints undo their own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from support.builders import at
from support.fixtures import rows

from incident_engine.common.errors import StoreError
from incident_engine.domain.response.step import StepState
from incident_engine.store.database import Database
from incident_engine.store.dialect import savepoint
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.steps import steps_of
from incident_engine.store.tables import assessments, cases, deliveries, events, packs, steps
from incident_engine.store.writer import Writer

from .test_store import A_DELIVERY, A_STEP, AN_INCIDENT

NOW = at("10:35")
ALL = Prepared(select(cases).where(cases.c.id == bindparam("id")))


def test_what_it_inserts_and_reads_is_what_sqlalchemy_does(database: Database) -> None:
    one = AN_INCIDENT | {
        "id": "a'b%s?:x",
        "packs": {"cn": "哈希", "none": None},
        "services": ["柜面", "mobile"],
        "regions": [],
        "level": None,
        "last_at": datetime(2013, 6, 23, 10, 35, 0, 123456, tzinfo=UTC),
    }
    with database.write() as connection:
        insert_row(connection, cases, one)
        connection.execute(insert(cases).values(**one | {"id": "other"}))
        ours = ALL.row(connection, id=one["id"])
        theirs = connection.execute(select(cases).where(cases.c.id == one["id"])).mappings().one()
        assert ours._asdict() == dict(theirs)
        assert ours == ALL.row(connection, id="other")._replace(id=ours.id)
        assert ALL.row(connection, id="nobody") is None
        assert ALL.rows(connection, id="nobody") == []
    assert [row["last_at"] for row in rows(database, cases)] == [one["last_at"]] * 2


def test_states_numbers_truth_and_nothing_come_back_as_they_were(database: Database) -> None:
    verdict: dict[str, Any] = {
        "case_id": AN_INCIDENT["id"],
        "pack": "p",
        "version": "1",
        "content_hash": "h",
        "at": NOW,
        "level": None,
        "level_retained": True,
        "events_until": 2**40,
        "document": {"level": None, "level_retained": True, "名": [1, 2.5]},
    }
    with database.write() as connection:
        insert_row(connection, cases, AN_INCIDENT)
        insert_row(connection, packs, {"content_hash": "h", "pack": "p", "version": "1", "document": {}})
        insert_row(connection, assessments, verdict)
        insert_row(connection, steps, A_STEP | {"state": StepState.STARTED})
        assert update_row(connection, steps, A_STEP["id"], {"deadline": None, "state": StepState.FAILED}) == 1
        assert update_row(connection, steps, "nobody", {"state": StepState.FAILED}) == 0
        read = Prepared(select(assessments)).row(connection)
    assert {name: getattr(read, name) for name in verdict} == verdict
    assert read.level_retained is True
    assert [(row["state"], row["deadline"], row["generation"]) for row in rows(database, steps)] == [
        ("failed", None, 1)
    ]


def test_values_beside_parameters_and_one_parameter_twice(database: Database) -> None:
    late = Prepared(
        update(deliveries).where(
            deliveries.c.state == "pending",
            deliveries.c.due_at <= bindparam("now"),
            deliveries.c.created_at <= bindparam("now"),
        ),
        ("state", "due_at", "ended_at"),
    )
    some = Prepared(select(deliveries.c.id, func.max(deliveries.c.attempts)).group_by(deliveries.c.id).limit(1))
    with database.write() as connection:
        connection.execute(insert(cases).values(**AN_INCIDENT))
        connection.execute(insert(steps).values(**A_STEP))
        for name, due_at in (("a", NOW), ("b", NOW + timedelta(seconds=1))):
            values = A_DELIVERY | {"id": name, "due_at": due_at, "created_at": NOW}
            connection.execute(insert(deliveries).values(**values))
        assert late.run(connection, {"now": NOW, "state": "cancelled", "due_at": None, "ended_at": NOW}) == 1
        assert len(some.rows(connection)) == 1
    assert {row["id"]: row["state"] for row in rows(database, deliveries)} == {"a": "cancelled", "b": "pending"}


def test_a_parameter_that_is_missing_is_named(database: Database) -> None:
    with database.read() as connection, pytest.raises(KeyError, match="id"):
        ALL.row(connection)


def test_a_list_of_changing_length_cannot_be_prepared(database: Database) -> None:
    several = Prepared(select(cases).where(cases.c.id.in_(bindparam("ids", expanding=True))))
    with database.read() as connection, pytest.raises(ValueError, match="changing length"):
        several.rows(connection, ids=["a"])


def test_its_errors_are_those_of_sqlalchemy_and_show_no_values(database: Database) -> None:
    def twice() -> None:
        with database.write() as connection:
            insert_row(connection, cases, AN_INCIDENT)
            insert_row(connection, cases, AN_INCIDENT)

    def without_table() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("DROP TABLE events")
            Prepared(select(events)).rows(connection)

    with pytest.raises(IntegrityError) as raised:
        twice()
    assert AN_INCIDENT["service_group"] not in str(raised.value)
    assert rows(database, cases) == []
    with pytest.raises((ProgrammingError, StoreError)):
        without_table()
    assert rows(database, events) == []  # the whole transaction was undone


def test_a_page_that_is_damaged_behind_the_first_row_is_told_as_damage_too(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    database = Database(f"sqlite:///{path}")
    with database.write() as connection:
        insert_row(connection, cases, AN_INCIDENT)
        for number in range(400):
            insert_row(connection, steps, A_STEP | {"id": f"s{number:05}", "reason": "x" * 300})
    database.close()
    content = bytearray(path.read_bytes())
    pages = [at for at in range(0, len(content), 4096) if content[at : at + 4096].count(b"x" * 300) > 2]
    damaged = pages[len(pages) // 2]
    content[damaged : damaged + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    database = Database(f"sqlite:///{path}")
    writer = Writer(database, 10, lambda: None)
    writer.start()
    reading = writer.submit(lambda unit: steps_of(unit.connection, A_STEP["case_id"]))
    with pytest.raises(StoreError, match="malformed: it is damaged; stop the daemon"):
        reading.result(30)
    assert writer.failure.is_lasting
    writer.stop(10)
    database.close()


def test_a_savepoint_undoes_what_is_within_it_and_nothing_else(database: Database) -> None:
    def fail(connection: Connection, error: Exception | None) -> None:
        with savepoint(connection):
            insert_row(connection, cases, AN_INCIDENT | {"id": "within"})
            if error is not None:
                raise error
            insert_row(connection, cases, AN_INCIDENT | {"id": "within"})  # refused by the database

    with database.write() as connection:
        insert_row(connection, cases, AN_INCIDENT | {"id": "before"})
        with pytest.raises(RuntimeError, match="on purpose"):
            fail(connection, RuntimeError("on purpose"))
        with pytest.raises(IntegrityError):
            fail(connection, None)
        with savepoint(connection):
            insert_row(connection, cases, AN_INCIDENT | {"id": "after"})
    assert sorted(row["id"] for row in rows(database, cases)) == ["after", "before"]


def test_where_the_database_has_rolled_back_everything_the_reason_is_told_and_not_the_savepoint(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'engine.db'}")
    full = OperationalError("INSERT", None, Exception("database or disk is full"))

    def fill() -> None:
        with database.write() as connection, savepoint(connection):
            connection.exec_driver_sql("ROLLBACK")  # as SQLite does by itself when the disk is full
            raise full

    with pytest.raises(StoreError, match="disk is full"):
        fill()
    assert rows(database, cases) == []
    database.close()
