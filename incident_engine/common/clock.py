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


def ticks() -> float:
    """Return seconds since some instant, for measuring how long something took; nobody can set this clock."""
    return time.monotonic()


class SystemClock:
    """The machine's clock."""

    speed = 1.0

    def now(self) -> datetime:
        """Return the machine's present instant in UTC."""
        return datetime.now(UTC)

    def real_time_of(self, instant: datetime) -> datetime:
        """Return `instant` itself: this clock is the real one."""
        return instant


_NEVER_RINGS = timedelta(days=3_650)


class SteppedClock:
    """A clock that stands still until it is told to go on, for drills that wait for nothing."""

    speed = 1.0

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the instant to which the clock was set last, in UTC."""
        return self._now

    def advance_to(self, instant: datetime) -> None:
        """Go on to an instant; a clock never goes back."""
        if instant < self._now:
            raise ValueError(f"{instant.isoformat()} is before {self._now.isoformat()}: a clock does not go back")
        self._now = instant.astimezone(UTC)

    def real_time_of(self, instant: datetime) -> datetime:
        """Return the present for what has passed; what is to come never comes by waiting."""
        return datetime.now(UTC) + (timedelta(0) if instant <= self._now else _NEVER_RINGS)


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
