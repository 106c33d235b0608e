"""Service hours: the times at which a service's business is open to customers (银监办发〔2008〕53号 Art. 4).

Intervals are half-open [start, end), instants aware. `elapsed` and `reach` are inverse to each other: `reach` gives the
earliest instant at which `elapsed` has grown to a given length.
"""

import heapq
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Protocol
from zoneinfo import ZoneInfo

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.values import NEVER

Segment = tuple[datetime, datetime]
"""An interval of time in UTC, [start, end); one with the end NEVER is open."""

Windows = tuple[tuple[timedelta, timedelta], ...]
"""Pairs of (from, to), each counted from the day's midnight; `to` may lie on the next day."""

_ONE_DAY = timedelta(days=1)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAYS = "holidays"
MAKEUP_WORKDAYS = "makeup-workdays"
DAY_NAMES = (*_WEEKDAYS, HOLIDAYS, MAKEUP_WORKDAYS)
_SPAN = re.compile(r"([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)")
HORIZON = timedelta(days=400)
"""How far beyond the last known change hours are searched for closed or common time."""

_LAST_YEAR = 9998
"""The last year with open days: dates end in 9999, and a window may run past midnight."""


class ServiceHours(Protocol):
    """The times at which a service is open."""

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Yield the open intervals within [start, end), in order."""
        ...

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Return how long the service is open within [start, end)."""
        ...

    def reach(self, start: datetime, length: timedelta) -> datetime:
        """Return the earliest instant at which `elapsed` since `start` has grown to `length`, or NEVER."""
        ...

    def guessed_years(self, start: datetime, end: datetime) -> frozenset[int]:
        """Return the years within [start, end) whose days off are not officially published."""
        ...


@dataclass(frozen=True, slots=True)
class AlwaysOpen:
    """Twenty-four hours on seven days of the week."""

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Yield the whole interval."""
        if start < end:
            yield start, end

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Return the whole length."""
        return max(end - start, timedelta(0))

    def reach(self, start: datetime, length: timedelta) -> datetime:
        """Return the instant `length` after `start`."""
        return start + length

    def guessed_years(self, start: datetime, end: datetime) -> frozenset[int]:
        """Return no years: no day is closed."""
        return frozenset()


ALWAYS = AlwaysOpen()


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The hours of a service without its announced maintenance windows (in order, without overlap)."""

    hours: ServiceHours
    maintenance: tuple[Segment, ...]

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Yield the open intervals within [start, end) outside maintenance."""
        for from_, to in self._around(start, end):
            yield from self.hours.segments(from_, to)

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Return how long the service is open outside maintenance within [start, end)."""
        return sum((self.hours.elapsed(from_, to) for from_, to in self._around(start, end)), timedelta(0))

    def reach(self, start: datetime, length: timedelta) -> datetime:
        """Return the earliest instant at which `elapsed` since `start` has grown to `length`."""
        missing = length
        for from_, to in self._around(start, NEVER):
            reached = self.hours.reach(from_, missing)
            if reached <= to:  # at the very end of an interval, too: the next one may begin days later
                return reached
            missing -= self.hours.elapsed(from_, to)
        return NEVER

    def guessed_years(self, start: datetime, end: datetime) -> frozenset[int]:
        """Return the years within [start, end) whose days off are not officially published."""
        return self.hours.guessed_years(start, end)

    def _around(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Yield the intervals of [start, end) between the maintenance windows."""
        at = start
        for from_, to in self.maintenance:
            if at < min(from_, end):
                yield at, min(from_, end)
            at = max(at, to)
        if at < end:
            yield at, end


