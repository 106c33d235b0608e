"""The alarm clock on one machine: it wakes at the armed instant, late rather than never, and sees the clock change."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.executors.pool import ThreadPoolExecutor
from support.builders import at
from support.fixtures import eventually

from incident_engine.common.clock import Clock, SystemClock, VirtualClock
from incident_engine.timers import local
from incident_engine.timers.local import LocalTimers

# APScheduler's own thread may stumble over a job that it is just removing when it is shut down; by then it is over.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception in thread APScheduler:pytest.PytestUnhandledThreadExceptionWarning"
)
SECOND = timedelta(seconds=1)


class Rings:
    """Counts how often the alarm rang, and when."""

    def __init__(self, also: Callable[[], None] = lambda: None) -> None:
        self.at: list[datetime] = []
        self._also = also

    def __call__(self) -> None:
        self.at.append(datetime.now(UTC))
        self._also()


class StepClock(SystemClock):
    """The system's clock, which a test sets forward or back."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@contextmanager
def kept(rings: Callable[[], None], clock: Clock | None = None) -> Iterator[LocalTimers]:
    timers = LocalTimers(clock or SystemClock(), rings)
    timers.start()
    try:
        yield timers
    finally:
        timers.stop()


@contextmanager
def stepped(rings: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LocalTimers, StepClock]]:
    """Keep time by a clock that the test sets; the scheduler goes by it, too, and runs one job after the other."""
    clock = StepClock()

    class Time(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return clock.now()

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Time)
    timers = LocalTimers(clock, rings)
    timers._scheduler.add_executor(ThreadPoolExecutor(1))
    timers.start()
    try:
        yield timers, clock
    finally:
        timers.stop()


def run_due_jobs(timers: LocalTimers, clock: StepClock) -> None:
    """Return once the scheduler has looked at the time and has run all that is due by it."""
    has_run = threading.Event()
    timers._scheduler.add_job(has_run.set, "date", run_date=clock.now())  # jobs run in the order of their instants
    assert has_run.wait(10)


def beat_twice(timers: LocalTimers) -> None:
    """Return after two heartbeats."""
    for _ in range(2):
        before = timers.heartbeat_at
        eventually(lambda before=before: timers.heartbeat_at > before)  # type: ignore[misc]


@pytest.fixture(autouse=True)
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "HEARTBEAT_SECONDS", 0.1)


def now() -> datetime:
    return datetime.now(UTC)


def test_the_alarm_rings_at_the_armed_instant_and_not_before() -> None:
    rings = Rings()
    with kept(rings) as timers:
        armed = now() + timedelta(seconds=0.5)
        timers.arm(armed)
        eventually(lambda: rings.at)
    assert len(rings.at) <= 2  # on a busy machine the heartbeat may ring beside the alarm
    assert min(rings.at) >= armed


@pytest.mark.parametrize("ago", [timedelta(0), SECOND, timedelta(days=400)])
def test_an_instant_that_has_passed_rings_at_once(ago: timedelta) -> None:
    rings = Rings()
    with kept(rings) as timers:
        begun = now()
        timers.arm(begun - ago)
        eventually(lambda: rings.at)
    assert len(rings.at) == 1
    assert rings.at[0] - begun < 5 * SECOND


def test_an_alarm_that_was_armed_before_the_start_and_fell_due_meanwhile_is_not_dropped() -> None:
    rings = Rings()
    timers = LocalTimers(SystemClock(), rings)
    timers.arm(now() + timedelta(seconds=0.1))
    time.sleep(1.5)  # longer than the grace of one second that APScheduler gives a late job by default
    timers.start()
    try:
        eventually(lambda: rings.at)
    finally:
        timers.stop()


def test_an_alarm_that_falls_due_while_the_last_one_is_at_work_is_not_dropped() -> None:
    overdue = now() - SECOND

    def at_work() -> None:
        rings()
        if len(rings.at) == 1:
            timers.arm(overdue)
            time.sleep(0.5)

    rings = Rings()
    with kept(at_work) as timers:
        timers.arm(overdue - SECOND)
        time.sleep(1)
        timers.arm(overdue)  # as every commit does, with the earliest instant that the store still has
        eventually(lambda: len(rings.at) == 2, 3)


