"""The writer: many works in one transaction, each one's failure its own, and no answer before the commit."""

import asyncio
import io
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
import structlog
from sqlalchemy import event, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError
from structlog.testing import capture_logs
from support.builders import at
from support.fixtures import eventually, held_up

from incident_engine.common.errors import OverloadedError, StoreError
from incident_engine.common.telemetry import configure_logging, logger
from incident_engine.store.database import Database
from incident_engine.store.tables import cases
from incident_engine.store.unit_of_work import UnitOfWork, in_savepoint, transaction
from incident_engine.store.writer import BATCH, Writer

NOW = at("10:35")


class Opened:
    """A writer on a database, with every commit that it makes counted."""

    def __init__(self, url: str, capacity: int = 2_000) -> None:
        self.database = Database(url)
        self.commits = 0
        self.followed_up = 0
        event.listen(self.database.writing, "commit", self._count)
        self.writer = Writer(self.database, capacity, self._follow_up)
        self.writer.start()

    def _count(self, _: object) -> None:
        self.commits += 1

    def _follow_up(self) -> None:
        self.followed_up += 1

    def stored(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.scalars(select(cases.c.id).order_by(cases.c.id)))

    def close(self) -> None:
        self.writer.stop(30)
        self.database.close()


@pytest.fixture
def opened(store_url: str) -> Iterator[Opened]:
    found = Opened(store_url)
    yield found
    found.close()


def put(name: str) -> Callable[[UnitOfWork], str]:
    def work(unit: UnitOfWork) -> str:
        unit.connection.execute(insert(cases).values(**row(name)))
        return name

    return work


def row(name: str) -> dict[str, Any]:
    instants = {"opened_at": NOW, "first_at": NOW}
    return {
        "id": name,
        "kind": "incident",
        "service_group": "g",
        **instants,
        "severity": 0,
        "packs": {},
        "services": [],
        "regions": [],
    }


def fail(unit: UnitOfWork) -> None:
    put("half done")(unit)
    raise RuntimeError("on purpose")


def test_works_that_wait_together_are_committed_together(opened: Opened) -> None:
    with held_up(opened.writer):
        futures = [opened.writer.submit(put(f"{number:03}")) for number in range(100)]
        opened.commits = 0
    assert [future.result(30) for future in futures] == [f"{number:03}" for number in range(100)]
    # One commit of the work that held the writer up, and one of the hundred that waited behind it.
    assert opened.commits == 2
    assert len(opened.stored()) == 100


def test_a_transaction_takes_no_more_than_a_batch(opened: Opened) -> None:
    with held_up(opened.writer):
        futures = [opened.writer.submit(lambda _: None) for _ in range(BATCH + 1)]
        opened.commits = 0
    for future in futures:
        future.result(30)
    eventually(lambda: opened.commits == 3)


def test_a_transaction_takes_no_more_events_than_a_batch_but_those_of_one_request_together(opened: Opened) -> None:
    async def report() -> None:
        sizes = BATCH - 100, 100, 0, 2 * BATCH, 1, 1
        works = [asyncio.create_task(opened.writer.do(put(f"{at}"), events)) for at, events in enumerate(sizes)]
        await asyncio.sleep(0.05)
        holding.set()
        await asyncio.gather(*works)

    holding = threading.Event()
    began = opened.writer.submit(lambda _: holding.wait(30))
    eventually(lambda: opened.writer.busy_since is not None)
    opened.commits = 0
    asyncio.run(report())
    began.result(30)
    assert len(opened.stored()) == 6
    # The one that held it up; 400 and 100; 1 (with 1 000 it would be too many); 1 000; 1 and 1.
    assert opened.commits == 5


def test_what_is_urgent_comes_next_and_is_on_disk_before_others_are_begun(opened: Opened) -> None:
    seen: list[list[str]] = []

    def look(unit: UnitOfWork) -> None:
        seen.append(opened.stored())  # by another connection
        put("c")(unit)

    with held_up(opened.writer):
        first, second = opened.writer.submit(put("a")), opened.writer.submit(look)
        urgent = opened.writer.submit(put("b"), urgent=True)
    for work in (urgent, first, second):
        assert isinstance(work, Future)
        work.result(30)
    assert seen == [["b"]]
    assert opened.stored() == ["a", "b", "c"]


def test_each_waiting_work_is_counted_once_and_an_idle_writer_has_none(opened: Opened) -> None:
    with held_up(opened.writer):
        works = [opened.writer.submit(put("a")), opened.writer.submit(put("b"), urgent=True)]
        assert opened.writer.queued == 2
        end = opened.writer.taken + 2
    for work in works:
        work.result(30)
    eventually(lambda: opened.writer.queued == 0)
    assert opened.writer.taken == end


def test_a_work_that_fails_stores_nothing_and_leaves_the_others_alone(opened: Opened) -> None:
    with held_up(opened.writer):
        before, failing, after = (opened.writer.submit(work) for work in (put("a"), fail, put("b")))
    assert (before.result(30), after.result(30)) == ("a", "b")
    with pytest.raises(RuntimeError, match="on purpose"):
        failing.result(30)
    assert opened.stored() == ["a", "b"]


