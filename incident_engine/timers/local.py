"""Timers on one machine: APScheduler with one job, at the next due instant.

The rows with `due_at` are the truth. The job is only an alarm, kept in memory and set after every commit.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from incident_engine.common.clock import Clock, ticks
from incident_engine.store.unit_of_work import UnitOfWork

HEARTBEAT_SECONDS = 5.0
_JOB = "wake-up"
_MONTHLY = "monthly"
_PULSE = "pulse"
_DAILY = "daily"


class LocalTimers:
    """Calls `on_due` at the armed instant, or at once if that has passed."""

    def __init__(self, clock: Clock, on_due: Callable[[], object]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._armed: datetime | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.heartbeat_at = self.pulse_at = ticks()
        """The ticks of the last heartbeat, and of the scheduler's last run; the heartbeat wakes the scheduler."""
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        # A late job is still run (the default drops it), and several missed runs of it are one.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, daemon=True, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 8}
        )

    def start(self) -> None:
        """Start the timers."""
        self.heartbeat_at = self.pulse_at = ticks()
        self._scheduler.start()
        self._heart.start()

    def enqueue(self, unit: UnitOfWork) -> None:
        """Do nothing: after a crash the rows show what is due."""

    def arm(self, instant: datetime | None) -> None:
        """Wake the engine at `instant` and no other. None: not until the next call."""
        with self._lock:
            if instant == self._armed or self._stopping.is_set():
                return
            self._armed = instant
            if instant is None:
                if self._scheduler.get_job(_JOB) is not None:
                    self._scheduler.remove_job(_JOB)
                return
            self._scheduler.add_job(
                self._wake,
                DateTrigger(run_date=self._clock.real_time_of(instant)),
                id=_JOB,
                replace_existing=True,
            )

    def every_month(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` at the beginning of each month, in the morning of a time zone."""
        self._scheduler.add_job(work, CronTrigger(day=1, hour=6, timezone=zone), id=_MONTHLY, replace_existing=True)

    def every_day(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` once a day, at night in a time zone."""
        self._scheduler.add_job(work, CronTrigger(hour=3, timezone=zone), id=_DAILY, replace_existing=True)

    @property
    def is_alive(self) -> bool:
        """Return whether the timers work."""
        return bool(self._scheduler.running) and self._heart.is_alive()

    def stop(self) -> None:
        """Stop, after a call of `on_due` that is under way."""
        self._stopping.set()
        self._heart.join(HEARTBEAT_SECONDS)
        self._scheduler.shutdown(wait=True)

    def _wake(self) -> None:
        with self._lock:
            self._armed = None
        self._on_due()

    def _beat(self) -> None:
        """Check the clock every few seconds: it may be set while the scheduler sleeps for a computed time."""

        def record_pulse() -> None:
            self.pulse_at = ticks()

        seen = self._clock.now()
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            self.heartbeat_at = ticks()
            self._scheduler.add_job(record_pulse, id=_PULSE, replace_existing=True)  # at once, which also wakes it up
            before, seen, armed = seen, self._clock.now(), self._armed
            if seen < before:
                self._wake()  # the clock was set back: every due instant is further away than the scheduler knows
            elif armed is not None and armed <= seen:
                self._wake()  # the scheduler missed it; ringing twice is harmless
