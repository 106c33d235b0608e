"""Looking at the store, in a thread of its own: a store that hangs must not keep the watchdog from looking on."""

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
    }
)
"""What only the store can tell."""


class StoreProbe:
    """Reads the store's health, and says so when it cannot be read, or does not answer within a limit."""

    def __init__(self, read: Callable[[ClockReading], Health], limit: timedelta, patience: timedelta) -> None:
        """`read` may fail or hang. A look waits for as long as `patience`; the answer may come at a later one."""
        self._read = read
        self._limit = limit.total_seconds()
        self._patience = patience.total_seconds()
        self._thread: threading.Thread | None = None
        self._begun_at = 0.0
        self._answer: Health | Exception | None = None

    def probe(self, at: ClockReading) -> Health | Observation | None:
        """Return the store's health, that it cannot be read, or None while it is being read."""
        if self._thread is None:
            self._answer, self._begun_at = None, at.ticks
            self._thread = threading.Thread(target=self._ask, args=(at,), name="watchdog-store", daemon=True)
            self._thread.start()
        self._thread.join(self._patience)
        if self._thread.is_alive():
            took = at.ticks - self._begun_at
            if took <= self._limit:
                return None
            said = texts(f"数据库 {took:.0f} 秒没有应答", f"the store has not answered for {took:.0f} s")
            return Observation(Kind.STORE_UNREADABLE, at.before(took), said)
        self._thread = None
        if isinstance(self._answer, Exception):
            error = str(self._answer) or repr(self._answer)
            said = texts(f"无法读取数据库：{error}", f"the store cannot be read: {error}")
            return Observation(Kind.STORE_UNREADABLE, at.now, said)
        return self._answer

    def _ask(self, at: ClockReading) -> None:
        try:
            self._answer = self._read(at)
        except Exception as error:  # noqa: BLE001 - whatever it is, the look says that the store cannot be read
            self._answer = error


def late(health: Health) -> Iterator[Observation]:
    """Yield what is late in the store."""
    if found := health.timers:
        yield _sight(
            Kind.TIMER_OVERDUE,
            found,
            f"{found.count} 个定时到期而未触发，最早的属于事件 {found.about}",
            f"{found.count} timer(s) are due and were not fired, the first of incident {found.about}",
        )
    waiting_zh, waiting = _waiting(health.waiting)
    if found := health.unclaimed:
        yield _sight(
            Kind.DELIVERY_UNCLAIMED,
            found,
            f"{found.count} 条消息到期而无人领取，最早的是 {found.about}{waiting_zh}",
            f"{found.count} message(s) are due and nobody takes them, the first is {found.about}{waiting}",
        )
    if found := health.lapsed:
        yield _sight(
            Kind.DELIVERY_LEASE_LAPSED,
            found,
            f"{found.count} 条消息处于发送中而租约已过期，最早的是 {found.about}{waiting_zh}",
            f"{found.count} message(s) are being sent although their lease has run out, "
            f"the first is {found.about}{waiting}",
        )
    if found := health.at_risk:
        yield Observation(
            Kind.STATUTORY_AT_RISK,
            found.since,
            texts(
                f"{found.count} 个有法定期限的步骤，其消息发送失败且无一送达，最早的期限属于 {found.about}",
                f"{found.count} step(s) with a deadline: messages failed and none arrived, the first of {found.about}",
            ),
        )


def ahead(health: Health, refused: int, at: ClockReading) -> Iterator[Observation]:
    """Yield that events come from ahead of our clock: stored within what is allowed, or `refused` beyond it."""
    stored = health.ahead
    if not stored and not refused:
        return
    count = stored.count if stored else 0
    from_zh, from_en = (f"（如来源 {stored.about}）", f" (such as of {stored.about})") if stored else ("", "")
    zh_cn = f"新收到 {count} 个发生时间超前于本机时钟的事件{from_zh}，另有 {refused} 个因超前过多未受理"
    en = f"{count} new event(s) occurred ahead of this machine's clock{from_en}; {refused} too far ahead were refused"
    yield Observation(Kind.EVENTS_AHEAD, at.now, texts(zh_cn, en))


def skewed(health: Health, at: ClockReading, limit: timedelta) -> Iterator[Observation]:
    """Yield that the database's clock differs from ours."""
    if health.database_now is None:
        return
    skew = (health.database_now - at.now).total_seconds()
    if abs(skew) > limit.total_seconds():
        zh_cn, en = ("快", "ahead of") if skew > 0 else ("慢", "behind")
        said = f"the database's clock is {abs(skew):.0f} s {en} ours"
        yield Observation(Kind.DATABASE_CLOCK_SKEW, at.now, texts(f"数据库时钟比本机{zh_cn} {abs(skew):.0f} 秒", said))


def _sight(kind: Kind, found: Late, zh_cn: str, en: str) -> Observation:
    return Observation(kind, found.since, texts(zh_cn, en))


def _waiting(found: Late | None) -> tuple[str, str]:
    """Return how many wait on purpose, as the end of a sentence in each language."""
    if found is None:
        return "", ""
    since = found.since.isoformat(timespec="seconds")
    zh_cn = f"；另有 {found.count} 条因限速或熔断按计划等待，最早的写于 {since}"
    return zh_cn, f"; {found.count} more wait for a rate limit or an open circuit, the oldest since {since}"
