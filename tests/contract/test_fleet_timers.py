"""Waking up on several machines: each wake-up is run once, on time, and goes to another replica if its own is lost."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.schema import SchemaManager
from sqlalchemy import delete, insert, text
from support.builders import at
from support.fixtures import eventually

from incident_engine.common.clock import SystemClock
from incident_engine.store.database import Database
from incident_engine.store.flags import get_flag, set_flag
from incident_engine.store.postgresql import conninfo
from incident_engine.store.tables import cases, deliveries, steps
from incident_engine.store.tables import timers as timer_rows
from incident_engine.store.timers import due_timers, set_timer
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.timers import fleet, fleet_schema
from incident_engine.timers.factory import open_timers
from incident_engine.timers.fleet import MONTHLY, WAKE_UP, FleetTimers
from incident_engine.timers.fleet_worker import monthly_after
from incident_engine.timers.local import LocalTimers

from .test_store import A_DELIVERY, A_STEP, AN_INCIDENT

LOST_AFTER = timedelta(seconds=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    return datetime.now(UTC)


class Replica:
    """A replica that does what is due by taking its timer away, as the engine does, one writer at a time."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.woken: list[datetime] = []
        self.done: list[str] = []
        self.news = 0
        self.months: list[datetime] = []
        self.timers = FleetTimers(self.database, SystemClock(), self._on_due, self._on_news, LOST_AFTER)

    def commit(self, work: Callable[[UnitOfWork], object]) -> None:
        """Do a piece of work in a transaction as the writer does."""
        with self.database.write() as connection:
            unit = UnitOfWork(connection)
            work(unit)
            self.timers.enqueue(unit)
        for follow_up in unit.after_commit:
            follow_up()

    def _on_due(self) -> Future[Any]:
        self.woken.append(now())
        future: Future[Any] = Future()
        self.commit(self._fire)
        future.set_result(None)
        return future

    def _fire(self, unit: UnitOfWork) -> None:
        for incident_id, _ in due_timers(unit.connection, now(), 1):  # one at a time: the rest is due still
            set_timer(unit.connection, incident_id, None)
            self.done.append(incident_id)

    def _on_news(self) -> None:
        self.news += 1

    def month(self) -> None:
        """Do what is done once a month."""
        self.months.append(now())

    def close(self) -> None:
        """Stop as the daemon does."""
        self.timers.stop()
        self.database.close()


@pytest.fixture
def replicas(postgresql_url: str) -> Iterator[list[Replica]]:
    found = [Replica(postgresql_url) for _ in range(2)]
    for name in ("a", "b", "c"):
        with found[0].database.write() as connection:
            connection.execute(insert(cases).values(**AN_INCIDENT | {"id": name}))
    with ExitStack() as stack:
        for replica in found:
            replica.timers.start()
            stack.callback(replica.close)
            eventually(lambda replica=replica: replica.timers.is_alive)  # type: ignore[misc]
        yield found


def put_timer(replica: Replica, name: str, due_at: datetime) -> None:
    replica.commit(lambda unit: set_timer(unit.connection, name, due_at))


def jobs(replica: Replica, task: str = WAKE_UP) -> list[tuple[str, str]]:
    query = "SELECT status::text, queueing_lock FROM procrastinate_jobs WHERE task_name = :task ORDER BY id"
    with replica.database.read() as connection:
        return [(row[0], row[1]) for row in connection.execute(text(query), {"task": task})]


def done(replicas: list[Replica]) -> list[str]:
    return sorted(name for replica in replicas for name in replica.done)


def test_a_wake_up_comes_on_time_and_is_run_once_in_the_fleet(replicas: list[Replica]) -> None:
    due = now() + timedelta(seconds=2.3)
    put_timer(replicas[0], "a", due)
    replicas[0].timers.arm(due)
    assert len(jobs(replicas[0])) == 1
    eventually(lambda: done(replicas))
    woken = [instant for replica in replicas for instant in replica.woken]
    assert len(woken) == 1
    assert timedelta(0) <= woken[0] - due < timedelta(seconds=0.8)  # sooner than workers look by themselves
    eventually(lambda: not jobs(replicas[0]))


def test_a_replica_that_nobody_armed_wakes_up_too(replicas: list[Replica]) -> None:
    put_timer(replicas[0], "a", now() + timedelta(seconds=0.5))
    eventually(lambda: done(replicas) == ["a"], 5)