def test_a_work_that_the_database_refuses_leaves_the_others_alone(opened: Opened) -> None:
    with held_up(opened.writer):
        first, again, other = (opened.writer.submit(put(name)) for name in ("a", "a", "b"))
    assert (first.result(30), other.result(30)) == ("a", "b")
    with pytest.raises(IntegrityError):
        again.result(30)
    assert opened.stored() == ["a", "b"]


def test_a_result_comes_only_after_the_commit(opened: Opened) -> None:
    seen: list[list[str]] = []
    done = threading.Event()

    def look(_: Future[str]) -> None:
        seen.append(opened.stored())  # by another connection: it sees what is committed and nothing else
        done.set()

    with held_up(opened.writer):
        opened.writer.submit(put("a")).add_done_callback(look)
        opened.writer.submit(put("b"))
        assert not done.wait(0.05)
    assert done.wait(30)
    assert seen == [["a", "b"]]


def test_what_is_wanted_after_the_commit_is_done_after_it_and_only_for_works_that_succeeded(opened: Opened) -> None:
    seen: list[tuple[str, list[str]]] = []

    def asks(name: str, *, fails: bool) -> Callable[[UnitOfWork], None]:
        def work(unit: UnitOfWork) -> None:
            put(name)(unit)
            unit.after_commit.append(lambda: seen.append((name, opened.stored())))
            if fails:
                raise RuntimeError

        return work

    with held_up(opened.writer):
        futures = [opened.writer.submit(asks("a", fails=False)), opened.writer.submit(asks("b", fails=True))]
        before = opened.followed_up
    assert isinstance(futures[1].exception(30), RuntimeError)
    eventually(lambda: opened.followed_up == before + 2)
    assert seen == [("a", ["a"])]


def test_a_follow_up_that_fails_stops_neither_the_writer_nor_the_other_follow_ups(opened: Opened) -> None:
    def work(unit: UnitOfWork) -> None:
        unit.after_commit.append(lambda: 1 / 0)  # type: ignore[arg-type]

    opened.writer.submit(work).result(30)
    assert opened.writer.submit(put("a")).result(30) == "a"
    assert opened.writer.is_alive
    eventually(lambda: opened.followed_up == 2)


def test_a_work_that_was_cancelled_while_it_waited_is_not_done(opened: Opened) -> None:
    with held_up(opened.writer):
        given_up, other = opened.writer.submit(put("a")), opened.writer.submit(put("b"))
        assert given_up.cancel()
    assert other.result(30) == "b"
    with pytest.raises(CancelledError):
        given_up.result(30)
    assert opened.stored() == ["b"]


def test_a_full_queue_refuses_what_comes_and_takes_what_is_urgent(store_url: str) -> None:
    opened = Opened(store_url, capacity=2)
    with held_up(opened.writer):
        waiting = [opened.writer.submit(put(name)) for name in ("a", "b")]
        with pytest.raises(OverloadedError, match="too many requests wait"):
            opened.writer.submit(put("c"))
        waiting.append(opened.writer.submit(put("urgent"), urgent=True))
    assert [future.result(30) for future in waiting] == ["a", "b", "urgent"]
    assert opened.writer.submit(put("d")).result(30) == "d"
    opened.close()


def test_refusals_of_a_storm_are_one_line_in_the_log(store_url: str) -> None:
    opened = Opened(store_url, capacity=1)
    with capture_logs() as lines, held_up(opened.writer):
        opened.writer.submit(put("a"))
        for _ in range(200):
            with pytest.raises(OverloadedError):
                opened.writer.submit(put("b"))
    told = [line for line in lines if line["event"] == "queue_full"]
    assert 1 <= len(told) <= 2
    assert (told[0]["reason"], told[0]["capacity"]) == ("queue_full", 1)
    opened.close()


def test_a_store_in_trouble_is_tried_again_by_itself_and_a_damaged_one_is_not(opened: Opened) -> None:
    broken: Exception | None = sqlite_error("database or disk is full", sqlite3.SQLITE_FULL)

    def refuse(_: object) -> None:
        if broken is not None:
            raise OperationalError("COMMIT", {}, broken)

    event.listen(opened.database.writing, "commit", refuse)
    with pytest.raises(StoreError, match="database or disk is full: the disk is full; make room"):
        opened.writer.submit(put("a")).result(30)
    assert not opened.writer.failure.is_lasting
    broken = None
    eventually(lambda: opened.writer.failure.reason is None)  # nobody wanted anything of it meanwhile
    assert opened.followed_up == 1
    broken = sqlite_error("database disk image is malformed", sqlite3.SQLITE_CORRUPT)
    with pytest.raises(StoreError, match="it is damaged; stop the daemon and restore a backup"):
        opened.writer.submit(put("b")).result(30)
    broken = None
    before = opened.commits
    with pytest.raises(StoreError, match="it is damaged"):
        opened.writer.submit(put("c")).result(30)
    assert opened.commits == before
    assert opened.stored() == []


