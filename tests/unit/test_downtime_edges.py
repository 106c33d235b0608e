"""Downtime at its edges: different hours in common, and moments at which a repair fails."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from support.build import CHINA, at, incident, recorded, restored, started

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ALWAYS, ServiceHours, weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.interpretation import Counting, HoursClock, Interpretation
from incident_engine.domain.values import NEVER

MINUTE = timedelta(minutes=1)
COUNTER: Mapping[str, ServiceHours] = {"counter": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}


def out(start: str, end: str, region: str = "CN-GD", service: str = "core-banking") -> list[Recorded]:
    signal = f"{service}/{start}"
    return [
        started(start, region, service=service, signal=signal),
        restored(end, region, service=service, signal=signal),
    ]


def downtime(*events: Recorded, hours: Mapping[str, ServiceHours] = COUNTER, **interpretation: str) -> Downtime:
    return Downtime(incident(*events), hours, "CN-", Interpretation.model_validate(interpretation))


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


def failed(when: str, *regions: str) -> Recorded:
    return recorded("repair.failed", when, regions=list(regions), data={"by": "王", "reason": "备件也坏了"})


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
    together = found.interpreted_as(Interpretation(counting=Counting.CONCURRENT))
    assert together.reach(2, 10 * MINUTE, None) == at("09:10")
    assert together.reach(2, 10 * MINUTE, wall) == at("08:10")


def test_the_worst_of_one_or_of_three_services_counts() -> None:
    one = downtime(*out("09:00", "09:20"), services="per_service_max")
    assert one.reach(1, 20 * MINUTE, None) == at("09:20")
    three = [*out("09:00", "09:20"), *out("09:30", "09:45", service="mobile"), *out("10:00", "10:10", service="cards")]
    found = downtime(*three, services="per_service_max")
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
    later = downtime(*events, *facts, degraded="down_only").since(at("10:00"))
    assert later.regions == ("CN-GD",)
    assert list(later.segments("CN-GD")) == [(at("11:00"), at("11:30"))]
    assert [harm.at for harm in later.incident.harms] == [at("10:01")]
    assert [found.value for found in later.incident.measurements] == [3]
    assert later.interpretation == Interpretation.model_validate({"degraded": "down_only"})
    just_before = downtime(*events).since(at("10:00") - timedelta(microseconds=1))
    assert just_before.regions == ("CN-GD", "CN-HN")


def test_anywhere_is_counted_by_the_clock_that_is_asked_for() -> None:
    found = downtime(*out("08:00", "09:10", service="counter"))
    assert found.reach_anywhere(10 * MINUTE, None) == at("09:10")
    assert found.reach_anywhere(10 * MINUTE, HoursClock.WALL_CLOCK) == at("08:10")
    assert found.reach_anywhere(11 * MINUTE, None) == NEVER


def estimated(when: str, recovery: str, *regions: str) -> Recorded:
    return recorded("recovery.estimated", when, regions=list(regions), data={"recovery_at": at(recovery)})


def counter(*events: Recorded) -> Downtime:
    return Downtime(incident(*events), COUNTER, "CN-", Interpretation.model_validate({"degraded": "down_only"}))


def night(start: str, *regions: str) -> Recorded:
    return started(start, *regions, service="counter")


def test_recovery_is_expected_only_if_it_is_of_all_that_was_not_repaired() -> None:
    history = [night("02:00", "CN-GD", "CN-HN"), failed("03:00")]
    (open_end,) = counter(*history, estimated("02:30", "10:00", "CN-GD")).moments()
    assert (open_end.at, open_end.recovery_at) == (at("03:00"), None)
    both = [estimated("02:30", "10:00", "CN-GD"), estimated("02:40", "09:30", "CN-HN")]
    (known,) = counter(*history, *both).moments()
    assert known.recovery_at == at("10:00")


def test_what_was_said_not_to_be_repaired_as_it_began_is_expected_to_last() -> None:
    found = counter(night("02:00", "CN-GD"), failed("02:00"), estimated("01:30", "10:00"))
    (moment,) = found.moments()
    assert (moment.at, moment.recovery_at) == (at("02:00"), at("10:00"))
    expected = found.expected_at(moment)
    assert list(expected.segments("CN-GD")) == [(at("09:00"), at("10:00"))]
    assert expected.interpretation == found.interpretation


def test_what_was_restored_at_that_very_moment_is_not_expected_to_last() -> None:
    history = [night("02:00", "CN-GD", "CN-HN"), failed("02:10"), restored("03:00", "CN-HN", service="counter")]
    found = counter(*history, estimated("03:00", "10:00", "CN-GD"))
    moment = found.moments()[-1]
    assert (moment.at, moment.recovery_at) == (at("03:00"), at("10:00"))
    assert list(found.expected_at(moment).segments("CN-HN")) == []


def test_an_earlier_outage_that_is_over_is_not_expected_to_have_lasted() -> None:
    earlier = [night("2013-06-22 10:00", "CN-GD"), restored("2013-06-22 10:20", "CN-GD", service="counter")]
    found = counter(*earlier, night("02:00", "CN-GD"), failed("03:00"), estimated("02:30", "09:30"))
    (moment,) = found.moments()
    assert list(found.expected_at(moment).segments("CN-GD")) == [
        (at("2013-06-22 10:00"), at("2013-06-22 10:20")),
        (at("09:00"), at("09:30")),
    ]


@pytest.mark.parametrize("flapping", ["accumulate", "longest_run"])
def test_with_different_hours_a_region_that_is_closed_all_the_while_has_nothing_in_common(flapping: str) -> None:
    events = [*out("18:00", "20:00"), *out("08:00", "20:00", "CN-HN", "counter")]
    found = downtime(*events, counting="concurrent", flapping=flapping)
    assert found.reach(2, MINUTE, None) == NEVER


def test_a_failure_that_was_said_before_an_outage_began_is_not_of_it() -> None:
    first = [night("00:30"), restored("01:30", service="counter")]
    found = counter(*first, failed("01:00"), night("02:00"), estimated("02:30", "10:00"))
    assert [moment.at for moment in found.moments()] == [at("01:00")]


def test_outages_of_several_regions_one_after_the_other_may_be_read_in_two_ways() -> None:
    apart = downtime(*out("09:00", "09:20"), *out("10:00", "10:20", "CN-HN"))
    assert not apart.is_same_by("flapping")
    assert downtime(*out("09:00", "10:00"), *out("10:00", "10:20", "CN-HN")).is_same_by("flapping")
