"""The clocks of the program; no other module reads the time."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the present instant, and converts an instant to real time."""

    speed: float
    """Seconds of this clock per real second."""

    def now(self) -> datetime:
        """Return the present instant in UTC, timezone-aware."""
        ...

    def real_time_of(self, instant: datetime) -> datetime:
        """Return the real instant at which this clock shows `instant`."""
        ...


def ticks() -> float:
    """Return seconds since an arbitrary instant, to measure durations. Changes of the system clock do not affect it."""
    return time.monotonic()


class SystemClock:
    """The machine's clock."""

    speed = 1.0

    def now(self) -> datetime:
        """Return the machine's present instant in UTC."""
        return datetime.now(UTC)

    def real_time_of(self, instant: datetime) -> datetime:
        """Return `instant` unchanged."""
        return instant


_NEVER_RINGS = timedelta(days=3_650)  # timers sleep until an instant, so "never" must be one


class SteppedClock:
    """A clock that only moves when it is advanced, for drills that never wait."""

    speed = 1.0

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the instant of the last advance in UTC."""
        return self._now

    def advance_to(self, instant: datetime) -> None:
        """Advance to an instant. Raises ValueError if it is in the past."""
        if instant < self._now:
            raise ValueError(f"{instant.isoformat()} is before {self._now.isoformat()}: a clock does not go back")
        self._now = instant.astimezone(UTC)

    def real_time_of(self, instant: datetime) -> datetime:
        """Return now for past instants, a far future for others: this clock moves only when advanced."""
        return datetime.now(UTC) + (timedelta(0) if instant <= self._now else _NEVER_RINGS)


class VirtualClock:
    """A clock that starts at a chosen instant and runs at a multiple of real time, for drills."""

    def __init__(self, start: datetime, speed: float) -> None:
        self.speed = speed
        self._start = start
        self._ticks = time.monotonic()

    def now(self) -> datetime:
        """Return the virtual present in UTC."""
        return self._start + timedelta(seconds=(time.monotonic() - self._ticks) * self.speed)

    def real_time_of(self, instant: datetime) -> datetime:
        """Return the real instant at which this clock shows `instant`."""
        remaining = (instant - self.now()) / self.speed
        return datetime.now(UTC) + remaining  # read last: a pause between the two makes it late, never early
