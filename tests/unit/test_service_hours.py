"""Service hours: windows of the week, how much of an outage falls into them, and when that grows to a length."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from support.builders import CHINA, at

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import (
    AlwaysOpen,
    Segment,
    WeeklyHours,
    elapsed,
    parse_days,
    parse_window,
    reach,
    union,
    weekly_hours,
)
from incident_engine.domain.values import NEVER

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
# 2013-06-21 is a Friday, 22 and 23 the weekend, 24 a Monday.
COUNTER = weekly_hours(CHINA, [("mon-fri", "09:00-17:00")])


def in_hours(hours: WeeklyHours | AlwaysOpen, start: str, end: str) -> timedelta:
    return elapsed(hours.segments(at(start), at(end)), at(end))


def grown(hours: WeeklyHours | AlwaysOpen, start: str, length: timedelta) -> datetime:
    return reach(hours.segments(at(start), NEVER), length)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2013-06-24 10:00", "2013-06-24 12:00", 2 * HOUR),  # within one day
        ("2013-06-24 08:00", "2013-06-24 10:00", HOUR),  # begins before the opening
        ("2013-06-24 16:00", "2013-06-24 20:00", HOUR),  # outlasts the closing
        ("2013-06-24 17:00", "2013-06-25 09:00", 0 * HOUR),  # the night, to the minute
        ("2013-06-24 16:59", "2013-06-25 09:01", 2 * MINUTE),  # a minute on each side of it
        ("2013-06-21 16:00", "2013-06-24 10:00", 2 * HOUR),  # Friday's last and Monday's first hour
        ("2013-06-22 00:00", "2013-06-24 00:00", 0 * HOUR),  # a weekend
        ("2013-06-24 00:00", "2013-07-01 00:00", 40 * HOUR),  # a week
        ("2013-06-24 10:00", "2013-06-24 10:00", 0 * HOUR),  # nothing
    ],
)
def test_only_the_minutes_within_the_windows_count(start: str, end: str, expected: timedelta) -> None:
    assert in_hours(COUNTER, start, end) == expected


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        ("2013-06-24 10:00", 30 * MINUTE, "2013-06-24 10:30"),
        ("2013-06-24 08:00", 30 * MINUTE, "2013-06-24 09:30"),
        ("2013-06-24 16:30", 30 * MINUTE, "2013-06-24 17:00"),  # just fits
        ("2013-06-24 16:31", 30 * MINUTE, "2013-06-25 09:01"),  # 29 minutes today, one tomorrow
        ("2013-06-21 16:00", 3 * HOUR, "2013-06-24 11:00"),  # one on Friday, two on Monday
        ("2013-06-23 10:35", 6 * HOUR, "2013-06-24 15:00"),  # begins on Sunday: counts from Monday 09:00
        ("2013-06-24 09:00", 40 * HOUR, "2013-06-28 17:00"),  # the whole week
    ],
)
def test_reach_finds_the_instant_at_which_enough_open_time_has_passed(
    start: str, length: timedelta, expected: str
) -> None:
    assert grown(COUNTER, start, length) == at(expected)


def test_what_ends_too_early_is_never_reached() -> None:
    assert reach(COUNTER.segments(at("2013-06-24 16:00"), at("2013-06-25 08:00")), HOUR + MINUTE) == NEVER


def test_a_day_may_have_several_windows() -> None:
    hours = weekly_hours(CHINA, [("mon-fri", "09:00-12:00"), ("mon-fri", "14:00-17:00"), ("sat", "10:00-12:00")])
    assert in_hours(hours, "2013-06-24 11:00", "2013-06-24 15:00") == 2 * HOUR
    assert in_hours(hours, "2013-06-17 00:00", "2013-06-24 00:00") == (5 * 6 + 2) * HOUR
    assert grown(hours, "2013-06-24 11:30", HOUR) == at("2013-06-24 14:30")


def test_windows_may_be_written_in_any_order() -> None:
    hours = weekly_hours(CHINA, [("fri", "14:00-17:00"), ("fri", "09:00-12:00")])
    assert in_hours(hours, "2013-06-21 00:00", "2013-06-22 00:00") == 6 * HOUR


def test_a_window_may_run_past_midnight() -> None:
    hours = weekly_hours(CHINA, [("fri", "22:00-06:00")])
    assert in_hours(hours, "2013-06-21 12:00", "2013-06-22 12:00") == 8 * HOUR
    # An outage that begins on Saturday still meets the window that Friday opened.
    assert in_hours(hours, "2013-06-22 03:00", "2013-06-22 12:00") == 3 * HOUR
    assert grown(hours, "2013-06-21 23:30", HOUR) == at("2013-06-22 00:30")


def test_a_window_may_end_at_midnight() -> None:
    hours = weekly_hours(CHINA, [("mon", "20:00-24:00")])
    assert in_hours(hours, "2013-06-24 00:00", "2013-06-26 00:00") == 4 * HOUR


def test_full_days_one_after_another_leave_no_gap() -> None:
    hours = weekly_hours(CHINA, [("mon-sun", "00:00-24:00")])
    assert in_hours(hours, "2013-06-20 13:17", "2013-06-27 13:17") == 168 * HOUR
    assert grown(hours, "2013-06-23 23:30", HOUR) == at("2013-06-24 00:30")


def test_a_window_may_touch_the_next_one() -> None:
    hours = weekly_hours(CHINA, [("mon", "22:00-06:00"), ("tue", "06:00-08:00")])
    assert in_hours(hours, "2013-06-24 00:00", "2013-06-26 00:00") == 10 * HOUR


def test_always_open_counts_every_minute() -> None:
    assert in_hours(AlwaysOpen(), "2013-06-22 00:00", "2013-06-23 00:00") == 24 * HOUR
    assert grown(AlwaysOpen(), "2013-06-23 10:35", 30 * MINUTE) == at("11:05")
    assert list(AlwaysOpen().segments(at("10:00"), at("10:00"))) == []


@pytest.mark.parametrize(
    "windows",
    [
        [("mon", "09:00-12:00"), ("mon", "11:59-13:00")],
        [("mon-fri", "09:00-17:00"), ("wed", "10:00-11:00")],
        [("mon", "22:00-06:00"), ("tue", "05:00-08:00")],
        [("sun", "22:00-06:00"), ("mon", "05:59-08:00")],
        [("mon", "09:00-17:00"), ("mon", "09:00-17:00")],
    ],
    ids=["same day", "range and day", "into tomorrow", "sunday into monday", "twice the same"],
)
def test_windows_that_overlap_are_refused(windows: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        weekly_hours(CHINA, windows)


def test_hours_that_are_never_open_are_refused() -> None:
    with pytest.raises(ValueError, match="never be open"):
        weekly_hours(CHINA, [])


@pytest.mark.parametrize(
    "window", ["9:00-17:00", "09:00", "09:00-09:00", "24:00-25:00", "09:00-24:01", "09:60-10:00", "09:00 - 17:00", ""]
)
def test_what_is_no_window_is_refused(window: str) -> None:
    with pytest.raises(ValueError, match="not a window of hours"):
        parse_window(window)


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [("09:00-17:00", 9 * HOUR, 17 * HOUR), ("22:00-06:00", 22 * HOUR, 30 * HOUR), ("00:00-24:00", 0 * HOUR, 24 * HOUR)],
)
def test_a_window_counts_from_midnight(window: str, start: timedelta, end: timedelta) -> None:
    assert parse_window(window) == (start, end)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", ["mon"]),
        ("mon-fri", ["mon", "tue", "wed", "thu", "fri"]),
        ("sat-mon", ["sat", "sun", "mon"]),
        ("SUN", ["sun"]),
        ("holidays", ["holidays"]),
        ("makeup-workdays", ["makeup-workdays"]),
    ],
)
def test_days_are_named_one_by_one_or_as_a_range(text: str, days: list[str]) -> None:
    assert list(parse_days(text)) == days


@pytest.mark.parametrize("text", ["monday", "mo-fr", "1-5", "", "mon-fri-sat", "mon,tue"])
def test_what_is_no_weekday_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not days"):
        parse_days(text)


# Summer time: New York's 2024-03-10 has 23 hours, its 2024-11-03 has 25.
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(("month", "day", "length"), [(3, 10, 23), (11, 3, 25), (6, 2, 24)])
def test_a_full_day_has_the_length_that_summer_time_gives_it(month: int, day: int, length: int) -> None:
    hours = weekly_hours(NEW_YORK, [("mon-sun", "00:00-24:00")])
    midnight = datetime(2024, month, day, tzinfo=NEW_YORK)
    tomorrow = (midnight + timedelta(days=1)).astimezone(UTC)
    assert elapsed(hours.segments(midnight.astimezone(UTC), tomorrow), tomorrow) == length * HOUR


@pytest.mark.parametrize(("month", "day", "opens_utc"), [(3, 8, 14), (3, 11, 13), (11, 1, 13), (11, 4, 14)])
def test_opening_follows_the_local_clock_across_the_change_of_time(month: int, day: int, opens_utc: int) -> None:
    hours = weekly_hours(NEW_YORK, [("mon-fri", "09:00-17:00")])
    midnight = datetime(2024, month, day, 5, tzinfo=UTC)
    first = next(hours.segments(midnight, NEVER))
    assert first == (
        datetime(2024, month, day, opens_utc, tzinfo=UTC),
        datetime(2024, month, day, opens_utc + 8, tzinfo=UTC),
    )


def test_a_window_over_the_repeated_hour_counts_it_twice() -> None:
    hours = weekly_hours(NEW_YORK, [("sun", "01:00-02:00")])
    start, end = datetime(2024, 11, 3, 0, tzinfo=UTC), datetime(2024, 11, 4, 0, tzinfo=UTC)
    assert elapsed(hours.segments(start, end), end) == 2 * HOUR


def test_full_days_have_no_gap_where_midnight_is_skipped() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # on 2024-04-26 the clock went from 00:00 to 01:00
    hours = weekly_hours(cairo, [("mon-sun", "00:00-24:00")])
    start, end = datetime(2024, 4, 25, 0, tzinfo=UTC), datetime(2024, 4, 27, 0, tzinfo=UTC)
    assert elapsed(hours.segments(start, end), end) == 48 * HOUR


@pytest.mark.parametrize(
    ("window", "length"),
    [("02:30-03:30", 30 * MINUTE), ("01:00-02:30", 60 * MINUTE)],  # 02:00-03:00 does not exist on that day
)
def test_a_window_that_touches_the_skipped_hour_keeps_the_minutes_that_exist(window: str, length: timedelta) -> None:
    hours = weekly_hours(NEW_YORK, [("sun", window)])
    start, end = datetime(2024, 3, 10, 0, tzinfo=UTC), datetime(2024, 3, 11, 0, tzinfo=UTC)
    assert elapsed(hours.segments(start, end), end) == length


def segments(*pairs: tuple[str, str | None]) -> Iterator[Segment]:
    return iter([(at(start), at(end) if end else NEVER) for start, end in pairs])


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ([], []),
        ([[("09:00", "10:00")]], [("09:00", "10:00")]),
        ([[("09:00", "10:00")], [("09:30", "11:00")]], [("09:00", "11:00")]),
        ([[("09:00", "10:00")], [("10:00", "11:00")]], [("09:00", "11:00")]),  # touching is one
        ([[("09:00", "12:00")], [("10:00", "11:00")]], [("09:00", "12:00")]),  # within
        ([[("09:00", "10:00"), ("12:00", "13:00")], [("10:30", "11:00")]], None),
        ([[("09:00", None)], [("10:00", "11:00")]], [("09:00", None)]),  # open end swallows what follows
    ],
)
def test_union_counts_no_minute_twice(
    streams: list[list[tuple[str, str | None]]], expected: list[tuple[str, str | None]] | None
) -> None:
    wanted = expected if expected is not None else [("09:00", "10:00"), ("10:30", "11:00"), ("12:00", "13:00")]
    assert list(union(segments(*stream) for stream in streams)) == list(segments(*wanted))


def test_union_of_endless_hours_stays_lazy() -> None:
    streams = [COUNTER.segments(at("2013-06-24 16:00"), NEVER), segments(("2013-06-24 18:00", "2013-06-24 19:00"))]
    assert list(islice(union(streams), 3)) == list(
        segments(
            ("2013-06-24 16:00", "2013-06-24 17:00"),
            ("2013-06-24 18:00", "2013-06-24 19:00"),
            ("2013-06-25 09:00", "2013-06-25 17:00"),
        )
    )


# 2013-01-01 and 2013-12-31 are Tuesdays.
DAY_AND_NIGHT = weekly_hours(CHINA, [("mon-sun", "00:00-24:00")])


def test_an_outage_over_the_new_year_counts_on_both_sides_of_it() -> None:
    start, end = at("2012-12-31 23:00"), at("2013-01-01 07:00")  # in UTC still the old year
    assert DAY_AND_NIGHT.elapsed(start, end) == 8 * HOUR
    assert DAY_AND_NIGHT.reach(start, 8 * HOUR) == end


def test_whole_years_add_up() -> None:
    start, end = at("2012-12-31 00:00"), at("2014-01-02 00:00")
    assert DAY_AND_NIGHT.elapsed(start, end) == timedelta(days=1 + 365 + 1)
    assert COUNTER.elapsed(at("2013-01-01 00:00"), at("2013-01-03 00:00")) == 16 * HOUR


def test_enough_may_have_passed_at_the_last_closing_of_a_year() -> None:
    assert COUNTER.reach(at("2013-12-31 16:00"), HOUR) == at("2013-12-31 17:00")
    assert COUNTER.reach(at("2013-12-31 16:00"), HOUR + MINUTE) == at("2014-01-01 09:01")


def test_enough_may_have_passed_at_the_first_closing_of_a_year() -> None:
    assert COUNTER.reach(at("2013-01-01 09:00"), 8 * HOUR) == at("2013-01-01 17:00")


def test_nothing_open_is_no_stretch_not_even_an_empty_one() -> None:
    assert list(COUNTER.segments(at("2013-06-24 17:00"), at("2013-06-25 09:00"))) == []


def test_no_hours_are_open_in_a_stretch_that_ends_before_it_begins() -> None:
    assert list(COUNTER.segments(at("2013-06-24 11:00"), at("2013-06-24 10:00"))) == []


@pytest.mark.parametrize("opens", ["02:07", "02:14", "02:16", "02:44", "02:59"])
def test_what_opens_within_the_skipped_hour_opens_at_the_second_of_the_change(opens: str) -> None:
    hours = weekly_hours(NEW_YORK, [("sun", f"{opens}-04:00")])  # on 2024-03-10 the clock goes from 02:00 to 03:00
    start, end = datetime(2024, 3, 10, tzinfo=UTC), datetime(2024, 3, 11, tzinfo=UTC)
    change = datetime(2024, 3, 10, 7, tzinfo=UTC)
    assert list(hours.segments(start, end)) == [(change, change + HOUR)]


def test_what_closes_within_the_repeated_hour_closes_the_second_time() -> None:
    hours = weekly_hours(NEW_YORK, [("sun", "00:30-01:30")])  # on 2024-11-03 there are two 01:30
    start, end = datetime(2024, 11, 3, tzinfo=UTC), datetime(2024, 11, 4, tzinfo=UTC)
    assert hours.elapsed(start, end) == 2 * HOUR


def test_windows_of_one_day_may_touch() -> None:
    hours = weekly_hours(CHINA, [("mon", "09:00-12:00"), ("mon", "12:00-14:00")])
    assert hours.elapsed(at("2013-06-24 00:00"), at("2013-06-25 00:00")) == 5 * HOUR


def test_a_makeup_workday_without_windows_of_its_own_has_those_of_monday() -> None:
    calendar = Calendar("CN")
    saturday = date(2026, 2, 14)  # made up for the spring festival
    open_on_monday = weekly_hours(CHINA, [("mon", "09:00-12:00"), ("tue-fri", "09:00-17:00")], calendar)
    assert open_on_monday.windows(saturday) == ((9 * HOUR, 12 * HOUR),)


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (
            [("holidays", "09:00-12:00")],
            "holidays need a calendar; expected a calendar beside the time zone, such as CN",
        ),
        ([], "no window on any weekday: the service would never be open"),
    ],
)
def test_the_refusal_says_what_is_wrong_and_what_is_expected(windows: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        weekly_hours(CHINA, windows)


@pytest.mark.parametrize(
    ("day", "opens"),
    [
        (date(2022, 10, 8), 9),  # a Saturday that is made up: as on Monday
        (date(2022, 10, 15), 10),  # a Saturday like any other
        (date(2022, 10, 1), 13),  # a Saturday, and the national day
        (date(2022, 10, 3), 13),  # a Monday of the national holiday
        (date(2022, 10, 10), 9),  # a Monday like any other
    ],
)
def test_a_weekend_has_hours_of_its_own_unless_a_holiday_falls_on_it(day: date, opens: int) -> None:
    windows = [("mon-fri", "09:00-17:00"), ("sat", "10:00-12:00"), ("holidays", "13:00-14:00")]
    ((opened, _),) = weekly_hours(CHINA, windows, Calendar("CN")).windows(day)
    assert opened == opens * HOUR


def test_a_window_within_the_skipped_hour_is_no_stretch_not_even_an_empty_one() -> None:
    hours = weekly_hours(NEW_YORK, [("sun", "02:10-02:40")])
    assert list(hours.segments(datetime(2024, 3, 10, tzinfo=UTC), datetime(2024, 3, 11, tzinfo=UTC))) == []


def test_no_window_opens_at_the_end_of_the_day() -> None:
    with pytest.raises(ValueError, match="expected two different times from 00:00 to 24:00"):
        parse_window("24:00-06:00")


def test_who_misspells_a_day_is_told_the_names() -> None:
    with pytest.raises(ValueError, match="expected names such as mon, mon-fri, sat-sun, holidays or makeup-workdays"):
        parse_days("monday")


# A night that runs into the morning may only meet the day that follows it, and the days that may fall on any date.


@pytest.mark.parametrize(
    "windows",
    [
        [("mon", "22:00-06:00"), ("wed", "05:00-09:00")],
        [("mon", "22:00-06:00"), ("tue", "09:00-17:00"), ("wed", "05:00-09:00")],
        [("mon", "22:00-06:00"), ("tue", "06:00-09:00"), ("wed", "22:00-07:00")],
    ],
    ids=["a day between", "an open day between", "to the minute, while another night is longer"],
)
def test_a_long_night_leaves_the_mornings_of_other_days_alone(windows: list[tuple[str, str]]) -> None:
    assert isinstance(weekly_hours(CHINA, windows), WeeklyHours)


@pytest.mark.parametrize("days", ["holidays", "makeup-workdays"])
def test_a_day_off_or_made_up_may_follow_any_night(days: str) -> None:
    calendar = Calendar("CN")
    with pytest.raises(ValueError, match=f"windows of {days} overlap with those of the day before"):
        weekly_hours(CHINA, [("wed", "22:00-06:00"), (days, "05:00-08:00")], calendar)
    with pytest.raises(ValueError, match="windows of fri overlap with those of the day before"):
        weekly_hours(CHINA, [("fri", "05:00-08:00"), (days, "22:00-06:00")], calendar)
    assert isinstance(weekly_hours(CHINA, [("wed", "22:00-06:00"), (days, "06:00-08:00")], calendar), WeeklyHours)


def test_what_begins_only_after_an_instant_adds_nothing_up_to_it() -> None:
    parts = [(at("09:00"), at("10:00")), (at("11:00"), at("12:00")), (at("13:00"), at("14:00"))]
    assert elapsed(parts, at("10:30")) == HOUR
    assert elapsed(parts, at("11:30")) == HOUR + HOUR / 2
