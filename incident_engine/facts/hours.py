"""Service hours: when the business that a service carries is open to customers (银监办发〔2008〕53号 Art. 4).

Everything is half-open [start, end) and aware. `elapsed` and `reach` are inverse to each other: `reach` gives the
earliest instant at which `elapsed` has grown to a given length.
"""

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Protocol
from zoneinfo import ZoneInfo

from incident_engine.facts.values import NEVER

Segment = tuple[datetime, datetime]
"""A stretch of time in UTC, [start, end); an end of NEVER is open."""

_ONE_DAY = timedelta(days=1)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)")


class ServiceHours(Protocol):
    """When a service is open."""

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Yield, in order, the open stretches within [start, end)."""
        ...


@dataclass(frozen=True, slots=True)
class AlwaysOpen:
    """Twenty-four hours on seven days."""

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Yield the whole stretch."""
        if start < end:
            yield start, end


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """The same windows every week in one time zone: for each weekday (Monday first) pairs of (from, to)."""

    zone: ZoneInfo
    week: tuple[tuple[tuple[timedelta, timedelta], ...], ...]

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Yield the open stretches within [start, end); endless when `end` is NEVER."""
        day = start.astimezone(self.zone).date() - _ONE_DAY  # yesterday's last window may run past midnight
        while True:
            for opens, closes in self.week[day.weekday()]:
                opened = max(self._instant(day, opens, late=False), start)
                closed = min(self._instant(day, closes, late=True), end)
                if opened < closed:
                    yield opened, closed
            day += _ONE_DAY
            if end != NEVER and self._instant(day, timedelta(0), late=False) >= end:
                return

    def _instant(self, day: date, offset: timedelta, *, late: bool) -> datetime:
        """Return the instant of a local time.

        One that exists twice is taken so that the service is open longer; one that does not exist is the moment at
        which the clocks are changed.
        """
        local = datetime.combine(day, time()) + offset
        instant = local.replace(tzinfo=self.zone, fold=int(late)).astimezone(UTC)
        if instant.astimezone(self.zone).replace(tzinfo=None) == local:
            return instant
        after, before = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return self._change(before, after)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """Return the second, between two instants, from which another offset holds."""
        offset = before.astimezone(self.zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
            if middle.astimezone(self.zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after


def parse_window(text: str) -> tuple[timedelta, timedelta]:
    """Return (from, to) of "09:00-17:00", counted from midnight; an end before the start is on the next day."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"not a window of hours: {text!r}; expected HH:MM-HH:MM such as 09:00-17:00")
    hours = [timedelta(hours=int(match[i]), minutes=int(match[i + 1])) for i in (1, 3)]
    if hours[0] >= _ONE_DAY or hours[1] > _ONE_DAY or hours[0] == hours[1]:
        raise ValueError(f"not a window of hours: {text!r}; expected two different times from 00:00 to 24:00")
    return hours[0], hours[1] if hours[1] > hours[0] else hours[1] + _ONE_DAY


def parse_weekdays(text: str) -> range | tuple[int, ...]:
    """Return the weekdays (Monday is 0) that "mon", "mon-fri" or "sat-mon" names."""
    first, _, last = text.lower().partition("-")
    last = last or first
    if first not in _WEEKDAYS or last not in _WEEKDAYS:
        raise ValueError(f"not weekdays: {text!r}; expected names such as mon, mon-fri, sat-sun")
    start, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last)
    return range(start, end + 1) if start <= end else (*range(start, 7), *range(end + 1))


def weekly_hours(zone: ZoneInfo, windows: Iterable[tuple[str, str]]) -> WeeklyHours:
    """Return the hours for pairs of (weekdays, window), such as ("mon-fri", "09:00-17:00").

    Raises ValueError when a part is malformed, when windows of one day overlap or when the week is never open.
    """
    week: list[list[tuple[timedelta, timedelta]]] = [[] for _ in _WEEKDAYS]
    for weekdays, window in windows:
        span = parse_window(window)
        for weekday in parse_weekdays(weekdays):
            week[weekday].append(span)
    for weekday, spans in enumerate(week):
        spans.sort()
        following = [(a + _ONE_DAY, b + _ONE_DAY) for a, b in sorted(week[(weekday + 1) % 7])][:1]
        ordered = [*spans, *following]
        if any(later[0] < earlier[1] for earlier, later in pairwise(ordered)):
            raise ValueError(f"windows of {_WEEKDAYS[weekday]} overlap")
    if not any(week):
        raise ValueError("no window at all: the service would never be open")
    return WeeklyHours(zone, tuple(tuple(spans) for spans in week))


def union(streams: Iterable[Iterator[Segment]]) -> Iterator[Segment]:
    """Merge ordered streams of segments into one without overlaps; lazy, so streams may be endless."""
    current: Segment | None = None
    for start, end in heapq.merge(*streams):
        if current is None:
            current = start, end
        elif start <= current[1]:
            current = current[0], max(current[1], end)
        else:
            yield current
            current = start, end
        if current[1] == NEVER:
            break
    if current is not None:
        yield current


def elapsed(segments: Iterable[Segment], until: datetime) -> timedelta:
    """Return the total length of ordered, disjoint segments before `until`."""
    total = timedelta(0)
    for start, end in segments:
        if start >= until:
            break
        total += min(end, until) - start
    return total


def reach(segments: Iterable[Segment], length: timedelta) -> datetime:
    """Return the instant at which the total length of ordered, disjoint segments grows to `length`, or NEVER."""
    missing = length
    for start, end in segments:
        if end - start >= missing:
            return start + missing
        missing -= end - start
    return NEVER
