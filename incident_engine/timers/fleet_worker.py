"""procrastinate's worker, and work that comes round."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from procrastinate.worker import Worker

_MORNING, _NIGHT = 6, 3


@dataclass(frozen=True, slots=True)
class Periodic:
    """Work that comes round, and when it does next after an instant."""

    work: Callable[[], None]
    next_after: Callable[[datetime], datetime]


class Wakeable(Worker):
    """A worker that can be told to look for jobs now.

    procrastinate tells its workers of a new job, but not of one whose time has come: for that they look from time to
    time. `_new_job_event` is its own; tests/contract/test_fleet_timers.py sees to it that a wake-up is on time.
    """

    def wake(self) -> None:
        """Look for jobs now. To be called in the worker's own loop."""
        self._new_job_event.set()

    def end(self) -> None:
        """Take no more jobs, and end once those under way have ended."""
        super().stop()  # type: ignore[no-untyped-call]

    async def serve(self) -> None:
        """Run jobs until the end, or until the database goes away."""
        await super().run()  # type: ignore[no-untyped-call]


def monthly_after(now: datetime, zone: tzinfo) -> datetime:
    """Return the morning of the first day of a month, in a time zone, that comes next."""
    local = now.astimezone(zone)
    this = local.replace(day=1, hour=_MORNING, minute=0, second=0, microsecond=0)
    if this <= local:
        this = this.replace(year=this.year + this.month // 12, month=this.month % 12 + 1)
    return this


def daily_after(now: datetime, zone: tzinfo) -> datetime:
    """Return the hour of the night, in a time zone, that comes next."""
    local = now.astimezone(zone)
    this = local.replace(hour=_NIGHT, minute=0, second=0, microsecond=0)
    return this if this > local else this + timedelta(days=1)
