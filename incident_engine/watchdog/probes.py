"""Looking at threads, tasks, the event loop and the clock. Reads memory only: nothing here can be kept waiting."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

from incident_engine.watchdog.findings import ClockReading, Kind, Observation, texts


class WriterStatus(Protocol):
    """What is looked at of the writer."""

    taken: int
    busy_since: float | None

    @property
    def is_alive(self) -> bool:
        """Return whether its thread runs."""
        ...

    @property
    def queued(self) -> int:
        """Return how many works wait."""
        ...


class DispatcherStatus(Protocol):
    """What is looked at of the dispatcher."""

    busy_since: float | None

    @property
    def is_alive(self) -> bool:
        """Return whether its task runs."""
        ...


class TimersStatus(Protocol):
    """What is looked at of the timers."""

    @property
    def heartbeat_at(self) -> float:
        """Return when the heartbeat last did anything, in ticks."""
        ...

    @property
    def pulse_at(self) -> float:
        """Return when what keeps time last did anything, in ticks."""
        ...

    @property
    def is_alive(self) -> bool:
        """Return whether time is kept."""
        ...


class WorkerProbe:
    """Finds workers that are dead, or at the same thing for longer than a limit."""

    def __init__(
        self, writer: WriterStatus, dispatcher: DispatcherStatus, timers: TimersStatus, limit: timedelta
    ) -> None:
        self._writer = writer
        self._dispatcher = dispatcher
        self._timers = timers
        self._limit = limit.total_seconds()
        self._marks: deque[tuple[int, float]] = deque()

    def dead(self, at: ClockReading) -> Iterator[Observation]:
        """Yield those that do not run. For any thread."""
        if not self._writer.is_alive:
            yield Observation(Kind.WRITER_DEAD, at.now, texts("写入线程没有运行", "the writer does not run"))
        if not self._dispatcher.is_alive:
            yield Observation(Kind.DISPATCHER_DEAD, at.now, texts("发送任务没有运行", "the dispatcher does not run"))
        if not self._timers.is_alive:
            yield Observation(Kind.TIMERS_DEAD, at.now, texts("定时器没有运行", "the timers do not run"))

    def probe(self, at: ClockReading) -> Iterator[Observation]:
        """Yield those that do not run or do not get on."""
        yield from self.dead(at)
        yield from self._stuck_writer(at)
        busy_since = self._dispatcher.busy_since
        if self._dispatcher.is_alive and busy_since is not None and at.ticks - busy_since > self._limit:
            yield _stuck(
                Kind.DISPATCHER_STUCK, ("发送任务领取消息", "the dispatcher has been claiming"), busy_since, at
            )
        if self._timers.is_alive:
            yield from self._stuck_timers(at)

    def _stuck_writer(self, at: ClockReading) -> Iterator[Observation]:
        oldest = self._oldest_queued(at)
        if not self._writer.is_alive:
            return
        busy_since = self._writer.busy_since
        if busy_since is not None and at.ticks - busy_since > self._limit:
            said = ("写入线程处理同一批写入", "the writer has been at the same works")
            yield _stuck(Kind.WRITER_STUCK, said, busy_since, at, self._writer.queued)
        elif oldest is not None and at.ticks - oldest > self._limit:
            said = ("写入队列中最早的一项等待", "the oldest work in the writer's queue has waited")
            yield _stuck(Kind.WRITER_STUCK, said, oldest, at, self._writer.queued)

    def _oldest_queued(self, at: ClockReading) -> float | None:
        """Return a look, in ticks, at which what was queued last has still not been taken; None: there is none."""
        taken = self._writer.taken
        while self._marks and self._marks[0][0] <= taken:
            self._marks.popleft()
        if queued := self._writer.queued:
            self._marks.append((taken + queued, at.ticks))
        return self._marks[0][1] if self._marks else None

    def _stuck_timers(self, at: ClockReading) -> Iterator[Observation]:
        parts = (
            (self._timers.heartbeat_at, ("定时器心跳停顿", "the timers' heartbeat has not beaten")),
            (self._timers.pulse_at, ("调度器无反应", "the timers' scheduler has not answered")),
        )
        seen_at, said = min(parts)
        if at.ticks - seen_at > self._limit:
            yield _stuck(Kind.TIMERS_STUCK, said, seen_at, at)


def _stuck(kind: Kind, said: tuple[str, str], since: float, at: ClockReading, queued: int = 0) -> Observation:
    seconds = at.ticks - since
    also_zh, also = (f"，另有 {queued} 项等待", f"; {queued} more wait") if queued else ("", "")
    detail = texts(f"{said[0]}已 {seconds:.0f} 秒{also_zh}", f"{said[1]} for {seconds:.0f} s{also}")
    return Observation(kind, at.before(seconds), detail)


class EventLoopProbe:
    """Asks the event loop to answer, once a look, and finds it stuck when it takes too long to."""

    def __init__(self, limit: timedelta, ticks: Callable[[], float]) -> None:
        self._limit = limit.total_seconds()
        self._ticks = ticks
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_at: float | None = None
        self._took = 0.0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch this loop."""
        self._loop = loop

    def probe(self, at: ClockReading) -> Iterator[Observation]:
        """Yield that the loop is stuck, if it took or takes too long; then ask again."""
        asked_at = self._asked_at
        lag = self._took if asked_at is None else at.ticks - asked_at
        if asked_at is None:
            self._ask(at)
        if lag > self._limit:
            yield Observation(
                Kind.EVENT_LOOP_STUCK,
                at.before(lag),
                texts(f"事件循环 {lag:.0f} 秒没有应答", f"the event loop did not answer for {lag:.0f} s"),
            )

    def _ask(self, at: ClockReading) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        self._took, self._asked_at = 0.0, at.ticks
        self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        if self._asked_at is not None:
            self._took, self._asked_at = self._ticks() - self._asked_at, None


class ClockProbe:
    """Finds steps of the clock: between two looks it went on by another length than the ticks."""

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit.total_seconds()
        self._last: ClockReading | None = None

    def begin(self, at: ClockReading) -> None:
        """Watch from this moment on."""
        self._last = at

    def probe(self, at: ClockReading) -> Iterator[Observation]:
        """Yield that the clock was set, or the machine slept, since the last look."""
        last, self._last = self._last, at
        if last is None:
            return
        step = (at.now - last.now).total_seconds() - (at.ticks - last.ticks) * at.speed
        if abs(step) > self._limit:
            zh_cn, en = ("向前", "forwards") if step > 0 else ("向后", "backwards")
            said = f"the clock went {abs(step):.0f} s {en} between two looks"
            yield Observation(
                Kind.CLOCK_STEPPED, at.now, texts(f"系统时钟在两次检查之间{zh_cn}跳了 {abs(step):.0f} 秒", said)
            )
