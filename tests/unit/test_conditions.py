"""Conditions: from the downtime of regions to the earliest instant at which a limit is met."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from support.builders import CHINA, at, degraded, incident, recorded, restored, started

from incident_engine.common.validation import problems_of
from incident_engine.domain.calendar.service_hours import ServiceHours, weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.conditions import Condition, exactly_one, leaves
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.interpretation import HoursClock
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.values import NEVER

TICK = timedelta(microseconds=1)
COUNTER = weekly_hours(CHINA, [("mon-fri", "09:00-17:00")])


def regions(count: dict[str, int], length: dict[str, str], clock: str = "service_hours") -> dict[str, Any]:
    return {"regions_down": {**count, "for": length, "clock": clock}}


def one_for(length: str) -> dict[str, Any]:
    return regions({"at_least": 1}, {"at_least": length})


def two_for(length: str) -> dict[str, Any]:
    return regions({"at_least": 2}, {"at_least": length})


def reached(
    condition: dict[str, Any],
    *events: Recorded,
    hours: Mapping[str, ServiceHours] | None = None,
    prefix: str = "CN-",
) -> datetime:
    return reach(Condition.model_validate(condition), Downtime(incident(*events), hours or {}, prefix))


def test_one_region_meets_a_limit_when_it_has_been_down_for_so_long() -> None:
    assert reached(one_for("30m"), started("10:35")) == at("11:05")


def test_a_limit_that_is_met_to_the_minute_counts() -> None:
    assert reached(one_for("30m"), started("10:35"), restored("11:05")) == at("11:05")
    assert reached(one_for("30m"), started("10:35"), restored("11:04")) == NEVER


def test_more_than_a_length_is_met_a_microsecond_after_it() -> None:
    strict = regions({"at_least": 1}, {"more_than": "30m"})
    assert reached(strict, started("10:35")) == at("11:05") + TICK
    assert reached(strict, started("10:35"), restored("11:05")) == NEVER
    assert reached(strict, started("10:35"), restored(at("11:05") + TICK)) == at("11:05") + TICK


def test_more_than_one_region_means_two() -> None:
    strict = regions({"more_than": 1}, {"at_least": "30m"})
    assert reached(strict, started("10:35")) == NEVER
    assert reached(strict, started("10:35"), started("11:20", "CN-HN")) == at("11:50")


def test_two_regions_meet_a_limit_when_the_second_one_does() -> None:
    assert reached(two_for("30m"), started("10:35"), started("11:20", "CN-HN")) == at("11:50")


def test_the_nth_region_counts_however_many_there_are() -> None:
    events = [started("10:00", "CN-GD"), started("10:10", "CN-HN"), started("10:20", "CN-SC")]
    three = regions({"at_least": 3}, {"at_least": "1h"})
    assert reached(three, *events) == at("11:20")
    assert reached(two_for("1h"), *events) == at("11:10")
    assert reached(regions({"at_least": 4}, {"at_least": "1h"}), *events) == NEVER


def test_regions_need_not_be_down_at_the_same_time() -> None:
    events = [started("09:00"), restored("09:30"), started("10:00", "CN-HN"), restored("10:30", "CN-HN")]
    assert reached(two_for("30m"), *events) == at("10:30")


def test_a_regions_outages_add_up() -> None:
    events = [started("09:00"), restored("09:20"), started("10:00"), restored("10:09"), started("11:00")]
    assert reached(one_for("30m"), *events) == at("11:01")


def test_degraded_counts_as_being_unable_to_do_business() -> None:
    assert reached(one_for("30m"), degraded("10:00"), started("10:20"), restored("10:30")) == at("10:30")


def test_two_services_in_one_region_count_no_minute_twice() -> None:
    events = [
        started("10:00"),
        started("10:10", service="mobile"),
        restored("10:20"),
        restored("10:25", service="mobile"),
        started("11:00", service="mobile"),
    ]
    # 10:00-10:25 is down by one or the other; the missing five minutes follow at 11:00.
    assert reached(one_for("30m"), *events) == at("11:05")


def test_two_services_in_two_regions_are_two_regions() -> None:
    events = [started("10:00", "CN-GD"), started("10:10", "CN-HN", service="mobile")]
    assert reached(two_for("30m"), *events) == at("10:40")


def test_regions_of_other_countries_do_not_count() -> None:
    events = [started("10:00", "DE-HE"), started("10:00", "CN-GD")]
    assert reached(two_for("30m"), *events) == NEVER
    assert reached(two_for("30m"), *events, prefix="") == at("10:30")


def test_only_service_hours_count_unless_the_clock_on_the_wall_does() -> None:
    friday = started("2013-06-21 16:45")
    hours = {"core-banking": COUNTER}
    assert reached(one_for("30m"), friday, hours=hours) == at("2013-06-24 09:15")
    wall = regions({"at_least": 1}, {"at_least": "30m"}, "wall_clock")
    assert reached(wall, friday, hours=hours) == at("2013-06-21 17:15")


def test_each_service_has_its_own_hours() -> None:
    sunday = [started("10:35", service="counter"), started("11:00", service="mobile")]
    assert reached(one_for("30m"), *sunday, hours={"counter": COUNTER}) == at("11:30")


def test_an_outage_within_closed_hours_never_counts() -> None:
    assert reached(one_for("1m"), started("10:35"), restored("20:00"), hours={"core-banking": COUNTER}) == NEVER


def test_service_hours_are_the_clock_unless_another_is_named() -> None:
    plain = {"regions_down": {"at_least": 1, "for": {"at_least": "30m"}}}
    friday, hours = started("2013-06-21 16:45"), {"core-banking": COUNTER}
    assert reached(plain, friday, hours=hours) == at("2013-06-24 09:15")


LADDER = [one_for("30m"), one_for("60m"), one_for("90m")]  # met at 11:05, 11:35 and 12:05


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"any": LADDER}, "11:05"),
        ({"all": LADDER}, "12:05"),
        ({"n_of": {"at_least": 1, "of": LADDER}}, "11:05"),
        ({"n_of": {"at_least": 2, "of": LADDER}}, "11:35"),
        ({"n_of": {"at_least": 3, "of": LADDER}}, "12:05"),
        ({"any": [{"all": LADDER}, one_for("45m")]}, "11:20"),
        ({"all": [{"any": LADDER}, one_for("45m")]}, "11:20"),
        ({"n_of": {"at_least": 2, "of": [{"any": LADDER}, {"all": LADDER}, one_for("45m")]}}, "11:20"),
        ({"any": [two_for("1m"), one_for("45m")]}, "11:20"),  # one part never holds
    ],
)
def test_any_is_the_earliest_all_the_latest_and_n_of_the_nth(condition: dict[str, Any], expected: str) -> None:
    assert reached(condition, started("10:35")) == at(expected)


def test_all_never_holds_if_one_part_never_does() -> None:
    assert reached({"all": [one_for("30m"), two_for("30m")]}, started("10:35")) == NEVER
    assert reached({"n_of": {"at_least": 2, "of": [one_for("30m"), two_for("30m")]}}, started("10:35")) == NEVER


def test_without_outages_nothing_is_reached() -> None:
    assert reached({"any": LADDER}) == NEVER


def test_the_leaves_of_a_condition_are_its_limits() -> None:
    nested = {"any": [one_for("30m"), {"all": [two_for("1h"), {"n_of": {"at_least": 1, "of": LADDER}}]}]}
    limits = [leaf.regions_down for leaf in leaves(Condition.model_validate(nested))]
    lengths = [limit.for_.least for limit in limits if limit is not None]
    assert lengths == [timedelta(minutes=minutes) for minutes in (30, 60, 30, 60, 90)]


def test_the_downtime_of_a_region_is_told_by_either_clock() -> None:
    downtime = Downtime(incident(started("2013-06-21 16:45")), {"core-banking": COUNTER}, "CN-")
    monday = at("2013-06-24 09:30")
    assert downtime.regions == ("CN-GD",)
    assert downtime.elapsed("CN-GD", HoursClock.SERVICE_HOURS, monday) == timedelta(minutes=45)
    assert downtime.elapsed("CN-GD", HoursClock.WALL_CLOCK, monday) == timedelta(days=2, hours=16, minutes=45)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({}, "none is given"),
        ({"any": LADDER, "all": LADDER}, "any and all are given"),
        (regions({}, {"at_least": "30m"}), "none is given"),
        (regions({"at_least": 2, "more_than": 1}, {"at_least": "30m"}), "at_least and more_than are given"),
        (regions({"at_least": 1}, {}), "none is given"),
        (regions({"at_least": 1}, {"at_least": "30m", "more_than": "30m"}), "at_least and more_than are given"),
        ({"n_of": {"at_least": 4, "of": LADDER}}, "at least 4 of 3 can never hold"),
    ],
)
def test_a_limit_without_exactly_one_bound_is_refused(condition: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Condition.model_validate(condition)
    assert said in " ".join(problem.message for problem in problems_of(caught.value, Condition, condition))


@pytest.mark.parametrize(
    "condition",
    [
        {"any": []},
        {"all": []},
        {"n_of": {"at_least": 1, "of": []}},
        {"n_of": {"at_least": 0, "of": LADDER}},
        regions({"at_least": 0}, {"at_least": "30m"}),
        regions({"more_than": -1}, {"at_least": "30m"}),
        regions({"at_least": 1}, {"at_least": "30 minutes"}),
        regions({"at_least": 1}, {"at_least": "30m"}, "lunch_hours"),
        {"regions_down": {"at_least": 1}},
        {"none_of": LADDER},
    ],
)
def test_what_is_no_condition_is_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(condition)


CLOSED_AT_NIGHT = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}
CONDITION: TypeAdapter[Condition] = TypeAdapter(Condition)
DOWN = {"regions_down": {"at_least": 1, "for": {"at_least": "30m"}}}
RULES = {"down": CONDITION.validate_python(DOWN)}
FORECAST = {"forecast": {"rule": "down"}}
NEVER_HELD = {"measured": {"name": "loss", "more_than": 5}}
FAILED = recorded("repair.failed", "03:00", data={"by": "王", "reason": "备件也坏了"})


def when(condition: dict[str, Any], *events: Recorded, sure: bool = False) -> Any:
    downtime = Downtime(incident(*events), CLOSED_AT_NIGHT, "")
    return reach(CONDITION.validate_python(condition), downtime, RULES, confirmed_only=sure)


@pytest.mark.parametrize(
    "condition",
    [
        {"any": [NEVER_HELD, FORECAST]},
        {"all": [FORECAST, FORECAST]},
        {"n_of": {"at_least": 1, "of": [NEVER_HELD, FORECAST]}},
        {"any": [{"all": [FORECAST]}]},
    ],
)
def test_a_forecast_may_stand_within_other_conditions_and_is_asked_as_they_are(condition: dict[str, Any]) -> None:
    assert when(condition, started("02:00"), FAILED) == at("03:00")
    assert when(condition, started("02:00"), FAILED, sure=True) == NEVER  # nobody has said when it is to be back
    estimated = recorded("recovery.estimated", "02:30", data={"recovery_at": at("10:00")})
    assert when(condition, started("02:00"), FAILED, estimated, sure=True) == at("03:00")


def measured(value: object, at_: str = "10:00") -> Recorded:
    return recorded("impact.measured", at_, data={"by": "李", "measures": {"loss": value}})


@pytest.mark.parametrize(
    ("limit", "value", "holds"),
    [
        ({"more_than": 0}, 1, True),
        ({"more_than": 0}, 0, False),
        ({"more_than": 0}, True, False),  # an answer is no figure
        ({"at_least": 1}, True, False),
        ({"at_least": 1}, 1.0, True),
        ({"is": True}, True, True),
        ({"is": True}, 1, False),
        ({"is": False}, False, True),
    ],
)
def test_a_figure_passes_a_limit_and_an_answer_a_question(limit: dict[str, Any], value: object, holds: bool) -> None:
    found = when({"measured": {"name": "loss", **limit}}, measured(value))
    assert found == (at("10:00") if holds else NEVER)


def test_a_country_is_hit_by_the_first_of_its_regions_whatever_its_name() -> None:
    service = {"service": "payments"}  # always open
    events = [
        started("11:00", "DE-BW", **service),
        started("10:00", "DE-HE", **service),
        started("10:30", "FR-IDF", **service),
    ]
    assert when({"countries_hit": {"at_least": 1}}, *events) == at("10:00")
    assert when({"countries_hit": {"at_least": 2}}, *events) == at("10:30")
    assert when({"countries_hit": {"more_than": 2}}, *events) == NEVER


def test_a_condition_of_two_kinds_or_none_is_refused_with_both_names() -> None:
    with pytest.raises(ValidationError, match="any and harm are given"):
        CONDITION.validate_python({"any": [DOWN], "harm": {"kinds": ["bank"]}})
    with pytest.raises(ValidationError, match="must be given: none is given"):
        CONDITION.validate_python({})


@pytest.mark.parametrize(("baden", "hesse"), [("11:00", "10:00"), ("10:00", "11:00")])
def test_the_first_hit_counts_whichever_region_comes_first_by_name(baden: str, hesse: str) -> None:
    events = [started(baden, "DE-BW", service="payments"), started(hesse, "DE-HE", service="payments")]
    assert when({"countries_hit": {"at_least": 1}}, *events) == at("10:00")


def test_a_country_that_is_hit_as_a_whole_counts_as_itself_and_others_only_if_they_are_named() -> None:
    events = [started("10:00", "DE", service="payments"), started("10:30", "FR", service="payments")]
    assert when({"countries_hit": {"at_least": 2}}, *events) == at("10:30")
    among = {"at_least": 1, "among": ["FR", "IT"]}
    assert when({"countries_hit": among}, *events) == at("10:30")
    assert when({"countries_hit": among | {"at_least": 2}}, *events) == NEVER


@pytest.mark.parametrize(
    "condition",
    [
        FORECAST,
        {"any": [NEVER_HELD, FORECAST]},
        {"all": [FORECAST, FORECAST]},
        {"n_of": {"at_least": 1, "of": [NEVER_HELD, FORECAST]}},
    ],
)
def test_a_forecast_of_that_very_instant_is_not_since_it(condition: dict[str, Any]) -> None:
    found, asked = (
        Downtime(incident(started("02:00"), FAILED), CLOSED_AT_NIGHT, ""),
        CONDITION.validate_python(condition),
    )
    assert reach(asked, found, RULES, since=at("03:00")) == NEVER
    assert reach(asked, found, RULES, since=at("02:59")) == at("03:00")


def test_of_an_outage_anywhere_the_clock_that_the_limit_names_counts() -> None:
    limit = {"for": {"at_least": "30m"}}
    assert when({"outage": limit}, started("08:00")) == at("09:30")
    assert when({"outage": limit | {"clock": "wall_clock"}}, started("08:00")) == at("08:30")


@pytest.mark.parametrize(
    ("values", "said"), [({"a": 1, "b": None, "c": 0}, "a and c are given"), ({"a": None, "b": None}, "none is given")]
)
def test_of_several_values_exactly_one_is_accepted(values: dict[str, object], said: str) -> None:
    exactly_one({**values, "a": None, "c": 1})
    with pytest.raises(PydanticCustomError) as caught:
        exactly_one(values)
    names = ", ".join(values)
    assert caught.value.context == {
        "message": f"exactly one of {names} must be given: {said}",
        "expected": f"one of: {names}",
    }
