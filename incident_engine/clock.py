"""The only place that reads a clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is, and when the real clock will show a given instant."""

    speed: float
    """How many seconds of this clock pass in one real second."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    def real_time_of(self, instant: datetime) -> datetime:
        """Return the real instant at which this clock shows `instant`."""
        ...


class SystemClock:
    """The machine's clock."""

    speed = 1.0

    def now(self) -> datetime:
        """Return the machine's present instant in UTC."""
        return datetime.now(UTC)

    def real_time_of(self, instant: datetime) -> datetime:
        """Return `instant` itself: this clock is the real one."""
        return instant


class VirtualClock:
    """A clock that starts at any instant and runs `speed` times as fast, for drills."""

    def __init__(self, start: datetime, speed: float) -> None:
        self.speed = speed
        self._start = start
        self._ticks = time.monotonic()

    def now(self) -> datetime:
        """Return the virtual present in UTC."""
        return self._start + timedelta(seconds=(time.monotonic() - self._ticks) * self.speed)

    def real_time_of(self, instant: datetime) -> datetime:
        """Return the real instant at which this clock shows `instant`."""
        return datetime.now(UTC) + (instant - self.now()) / self.speed
