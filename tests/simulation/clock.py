"""Time in a simulation: true time that only goes on, the machine's clock that is set, and what happens when."""

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TypeVarTuple, Unpack

_Given = TypeVarTuple("_Given")

SECOND = 1_000_000
"""True time is counted in microseconds from the beginning of the world."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class WorldClock:
    """What the machine's clock shows: true time, and how far the clock has been set off it."""

    speed = 1.0

    def __init__(self, start: datetime) -> None:
        self._start = start
        self.true = 0
        self.offset = 0

    def now(self) -> datetime:
        """Return what the machine's clock shows, in UTC."""
        return self.shown_at(self.true)

    def shown_at(self, true: int) -> datetime:
        """Return what the clock will show then if nobody sets it."""
        return self._start + timedelta(microseconds=true + self.offset)

    def true_of(self, shown: datetime) -> int:
        """Return when the clock shows an instant if nobody sets it."""
        return (shown - self._start) // timedelta(microseconds=1) - self.offset

    def real_time_of(self, instant: datetime) -> datetime:
        """Return the present of this machine: nothing here waits for it."""
        return datetime.now(UTC)


class Agenda:
    """What happens when, by true time; at one instant in the order in which it was put down."""

    def __init__(self, clock: WorldClock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def put(self, at: int, action: Callable[[], None]) -> None:
        """Put down something for an instant; what has passed happens next."""
        self._count += 1
        heapq.heappush(self._heap, (max(at, self._clock.true), self._count, action))

    def after(self, delay: int, action: Callable[[], None]) -> None:
        """Put down something for so many microseconds from now."""
        self.put(self._clock.true + delay, action)

    @property
    def next_at(self) -> int | None:
        """Return when the next thing happens."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> Callable[[], None]:
        """Take the next thing off."""
        return heapq.heappop(self._heap)[2]


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop in true time: it never waits, its timers stand in the agenda."""

    def __init__(self, clock: WorldClock, agenda: Agenda) -> None:
        super().__init__()
        self._world = clock
        self._agenda = agenda

    def time(self) -> float:
        """Return true time in seconds."""
        return self._world.true / SECOND

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Given]], object],
        *args: *_Given,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Note in the agenda that the loop has something to do then."""
        self._agenda.put(ceil(when * SECOND) + 1, _nothing)
        return super().call_at(when, callback, *args, context=context)

    def spin(self) -> None:
        """Run everything that is ready, and what becomes ready by it."""
        while True:
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready:  # type: ignore[attr-defined]
                return


def _nothing() -> None:
    """Whoever comes by here runs the loop afterwards."""
