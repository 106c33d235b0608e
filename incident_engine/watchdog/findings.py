"""What the watchdog can find, and what it needs to say about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from incident_engine.common.clock import Clock, ticks
from incident_engine.domain.values import LocalizedText


class Kind(StrEnum):
    """What is wrong: the log's reason, the metric's label, and the word in /readyz."""

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
    DATABASE_CLOCK_SKEW = "database_clock_skew"
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
"""This process does not do its own work, and another may. The rest is late or wrong around it: events must still be
taken, so it stays ready and warns."""

SEEN_TWICE = frozenset({Kind.TIMER_OVERDUE, Kind.DELIVERY_UNCLAIMED, Kind.DELIVERY_LEASE_LAPSED})
"""Counts from the second look in a row: after a sleep or a leap of the clock everything is overdue for a moment."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """When a look is taken: by the clock that deadlines are counted by, and by one that nobody sets."""

    now: datetime
    ticks: float
    speed: float = 1.0

    def before(self, seconds: float) -> datetime:
        """Return the instant so many real seconds ago."""
        return self.now - timedelta(seconds=seconds * self.speed)

    def limit(self, length: timedelta) -> timedelta:
        """Return a length of real time by the clock: a drill's runs faster."""
        return length * self.speed


def read_clock(clock: Clock) -> ClockReading:
    """Return the present."""
    return ClockReading(clock.now(), ticks(), clock.speed)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look saw: what, since when, and the particulars."""

    kind: Kind
    since: datetime
    detail: LocalizedText

    @property
    def sentence(self) -> str:
        """Return kind and English particulars, as /readyz and the log have them."""
        return f"{self.kind}: {self.detail.en}"


Finding = Observation
"""A sight that counts; `since` is that of the first look that saw it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A finding has appeared, or (with `ended_at`) is over."""

    finding: Finding
    ended_at: datetime | None = None


def texts(zh_cn: str, en: str) -> LocalizedText:
    """Return a text in both languages."""
    return LocalizedText.model_validate({"zh-CN": zh_cn, "en": en})