@dataclass(slots=True)
class _Year:
    """The open intervals that begin in one local year."""

    starts: list[datetime]
    ends: list[datetime]
    before: list[timedelta]
    """The open time of the year before each interval."""
    total: timedelta

    def open_before(self, instant: datetime) -> timedelta:
        """Return the open time of the year before an instant."""
        index = bisect_right(self.starts, instant) - 1
        if index < 0:
            return timedelta(0)
        return self.before[index] + min(instant, self.ends[index]) - self.starts[index]

    def instant_at(self, passed: timedelta, start: datetime) -> datetime:
        """Return the earliest instant from `start` on at which `passed` of the year's open time has passed."""
        index = max(bisect_right(self.before, passed) - 1, 0)
        if index > 0 and self.before[index] == passed:
            index -= 1  # the end of the previous interval is earlier
        instant = self.starts[index] + (passed - self.before[index]) if self.starts else start
        return max(instant, start)


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Windows by weekday (Monday first) in one time zone; holidays and make-up workdays by a calendar.

    A day that the calendar makes a holiday has the windows `holidays`. A day at the weekend that the calendar makes a
    workday has the windows `makeup_workdays`. The intervals of a year are computed once.
    """

    zone: ZoneInfo
    week: tuple[Windows, ...]
    calendar: Calendar | None = None
    holidays: Windows = ()
    makeup_workdays: Windows = ()
    _years: dict[int, _Year] = field(default_factory=dict, compare=False, repr=False)

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Yield the open intervals within [start, end), in order; with `end` NEVER, until the year 9998."""
        if start >= end:
            return
        # From the year before: a window of 31 December may run past midnight.
        for number in range(start.astimezone(self.zone).year - 1, _LAST_YEAR):
            year = self._year(number)
            first = max(bisect_right(year.starts, start) - 1, 0)
            for opened, closed in zip(year.starts[first:], year.ends[first:], strict=True):
                if opened >= end:
                    return
                if closed > start:
                    yield max(opened, start), min(closed, end)

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Return how long the service is open within [start, end), from the sums of each year."""
        if end <= start:
            return timedelta(0)
        first, last = start.astimezone(self.zone).year - 1, end.astimezone(self.zone).year
        return sum(
            (year.open_before(end) - year.open_before(start) for year in map(self._year, range(first, last + 1))),
            timedelta(0),
        )

    def reach(self, start: datetime, length: timedelta) -> datetime:
        """Return the earliest instant at which `elapsed` since `start` has grown to `length`; NEVER after year 9998."""
        missing = length
        for number in range(start.astimezone(self.zone).year - 1, _LAST_YEAR):
            year = self._year(number)
            passed = year.open_before(start)
            if missing <= year.total - passed:
                return year.instant_at(passed + missing, start)
            missing -= year.total - passed
        return NEVER

    def guessed_years(self, start: datetime, end: datetime) -> frozenset[int]:
        """Return the years within [start, end) whose days off are not officially published."""
        if self.calendar is None:
            return frozenset()
        return self.calendar.guessed_years(start.astimezone(self.zone).date(), end.astimezone(self.zone).date())

    def windows(self, day: date) -> Windows:
        """Return the windows of one local day."""
        weekday = day.weekday()
        if self.calendar is None:
            return self.week[weekday]
        # Three cases: a make-up workday, a holiday in the week, a weekend with service hours within a holiday.
        works, weekend = self.calendar.is_workday(day), weekday >= 5
        if works and weekend:
            return self.makeup_workdays
        if not works and not weekend:
            return self.holidays
        if not works and self.calendar.is_holiday(day):
            return self.holidays
        return self.week[weekday]

    def _year(self, number: int) -> _Year:
        if number in self._years:
            return self._years[number]
        starts: list[datetime] = []
        ends: list[datetime] = []
        before: list[timedelta] = []
        total = timedelta(0)
        day = date(number, 1, 1)
        while day.year == number:
            for opens, closes in self.windows(day):
                opened, closed = self._instant(day, opens, late=False), self._instant(day, closes, late=True)
                if opened < closed:  # a window within the hour that clocks skip in spring is empty
                    starts.append(opened)
                    ends.append(closed)
                    before.append(total)
                    total += closed - opened
            day += _ONE_DAY
        year = self._years[number] = _Year(starts, ends, before, total)
        return year

    def _instant(self, day: date, offset: timedelta, *, late: bool) -> datetime:
        """Return the instant of a local time.

        A local time that exists twice (clocks set back) is the earlier one unless `late`, so that an interval is as
        long as it can be. One that does not exist (clocks set forward) is the instant of the change.
        """
        local = datetime.combine(day, time()) + offset
        instant = local.replace(tzinfo=self.zone, fold=int(late)).astimezone(UTC)
        if instant.astimezone(self.zone).replace(tzinfo=None) == local:
            return instant
        after, before = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return self._change(before, after)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """Return the first second between two instants at which the zone's offset differs from the first one's."""
        offset = before.astimezone(self.zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
            if middle.astimezone(self.zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return after


def parse_window(text: str) -> tuple[timedelta, timedelta]:
    """Return (from, to) of "09:00-17:00", counted from midnight; an end before the start is on the next day.

    Raises ValueError if the text is no window.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"not a window of hours: {text!r}; expected HH:MM-HH:MM such as 09:00-17:00")
    hours = [timedelta(hours=int(match[i]), minutes=int(match[i + 1])) for i in (1, 3)]
    # 24:00 is a common way to write the end of a day, but no beginning.
    if hours[0] >= _ONE_DAY or hours[1] > _ONE_DAY or hours[0] == hours[1]:
        raise ValueError(f"not a window of hours: {text!r}; expected two different times from 00:00 to 24:00")
    return hours[0], hours[1] if hours[1] > hours[0] else hours[1] + _ONE_DAY


def parse_days(text: str) -> tuple[str, ...]:
    """Return the day names in "mon", "mon-fri", "holidays" or "makeup-workdays". Raises ValueError for other texts."""
    name = text.lower()
    if name in (HOLIDAYS, MAKEUP_WORKDAYS):
        return (name,)
    first, _, last = name.partition("-")
    last = last or first
    if first not in _WEEKDAYS or last not in _WEEKDAYS:
        names = f"names such as mon, mon-fri, sat-sun, {HOLIDAYS} or {MAKEUP_WORKDAYS}"
        raise ValueError(f"not days: {text!r}; expected {names}")
    start, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last)
    return _WEEKDAYS[start : end + 1] if start <= end else (*_WEEKDAYS[start:], *_WEEKDAYS[: end + 1])


