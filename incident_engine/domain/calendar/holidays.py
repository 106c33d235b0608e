"""Workdays and holidays of a country: from the library `holidays`, with the operators' changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import cache

import holidays
from holidays.registry import COUNTRIES

from incident_engine.common.validation import unknown_name

_A_DAY = timedelta(days=1)


class DayKind(StrEnum):
    """The kinds of day that an operator can declare a day to be."""

    HOLIDAY = "holiday"
    WORKDAY = "workday"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Tells the workdays and holidays of a country."""

    country: str
    """ISO 3166-1 alpha-2."""
    days: Mapping[date, DayKind] = field(default_factory=dict)
    """Days that an operator declares different from the library."""
    published: frozenset[int] = frozenset()
    """Years whose days off an operator has checked against the official announcement."""
    _country: holidays.HolidayBase = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_country", holidays.country_holidays(self.country))

    def is_workday(self, day: date) -> bool:
        """Return whether the day is a workday; a make-up workday at the weekend is one."""
        kind = self.days.get(day)
        if kind is not None:
            return kind is DayKind.WORKDAY
        return bool(self._country.is_working_day(day))

    def is_holiday(self, day: date) -> bool:
        """Return whether the day belongs to a holiday, even at a weekend.

        Where the government announces holidays as one row of days off (调休), such as 15 to 23 February 2026, each
        Saturday and Sunday of the row belongs to the holiday. Elsewhere only days that are holidays themselves do.
        """
        if self._is_named_holiday(day):
            return True
        return self.country in _ANNOUNCED_YEARLY and any(self._is_joined(day, step) for step in (-_A_DAY, _A_DAY))

    def _is_named_holiday(self, day: date) -> bool:
        kind = self.days.get(day)
        if kind is not None:
            return kind is DayKind.HOLIDAY
        return day in self._country

    def _is_joined(self, day: date, step: timedelta) -> bool:
        """Return whether only days off lie between a day and the next holiday before or after it."""
        while not self.is_workday(day):
            if self._is_named_holiday(day):
                return True
            day += step
        return False

    def is_published(self, year: int) -> bool:
        """Return whether the year's days off are officially known.

        China's government announces days off and make-up workdays each autumn for the next year. There, a year that
        is not announced is a guess. Elsewhere holidays follow from the law alone.
        """
        announced = announced_years(self.country)
        return not announced or year in announced or year in self.published

    def guessed_years(self, first: date, last: date) -> frozenset[int]:
        """Return the years from one day to another whose days off are not officially known."""
        return frozenset(year for year in range(first.year, last.year + 1) if not self.is_published(year))


@cache  # the library builds a calendar for each call, and each assessment calls this
def announced_years(country: str) -> frozenset[int]:
    """Return the years with announced days off; empty where holidays follow from the law alone."""
    tables = getattr(holidays.country_holidays(country), "special_public_holidays", {})
    return frozenset(tables) if country in _ANNOUNCED_YEARLY else frozenset()


_ANNOUNCED_YEARLY = frozenset({"CN"})


def known_countries() -> list[str]:
    """Return the codes of the countries that the library knows."""
    # From the library's registry: its own function imports the module of every country, a quarter of our start.
    return sorted({code for names in COUNTRIES.values() for code in names if len(code) == 2})


def known_country(code: str) -> str:
    """Return the code of a country that the library knows. Raises a validation error that names the nearest one."""
    countries = known_countries()
    if code not in countries:
        raise unknown_name("country", code, countries, "the ISO 3166 code of a country, such as CN")
    return code
