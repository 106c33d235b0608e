"""The time in which regions cannot do business, by both values of each point that the regulation leaves open."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.builders import CHINA, at, degraded, incident, recorded, restored, started

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ALWAYS, ServiceHours, weekly_hours
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.forecast_point import ForecastPoint
from incident_engine.domain.grading.interpretation import Counting, HoursClock, Interpretation, InterpretationPoint
from incident_engine.domain.values import NEVER

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# 2013-06-24 is a Monday.
COUNTER = weekly_hours(CHINA, [("mon-fri", "09:00-17:00")])
DAILY = weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])
CLOSED_AT_NIGHT: Mapping[str, ServiceHours] = {"core-banking": DAILY}


def downtime(*events: Recorded, hours: Mapping[str, ServiceHours] | None = None, **interpretation: str) -> Downtime:
    return Downtime(incident(*events), hours or {}, "CN-", Interpretation.model_validate(interpretation))


def out(start: str, end: str | None, region: str = "CN-GD", service: str = "core-banking") -> list[Recorded]:
    """Return one outage of one service in one region, with a signal of its own."""
    signal = f"{service}/{start}"
    events = [started(start, region, service=service, signal=signal)]
    return events if end is None else [*events, restored(end, region, service=service, signal=signal)]


def failed(when: str, *regions: str, **given: Any) -> Recorded:
    data = {"by": "王", "reason": "备件也坏了"}
    return recorded("repair.failed", when, regions=list(regions), data=data, **given)


def estimated(when: str, recovery: str, *regions: str) -> Recorded:
    return recorded("recovery.estimated", when, regions=list(regions), data={"recovery_at": at(recovery)})


def maintained(start: str, end: str, announced: str = "2013-06-22 12:00", **given: Any) -> Recorded:
    data = {"start": at(start), "end": at(end)}
    return recorded("maintenance.announced", announced, service="core-banking", data=data, **given)


# Counting: each region by its own total, or the same regions at the same time.

TWO = [*out("09:00", "10:00"), *out("09:40", "10:40", "CN-HN")]


@pytest.mark.parametrize(
    ("counting", "least", "expected"),
    [
        ("own", 20 * MINUTE, "10:00"),  # Hunan's own twenty minutes
        ("own", 60 * MINUTE, "10:40"),
        ("concurrent", 20 * MINUTE, "10:00"),  # 09:40-10:00 is all that they have in common
        ("concurrent", 21 * MINUTE, None),
    ],
)
def test_two_regions_count_by_their_own_totals_or_by_what_they_have_in_common(
    counting: str, least: timedelta, expected: str | None
) -> None:
    found = downtime(*TWO, counting=counting).reach(2, least, None)
    assert found == (NEVER if expected is None else at(expected))


@pytest.mark.parametrize("counting", ["own", "concurrent"])
def test_one_region_is_counted_alike_by_both(counting: str) -> None:
    assert downtime(*TWO, counting=counting).reach(1, 60 * MINUTE, None) == at("10:00")


def test_what_regions_have_in_common_adds_up_over_several_outages() -> None:
    events = [*out("09:00", "12:00"), *out("09:10", "09:20", "CN-HN"), *out("10:00", None, "CN-HN")]
    assert downtime(*events, counting="concurrent").reach(2, 30 * MINUTE, None) == at("10:20")


# Guangdong 09:00-09:40, Hunan 09:00-09:20 and Sichuan 09:20-09:40: two are always down, but never the same two.
RELAY = [*out("09:00", "09:40"), *out("09:00", "09:20", "CN-HN"), *out("09:20", "09:40", "CN-SC")]


def test_at_the_same_time_means_the_same_regions() -> None:
    found = downtime(*RELAY, counting="concurrent")
    assert found.reach(2, 20 * MINUTE, None) == at("09:20")
    assert found.reach(2, 21 * MINUTE, None) == NEVER


def test_three_regions_at_the_same_time_have_less_in_common_than_two() -> None:
    events = [*out("09:00", "11:00"), *out("09:30", "10:30", "CN-HN"), *out("10:00", "12:00", "CN-SC")]
    found = downtime(*events, counting="concurrent")
    assert found.reach(2, 60 * MINUTE, None) == at("10:30")  # Guangdong and Hunan; with Sichuan it is 11:00
    assert found.reach(3, 30 * MINUTE, None) == at("10:30")
    assert found.reach(3, 31 * MINUTE, None) == NEVER
    assert downtime(*events).reach(3, 60 * MINUTE, None) == at("11:00")  # by their own totals


@pytest.mark.parametrize("counting", ["own", "concurrent"])
def test_more_regions_than_were_hit_are_never_down(counting: str) -> None:
    assert downtime(*RELAY, counting=counting).reach(4, MINUTE, None) == NEVER
    assert downtime(counting=counting).reach(1, MINUTE, None) == NEVER


def test_regions_whose_services_have_different_hours_meet_while_both_are_open() -> None:
    events = [*out("08:00", None), *out("08:00", None, "CN-HN", "counter")]
    found = downtime(*events, hours={"counter": DAILY}, counting="concurrent")
    assert found.reach(2, 30 * MINUTE, None) == at("09:30")


def test_regions_whose_services_are_never_open_together_never_meet() -> None:
    morning, evening = (weekly_hours(CHINA, [("mon-sun", window)]) for window in ("06:00-12:00", "12:00-20:00"))
    events = [*out("05:00", None), *out("05:00", None, "CN-HN", "counter")]
    hours = {"core-banking": morning, "counter": evening}
    assert downtime(*events, hours=hours, counting="concurrent").reach(2, MINUTE, None) == NEVER
    assert downtime(*events, hours=hours).reach(2, MINUTE, None) == at("12:01")


def test_own_totals_of_the_worst_service_are_never_below_the_concurrent_ones() -> None:
    """By any service both provinces are out for 40 minutes; by the worst one for 20, together as alone."""
    events = [
        each
        for region in ("CN-GD", "CN-HN")
        for each in (*out("09:00", "09:20", region), *out("09:20", "09:40", region, "mobile"))
    ]
    for counting in ("own", "concurrent"):
        found = downtime(*events, counting=counting, services="per_service_max")
        assert found.reach(2, 20 * MINUTE, None) == at("09:20")
        assert found.reach(2, 21 * MINUTE, None) == NEVER


# Flapping: outages add up, or the longest counts.

FLAPPING = [*out("09:00", "09:20"), *out("10:00", "10:15"), *out("11:00", "11:25")]


@pytest.mark.parametrize(
    ("flapping", "least", "expected"),
    [
        ("accumulate", 30 * MINUTE, "10:10"),
        ("accumulate", 60 * MINUTE, "11:25"),
        ("longest_run", 20 * MINUTE, "09:20"),
        ("longest_run", 25 * MINUTE, "11:25"),
        ("longest_run", 26 * MINUTE, None),
    ],
)
def test_outages_add_up_or_the_longest_counts(flapping: str, least: timedelta, expected: str | None) -> None:
    found = downtime(*FLAPPING, flapping=flapping).reach(1, least, None)
    assert found == (NEVER if expected is None else at(expected))


@pytest.mark.parametrize(("flapping", "minutes"), [("accumulate", 60), ("longest_run", 25)])
def test_how_long_a_region_was_out_is_told_by_the_same_reading(flapping: str, minutes: int) -> None:
    assert downtime(*FLAPPING, flapping=flapping).elapsed("CN-GD", None, at("20:00")) == minutes * MINUTE


def test_the_longest_run_so_far_is_told_while_another_goes_on() -> None:
    found = downtime(*FLAPPING, flapping="longest_run")
    assert found.elapsed("CN-GD", None, at("11:10")) == 20 * MINUTE
    assert found.elapsed("CN-GD", None, at("11:22")) == 22 * MINUTE


def test_the_night_in_which_a_service_is_closed_does_not_break_a_run() -> None:
    # Monday 16:45 to Tuesday 09:20: 15 minutes, and 20 after the opening.
    events, hours = out("2013-06-24 16:45", "2013-06-25 09:20"), {"core-banking": COUNTER}
    found = downtime(*events, hours=hours, flapping="longest_run")
    assert found.reach(1, 30 * MINUTE, None) == at("2013-06-25 09:15")
    assert found.reach(1, 35 * MINUTE, None) == at("2013-06-25 09:20")
    assert found.reach(1, 36 * MINUTE, None) == NEVER
    assert found.elapsed("CN-GD", None, at("2013-06-26 00:00")) == 35 * MINUTE


def test_a_restoration_at_night_breaks_a_run() -> None:
    events = [*out("2013-06-24 16:45", "2013-06-24 20:00"), *out("2013-06-24 21:00", "2013-06-25 09:20")]
    found = downtime(*events, hours={"core-banking": COUNTER}, flapping="longest_run")
    assert found.reach(1, 20 * MINUTE, None) == at("2013-06-25 09:20")
    assert found.reach(1, 21 * MINUTE, None) == NEVER


def test_one_service_after_the_other_without_a_gap_is_one_run_of_the_region() -> None:
    events = [*out("09:00", "09:20"), *out("09:20", "09:40", service="mobile")]
    assert downtime(*events, flapping="longest_run").reach(1, 40 * MINUTE, None) == at("09:40")


def test_a_service_that_goes_from_degraded_to_down_and_back_is_one_run() -> None:
    events = [degraded("10:00"), started("10:10"), degraded("10:20"), restored("10:30")]
    assert downtime(*events, flapping="longest_run").reach(1, 30 * MINUTE, None) == at("10:30")


def test_regions_are_down_together_for_their_longest_common_run() -> None:
    events = [*out("09:00", "12:00"), *out("09:10", "09:30", "CN-HN"), *out("10:00", "10:25", "CN-HN")]
    found = downtime(*events, counting="concurrent", flapping="longest_run")
    assert found.reach(2, 25 * MINUTE, None) == at("10:25")
    assert found.reach(2, 26 * MINUTE, None) == NEVER


# Degraded: counts, or only what is down.

WORSE_AND_BETTER = [degraded("10:00"), started("10:30"), degraded("11:00"), started("11:20"), restored("11:30")]


@pytest.mark.parametrize(
    ("interpretation", "expected"),
    [
        ({"degraded": "counts"}, "10:40"),
        ({"degraded": "down_only"}, "11:30"),  # 10:30-11:00 and 11:20-11:30
        ({"degraded": "down_only", "flapping": "longest_run"}, None),  # degraded between is a break
    ],
)
def test_what_works_badly_counts_or_only_what_is_down(interpretation: dict[str, str], expected: str | None) -> None:
    here = Downtime(incident(*WORSE_AND_BETTER), {}, "CN-", Interpretation.model_validate(interpretation))
    found = here.reach(1, 40 * MINUTE, None)
    assert found == (NEVER if expected is None else at(expected))


def test_a_region_that_only_works_badly_is_none_that_is_down() -> None:
    events = [degraded("10:00", "CN-HN"), started("10:00")]
    assert downtime(*events).regions == ("CN-GD", "CN-HN")
    assert downtime(*events, degraded="down_only").regions == ("CN-GD",)
    assert downtime(*events, degraded="down_only").reach(2, MINUTE, None) == NEVER


# Several services in one region: any of them, or the worst.

BOTH = [*out("09:00", "09:20"), *out("09:10", "09:45", service="mobile")]


@pytest.mark.parametrize(
    ("services", "least", "expected"),
    [
        ("union", 30 * MINUTE, "09:30"),  # 09:00-09:45, no minute twice
        ("union", 46 * MINUTE, None),
        ("per_service_max", 20 * MINUTE, "09:20"),
        ("per_service_max", 35 * MINUTE, "09:45"),
        ("per_service_max", 36 * MINUTE, None),
    ],
)
def test_a_region_is_out_with_any_service_or_with_its_worst(
    services: str, least: timedelta, expected: str | None
) -> None:
    found = downtime(*BOTH, services=services).reach(1, least, None)
    assert found == (NEVER if expected is None else at(expected))


@pytest.mark.parametrize(("services", "minutes"), [("union", 45), ("per_service_max", 35)])
def test_how_long_several_services_were_out_is_told_by_the_same_reading(services: str, minutes: int) -> None:
    assert downtime(*BOTH, services=services).elapsed("CN-GD", None, at("20:00")) == minutes * MINUTE


def test_each_service_has_its_own_hours_and_no_minute_counts_twice() -> None:
    events = [*out("08:30", "09:30", service="counter"), *out("08:50", "09:10")]
    found = downtime(*events, hours={"counter": DAILY})
    # Core banking 08:50-09:10 by day and night, the counter from its opening at 09:00: 08:50-09:30.
    assert found.reach(1, 40 * MINUTE, None) == at("09:30")
    assert found.reach(1, 41 * MINUTE, None) == NEVER


# The clock: service hours, every minute that was not announced, or every minute.

NIGHT = [maintained("16:00", "16:30"), *out("16:00", "18:00")]


@pytest.mark.parametrize(("clock", "minutes"), [("service_hours", 30), ("unplanned", 90), ("wall_clock", 120)])
def test_the_clock_leaves_out_closed_hours_and_announced_maintenance_or_nothing(clock: str, minutes: int) -> None:
    found = downtime(*NIGHT, hours=CLOSED_AT_NIGHT, clock=clock)
    assert found.elapsed("CN-GD", None, at("23:00")) == minutes * MINUTE
    least = {30: "17:00", 90: "18:00", 120: "18:00"}[minutes]
    assert found.reach(1, minutes * MINUTE, None) == at(least)
    assert found.reach(1, (minutes + 1) * MINUTE, None) == NEVER


def test_a_limit_that_names_its_clock_is_not_read_otherwise() -> None:
    found = downtime(*NIGHT, hours=CLOSED_AT_NIGHT, clock="wall_clock")
    assert found.reach(1, 30 * MINUTE, HoursClock.SERVICE_HOURS) == at("17:00")
    assert found.reach(1, 31 * MINUTE, HoursClock.SERVICE_HOURS) == NEVER


def test_maintenance_of_another_province_leaves_nothing_out() -> None:
    events = [maintained("09:00", "11:00", regions=["CN-HN"]), *out("09:00", "10:00"), *out("09:00", "10:00", "CN-HN")]
    found = downtime(*events)
    assert found.elapsed("CN-GD", None, at("20:00")) == HOUR
    assert found.elapsed("CN-HN", None, at("20:00")) == timedelta(0)


def test_maintenance_of_one_service_leaves_the_other_to_count() -> None:
    events = [maintained("09:00", "11:00"), *out("09:00", "10:00"), *out("09:30", "10:15", service="mobile")]
    assert downtime(*events).elapsed("CN-GD", None, at("20:00")) == 45 * MINUTE


@pytest.mark.parametrize("flapping", ["accumulate", "longest_run"])
def test_maintenance_within_an_outage_is_left_out_and_breaks_no_run(flapping: str) -> None:
    events = [maintained("10:00", "11:00"), *out("09:30", "11:20")]
    found = downtime(*events, flapping=flapping)
    assert found.reach(1, 50 * MINUTE, None) == at("11:20")
    assert found.reach(1, 51 * MINUTE, None) == NEVER


# Anywhere: all regions and services together.


def test_something_is_down_somewhere_while_anything_is() -> None:
    events = [*out("09:00", "09:20"), *out("09:10", "09:30", "CN-HN"), *out("10:00", "10:10", "CN-SC", "mobile")]
    found = downtime(*events)
    assert found.reach_anywhere(40 * MINUTE, None) == at("10:10")
    assert found.reach_anywhere(41 * MINUTE, None) == NEVER
    assert downtime().reach_anywhere(MINUTE, None) == NEVER


def test_somewhere_by_the_worst_service_alone() -> None:
    events = [*out("09:00", "09:20"), *out("09:10", "09:30", "CN-HN"), *out("10:00", "10:10", "CN-SC", "mobile")]
    found = downtime(*events, services="per_service_max")
    assert found.reach_anywhere(30 * MINUTE, None) == at("09:30")
    assert found.reach_anywhere(31 * MINUTE, None) == NEVER


# Moments at which an unrepaired failure met closed doors (Art. 9, clause 3).


def moments(
    *events: Recorded, hours: Mapping[str, ServiceHours] = CLOSED_AT_NIGHT, **interpretation: str
) -> list[ForecastPoint]:
    return list(downtime(*events, hours=hours, **interpretation).forecast_points())


def moment(when: str, recovery: str | None) -> ForecastPoint:
    return ForecastPoint(at(when), None if recovery is None else at(recovery))


def test_a_repair_that_fails_at_night_is_a_moment_at_once() -> None:
    assert moments(*out("02:00", None), failed("03:00")) == [moment("03:00", None)]
    estimate = estimated("02:30", "09:30")
    assert moments(*out("02:00", None), estimate, failed("03:00")) == [moment("03:00", "09:30")]


def test_a_repair_that_fails_while_it_is_open_is_a_moment_at_closing() -> None:
    assert moments(*out("16:50", None), failed("16:55")) == [moment("17:00", None)]
    estimate = estimated("16:56", "2013-06-24 09:20")
    assert moments(*out("16:50", None), failed("16:55"), estimate) == [moment("17:00", "2013-06-24 09:20")]


def test_each_later_estimate_is_a_moment_of_its_own() -> None:
    found = moments(*out("02:00", None), failed("03:00"), estimated("04:00", "10:00"), estimated("05:00", "12:00"))
    assert found == [moment("03:00", None), moment("04:00", "10:00"), moment("05:00", "12:00")]


def test_what_is_restored_before_the_doors_close_has_no_moment() -> None:
    assert moments(*out("16:00", "16:59"), failed("16:30")) == []
    assert (
        moments(*out("16:00", "17:00"), failed("16:30")) == []
    )  # to the minute: nothing is left that was not repaired
    assert moments(*out("16:00", "17:01"), failed("16:30")) == [moment("17:00", None)]


def test_a_repair_that_fails_when_nothing_is_out_has_no_moment() -> None:
    assert moments(*out("02:00", "03:00"), failed("03:00")) == []
    assert moments(*out("02:00", None), failed("01:59")) == []


def test_an_expectation_that_has_gone_by_is_none() -> None:
    assert moments(*out("02:00", None), estimated("02:10", "03:00"), failed("03:00")) == [moment("03:00", None)]


def test_an_estimate_that_passes_by_is_no_moment_until_a_person_says_so() -> None:
    events = [*out("20:00", None), estimated("20:05", "22:00"), failed("20:10")]
    assert moments(*events) == [moment("20:10", "22:00")]
    assert moments(*events, failed("22:05")) == [moment("20:10", "22:00"), moment("22:05", None)]


def test_an_outage_without_a_failed_repair_has_no_moment() -> None:
    assert moments(*out("02:00", None), estimated("02:10", "10:00")) == []


def test_a_failure_concerns_its_own_service_and_regions_only() -> None:
    events = [*out("02:00", None), *out("02:00", None, "CN-HN")]
    assert moments(*events, failed("03:00", service="mobile")) == []
    assert moments(*events, failed("03:00", "CN-SC")) == []
    assert moments(*events, failed("03:00", "CN-HN")) == [moment("03:00", None)]
    assert moments(*events, failed("03:00", service="core-banking")) == [moment("03:00", None)]


def test_a_service_that_never_closes_knows_no_moment() -> None:
    assert moments(*out("02:00", None), failed("03:00"), hours={}) == []


def test_doors_closed_for_announced_maintenance_are_closed() -> None:
    events = [maintained("02:00", "06:00"), *out("02:00", None), failed("03:00")]
    assert moments(*events, hours={}) == [moment("03:00", None)]


def test_forecasts_may_be_switched_off() -> None:
    assert moments(*out("02:00", None), failed("03:00"), outside_hours="off") == []


def test_what_is_to_be_expected_is_what_was_down_until_the_recovery() -> None:
    events = [*out("02:00", "04:00"), *out("02:30", "02:45", "CN-HN"), *out("05:00", None, "CN-SC")]
    events += [*out("02:00", None, "CN-BJ"), failed("03:00", "CN-GD"), estimated("02:50", "09:40")]
    found = downtime(*events, hours=CLOSED_AT_NIGHT).expected_at(moment("03:00", "09:40"))
    assert found.regions == ("CN-BJ", "CN-GD", "CN-HN")  # Sichuan was not out yet
    assert found.elapsed("CN-BJ", None, at("23:00")) == timedelta(0)  # of it nobody said that it was not repaired
    assert found.elapsed("CN-GD", None, at("23:00")) == 40 * MINUTE
    assert found.elapsed("CN-HN", None, at("23:00")) == timedelta(0)


def test_without_an_estimate_it_is_to_be_expected_without_an_end() -> None:
    events = [*out("02:00", "04:00"), failed("03:00")]
    found = downtime(*events, hours=CLOSED_AT_NIGHT).expected_at(moment("03:00", None))
    assert found.reach(1, 6 * HOUR, None) == at("15:00")


def test_what_was_to_be_expected_does_not_depend_on_what_was_known_later() -> None:
    """The window is announced until 08:00 and recovery expected at 07:00: nothing would have counted."""
    events = [maintained("02:00", "08:00"), started("02:00"), estimated("02:30", "07:00"), failed("03:00")]
    for known in (events, [*events, restored("04:00")]):
        expected = downtime(*known).expected_at(moment("03:00", "07:00"))
        assert expected.reach(1, MINUTE, None) == NEVER


def test_maintenance_that_lay_ahead_was_to_be_expected_whatever_became_of_the_outage() -> None:
    """Recovery is expected an hour after the opening; three quarters of it are announced as maintenance."""
    works = maintained("2013-06-24 09:00", "2013-06-24 09:45", "12:00")
    events = [works, started("20:00"), estimated("20:05", "2013-06-24 10:00"), failed("20:10")]
    for known in (events, [*events, restored("23:00")]):
        expected = downtime(*known, hours=CLOSED_AT_NIGHT).expected_at(moment("20:10", "2013-06-24 10:00"))
        assert expected.elapsed("CN-GD", None, at("2013-06-24 12:00")) == 15 * MINUTE


# Whether another interpretation can make a difference.


@pytest.mark.parametrize(
    ("events", "differing"),
    [
        (out("09:00", "10:00"), set()),
        ([*out("09:00", "10:00"), *out("09:00", "10:00", "CN-HN")], set()),  # the same in both
        (TWO, {"counting"}),
        (FLAPPING, {"flapping"}),
        ([degraded("10:00")], {"degraded"}),
        (BOTH, {"services"}),
        ([*out("09:00", "10:00"), failed("09:30")], {"outside_hours"}),
        (out("09:00", "10:00", service="counter"), {"clock"}),
        ([maintained("09:00", "11:00"), *out("09:00", "10:00")], {"clock"}),
    ],
)
def test_only_a_reading_that_can_matter_is_tried(events: list[Recorded], differing: set[str]) -> None:
    found = downtime(*events, hours={"counter": DAILY})
    assert {point for point in InterpretationPoint if not found.is_independent_of(point)} == differing


def test_by_the_worst_service_the_flapping_of_one_matters_though_the_region_was_out_all_the_time() -> None:
    events = [*out("09:00", "09:20"), *out("09:15", "09:35", service="mobile"), *out("09:30", "09:50")]
    found = downtime(*events, services="per_service_max")
    assert found.reach(1, 40 * MINUTE, None) == at("09:50")
    longest = found.interpreted_as(found.interpretation.model_copy(update={"flapping": "longest_run"}))
    assert longest.reach(1, 40 * MINUTE, None) == NEVER
    assert not found.is_independent_of(InterpretationPoint.FLAPPING)


def test_the_points_are_the_fields_of_an_interpretation() -> None:
    assert [point.value for point in InterpretationPoint] == list(Interpretation.model_fields)


def test_each_other_interpretation_differs_in_one_point() -> None:
    here = Interpretation()
    others = list(here.alternatives())
    assert [(name, value) for name, value, _ in others] == [
        ("counting", "concurrent"),
        ("flapping", "longest_run"),
        ("degraded", "down_only"),
        ("services", "per_service_max"),
        ("clock", "unplanned"),
        ("clock", "wall_clock"),
        ("outside_hours", "off"),
    ]
    for name, value, other in others:
        assert other == here.model_copy(update={name: value})


def test_what_began_in_closed_hours_counts_from_the_opening() -> None:
    found = downtime(*out("02:00", None), hours=CLOSED_AT_NIGHT)
    assert found.first_in("CN-GD") == at("09:00")
    assert downtime(*out("02:00", "03:00"), hours=CLOSED_AT_NIGHT).first_in("CN-GD") == NEVER


# A limit of no time: any outage that counts at all.


def test_closed_hours_do_not_meet_a_limit_of_no_time() -> None:
    hours = {"core-banking": DAILY}
    assert downtime(*out("02:00", "20:00"), hours=hours).reach(1, timedelta(0), None) == at("09:00")
    assert downtime(*out("02:00", "08:00"), hours=hours).reach(1, timedelta(0), None) == NEVER


def test_closed_hours_of_several_services_do_not_meet_a_limit_of_no_time() -> None:
    hours = {"core-banking": DAILY, "counter": COUNTER}  # 2013-06-23 is a Sunday: the counter is closed
    for end, expected in (("20:00", at("09:00")), ("08:00", NEVER)):
        events = [*out("02:00", end), *out("02:00", end, service="counter")]
        assert downtime(*events, hours=hours).reach(1, timedelta(0), None) == expected


@pytest.mark.parametrize("clock", ["service_hours", "unplanned"])
def test_an_outage_that_was_announced_from_beginning_to_end_meets_no_limit(clock: str) -> None:
    found = downtime(maintained("02:00", "08:00"), *out("02:00", "08:00"), clock=clock)
    assert found.reach(1, timedelta(0), None) == NEVER
    assert found.reach_anywhere(timedelta(0), None) == NEVER


COUNTER_HOURS: Mapping[str, ServiceHours] = {"counter": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}


def at_counter(*events: Recorded, hours: Mapping[str, ServiceHours] = COUNTER_HOURS, **interpretation: str) -> Downtime:
    return Downtime(incident(*events), hours, "CN-", Interpretation.model_validate(interpretation))


# Core banking in Guangdong works day and night; Hunan's counter opens at nine: in common they have 20, then 25 minutes.
TWO_RUNS = [
    *out("08:00", "12:00"),
    *out("08:30", "09:20", "CN-HN", "counter"),
    *out("10:00", "10:25", "CN-HN", "counter"),
]


def test_with_different_hours_the_longest_run_in_common_counts() -> None:
    found = at_counter(*TWO_RUNS, counting="concurrent", flapping="longest_run")
    assert found.reach(2, 20 * MINUTE, None) == at("09:20")
    assert found.reach(2, 25 * MINUTE, None) == at("10:25")
    assert found.reach(2, 26 * MINUTE, None) == NEVER


def test_with_different_hours_what_is_in_common_adds_up() -> None:
    found = at_counter(*TWO_RUNS, counting="concurrent")
    assert found.reach(2, 26 * MINUTE, None) == at("10:06")
    assert found.reach(2, 45 * MINUTE, None) == at("10:25")
    assert found.reach(2, 46 * MINUTE, None) == NEVER


def test_with_different_hours_outages_one_after_the_other_have_nothing_in_common() -> None:
    events = [*out("09:00", "10:00"), *out("10:00", "11:00", "CN-HN", "counter")]
    for flapping in ("accumulate", "longest_run"):
        found = at_counter(*events, counting="concurrent", flapping=flapping)
        assert found.reach(2, MINUTE, None) == NEVER


def test_a_repair_may_fail_in_the_minute_in_which_the_outage_begins() -> None:
    found = at_counter(*out("02:00", "06:00", service="counter"), failed("02:00"))
    assert [moment.at for moment in found.forecast_points()] == [at("02:00")]
    assert at_counter(*out("02:00", "06:00", service="counter"), failed("01:59")).forecast_points() == ()


@pytest.mark.parametrize("when", ["03:00", "21:00"])
def test_a_failure_in_one_of_several_outages_is_a_moment(when: str) -> None:
    events = [*out("02:00", "04:00", service="counter"), *out("20:00", "22:00", service="counter"), failed(when)]
    assert [moment.at for moment in at_counter(*events).forecast_points()] == [at(when)]


# The counter and core banking of one province: 09:00-09:15 counts, for the counter opens at nine, and 10:00-10:30.
SEVERAL = [
    *out("08:30", "09:10", service="counter"),
    *out("09:05", "09:15"),
    *out("10:00", "10:30"),
    *out("10:10", "10:20", service="counter"),
]


@pytest.mark.parametrize(("flapping", "minutes"), [("accumulate", 45), ("longest_run", 30)])
def test_services_with_different_hours_count_each_stretch_once(flapping: str, minutes: int) -> None:
    assert at_counter(*SEVERAL, flapping=flapping).elapsed("CN-GD", None, at("20:00")) == minutes * MINUTE


def test_with_different_hours_the_longest_run_of_one_region_is_found() -> None:
    found = at_counter(*SEVERAL, flapping="longest_run")
    assert found.reach(1, 30 * MINUTE, None) == at("10:30")
    assert found.reach(1, 31 * MINUTE, None) == NEVER


@pytest.mark.parametrize("flapping", ["accumulate", "longest_run"])
def test_before_an_outage_begins_no_time_has_passed(flapping: str) -> None:
    assert at_counter(*out("10:00", "11:00"), flapping=flapping).elapsed("CN-GD", None, at("09:00")) == timedelta(0)


def test_regions_hit_at_the_same_time_differ_if_their_services_keep_different_hours() -> None:
    events = [*out("08:00", "12:00"), *out("08:00", "12:00", "CN-HN", "counter")]
    assert not at_counter(*events).is_independent_of(InterpretationPoint.COUNTING)
    assert at_counter(*events, hours={"counter": ALWAYS}).is_independent_of(InterpretationPoint.COUNTING)


def test_the_years_that_are_guessed_are_those_of_the_outage_so_far() -> None:
    given = Calendar("CN", {}, frozenset({2030}))
    hours = {"core-banking": weekly_hours(CHINA, [("mon-fri", "09:00-17:00")], given)}
    events = out("2030-12-31 10:00", "2033-01-02 10:00")
    assert at_counter(*events, hours=hours).guessed_years(at("2030-12-31 23:00")) == ()
    assert at_counter(*events, hours=hours).guessed_years(at("2031-06-01 00:00")) == (2031,)
    assert at_counter(*events, hours=hours).guessed_years(at("2040-06-01 00:00")) == (2031, 2032, 2033)


@pytest.mark.parametrize(("minutes", "expected"), [(20, "10:20"), (25, "10:25"), (30, "2013-06-24 09:30"), (31, None)])
def test_with_different_hours_on_different_days_the_longest_run_counts(minutes: int, expected: str | None) -> None:
    events = [*out("10:00", "10:25"), *out("2013-06-24 08:40", "2013-06-24 09:30", service="counter")]
    found = at_counter(*events, flapping="longest_run").reach(1, minutes * MINUTE, None)
    assert found == (NEVER if expected is None else at(expected))


def test_each_question_may_name_its_clock() -> None:
    found = at_counter(*out("08:00", "09:10", service="counter"), *out("08:00", "09:10", "CN-HN", "counter"))
    wall = HoursClock.WALL_CLOCK
    assert list(found.segments("CN-GD")) == [(at("09:00"), at("09:10"))]
    assert list(found.segments("CN-GD", wall)) == [(at("08:00"), at("09:10"))]
    assert found.reach(1, timedelta(0), None) == at("09:00")
    assert found.reach(1, timedelta(0), wall) == at("08:00")
    together = found.interpreted_as(Interpretation(counting=Counting.CONCURRENT))
    assert together.reach(2, 10 * MINUTE, None) == at("09:10")
    assert together.reach(2, 10 * MINUTE, wall) == at("08:10")


def test_the_worst_of_one_or_of_three_services_counts() -> None:
    one = at_counter(*out("09:00", "09:20"), services="per_service_max")
    assert one.reach(1, 20 * MINUTE, None) == at("09:20")
    three = [*out("09:00", "09:20"), *out("09:30", "09:45", service="mobile"), *out("10:00", "10:10", service="cards")]
    found = at_counter(*three, services="per_service_max")
    assert found.reach(1, 20 * MINUTE, None) == at("09:20")
    assert found.reach(1, 21 * MINUTE, None) == NEVER


# What came after an instant, and what was to be expected at one


def harmed(when: str) -> Recorded:
    data = {"kind": "bank", "seriousness": "serious", "cause": "data_loss", "by": "李", "reason": "台账受损"}
    return recorded("harm.assessed", when, data=data)


def measured(when: str, value: float) -> Recorded:
    return recorded("impact.measured", when, service="core-banking", data={"by": "李", "measures": {"loss": value}})


def test_what_happens_at_the_very_instant_is_not_after_it() -> None:
    events = [*out("09:00", "09:10"), *out("10:00", "10:20"), *out("10:00", "10:20", "CN-HN"), *out("11:00", "11:30")]
    facts = [harmed("10:00"), harmed("10:01"), measured("09:59", 1), measured("10:00", 2), measured("10:01", 3)]
    later = at_counter(*events, *facts, degraded="down_only").since(at("10:00"))
    assert later.regions == ("CN-GD",)
    assert list(later.segments("CN-GD")) == [(at("11:00"), at("11:30"))]
    assert [harm.occurred_at for harm in later.incident.events(HarmAssessed)] == [at("10:01")]
    assert [found.value for found in later.incident.measurements] == [3]
    assert later.interpretation == Interpretation.model_validate({"degraded": "down_only"})
    just_before = at_counter(*events).since(at("10:00") - timedelta(microseconds=1))
    assert just_before.regions == ("CN-GD", "CN-HN")


def test_anywhere_is_counted_by_the_clock_that_is_asked_for() -> None:
    found = at_counter(*out("08:00", "09:10", service="counter"))
    assert found.reach_anywhere(10 * MINUTE, None) == at("09:10")
    assert found.reach_anywhere(10 * MINUTE, HoursClock.WALL_CLOCK) == at("08:10")
    assert found.reach_anywhere(11 * MINUTE, None) == NEVER


def counter(*events: Recorded) -> Downtime:
    return Downtime(incident(*events), COUNTER_HOURS, "CN-", Interpretation.model_validate({"degraded": "down_only"}))


def night(start: str, *regions: str) -> Recorded:
    return started(start, *regions, service="counter")


def test_recovery_is_expected_only_if_it_is_of_all_that_was_not_repaired() -> None:
    history = [night("02:00", "CN-GD", "CN-HN"), failed("03:00")]
    (open_end,) = counter(*history, estimated("02:30", "10:00", "CN-GD")).forecast_points()
    assert (open_end.at, open_end.recovery_at) == (at("03:00"), None)
    both = [estimated("02:30", "10:00", "CN-GD"), estimated("02:40", "09:30", "CN-HN")]
    (known,) = counter(*history, *both).forecast_points()
    assert known.recovery_at == at("10:00")


def test_what_was_said_not_to_be_repaired_as_it_began_is_expected_to_last() -> None:
    found = counter(night("02:00", "CN-GD"), failed("02:00"), estimated("01:30", "10:00"))
    (moment,) = found.forecast_points()
    assert (moment.at, moment.recovery_at) == (at("02:00"), at("10:00"))
    expected = found.expected_at(moment)
    assert list(expected.segments("CN-GD")) == [(at("09:00"), at("10:00"))]
    assert expected.interpretation == found.interpretation


def test_what_was_restored_at_that_very_moment_is_not_expected_to_last() -> None:
    history = [night("02:00", "CN-GD", "CN-HN"), failed("02:10"), restored("03:00", "CN-HN", service="counter")]
    found = counter(*history, estimated("03:00", "10:00", "CN-GD"))
    moment = found.forecast_points()[-1]
    assert (moment.at, moment.recovery_at) == (at("03:00"), at("10:00"))
    assert list(found.expected_at(moment).segments("CN-HN")) == []


def test_an_earlier_outage_that_is_over_is_not_expected_to_have_lasted() -> None:
    earlier = [night("2013-06-22 10:00", "CN-GD"), restored("2013-06-22 10:20", "CN-GD", service="counter")]
    found = counter(*earlier, night("02:00", "CN-GD"), failed("03:00"), estimated("02:30", "09:30"))
    (moment,) = found.forecast_points()
    assert list(found.expected_at(moment).segments("CN-GD")) == [
        (at("2013-06-22 10:00"), at("2013-06-22 10:20")),
        (at("09:00"), at("09:30")),
    ]


@pytest.mark.parametrize("flapping", ["accumulate", "longest_run"])
def test_with_different_hours_a_region_that_is_closed_all_the_while_has_nothing_in_common(flapping: str) -> None:
    events = [*out("18:00", "20:00"), *out("08:00", "20:00", "CN-HN", "counter")]
    found = at_counter(*events, counting="concurrent", flapping=flapping)
    assert found.reach(2, MINUTE, None) == NEVER


def test_a_failure_that_was_said_before_an_outage_began_is_not_of_it() -> None:
    first = [night("00:30"), restored("01:30", service="counter")]
    found = counter(*first, failed("01:00"), night("02:00"), estimated("02:30", "10:00"))
    assert [moment.at for moment in found.forecast_points()] == [at("01:00")]


def test_outages_of_several_regions_one_after_the_other_may_be_read_in_two_ways() -> None:
    apart = at_counter(*out("09:00", "09:20"), *out("10:00", "10:20", "CN-HN"))
    assert not apart.is_independent_of(InterpretationPoint.FLAPPING)
    joined = at_counter(*out("09:00", "10:00"), *out("10:00", "10:20", "CN-HN"))
    assert joined.is_independent_of(InterpretationPoint.FLAPPING)
