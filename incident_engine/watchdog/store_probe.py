"""Probes the store in a thread of its own: a store that hangs must not stop the other probes."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

from incident_engine.store.health import Health, Late
from incident_engine.watchdog.findings import ClockReading, Kind, Observation, texts

KINDS = frozenset(
    {
        Kind.TIMER_OVERDUE,
        Kind.DELIVERY_UNCLAIMED,
        Kind.DELIVERY_LEASE_LAPSED,
        Kind.STATUTORY_AT_RISK,
        Kind.DATABASE_CLOCK_SKEW,
        Kind.INCIDENT_STUCK,
        Kind.OUTAGE_SILENT,
        Kind.REPORTS_QUARANTINED,
        Kind.EVENTS_ISOLATED,
    }
)
"""Kinds that are unknown while the store cannot be read."""


class StoreProbe:
    """Reads the store's health, and reports a store that fails or does not answer within a limit."""

    def __init__(self, read: Callable[[ClockReading], Health], limit: timedelta, patience: timedelta) -> None:
        """Probe with `read`, which may fail or hang.

        A probe waits for up to `patience`; a later one collects the answer if it takes longer.
        """
        self._read = read
        self._limit = limit.total_seconds()
        self._patience = patience.total_seconds()
        self._thread: threading.Thread | None = None
        self._started_at = 0.0
        self._answer: Health | Exception | None = None

    def probe(self, at: ClockReading) -> Health | Observation | None:
        """Return the store's health, or an observation that it cannot be read, or None while the read goes on."""

        def read() -> None:
            try:
                self._answer = self._read(at)
            except Exception as error:  # noqa: BLE001 - any failure means that the store cannot be read
                self._answer = error

        # At most one read at a time: a store that hangs must not collect threads and connections.
        if self._thread is None:
            self._answer, self._started_at = None, at.ticks
            self._thread = threading.Thread(target=read, name="watchdog-store", daemon=True)
            self._thread.start()
        self._thread.join(self._patience)
        if self._thread.is_alive():
            seconds = at.ticks - self._started_at
            if seconds <= self._limit:
                return None
            detail = texts(f"数据库 {seconds:.0f} 秒没有应答", f"the store has not answered for {seconds:.0f} s")
            return Observation(Kind.STORE_UNREADABLE, at.seconds_ago(seconds), detail)
        self._thread = None
        if isinstance(self._answer, Exception):
            error = str(self._answer) or repr(self._answer)
            detail = texts(f"无法读取数据库：{error}", f"the store cannot be read: {error}")
            return Observation(Kind.STORE_UNREADABLE, at.now, detail)
        return self._answer


def find_late(health: Health) -> Iterator[Observation]:
    """Yield an observation for each kind of row that is late in the store."""
    if rows := health.timers:
        yield Observation(
            Kind.TIMER_OVERDUE,
            rows.since,
            texts(
                f"{rows.count} 个定时到期而未触发，最早的属于事件 {rows.subject}",
                f"{rows.count} timer(s) are due and were not fired, the first of incident {rows.subject}",
            ),
        )
    if rows := health.stuck:
        yield Observation(
            Kind.INCIDENT_STUCK,
            rows.since,
            texts(
                f"{rows.count} 个事件无法更新，最早的是 {rows.subject}",
                f"{rows.count} incident(s) cannot be updated, the first is {rows.subject}",
            ),
            renewed_at=rows.latest,
        )
    # Waiting on purpose is no fault, but it explains a backlog to the person who is woken by it.
    waiting_zh, waiting = _waiting(health.waiting)
    if rows := health.unclaimed:
        yield Observation(
            Kind.DELIVERY_UNCLAIMED,
            rows.since,
            texts(
                f"{rows.count} 条消息到期而无人领取，最早的是 {rows.subject}{waiting_zh}",
                f"{rows.count} message(s) are due and nobody takes them, the first is {rows.subject}{waiting}",
            ),
        )
    if rows := health.lapsed:
        yield Observation(
            Kind.DELIVERY_LEASE_LAPSED,
            rows.since,
            texts(
                f"{rows.count} 条消息处于发送中而租约已过期，最早的是 {rows.subject}{waiting_zh}",
                f"{rows.count} message(s) are being sent although their lease has run out, "
                f"the first is {rows.subject}{waiting}",
            ),
        )
    if rows := health.at_risk:
        yield Observation(
            Kind.STATUTORY_AT_RISK,
            rows.since,
            texts(
                f"{rows.count} 个有法定期限的步骤，其消息发送失败且无一送达，最早的期限属于 {rows.subject}",
                f"{rows.count} step(s) with a deadline: messages failed and none arrived, the first of {rows.subject}",
            ),
        )


def find_events_ahead(health: Health, refused: int, at: ClockReading) -> Iterator[Observation]:
    """Yield an observation if events come from ahead of our clock: stored ones, or `refused` ones too far ahead."""
    stored = health.ahead
    if not stored and not refused:
        return
    count = stored.count if stored else 0
    from_zh, from_en = (f"（如来源 {stored.subject}）", f" (such as of {stored.subject})") if stored else ("", "")
    zh_cn = f"新收到 {count} 个发生时间超前于本机时钟的事件{from_zh}，另有 {refused} 个因超前过多未受理"
    en = f"{count} new event(s) occurred ahead of this machine's clock{from_en}; {refused} too far ahead were refused"
    yield Observation(Kind.EVENTS_AHEAD, at.now, texts(zh_cn, en))


def find_clock_skew(health: Health, at: ClockReading, limit: timedelta) -> Iterator[Observation]:
    """Yield an observation if the database's clock differs from ours by more than a limit."""
    if health.database_now is None:
        return
    skew = (health.database_now - at.now).total_seconds()
    if abs(skew) > limit.total_seconds():
        zh_cn, en = ("快", "ahead of") if skew > 0 else ("慢", "behind")
        sentence = f"the database's clock is {abs(skew):.0f} s {en} ours"
        detail = texts(f"数据库时钟比本机{zh_cn} {abs(skew):.0f} 秒", sentence)
        yield Observation(Kind.DATABASE_CLOCK_SKEW, at.now, detail)


def _waiting(rows: Late | None) -> tuple[str, str]:
    """Return the count of deliveries that wait on purpose, as the end of a sentence in Chinese and English."""
    if rows is None:
        return "", ""
    since = rows.since.isoformat(timespec="seconds")
    zh_cn = f"；另有 {rows.count} 条因限速或熔断按计划等待，最早的写于 {since}"
    return zh_cn, f"; {rows.count} more wait for a rate limit or an open circuit, the oldest since {since}"