def test_what_is_left_due_is_enqueued_again_until_nothing_is(replicas: list[Replica]) -> None:
    past = now() - timedelta(minutes=1)
    for name in ("a", "b", "c"):
        put_timer(replicas[0], name, past)
    eventually(lambda: done(replicas) == ["a", "b", "c"], 4)  # sooner than anybody looks for what is overdue
    eventually(lambda: not jobs(replicas[0]))


def test_the_wake_up_is_on_disk_with_the_row_or_not_at_all(replicas: list[Replica]) -> None:
    one, due = replicas[0], now() + timedelta(hours=1)

    def fail(unit: UnitOfWork) -> None:
        set_timer(unit.connection, "a", due)
        one.timers.enqueue(unit)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        one.commit(fail)
    assert jobs(one) == []
    put_timer(one, "a", due)  # the wake-up that was rolled back is not remembered as enqueued
    assert jobs(one) == [("todo", f"{WAKE_UP} {due.isoformat()}")]
    put_timer(replicas[1], "b", due)
    assert len(jobs(one)) == 1  # one wake-up for all that is due at an instant, whoever asks for it


def test_a_wake_up_for_nothing_does_nothing(replicas: list[Replica]) -> None:
    due = now() + timedelta(seconds=0.5)
    put_timer(replicas[0], "a", due)
    with replicas[0].database.write() as connection:
        connection.execute(delete(timer_rows))
    eventually(lambda: [each for replica in replicas for each in replica.woken])
    assert done(replicas) == []


def test_what_is_overdue_is_done_although_its_wake_up_was_lost(replicas: list[Replica]) -> None:
    with replicas[0].database.write() as connection:  # as if written by somebody who enqueued nothing
        set_timer(connection, "a", now() - timedelta(minutes=1))
    eventually(lambda: done(replicas) == ["a"], 3 * fleet.OVERDUE_CHECK_SECONDS)


def test_what_a_lost_replica_had_begun_is_done_by_another(replicas: list[Replica]) -> None:
    """The replica took a wake-up and died: the job is in hand, and nobody gives a sign of life for it."""
    one = replicas[0]
    put_timer(one, "a", now() + timedelta(hours=1))
    with one.database.write() as connection:
        set_timer(connection, "a", now() - timedelta(seconds=1))
        worker = connection.scalar(
            text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id")
        )
        taken = "UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE task_name = :task"
        connection.execute(text(taken), {"worker": worker, "task": WAKE_UP})
        late = (now() - timedelta(seconds=1)).isoformat()
        connection.execute(
            text(
                "UPDATE procrastinate_jobs SET args = jsonb_build_object('due_at', cast(:late AS text))"
                " WHERE task_name = :task"
            ),
            {"late": late, "task": WAKE_UP},
        )
    eventually(lambda: done(replicas) == ["a"], 4)  # sooner than anybody looks for what is overdue
    eventually(lambda: not jobs(one))


def put_what_is_due(unit: UnitOfWork) -> None:
    unit.connection.execute(insert(steps).values(**A_STEP | {"case_id": "a"}))
    unit.connection.execute(insert(deliveries).values(**A_DELIVERY | {"case_id": "a", "due_at": now()}))


def test_the_others_hear_at_once_of_a_delivery_that_is_due(replicas: list[Replica]) -> None:
    one, two = replicas
    eventually(lambda: one.news == two.news == 1)  # each looks when it begins to listen
    one.commit(put_what_is_due)
    eventually(lambda: two.news > 1, 3)  # more than once: nobody sends it here, so that it stays due


def test_nobody_is_told_of_what_it_wrote_itself(postgresql_url: str) -> None:
    alone = Replica(postgresql_url)
    with alone.database.write() as connection:
        connection.execute(insert(cases).values(**AN_INCIDENT | {"id": "a"}))
    alone.timers.start()
    eventually(lambda: alone.news == 1)
    alone.commit(put_what_is_due)
    eventually(lambda: alone.woken)  # the alarm goes by another way, and later
    assert alone.news == 1
    alone.close()


def test_a_database_that_goes_away_is_found_again_by_itself(replicas: list[Replica]) -> None:
    one = replicas[0]
    with one.database.read() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    eventually(lambda: all(replica.news > 1 and replica.timers.is_alive for replica in replicas))
    put_timer(one, "a", now() + timedelta(seconds=0.3))
    eventually(lambda: done(replicas) == ["a"], 10)


