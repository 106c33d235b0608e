"""Days off: as published, as the library has them, and as operators set them right."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import chinese_calendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import CHINA, at, restored, started, verdict

from incident_engine.common.errors import InvalidFilesError
from incident_engine.config.calendars import load_calendar
from incident_engine.domain.calendar.holidays import Calendar, DayKind
from incident_engine.domain.calendar.service_hours import WeeklyHours, elapsed, reach, weekly_hours
from incident_engine.domain.rulebook import guessed_years
from incident_engine.domain.values import NEVER

HOUR = timedelta(hours=1)
COUNTER = weekly_hours(CHINA, [("mon-fri", "09:00-17:00")], Calendar("CN"))


@pytest.mark.parametrize("year", range(2015, 2027))
def test_every_day_of_china_is_a_workday_or_not_as_the_state_council_announced(year: int) -> None:
    calendar = Calendar("CN")
    day = date(year, 1, 1)
    while day.year == year:
        assert calendar.is_workday(day) is chinese_calendar.is_workday(day), day
        day += timedelta(days=1)


def test_a_holiday_on_a_weekday_is_closed() -> None:
    # 2026-02-17 is a Tuesday, the first day of the Spring Festival.
    assert COUNTER.elapsed(at("2026-02-17 00:00"), at("2026-02-18 00:00")) == timedelta(0)


def test_a_makeup_workday_at_the_weekend_is_open_as_on_monday() -> None:
    # 2026-02-14 is a Saturday on which people worked.
    assert COUNTER.elapsed(at("2026-02-14 00:00"), at("2026-02-15 00:00")) == 8 * HOUR


def test_holidays_and_makeup_workdays_may_have_hours_of_their_own() -> None:
    windows = [("mon-fri", "09:00-17:00"), ("holidays", "10:00-12:00"), ("makeup-workdays", "09:00-13:00")]
    hours = weekly_hours(CHINA, windows, Calendar("CN"))
    assert hours.elapsed(at("2026-02-17 00:00"), at("2026-02-18 00:00")) == 2 * HOUR
    assert hours.elapsed(at("2026-02-14 00:00"), at("2026-02-15 00:00")) == 4 * HOUR


SATURDAYS_TOO = [("mon-fri", "09:00-17:00"), ("sat", "09:00-12:00")]


@pytest.mark.parametrize(
    ("saturday", "counted"),
    [
        ("2026-02-21", 0 * HOUR),  # within the Spring Festival, 15 to 23 February
        ("2026-02-07", 3 * HOUR),  # an ordinary weekend
        ("2026-01-03", 0 * HOUR),  # the end of the New Year holiday, 1 to 3 January
        ("2026-04-04", 0 * HOUR),  # the start of the Tomb-Sweeping holiday, 4 to 6 April
        ("2022-12-31", 0 * HOUR),  # the holiday of the year that follows: 31 December to 2 January
        ("2026-02-14", 8 * HOUR),  # a make-up workday: as on Monday
    ],
)
def test_a_saturday_within_an_announced_holiday_is_closed(saturday: str, counted: timedelta) -> None:
    hours = weekly_hours(CHINA, SATURDAYS_TOO, Calendar("CN"))
    assert hours.elapsed(at(f"{saturday} 00:00"), at(f"{saturday} 23:59")) == counted


def test_an_outage_on_a_saturday_within_the_spring_festival_has_no_level() -> None:
    hours = {"core-banking": weekly_hours(CHINA, SATURDAYS_TOO, Calendar("CN"))}
    provinces = ("CN-GD", "CN-HN")
    events = started("2026-02-21 08:00", *provinces), restored("2026-02-21 13:00", *provinces)
    assessment = verdict("2026-02-21 18:00", *events, hours=hours)
    assert assessment.level is None
    assert [region.counted for region in assessment.evidence.regions] == [timedelta(0), timedelta(0)]


def test_a_saturday_between_days_off_that_an_operator_declares_is_closed() -> None:
    # 2027-03-06 is a Saturday. The file has only the days in the week.
    days = dict.fromkeys([date(2027, 3, 5), date(2027, 3, 8)], DayKind.HOLIDAY)
    hours = weekly_hours(CHINA, SATURDAYS_TOO, Calendar("CN", days))
    assert hours.elapsed(at("2027-03-06 00:00"), at("2027-03-07 00:00")) == timedelta(0)
    assert hours.elapsed(at("2027-03-13 00:00"), at("2027-03-14 00:00")) == 3 * HOUR


def test_a_saturday_beside_a_holiday_is_open_where_no_rows_of_days_off_are_announced() -> None:
    # In Germany, Easter Saturday 2026-04-04 lies between Good Friday and Easter Monday, and shops are open.
    berlin = ZoneInfo("Europe/Berlin")
    hours = weekly_hours(berlin, SATURDAYS_TOO, Calendar("DE"))
    start = datetime(2026, 4, 4, tzinfo=berlin)
    assert hours.elapsed(start, start + timedelta(days=1)) == 3 * HOUR


@pytest.mark.parametrize("year", range(2019, 2027))
def test_every_weekend_of_an_announced_holiday_belongs_to_it(year: int) -> None:
    # In June 2024 the notice says "10 June, in one piece with the weekend" (与周末连休); the table has 10 June alone.
    in_one_piece = {date(2024, 6, 8), date(2024, 6, 9)}
    calendar = Calendar("CN")
    day = date(year, 1, 1)
    while day.year == year:
        is_off, name = chinese_calendar.get_holiday_detail(day)
        assert calendar.is_holiday(day) is ((is_off and name is not None) or day in in_one_piece), day
        day += timedelta(days=1)


def test_an_outage_over_the_spring_festival_counts_no_minute_of_it() -> None:
    # Friday the 13th from 16:30, Saturday the 14th (worked), then closed until Tuesday the 24th.
    start = at("2026-02-13 16:30")
    assert COUNTER.reach(start, HOUR) == at("2026-02-14 09:30")
    assert COUNTER.reach(start, 9 * HOUR) == at("2026-02-24 09:30")


def test_an_operator_can_set_a_day_right() -> None:
    given_days = {date(2026, 2, 17): DayKind.WORKDAY, date(2026, 2, 25): DayKind.HOLIDAY}
    hours = weekly_hours(CHINA, [("mon-fri", "09:00-17:00")], Calendar("CN", given_days))
    assert hours.elapsed(at("2026-02-17 00:00"), at("2026-02-18 00:00")) == 8 * HOUR
    assert hours.elapsed(at("2026-02-25 00:00"), at("2026-02-26 00:00")) == timedelta(0)


def test_holidays_without_a_calendar_are_refused() -> None:
    with pytest.raises(ValueError, match="holidays need a calendar"):
        weekly_hours(CHINA, [("mon-fri", "09:00-17:00"), ("holidays", "10:00-12:00")])


def test_a_year_that_is_not_announced_is_a_guess_until_somebody_vouches_for_it() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert guessed_years({"counter": COUNTER}, now) == {"counter": [2027]}
    vouched = weekly_hours(CHINA, [("mon-fri", "09:00-17:00")], Calendar("CN", {}, frozenset({2027})))
    assert guessed_years({"counter": vouched}, now) == {}


def test_where_holidays_follow_from_the_law_no_year_is_a_guess() -> None:
    assert Calendar("DE").is_published(2040)


def test_a_calendar_file_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    file = tmp_path / "CN.yaml"
    file.write_text("calendar: CX1\ndays: {2027-02-06: workady}\n", encoding="utf-8")
    with pytest.raises(InvalidFilesError) as error:
        load_calendar(file)
    assert [str(finding).partition("CN.yaml:")[2] for finding in error.value.findings] == [
        "2:8: days.2027-02-06: unknown value 'workady'; expected one of: holiday, workday; did you mean 'workday'?"
    ]
    file.write_text("calendar: CX1\n", encoding="utf-8")
    with pytest.raises(InvalidFilesError, match="unknown country 'CX1'"):
        load_calendar(file)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.datetimes(datetime(2015, 1, 1), datetime(2026, 6, 1)),  # noqa: DTZ001 - made aware below
    st.integers(0, 60 * 86_400),
)
def test_elapsed_and_reach_agree_with_the_segments(moment: datetime, seconds: int) -> None:
    start, length = moment.replace(tzinfo=UTC), timedelta(seconds=seconds)
    end = start + length
    assert COUNTER.elapsed(start, end) == elapsed(COUNTER.segments(start, end), end)
    reached = COUNTER.reach(start, length)
    assert reached == reach(COUNTER.segments(start, NEVER), length) or length == timedelta(0)
    if length:
        assert COUNTER.elapsed(start, reached) == length
        assert COUNTER.elapsed(start, reached - timedelta(microseconds=1)) < length


def test_no_window_of_one_day_runs_into_the_next() -> None:
    with pytest.raises(ValueError, match="overlap"):
        weekly_hours(CHINA, [("mon", "22:00-06:00"), ("tue", "05:00-09:00")])
    assert isinstance(weekly_hours(CHINA, [("mon", "22:00-06:00"), ("tue", "06:00-09:00")]), WeeklyHours)
