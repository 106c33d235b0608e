"""Probes of threads, tasks, the event loop and the clock. They read memory only, so none of them can block."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Protocol

from incident_engine.common.telemetry import LostReason
from incident_engine.watchdog.findings import ClockReading, Kind, Observation, texts


class WriterStatus(Protocol):
    """The state of the writer that is probed."""

    taken: int
    """Works taken from the queue since the start."""
    busy_since: float | None
    """The start of the batch in hand, in ticks; None between batches."""

    @property
    def is_alive(self) -> bool:
        """Return whether its thread runs."""
        ...

    @property
    def queued(self) -> int:
        """Return the number of works in the queue."""
        ...


class DispatcherStatus(Protocol):
    """The state of the dispatcher that is probed."""

    busy_since: float | None
    """The start of the claim under way, in ticks; None between claims."""

    @property
    def is_alive(self) -> bool:
        """Return whether its task runs."""
        ...


class TimersStatus(Protocol):
    """The state of the timers that is probed."""

    @property
    def heartbeat_at(self) -> float:
        """Return the last beat of the heartbeat, in ticks."""
        ...

    @property
    def pulse_at(self) -> float:
        """Return the last sign of life of the scheduler, in ticks."""
        ...

    @property
    def is_alive(self) -> bool:
        """Return whether the scheduler runs."""
        ...


class WorkerProbe:
    """Finds workers that are dead, or busy with one thing for longer than a limit."""

    def __init__(
        self, writer: WriterStatus, dispatcher: DispatcherStatus, timers: TimersStatus, limit: timedelta
    ) -> None:
        self._writer = writer
        self._dispatcher = dispatcher
        self._timers = timers
        self._limit = limit.total_seconds()
        self._queue_ends: deque[tuple[int, float]] = deque()
        """For past probes, the number of the last work in the queue, and the ticks."""

    def dead_workers(self, at: ClockReading) -> Iterator[Observation]:
        """Yield an observation for each worker that does not run. Safe in any thread."""
        if not self._writer.is_alive:
            yield Observation(Kind.WRITER_DEAD, at.now, texts("写入线程没有运行", "the writer does not run"))
        if not self._dispatcher.is_alive:
            yield Observation(Kind.DISPATCHER_DEAD, at.now, texts("发送任务没有运行", "the dispatcher does not run"))
        if not self._timers.is_alive:
            yield Observation(Kind.TIMERS_DEAD, at.now, texts("定时器没有运行", "the timers do not run"))

    def probe(self, at: ClockReading) -> Iterator[Observation]:
        """Yield an observation for each worker that is dead or stuck."""
        yield from self.dead_workers(at)
        yield from self._probe_writer(at)
        busy_since = self._dispatcher.busy_since
        if self._dispatcher.is_alive and busy_since is not None and at.ticks - busy_since > self._limit:
            subject = "发送任务领取消息", "the dispatcher has been claiming"
            yield _stuck(Kind.DISPATCHER_STUCK, subject, busy_since, at)
        if self._timers.is_alive:
            # The heartbeat shows that our callbacks run, the pulse that the scheduler keeps time; the older one counts.
            since, subject = min(
                (self._timers.heartbeat_at, ("定时器心跳停顿", "the timers' heartbeat has not beaten")),
                (self._timers.pulse_at, ("调度器无反应", "the timers' scheduler has not answered")),
            )
            if at.ticks - since > self._limit:
                yield _stuck(Kind.TIMERS_STUCK, subject, since, at)

    def _probe_writer(self, at: ClockReading) -> Iterator[Observation]:
        # The earliest probe whose queue has still not been worked off shows how long its oldest work has waited.
        taken = self._writer.taken
        while self._queue_ends and self._queue_ends[0][0] <= taken:
            self._queue_ends.popleft()
        if queued := self._writer.queued:
            self._queue_ends.append((taken + queued, at.ticks))
        else:  # nothing waits, however the works of earlier probes were counted
            self._queue_ends.clear()
        oldest = self._queue_ends[0][1] if self._queue_ends else None
        if not self._writer.is_alive:
            return
        busy_since = self._writer.busy_since
        if busy_since is not None and at.ticks - busy_since > self._limit:
            subject = "写入线程处理同一批写入", "the writer has been at the same works"
            yield _stuck(Kind.WRITER_STUCK, subject, busy_since, at, self._writer.queued)
        elif oldest is not None and at.ticks - oldest > self._limit:
            subject = "写入队列中最早的一项等待", "the oldest work in the writer's queue has waited"
            yield _stuck(Kind.WRITER_STUCK, subject, oldest, at, self._writer.queued)


def _stuck(kind: Kind, subject: tuple[str, str], since: float, at: ClockReading, queued: int = 0) -> Observation:
    seconds = at.ticks - since
    queue_zh, queue_en = (f"，另有 {queued} 项等待", f"; {queued} more wait") if queued else ("", "")
    detail = texts(f"{subject[0]}已 {seconds:.0f} 秒{queue_zh}", f"{subject[1]} for {seconds:.0f} s{queue_en}")
    return Observation(kind, at.seconds_ago(seconds), detail)


class EventLoopProbe:
    """Schedules a callback in the event loop and finds the loop stuck when the callback runs too late."""

    def __init__(self, limit: timedelta, ticks: Callable[[], float]) -> None:
        self._limit = limit.total_seconds()
        self._ticks = ticks
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_at: float | None = None
        self._took = 0.0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Probe this event loop from now on."""
        self._loop = loop

    def probe(self, at: ClockReading) -> Iterator[Observation]:
        """Yield an observation if the last answer took too long or is still missing; then ask again."""

        def answer() -> None:
            if self._asked_at is not None:
                self._took, self._asked_at = self._ticks() - self._asked_at, None

        asked_at = self._asked_at
        lag = self._took if asked_at is None else at.ticks - asked_at
        # In tests and while the daemon stops there may be no loop that could answer.
        if asked_at is None and self._loop is not None and not self._loop.is_closed():
            self._took, self._asked_at = 0.0, at.ticks
            self._loop.call_soon_threadsafe(answer)
        if lag > self._limit:
            yield Observation(
                Kind.EVENT_LOOP_STUCK,
                at.seconds_ago(lag),
                texts(f"事件循环 {lag:.0f} 秒没有应答", f"the event loop did not answer for {lag:.0f} s"),
            )


