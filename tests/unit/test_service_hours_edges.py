"""Service hours at their edges: the turn of the year, the very minute of a change, nights before other days."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from support.build import CHINA, at

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import WeeklyHours, elapsed, parse_days, parse_window, weekly_hours

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NEW_YORK = ZoneInfo("America/New_York")
# 2013-01-01 and 2013-12-31 are Tuesdays.
COUNTER = weekly_hours(CHINA, [("mon-fri", "09:00-17:00")])
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
