"""Which days are workdays: by law as published, by the library `holidays`, and as operators set them right."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cache

import holidays
from holidays.registry import COUNTRIES


class DayKind(StrEnum):
    """What an operator can make of a day."""

    HOLIDAY = "holiday"
    WORKDAY = "workday"


@dataclass(frozen=True, slots=True)
class Calendar:
    """A country's workdays. `days` overrides single days; `published` are years that an operator vouches for."""

    country: str
    days: Mapping[date, DayKind] = field(default_factory=dict)
    published: frozenset[int] = frozenset()
    _country: holidays.HolidayBase = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_country", holidays.country_holidays(self.country))

    def is_workday(self, day: date) -> bool:
        """Return whether people work on this day; a make-up workday at the weekend is one."""
        kind = self.days.get(day)
        if kind is not None:
            return kind is DayKind.WORKDAY
        return bool(self._country.is_working_day(day))

    def is_named_holiday(self, day: date) -> bool:
        """Return whether the day is a holiday in its own right, even at a weekend."""
        kind = self.days.get(day)
        if kind is not None:
            return kind is DayKind.HOLIDAY
        return day in self._country

    def is_published(self, year: int) -> bool:
        """Return whether the year's days off are officially known.

        Where a government moves days off and workdays year by year (as China's does every autumn for the next year),
        a year without such an announcement is a guess. Elsewhere holidays follow from the law alone.
        """
        announced = announced_years(self.country)
        return not announced or year in announced or year in self.published


@cache  # the library builds a calendar for each question, and every verdict asks
def announced_years(country: str) -> frozenset[int]:
    """Return the years for which days were announced one by one; empty where holidays follow from the law alone."""
    tables = getattr(holidays.country_holidays(country), "special_public_holidays", {})
    return frozenset(tables) if country in _ANNOUNCED_YEARLY else frozenset()


_ANNOUNCED_YEARLY = frozenset({"CN"})


def known_countries() -> list[str]:
    """Return the codes of the countries that the library knows."""
    # From the library's own register: its function would read every country's module for it, a quarter of a start.
    return sorted({code for names in COUNTRIES.values() for code in names if len(code) == 2})