class LossProbe:
    """Finds reports of monitors that were refused for good since the last probe."""

    def __init__(self, lost: Mapping[LostReason, int]) -> None:
        """Watch the numbers of lost reports by reason."""
        self._lost = lost
        self._seen = dict(lost)

    def probe(self, at: ClockReading) -> Iterator[Observation]:
        """Yield an observation if reports were lost since the last probe."""
        lost = dict(self._lost)
        new = {reason: count - self._seen.get(reason, 0) for reason, count in lost.items()}
        self._seen = lost
        words = [_LOST[reason] for reason, count in new.items() if count]
        counts = [count for count in new.values() if count]
        if counts:
            zh_cn = "，".join(f"{count} {zh}" for count, (zh, _) in zip(counts, words, strict=True))
            en = ", ".join(f"{count} {english}" for count, (_, english) in zip(counts, words, strict=True))
            yield Observation(Kind.REPORTS_LOST, at.now, texts(f"未受理：{zh_cn}", f"refused: {en}"))


_LOST: Mapping[LostReason, tuple[str, str]] = {
    LostReason.BODY_TOO_LARGE: ("个请求过大", "request(s) too large"),
    LostReason.BODY_INVALID: ("个请求内容无效", "request(s) with an invalid body"),
    LostReason.QUARANTINE_LIMIT: (
        "条告警超出一次请求可进入隔离区的数量",
        "alert(s) beyond the most that one request may put in quarantine",
    ),
}


class ClockProbe:
    """Finds steps of the system clock: between two probes it advanced by another length than the ticks."""

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit.total_seconds()
        self._last: ClockReading | None = None

    def start(self, at: ClockReading) -> None:
        """Compare the next reading with this one."""
        self._last = at

    def probe(self, at: ClockReading) -> Iterator[Observation]:
        """Yield an observation if the clock was set, or the machine slept, since the last probe."""
        last, self._last = self._last, at
        if last is None:
            return
        step = (at.now - last.now).total_seconds() - (at.ticks - last.ticks) * at.speed
        if abs(step) > self._limit:
            zh_cn, en = ("向前", "forwards") if step > 0 else ("向后", "backwards")
            sentence = f"the clock went {abs(step):.0f} s {en} between two probes"
            detail = texts(f"系统时钟在两次检查之间{zh_cn}跳了 {abs(step):.0f} 秒", sentence)
            yield Observation(Kind.CLOCK_STEPPED, at.now, detail)
