"""Small values that every document shares: durations and texts in two languages."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from incident_engine.validation import Strict, invalid

NEVER = datetime.max.replace(tzinfo=UTC)
"""The instant of what does not happen; later than every other, so `min` and `max` need no special case."""

RESOLUTION = timedelta(microseconds=1)
"""The smallest step of time; `more_than` is one such step after `at_least`."""

_LONGEST = timedelta(days=36_500)
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(value: Any) -> timedelta:
    """Return the duration that `value` spells, such as 30m, 3h, 1d12h or 90s."""
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
    """Return a duration (of whole seconds) as `parse_duration` reads it."""
    seconds = int(value.total_seconds())
    parts = (seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration, json_schema_input_type=str), PlainSerializer(write_duration, str)
]
"""A length of time, written 30m, 3h, 1d12h."""


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
"""A name that other parts refer to."""


class LocalizedText(Strict):
    """The same text in Chinese and in English."""

    zh_cn: str = Field(alias="zh-CN", min_length=1)
    en: str = Field(min_length=1)

    def in_(self, locale: str) -> str:
        """Return the text for a locale such as zh-CN or en_GB; English unless it is Chinese."""
        return self.zh_cn if locale.lower().startswith("zh") else self.en

    def as_mapping(self) -> dict[str, str]:
        """Return the texts by locale."""
        return {"zh-CN": self.zh_cn, "en": self.en}


def spell_cite(cite: str, locale: str) -> str:
    """Return a citation such as "Art. 9(1)2" as the reader's language writes it: 第9条(1)2."""
    return re.sub(r"Art\. ?(\d+)", r"第\1条", cite) if locale.lower().startswith("zh") else cite
