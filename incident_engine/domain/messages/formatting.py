"""Format instants, lengths of time and lists in the reader's language, by CLDR (https://cldr.unicode.org)."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta, tzinfo
from functools import cache

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta, get_timezone_gmt
from babel.lists import format_list


def format_instant(value: datetime, locale: str, zone: tzinfo | None) -> str:
    """Return an instant in local time in the reader's language, such as 10:35 on 23 June 2013 (UTC+08:00).

    Seconds are written unless they are 0.
    """
    local = value.astimezone(zone)
    # CLDR's own forms write seconds always or never.
    if locale.startswith("zh"):
        form = "y年M月d日HH:mm:ss" if local.second else "y年M月d日HH:mm"
        return format_datetime(local, form, tzinfo=local.tzinfo, locale=babel_of(locale))
    form = "HH:mm:ss 'on' d MMMM y" if local.second else "HH:mm 'on' d MMMM y"
    text = format_datetime(local, form, tzinfo=local.tzinfo, locale=babel_of(locale))
    offset = get_timezone_gmt(local, width="iso8601", locale=babel_of(locale))
    return f"{text} (UTC{offset})"


def format_deadline(value: datetime, locale: str, zone: tzinfo | None) -> str:
    """Return a deadline in the reader's language. One at local midnight is the end of the day before.

    "By 00:00 on 29 June" is easily read as a day more; "the end of 28 June" is not.
    """
    local = value.astimezone(zone)
    if local.time() != time():
        return format_instant(value, locale, zone)
    day = format_day(local - timedelta(days=1), locale, zone)
    if locale.startswith("zh"):
        return f"{day}24:00"
    return f"the end of {day} (UTC{get_timezone_gmt(local, width='iso8601', locale=babel_of(locale))})"


def format_day(value: datetime, locale: str, zone: tzinfo | None) -> str:
    """Return the local day of an instant in the reader's language, such as 23 June 2013."""
    form = "y年M月d日" if locale.startswith("zh") else "d MMMM y"
    return format_date(value.astimezone(zone), form, babel_of(locale))


def format_local(value: datetime, zone: tzinfo | None) -> str:
    """Return an instant in local time, in the same short form for every language: 2013-06-23 10:35."""
    local = value.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"


def format_local_deadline(value: datetime, zone: tzinfo | None) -> str:
    """Return a deadline in the same short form for every language; local midnight is 24:00 of the day before."""
    local = value.astimezone(zone)
    return format_local(value, zone) if local.time() != time() else f"{local - timedelta(days=1):%Y-%m-%d} 24:00"


def to_minute(value: datetime) -> datetime:
    """Return the start of an instant's minute. Rounded down, so that no deadline or promise moves later."""
    return value.replace(second=0, microsecond=0)


def format_minutes(value: timedelta, locale: str) -> str:
    """Return a length of time in days, hours and full minutes in the reader's language."""
    minutes = value // timedelta(minutes=1)
    if minutes < 1:
        return "不到1分钟" if locale.startswith("zh") else "less than a minute"
    return format_duration(timedelta(minutes=minutes), locale)


def format_duration(value: timedelta, locale: str) -> str:
    """Return a length of time in days, hours and minutes in the reader's language; below an hour with seconds."""
    seconds = int(value.total_seconds())
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    babel = babel_of(locale)
    # A call for each unit: babel writes one unit, and rounds to the next one at 0.85 of it unless told otherwise.
    parts = [
        format_timedelta(timedelta(days=days), granularity="day", threshold=10**6, locale=babel) if days else "",
        format_timedelta(timedelta(hours=hours), granularity="hour", threshold=25, locale=babel) if hours else "",
        format_timedelta(timedelta(minutes=minutes), granularity="minute", threshold=61, locale=babel)
        if minutes
        else "",
    ]
    if seconds and not days and not hours:
        parts.append(format_timedelta(timedelta(seconds=seconds), granularity="second", threshold=61, locale=babel))
    parts = [part for part in parts if part]
    if not parts:
        return "0 秒" if locale.startswith("zh") else "0 seconds"
    return "".join(parts) if locale.startswith("zh") else " ".join(parts)


def format_names(value: Sequence[str], locale: str, most: int | None = None) -> str:
    """Return names joined in the reader's language; of more than `most`, the first and the number of the others."""
    if most is not None and len(value) > most:
        first = list(value)[:most]
        if locale.startswith("zh"):
            return f"{'、'.join(first)}等{len(value)}处"
        return f"{', '.join(first)} and {len(value) - most} more"
    return format_list(list(value), locale=babel_of(locale)) if value else "—"


@cache
def babel_of(locale: str) -> Locale:
    """Return the CLDR data of a locale. Cached: babel reads a file for each."""
    return Locale.parse(locale, sep="-")
