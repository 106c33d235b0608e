"""Values that all documents share: durations, days, time zones, identifiers, and texts in two languages."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from incident_engine.common.validation import Strict, invalid

NEVER = datetime.max.replace(tzinfo=UTC)
"""The instant of a thing that will not happen. It is later than all others, so that `min` and `max` need no special
case; `grading.reach` explains its use."""

RESOLUTION = timedelta(microseconds=1)
"""The smallest step of time. The limit `more_than` is one step after `at_least`."""

_LONGEST = timedelta(days=36_500)
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(value: Any) -> timedelta:
    """Return the duration written as `value`, such as 30m, 3h, 1d12h or 90s. Raises a validation error otherwise."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise invalid(f"not a duration: {value!r}", "a number with its unit, such as 30m, 3h, 1d12h, 45s")
    amounts = {unit: int(text) for unit, text in zip(_UNITS.values(), match.groups(), strict=True) if text}
    try:
        length = timedelta(**amounts)
    except OverflowError:
        length = timedelta.max
    if length > _LONGEST:
        raise invalid(f"too long: {value!r}", f"{_LONGEST.days}d at most")
    return length


def write_duration(value: timedelta) -> str:
    """Return a duration of whole seconds in the form that `parse_duration` reads."""
    seconds = int(value.total_seconds())
    parts = (seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def months_later(instant: datetime, count: int) -> datetime:
    """Return the same local time `count` months later (earlier if negative); in a shorter month on its last day."""
    years, month = divmod(instant.month - 1 + count, 12)
    year = instant.year + years
    return instant.replace(year=year, month=month + 1, day=min(instant.day, monthrange(year, month + 1)[1]))


def stamp(instant: datetime) -> str:
    """Return an instant in UTC for use in a name, such as 20130623T023500Z; with microseconds if it has any."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond:06}Z" if utc.microsecond else f"{utc:%Y%m%dT%H%M%SZ}"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration, json_schema_input_type=str), PlainSerializer(write_duration, str)
]
"""A length of time, written 30m, 3h, 1d12h."""


EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""The first instant that people and monitors can name."""
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""The end of the instants that people and monitors can name. A century of any length of time still fits behind it."""


def plausible_instant(instant: datetime) -> datetime:
    """Return an instant from 1970 to 2199. Raises a validation error for any other.

    A clock that was never set gives the year 1, and sums with instants near the years 1 and 9999 overflow.
    """
    if not EARLIEST <= instant < LATEST:
        raise invalid(f"not a plausible instant: {instant.isoformat()}", "one from 1970 to 2199")
    return instant


def plausible_day(day: date) -> date:
    """Return a day from 1970 to 2199. Raises a validation error for any other, as `plausible_instant` does."""
    if not EARLIEST.year <= day.year < LATEST.year:
        raise invalid(f"not a plausible day: {day.isoformat()}", "one from 1970-01-01 to 2199-12-31")
    return day


def _day(value: object) -> object:
    if isinstance(value, date):
        return plausible_day(value)
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else date.fromisoformat("")
    except ValueError:
        raise invalid(f"not a day: {value!r}", "a day such as 2008-04-23") from None
    return plausible_day(day)


Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=str)]
"""A calendar day, written 2008-04-23."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid(f"unknown time zone {name!r}", "an IANA name such as Asia/Shanghai") from None
    return name


Zone = Annotated[str, AfterValidator(_zone)]
"""The name of a time zone in the IANA database."""


def _identifier(name: str) -> str:
    if not _IDENTIFIER.fullmatch(name):
        raise invalid(f"not an id: {name!r}", "letters, digits, - and _, such as core-banking; 60 at most")
    return name


_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
Identifier = Annotated[str, AfterValidator(_identifier)]
"""An id: letters, digits, - and _, at most 60."""


class LocalizedText(Strict):
    """A text in Chinese and in English."""

    zh_cn: str = Field(alias="zh-CN", min_length=1)
    en: str = Field(min_length=1)

    def in_(self, locale: str) -> str:
        """Return the text for a locale such as zh-CN or en_GB; English unless it is Chinese."""
        return self.zh_cn if locale.lower().startswith("zh") else self.en

    def as_mapping(self) -> dict[str, str]:
        """Return the texts by locale."""
        return {"zh-CN": self.zh_cn, "en": self.en}


def format_cite(cite: str, locale: str) -> str:
    """Return a citation such as "Art. 9(1)2" as the reader's language writes it: 第9条（1）2."""
    if not locale.lower().startswith("zh"):
        return cite
    for english, chinese in _CITES:
        cite = english.sub(chinese, cite)
    return cite


_CITES = (
    (re.compile(r"Art\. ?(\d+)"), r"第\1条"),
    (re.compile(r"Chapter (\d+)"), r"第\1章"),
    (re.compile(r"Annex parts? (\d+)"), r"附件第\1部分"),
    (re.compile(r"Annex"), "附件"),
    (re.compile(r"\((\w+)\)"), r"（\1）"),
    (re.compile(r", "), "、"),
)


LOCALES = ("zh-CN", "en")
"""The languages of all messages and reports."""