# Once a month


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        (at("2013-06-01 05:59"), at("2013-06-01 06:00")),
        (at("2013-06-01 06:00"), at("2013-07-01 06:00")),
        (at("10:35"), at("2013-07-01 06:00")),
        (at("2013-12-31 23:00"), at("2014-01-01 06:00")),
        (datetime(2013, 6, 30, 23, tzinfo=UTC), at("2013-08-01 06:00")),  # 07:00 on 1 July in Shanghai
    ],
)
def test_a_month_begins_in_the_morning_of_its_first_day(now: datetime, begins: datetime) -> None:
    found = monthly_after(now, SHANGHAI)
    assert found == begins
    assert (found.day, found.hour) == (1, 6)


def begin_month(replicas: list[Replica], month: str) -> None:
    """Let a month begin now."""

    async def defer() -> None:
        connector = PsycopgConnector(conninfo=conninfo(replicas[0].database.url))
        async with App(connector=connector).open_async() as app:
            await app.configure_task(MONTHLY, lock=f"{MONTHLY} {month}").defer_async(name=MONTHLY, period=month)

    asyncio.run(defer())


def test_the_monthly_work_is_done_once_in_the_fleet_and_the_next_month_waits(postgresql_url: str) -> None:
    with ExitStack() as stack:
        replicas = [Replica(postgresql_url) for _ in range(2)]
        for replica in replicas:
            replica.timers.every_month(SHANGHAI, replica.month)
            replica.timers.start()
            stack.callback(replica.close)
        month = f"{monthly_after(now(), SHANGHAI):%Y-%m-%d}"
        eventually(lambda: [lock for _, lock in jobs(replicas[0], MONTHLY)] == [f"{MONTHLY} {month}"])
        for _ in range(3):  # a job that is run again, by whichever replica
            begin_month(replicas, "2013-06")
        eventually(lambda: len(jobs(replicas[0], MONTHLY)) == 1)
        assert len([each for replica in replicas for each in replica.months]) == 1
        with replicas[0].database.read() as connection:
            assert get_flag(connection, MONTHLY) == "2013-06"


# Which timekeeper, and its tables


def test_a_file_is_one_machines_and_needs_no_fleet(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'engine.db'}")
    future: Future[Any] = Future()
    found = open_timers(database, SystemClock(), lambda: future, lambda: None, LOST_AFTER)
    assert isinstance(found, LocalTimers)
    database.close()


def test_replicas_make_procrastinates_tables_once_and_apply_what_a_newer_one_adds(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = Database(postgresql_url)
    for _ in range(2):
        with database.write() as connection:
            fleet_schema.prepare(connection)
    (tmp_path / "03.00.00_50_post_old.sql").write_text("SELECT no_such_function()")  # applied long ago: not again
    (tmp_path / "99.00.00_01_pre_new.sql").write_text("CREATE TABLE procrastinate_new (what TEXT)")
    monkeypatch.setattr(SchemaManager, "get_migrations_path", staticmethod(lambda: str(tmp_path)))
    for _ in range(2):
        with database.write() as connection:
            fleet_schema.prepare(connection)
    with database.read() as connection:
        assert connection.execute(text("SELECT * FROM procrastinate_new")).all() == []
    database.close()


def test_a_mark_is_replaced_by_the_next(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with database.write() as connection:
        assert get_flag(connection, "m") is None
        set_flag(connection, "m", "1")
        set_flag(connection, "m", "2")
    with database.read() as connection:
        assert get_flag(connection, "m") == "2"
    database.close()


def test_stopping_waits_for_what_is_under_way(postgresql_url: str) -> None:
    replica, begun = Replica(postgresql_url), threading.Event()
    ended: list[bool] = []

    def slow() -> Future[Any]:
        future: Future[Any] = Future()
        begun.set()

        def end() -> None:
            time.sleep(0.5)
            ended.append(True)
            future.set_result(None)

        threading.Thread(target=end).start()
        return future

    replica.timers._on_due = slow
    with replica.database.write() as connection:
        connection.execute(insert(cases).values(**AN_INCIDENT | {"id": "a"}))
    replica.timers.start()
    put_timer(replica, "a", now() - timedelta(seconds=1))
    assert begun.wait(10)
    replica.close()
    assert ended == [True]
