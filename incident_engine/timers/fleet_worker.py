"""procrastinate's worker, and periodic work."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from procrastinate.worker import Worker

_MORNING, _NIGHT = 6, 3


@dataclass(frozen=True, slots=True)
class Periodic:
    """Periodic work, and the function that returns its next instant after another."""

    work: Callable[[], None]
    next_after: Callable[[datetime], datetime]


class Wakeable(Worker):
    """A worker that looks for jobs on demand.

    procrastinate notifies its workers of new jobs. For jobs whose time has come they only poll. `_new_job_event` is
    private to procrastinate; tests/contract/test_fleet_timers.py fails if a wake-up is late.
    """

    def wake(self) -> None:
        """Look for jobs now. Must be called in the worker's own loop."""
        self._new_job_event.set()

    def end(self) -> None:
        """Take no more jobs, and end after those under way."""
        super().stop()  # type: ignore[no-untyped-call]

    async def serve(self) -> None:
        """Run jobs until the end, or until the database goes away."""
        await super().run()  # type: ignore[no-untyped-call]


def monthly_after(now: datetime, zone: tzinfo) -> datetime:
    """Return the next 06:00 on the first day of a month in a time zone."""
    local = now.astimezone(zone)
    first = local.replace(day=1, hour=_MORNING, minute=0, second=0, microsecond=0)
    if first <= local:
        first = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first


def daily_after(now: datetime, zone: tzinfo) -> datetime:
    """Return the next 03:00 in a time zone."""
    local = now.astimezone(zone)
    night = local.replace(hour=_NIGHT, minute=0, second=0, microsecond=0)
    return night if night > local else night + timedelta(days=1)