def weekly_hours(zone: ZoneInfo, windows: Iterable[tuple[str, str]], calendar: Calendar | None = None) -> WeeklyHours:
    """Return the hours for pairs of (days, window), such as ("mon-fri", "09:00-17:00").

    With a calendar, holidays are closed unless `holidays` has windows, and a make-up workday is open as on Monday
    unless `makeup-workdays` has windows of its own. Raises ValueError when a part is malformed, when windows overlap,
    when a calendar is missing or when the week is never open.
    """
    by_day: dict[str, list[tuple[timedelta, timedelta]]] = {name: [] for name in DAY_NAMES}
    named: set[str] = set()
    for days, window in windows:
        span = parse_window(window)
        for name in parse_days(days):
            named.add(name)
            by_day[name].append(span)
    _refuse_overlap(by_day)
    if calendar is None and named & {HOLIDAYS, MAKEUP_WORKDAYS}:
        raise ValueError("holidays need a calendar; expected a calendar beside the time zone, such as CN")
    if not any(by_day[name] for name in _WEEKDAYS):
        raise ValueError("no window on any weekday: the service would never be open")
    kept: Mapping[str, Windows] = {name: tuple(spans) for name, spans in by_day.items()}
    return WeeklyHours(
        zone,
        tuple(kept[name] for name in _WEEKDAYS),
        calendar,
        kept[HOLIDAYS],
        kept[MAKEUP_WORKDAYS] if MAKEUP_WORKDAYS in named else kept["mon"],
    )


def _refuse_overlap(by_day: Mapping[str, list[tuple[timedelta, timedelta]]]) -> None:
    for name, spans in by_day.items():
        spans.sort()
        if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
            raise ValueError(f"windows of {name} overlap")
    latest = max((spans[-1][1] for spans in by_day.values() if spans), default=_ONE_DAY)
    for name, spans in by_day.items():
        if spans and spans[0][0] + _ONE_DAY < latest and _follows_late(name, by_day, spans[0][0]):
            raise ValueError(f"windows of {name} overlap with those of the day before, which run past midnight")


def _follows_late(name: str, by_day: Mapping[str, list[tuple[timedelta, timedelta]]], opens: timedelta) -> bool:
    if name in (HOLIDAYS, MAKEUP_WORKDAYS):  # these can follow any day
        others = [other for other in by_day if other != name]
    else:
        others = [_WEEKDAYS[_WEEKDAYS.index(name) - 1], HOLIDAYS, MAKEUP_WORKDAYS]
    return any(by_day[other] and by_day[other][-1][1] > opens + _ONE_DAY for other in others)


def union(streams: Iterable[Iterator[Segment]]) -> Iterator[Segment]:
    """Merge ordered streams of segments into one without overlaps. Streams may be endless."""
    current: Segment | None = None
    for start, end in heapq.merge(*streams):
        if current is None:
            current = start, end
        elif start <= current[1]:
            current = current[0], max(current[1], end)
        else:
            yield current
            current = start, end
        if current[1] == NEVER:  # the other streams cannot add to it, and may be endless
            break
    if current is not None:
        yield current


def intersection(streams: Sequence[Iterator[Segment]]) -> Iterator[Segment]:
    """Yield the intersection of ordered streams of disjoint segments. Streams may be endless."""
    heads = [next(stream, None) for stream in streams]
    while True:
        present = [head for head in heads if head is not None]
        if len(present) < len(heads):
            return
        start, end = max(head[0] for head in present), min(head[1] for head in present)
        if start < end:
            yield start, end
        heads = [next(stream, None) if head[1] == end else head for stream, head in zip(streams, present, strict=True)]


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


def reach_within(hours: ServiceHours, segments: Iterable[Segment], length: timedelta, *, accumulate: bool) -> datetime:
    """Return the instant at which `length` of the hours has passed within ordered, disjoint segments, or NEVER.

    Unless `accumulate`, a single segment must have the whole length.
    """
    # The hours keep sums by year. Walking their segments would visit each service day of an outage.
    missing = length
    for start, end in segments:
        reached = hours.reach(start, missing)
        if reached <= end:  # at the end itself the length is reached, although the segment does not contain it
            return reached
        if accumulate:
            missing -= hours.elapsed(start, end)
    return NEVER


def closed_from(hours: ServiceHours, instant: datetime) -> datetime:
    """Return the first instant from `instant` on at which the service is closed; NEVER if it is open for 400 days."""
    at = instant
    for start, end in hours.segments(instant, NEVER):
        if start > at:
            return at
        at = end
        if at == NEVER or at - instant > HORIZON:
            break
    return NEVER