def test_arming_again_replaces_the_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    rings = Rings()
    with stepped(rings, monkeypatch) as (timers, clock):
        timers.arm(clock.now() + 10 * SECOND)
        timers.arm(clock.now() + timedelta(days=1))
        clock.ahead = timedelta(hours=1)
        run_due_jobs(timers, clock)
        assert rings.at == []
        timers.arm(clock.now())
        eventually(lambda: rings.at)


def test_disarmed_it_does_not_ring_until_it_is_armed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rings = Rings()
    with stepped(rings, monkeypatch) as (timers, clock):
        timers.arm(clock.now() + 10 * SECOND)
        timers.arm(None)
        clock.ahead = timedelta(hours=1)
        run_due_jobs(timers, clock)
        beat_twice(timers)
        assert rings.at == []
        timers.arm(clock.now())
        eventually(lambda: rings.at)


def test_it_rings_again_for_an_instant_at_which_it_has_rung_before() -> None:
    rings = Rings()
    with kept(rings) as timers:
        past = now() - SECOND
        timers.arm(past)
        eventually(lambda: len(rings.at) == 1)
        timers.arm(past)
        eventually(lambda: len(rings.at) == 2)


def test_an_alarm_whose_work_fails_can_be_armed_again(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    rings = Rings(fail)
    with kept(rings) as timers:
        timers.arm(now())
        eventually(lambda: len(rings.at) == 1)
        timers.arm(now())
        eventually(lambda: len(rings.at) == 2)
        assert timers.is_alive
    assert "on purpose" in caplog.text


def test_a_clock_that_is_set_forward_is_noticed_by_the_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler sleeps a computed time; the clock may be set meanwhile, by hand or after a virtual machine woke."""
    rings = Rings()
    with stepped(rings, monkeypatch) as (timers, clock):
        timers.arm(clock.now() + timedelta(hours=1))
        beat_twice(timers)
        assert rings.at == []
        clock.ahead = timedelta(hours=1)
        eventually(lambda: rings.at, 10)


def test_a_clock_that_is_set_back_rings_so_that_each_waiting_step_looks_at_it_again() -> None:
    clock, rings = StepClock(), Rings()
    with kept(rings, clock) as timers:
        timers.arm(now() + timedelta(hours=1))
        beat_twice(timers)
        assert rings.at == []
        clock.ahead = -timedelta(hours=5)
        eventually(lambda: rings.at, 10)
        beat_twice(timers)
        assert len(rings.at) == 1


def test_the_shipped_heartbeat_is_short_enough_for_a_minute_to_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert local.HEARTBEAT_SECONDS <= 10


def test_a_fast_clock_rings_when_it_shows_the_instant() -> None:
    clock, rings = VirtualClock(at("10:35"), speed=3600), Rings()
    timers = LocalTimers(clock, rings)
    timers.start()
    try:
        timers.arm(at("11:05"))  # 30 minutes: half a second at this speed
        eventually(lambda: rings.at)
        assert clock.now() >= at("11:05")
    finally:
        timers.stop()


def test_stopping_waits_for_the_work_under_way_and_nothing_rings_afterwards() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.4)
        ended.set()

    rings = Rings(work)
    timers = LocalTimers(SystemClock(), rings)
    timers.start()
    assert timers.is_alive
    timers.arm(now())
    assert begun.wait(10)
    timers.stop()
    assert ended.is_set()
    assert not timers.is_alive
    timers.arm(now())
    time.sleep(0.3)
    assert len(rings.at) == 1


def test_daily_work_is_done_at_night_in_the_banks_time_zone_and_beside_the_monthly() -> None:
    done: list[str] = []
    with kept(Rings()) as timers:
        timers.every_month(ZoneInfo("Asia/Shanghai"), lambda: done.append("monthly"))
        timers.every_day(ZoneInfo("Asia/Shanghai"), lambda: done.append("daily"))
        jobs = {job.id: job for job in timers._scheduler.get_jobs()}
        assert jobs["daily"].trigger.get_next_fire_time(None, at("12:00")) == at("2013-06-24 03:00")
        assert jobs["daily"].trigger.get_next_fire_time(None, at("02:59")) == at("03:00")
        jobs["daily"].modify(next_run_time=now())
        eventually(lambda: done)
    assert done == ["daily"]
