"""The kinds of findings, the observations they come from, and the clock readings they are dated by."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from incident_engine.common.clock import Clock, ticks
from incident_engine.domain.values import LocalizedText


class Kind(StrEnum):
    """The kind of a fault: reason in the log, label of the metric and code in /readyz."""

    WRITER_DEAD = "writer_dead"
    WRITER_STUCK = "writer_stuck"
    DISPATCHER_DEAD = "dispatcher_dead"
    DISPATCHER_STUCK = "dispatcher_stuck"
    TIMERS_DEAD = "timers_dead"
    TIMERS_STUCK = "timers_stuck"
    EVENT_LOOP_STUCK = "event_loop_stuck"
    STORE_UNREADABLE = "store_unreadable"
    TIMER_OVERDUE = "timer_overdue"
    DELIVERY_UNCLAIMED = "delivery_unclaimed"
    DELIVERY_LEASE_LAPSED = "delivery_lease_lapsed"
    STATUTORY_AT_RISK = "statutory_at_risk"
    CLOCK_STEPPED = "clock_stepped"
    EVENTS_AHEAD = "events_ahead"
    REPORTS_LOST = "reports_lost"
    DATABASE_CLOCK_SKEW = "database_clock_skew"
    ALERTS_TRUNCATED = "alerts_truncated"
    INCIDENT_STUCK = "incident_stuck"
    OUTAGE_SILENT = "outage_silent"
    REPORTS_QUARANTINED = "reports_quarantined"
    EVENTS_ISOLATED = "events_isolated"
    PROBE_FAILED = "probe_failed"


UNREADY = frozenset(
    {
        Kind.WRITER_DEAD,
        Kind.WRITER_STUCK,
        Kind.DISPATCHER_DEAD,
        Kind.DISPATCHER_STUCK,
        Kind.TIMERS_DEAD,
        Kind.TIMERS_STUCK,
        Kind.EVENT_LOOP_STUCK,
        Kind.STORE_UNREADABLE,
    }
)
"""Kinds that make the daemon unready: it does not do its own work, and another process may.

All other kinds are warnings: the daemon stays ready, because events must still be accepted."""

FOR_DUTY = frozenset(
    {
        Kind.ALERTS_TRUNCATED,
        Kind.INCIDENT_STUCK,
        Kind.OUTAGE_SILENT,
        Kind.REPORTS_LOST,
        Kind.REPORTS_QUARANTINED,
        Kind.EVENTS_ISOLATED,
    }
)
"""Kinds about outages that may go on ungraded. The duty team is told, too, because only it knows whether one does."""

SEEN_TWICE = frozenset({Kind.TIMER_OVERDUE, Kind.DELIVERY_UNCLAIMED, Kind.DELIVERY_LEASE_LAPSED})
"""Kinds that become findings at the second observation in a row: after a sleep or a step of the clock everything is
overdue for a moment."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The instant of a probe by two clocks: the one that deadlines follow, and a monotonic one."""

    now: datetime
    ticks: float
    speed: float = 1.0
    """Seconds of the clock per real second; above 1 in a drill."""

    def seconds_ago(self, seconds: float) -> datetime:
        """Return the instant a number of real seconds ago."""
        return self.now - timedelta(seconds=seconds * self.speed)

    def to_clock_time(self, length: timedelta) -> timedelta:
        """Return the length of the clock's time that passes in a length of real time."""
        return length * self.speed


def read_clock(clock: Clock) -> ClockReading:
    """Return the current reading of a clock and of the ticks."""
    return ClockReading(clock.now(), ticks(), clock.speed)


@dataclass(frozen=True, slots=True)
class Observation:
    """A fault that one probe observed."""

    kind: Kind
    since: datetime
    """The start of the fault, as far as this probe can tell."""
    detail: LocalizedText
    particulars: LocalizedText | None = None
    """Cases one by one with the words of monitors, in Markdown; for notices only, never for the log or /readyz."""
    renewed_at: datetime | None = None
    """The instant of the newest case; a later one is told although the finding is known."""

    @property
    def sentence(self) -> str:
        """Return kind and English particulars, as /readyz and the log have them."""
        return f"{self.kind}: {self.detail.en}"


Finding = Observation
"""An observation that counts; `since` is that of the first one."""


@dataclass(frozen=True, slots=True)
class Change:
    """A finding that has appeared or, with `ended_at`, has ended."""

    finding: Finding
    ended_at: datetime | None = None


def texts(zh_cn: str, en: str) -> LocalizedText:
    """Return a text in both languages."""
    return LocalizedText.model_validate({"zh-CN": zh_cn, "en": en})
