"""Downtime at its edges: different hours in common, and moments at which a repair fails."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from support.build import CHINA, at, incident, recorded, restored, started

from incident_engine.facts.calendars import Calendar
from incident_engine.facts.events import Recorded
from incident_engine.facts.hours import ALWAYS, ServiceHours, weekly_hours
from incident_engine.facts.values import NEVER
from incident_engine.grading.downtime import Downtime
from incident_engine.grading.reading import Counting, HoursClock, Reading

MINUTE = timedelta(minutes=1)
COUNTER: Mapping[str, ServiceHours] = {"counter": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}


def out(start: str, end: str, region: str = "CN-GD", service: str = "core-banking") -> list[Recorded]:
    signal = f"{service}/{start}"
    return [
        started(start, region, service=service, signal=signal),
        restored(end, region, service=service, signal=signal),
    ]


def downtime(*events: Recorded, hours: Mapping[str, ServiceHours] = COUNTER, **reading: str) -> Downtime:
    return Downtime(incident(*events), hours, "CN-", Reading.model_validate(reading))


# Core banking in Guangdong works day and night; Hunan's counter opens at nine: in common they have 20, then 25 minutes.
TWO_RUNS = [
    *out("08:00", "12:00"),
    *out("08:30", "09:20", "CN-HN", "counter"),
    *out("10:00", "10:25", "CN-HN", "counter"),
]


def test_with_different_hours_the_longest_run_in_common_counts() -> None:
    found = downtime(*TWO_RUNS, counting="concurrent", flapping="longest_run")
    assert found.reach(2, 20 * MINUTE, None) == at("09:20")
    assert found.reach(2, 25 * MINUTE, None) == at("10:25")
    assert found.reach(2, 26 * MINUTE, None) == NEVER


def test_with_different_hours_what_is_in_common_adds_up() -> None:
    found = downtime(*TWO_RUNS, counting="concurrent")
    assert found.reach(2, 26 * MINUTE, None) == at("10:06")
    assert found.reach(2, 45 * MINUTE, None) == at("10:25")
    assert found.reach(2, 46 * MINUTE, None) == NEVER


def test_with_different_hours_outages_one_after_the_other_have_nothing_in_common() -> None:
    events = [*out("09:00", "10:00"), *out("10:00", "11:00", "CN-HN", "counter")]
    for flapping in ("accumulate", "longest_run"):
        found = downtime(*events, counting="concurrent", flapping=flapping)
        assert found.reach(2, MINUTE, None) == NEVER


def failed(when: str) -> Recorded:
    return recorded("repair.failed", when, data={"by": "王", "reason": "备件也坏了"})


def test_a_repair_may_fail_in_the_minute_in_which_the_outage_begins() -> None:
    found = downtime(*out("02:00", "06:00", service="counter"), failed("02:00"))
    assert [moment.at for moment in found.moments()] == [at("02:00")]
    assert downtime(*out("02:00", "06:00", service="counter"), failed("01:59")).moments() == ()


@pytest.mark.parametrize("when", ["03:00", "21:00"])
def test_a_failure_in_one_of_several_outages_is_a_moment(when: str) -> None:
    events = [*out("02:00", "04:00", service="counter"), *out("20:00", "22:00", service="counter"), failed(when)]
    assert [moment.at for moment in downtime(*events).moments()] == [at(when)]


# The counter and core banking of one province: 09:00-09:15 counts, for the counter opens at nine, and 10:00-10:30.
SEVERAL = [
    *out("08:30", "09:10", service="counter"),
    *out("09:05", "09:15"),
    *out("10:00", "10:30"),
    *out("10:10", "10:20", service="counter"),
]


@pytest.mark.parametrize(("flapping", "minutes"), [("accumulate", 45), ("longest_run", 30)])
def test_services_with_different_hours_count_each_stretch_once(flapping: str, minutes: int) -> None:
    assert downtime(*SEVERAL, flapping=flapping).elapsed("CN-GD", None, at("20:00")) == minutes * MINUTE


def test_with_different_hours_the_longest_run_of_one_region_is_found() -> None:
    found = downtime(*SEVERAL, flapping="longest_run")
    assert found.reach(1, 30 * MINUTE, None) == at("10:30")
    assert found.reach(1, 31 * MINUTE, None) == NEVER


@pytest.mark.parametrize("flapping", ["accumulate", "longest_run"])
def test_before_an_outage_begins_no_time_has_passed(flapping: str) -> None:
    assert downtime(*out("10:00", "11:00"), flapping=flapping).elapsed("CN-GD", None, at("09:00")) == timedelta(0)


def test_regions_hit_at_the_same_time_differ_if_their_services_keep_different_hours() -> None:
    events = [*out("08:00", "12:00"), *out("08:00", "12:00", "CN-HN", "counter")]
    assert not downtime(*events).is_same_by("counting")
    assert downtime(*events, hours={"counter": ALWAYS}).is_same_by("counting")


def test_the_years_that_are_guessed_are_those_of_the_outage_so_far() -> None:
    given = Calendar("CN", {}, frozenset({2030}))
    hours = {"core-banking": weekly_hours(CHINA, [("mon-fri", "09:00-17:00")], given)}
    events = out("2030-12-31 10:00", "2033-01-02 10:00")
    assert downtime(*events, hours=hours).guessed_years(at("2030-12-31 23:00")) == ()
    assert downtime(*events, hours=hours).guessed_years(at("2031-06-01 00:00")) == (2031,)
    assert downtime(*events, hours=hours).guessed_years(at("2040-06-01 00:00")) == (2031, 2032, 2033)


@pytest.mark.parametrize(("minutes", "expected"), [(20, "10:20"), (25, "10:25"), (30, "2013-06-24 09:30"), (31, None)])
def test_with_different_hours_on_different_days_the_longest_run_counts(minutes: int, expected: str | None) -> None:
    events = [*out("10:00", "10:25"), *out("2013-06-24 08:40", "2013-06-24 09:30", service="counter")]
    found = downtime(*events, flapping="longest_run").reach(1, minutes * MINUTE, None)
    assert found == (NEVER if expected is None else at(expected))


def test_each_question_may_name_its_clock() -> None:
    found = downtime(*out("08:00", "09:10", service="counter"), *out("08:00", "09:10", "CN-HN", "counter"))
    wall = HoursClock.WALL_CLOCK
    assert list(found.segments("CN-GD")) == [(at("09:00"), at("09:10"))]
    assert list(found.segments("CN-GD", wall)) == [(at("08:00"), at("09:10"))]
    assert found.reach(1, timedelta(0), None) == at("09:00")
    assert found.reach(1, timedelta(0), wall) == at("08:00")
    together = found.read_as(Reading(counting=Counting.CONCURRENT))
    assert together.reach(2, 10 * MINUTE, None) == at("09:10")
    assert together.reach(2, 10 * MINUTE, wall) == at("08:10")


def test_the_worst_of_one_or_of_three_services_counts() -> None:
    one = downtime(*out("09:00", "09:20"), services="per_service_max")
    assert one.reach(1, 20 * MINUTE, None) == at("09:20")
    three = [*out("09:00", "09:20"), *out("09:30", "09:45", service="mobile"), *out("10:00", "10:10", service="cards")]
    found = downtime(*three, services="per_service_max")
    assert found.reach(1, 20 * MINUTE, None) == at("09:20")
    assert found.reach(1, 21 * MINUTE, None) == NEVER
