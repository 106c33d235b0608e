"""Working days: count them from a day on, and name the years in which the count is a guess."""

from dataclasses import dataclass
from datetime import date, timedelta

from incident_engine.domain.calendar.holidays import Calendar

_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CountedDay:
    """A working day, and the years without published days off that were looked at to find it."""

    day: date
    guessed_years: frozenset[int] = frozenset()


def working_day_after(start: date, count: int, calendar: Calendar | None) -> CountedDay:
    """Return the working day `count` after a day; without a calendar every day is a working day.

    Raises OverflowError if there is no such day up to the year 9999.
    """
    day = start
    for _ in range(count):
        day += _A_DAY
        while calendar is not None and not calendar.is_workday(day):
            day += _A_DAY
    return CountedDay(day, _guessed_years(start + _A_DAY, day, calendar))


def working_day_from(start: date, calendar: Calendar | None) -> CountedDay:
    """Return the first working day from a day on: the day itself, if it is one."""
    if calendar is None or calendar.is_workday(start):
        return CountedDay(start, _guessed_years(start, start, calendar))
    following = working_day_after(start, 1, calendar)
    return CountedDay(following.day, _guessed_years(start, following.day, calendar))


def _guessed_years(first: date, last: date, calendar: Calendar | None) -> frozenset[int]:
    return frozenset() if calendar is None else calendar.guessed_years(first, last)