def sqlite_error(said: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(said)
    error.sqlite_errorcode = code
    return error


def test_stopping_finishes_what_waits_and_refuses_what_comes(store_url: str) -> None:
    opened = Opened(store_url)
    with held_up(opened.writer):
        waiting = [opened.writer.submit(put(f"{number:03}")) for number in range(BATCH + 10)]
        stopping = threading.Thread(target=opened.writer.stop, args=(30,))
        stopping.start()

        def refuses() -> bool:
            try:
                waiting.append(opened.writer.submit(put(f"late {len(waiting)}")))
            except OverloadedError as error:
                return "the daemon is stopping" in str(error)
            return False

        eventually(refuses)
    stopping.join(30)
    assert not opened.writer.is_alive
    done = sum(1 for future in waiting if future.done() and future.exception() is None)
    assert len(opened.stored()) == done >= BATCH + 10
    opened.database.close()


def test_a_commit_that_fails_is_told_to_everyone_in_it_and_the_writer_goes_on(opened: Opened) -> None:
    broken = True

    def refuse(_: object) -> None:
        if broken:
            raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event.listen(opened.database.writing, "commit", refuse)
    with held_up(opened.writer):
        broken = False
        first = opened.writer.submit(lambda _: None)
    first.result(30)
    broken = True
    for failed in [opened.writer.submit(put(name)) for name in ("a", "b")]:
        with pytest.raises(StoreError, match="the store could not save this request"):
            failed.result(30)
    broken = False
    assert opened.stored() == []
    assert opened.writer.submit(put("c")).result(30) == "c"
    assert opened.stored() == ["c"]


def test_what_is_acknowledged_is_on_disk_even_if_the_disk_fills_up_in_the_same_transaction(opened: Opened) -> None:
    def too_big(unit: UnitOfWork) -> None:
        pages = unit.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        unit.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")  # as full as a disk can be
        unit.connection.execute(insert(cases).values(**row("b" * 1_000_000)))

    with held_up(opened.writer):
        before, failing, after = (opened.writer.submit(work) for work in (put("a"), too_big, put("c")))
    assert failing.exception(30) is not None
    acknowledged = [future.result() for future in (before, after) if future.exception(30) is None]
    assert opened.stored() == acknowledged


class FullDisk(io.StringIO):
    """Where nothing more can be written, as a log on a full disk or behind a reader that has gone."""

    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_log_that_cannot_be_written_does_not_stop_the_writer(opened: Opened) -> None:
    def work(unit: UnitOfWork) -> None:
        unit.after_commit.append(decide)

    def decide() -> None:
        logger("engine").info("decided")

    configure_logging(FullDisk())
    try:
        opened.writer.submit(work).result(30)
        assert opened.writer.submit(put("a")).result(5) == "a"
        assert opened.writer.is_alive
    finally:
        structlog.reset_defaults()


def test_what_others_left_for_the_end_does_not_go_with_a_savepoint_that_fails(opened: Opened) -> None:
    def leave(unit: UnitOfWork) -> str:
        unit.updates["a"] = put("a")
        return "left"

    def try_something(unit: UnitOfWork) -> str:
        _, failure = in_savepoint(unit, fail)
        assert failure is not None
        return "went on"

    with held_up(opened.writer):
        works = [opened.writer.submit(work) for work in (leave, try_something)]
    assert [work.result(30) for work in works] == ["left", "went on"]
    assert opened.stored() == ["a"]


def leave(name: str, last: Callable[[UnitOfWork], object]) -> Callable[[UnitOfWork], str]:
    """Return a work that leaves something for the end."""

    def work(unit: UnitOfWork) -> str:
        unit.updates[name] = last
        return name

    return work


def test_what_several_works_want_at_the_end_is_done_once(opened: Opened) -> None:
    with held_up(opened.writer):
        works = [opened.writer.submit(leave("a", put("a"))) for _ in range(3)]
    assert [work.result(30) for work in works] == ["a", "a", "a"]
    assert opened.stored() == ["a"]


def test_what_fails_at_the_end_fails_the_work_that_wanted_it_alone(opened: Opened) -> None:
    with held_up(opened.writer):
        good, bad = (opened.writer.submit(leave(name, work)) for name, work in (("a", put("a")), ("b", fail)))
    assert good.result(30) == "a"
    with pytest.raises(RuntimeError, match="on purpose"):
        bad.result(30)
    assert opened.stored() == ["a"]


def test_what_is_put_off_runs_in_the_order_of_its_slots(opened: Opened) -> None:
    order: list[str] = []

    def record(name: str) -> Callable[..., None]:
        return lambda *_: order.append(name)

    def work(unit: UnitOfWork) -> None:
        unit.after_commit.append(record("log"))
        unit.after_commit.append_delivery(record("delivery"))
        unit.updates["b"] = record("an update that is replaced")
        unit.updates["a"] = record("update a")
        unit.updates["b"] = record("update b")
        unit.flush = record("flush")

    with transaction(opened.database) as unit:
        work(unit)
        in_savepoint(unit, work)
    for action in unit.after_commit:
        action()
    before_commit = ["flush", "update b", "update a"]
    assert order == [*before_commit, *before_commit, "delivery", "delivery", "log", "log"]
