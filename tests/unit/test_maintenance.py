"""Announced maintenance: what of an impairment it covers, when an outage then began, and the hours that are left."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from support.builders import CHINA, at, closed, degraded, incident, recorded, restored, started, steps_of, verdict

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ALWAYS, Interrupted, Segment, ServiceHours, weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def announced(start: str, end: str, when: str = "08:00", service: str = "core-banking", **given: Any) -> Recorded:
    data = {"start": at(start), "end": at(end)}
    return recorded("maintenance.announced", when, service=service, data=data, **given)


def span(start: str, end: str) -> Segment:
    return at(start), at(end)


def maintained(found: Incident, region: str = "CN-GD") -> list[Segment]:
    return list(next(outage for outage in found.outages if outage.region == region).maintenance)


# What it covers.


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (("09:00", "11:00"), [("09:30", "11:00")]),  # around the outage: from its beginning, to its own end
        (("09:00", "10:00"), [("09:30", "10:00")]),
        (("10:00", "11:00"), [("10:00", "11:00")]),
        (("09:40", "09:50"), [("09:40", "09:50")]),  # within it
        (("09:00", "09:30"), []),  # over as it begins
        (("10:30", "11:00"), [("10:30", "11:00")]),  # after it: while it lasted, it was to be expected
    ],
)
def test_of_an_outage_the_part_within_the_window_was_announced(
    window: tuple[str, str], expected: list[tuple[str, str]]
) -> None:
    found = incident(announced(*window), started("09:30"), restored("10:30"))
    assert maintained(found) == [span(*each) for each in expected]


def test_of_an_outage_that_lasts_the_window_is_announced_to_its_end() -> None:
    assert maintained(incident(announced("09:00", "11:00"), started("09:30"))) == [span("09:30", "11:00")]


@pytest.mark.parametrize(("when", "covers"), [("09:29", True), ("09:30", True), ("09:31", False)])
def test_what_is_announced_once_it_is_broken_is_no_maintenance(when: str, covers: bool) -> None:
    found = incident(announced("09:40", "11:00", when), started("09:30"), restored("10:30"))
    assert bool(maintained(found)) is covers


def test_it_is_broken_from_the_first_degradation_on() -> None:
    events = [degraded("09:00"), started("09:30"), restored("10:30")]
    assert maintained(incident(announced("09:30", "11:00", "09:10"), *events)) == []
    assert maintained(incident(announced("09:30", "11:00", "09:00"), *events)) == [span("09:30", "11:00")]


def test_what_breaks_anew_is_judged_anew() -> None:
    events = [started("09:00"), restored("09:20"), started("09:40"), restored("10:30")]
    found = incident(announced("09:10", "11:00", "09:05"), *events)
    assert maintained(found) == [span("09:40", "11:00")]  # announced after the first, before the second


def test_an_announcement_that_arrives_late_counts_from_when_it_was_made() -> None:
    found = incident(announced("09:00", "11:00", "08:00", received="09:45"), started("09:30"))
    assert maintained(found) == [span("09:30", "11:00")]


def test_windows_that_overlap_or_touch_are_one() -> None:
    windows = [announced("09:00", "10:00"), announced("09:30", "10:30"), announced("10:30", "11:00")]
    for order in permutations([*windows, started("09:10"), restored("12:00")]):
        assert maintained(incident(*order)) == [span("09:10", "11:00")]


def test_windows_apart_stay_apart() -> None:
    windows = [announced("09:30", "10:00"), announced("11:00", "11:30")]
    assert maintained(incident(*windows, started("09:00"))) == [span("09:30", "10:00"), span("11:00", "11:30")]


def test_without_regions_it_is_everywhere_and_with_regions_only_there() -> None:
    outage = started("09:30", "CN-GD", "CN-HN")
    everywhere = incident(announced("09:00", "11:00"), outage)
    assert maintained(everywhere, "CN-GD") == maintained(everywhere, "CN-HN") == [span("09:30", "11:00")]
    in_one = incident(announced("09:00", "11:00", regions=["湖南"]), outage)
    assert (maintained(in_one, "CN-GD"), maintained(in_one, "CN-HN")) == ([], [span("09:30", "11:00")])


def test_it_is_of_its_own_service_only() -> None:
    assert maintained(incident(announced("09:00", "11:00", service="mobile"), started("09:30"))) == []


def test_it_is_no_event_of_the_incident() -> None:
    found = incident(announced("09:00", "11:00", received="08:00"), started("09:30", received="09:40"))
    assert (found.first_event_at, found.detected_at) == (at("09:30"), at("09:40"))
    alone = incident(announced("09:00", "11:00"))
    assert (alone.outages, alone.first_event_at, alone.detected_at, alone.occurred_at) == ((), None, None, None)


# When it began.


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([("09:00", "11:00")], "11:00"),  # the overrun
        ([("09:30", "10:00"), ("10:00", "10:30")], "10:30"),
        ([("09:30", "10:00"), ("10:10", "10:30")], "10:00"),
        ([("09:31", "11:00")], "09:30"),  # it broke before the maintenance began
        ([("10:00", "11:00")], "09:30"),
    ],
)
def test_an_outage_begins_with_the_overrun_of_the_maintenance(windows: list[tuple[str, str]], expected: str) -> None:
    found = incident(*(announced(*window) for window in windows), started("09:30"), restored("12:00"))
    assert found.occurred_at == at(expected)


def test_an_outage_within_the_maintenance_and_one_after_it_begin_with_the_second() -> None:
    events = [started("09:30"), restored("10:30"), started("12:00")]
    assert incident(announced("09:00", "11:00"), *events).occurred_at == at("12:00")


def test_the_clocks_run_from_the_overrun() -> None:
    events = [announced("09:00", "11:00"), started("09:00")]
    found = verdict("11:30", *events)
    assert steps_of(found.trajectory) == [("III", "11:30:00", "art9-3-2")]
    first_report = found.obligations[0]
    assert (first_report.due_at, first_report.state) == (at("12:00"), ObligationState.PENDING)


def test_the_clocks_do_not_run_from_an_outage_that_was_announced_from_beginning_to_end() -> None:
    maintenance = [announced("09:00", "11:00"), started("09:00"), restored("10:30")]
    found = verdict("12:30", *maintenance, started("12:00", "CN-HN"))
    assert steps_of(found.trajectory) == [("III", "12:30:00", "art9-3-2")]
    assert found.evidence.occurred_at == at("12:00")
    assert found.obligations[0].due_at == at("13:00")


def test_the_evidence_says_what_was_announced() -> None:
    (region,) = verdict("11:40", announced("09:00", "11:00"), started("09:00")).evidence.regions
    assert region.maintenance == (("core-banking", *span("09:00", "11:00")),)
    assert (region.in_service, region.wall_clock) == (40 * MINUTE, 160 * MINUTE)


def test_an_incident_that_was_announced_can_be_closed_like_any_other() -> None:
    found = incident(announced("09:00", "11:00"), started("09:00"), restored("10:00"), closed("10:30"))
    assert found.closing is not None


# The hours that are left.

COUNTER = weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])
LUNCH_AND_EVENING = (span("12:00", "13:00"), span("16:30", "20:00"))


@pytest.mark.parametrize(
    ("hours", "start", "end", "expected"),
    [
        (ALWAYS, "11:00", "14:00", 2 * HOUR),
        (ALWAYS, "12:10", "12:50", 0 * HOUR),
        (ALWAYS, "12:30", "13:30", 30 * MINUTE),
        (ALWAYS, "11:00", "12:00", HOUR),
        (ALWAYS, "16:00", "21:00", HOUR + 30 * MINUTE),
        (COUNTER, "08:00", "18:00", 6 * HOUR + 30 * MINUTE),
        (COUNTER, "12:30", "20:00", 3 * HOUR + 30 * MINUTE),
        (COUNTER, "17:00", "20:30", 0 * HOUR),
        (COUNTER, "11:00", "11:00", 0 * HOUR),
    ],
)
def test_hours_less_the_maintenance(hours: ServiceHours, start: str, end: str, expected: timedelta) -> None:
    left = Interrupted(hours, LUNCH_AND_EVENING)
    assert left.elapsed(at(start), at(end)) == expected
    stretches = list(left.segments(at(start), at(end)))
    assert sum((to - from_ for from_, to in stretches), timedelta(0)) == expected
    assert all(from_ < to for from_, to in stretches)


@pytest.mark.parametrize(
    ("hours", "start", "length", "expected"),
    [
        (ALWAYS, "11:00", HOUR, "12:00"),  # just fits before lunch
        (ALWAYS, "11:00", HOUR + MINUTE, "13:01"),
        (ALWAYS, "12:30", MINUTE, "13:01"),
        (ALWAYS, "11:00", 5 * HOUR, "20:30"),
        (COUNTER, "08:00", 3 * HOUR, "12:00"),
        (COUNTER, "08:00", 3 * HOUR + MINUTE, "13:01"),
        (COUNTER, "08:00", 6 * HOUR + 31 * MINUTE, "2013-06-24 09:01"),  # the next morning
    ],
)
def test_the_instant_at_which_enough_of_what_is_left_has_passed(
    hours: ServiceHours, start: str, length: timedelta, expected: str
) -> None:
    left = Interrupted(hours, LUNCH_AND_EVENING)
    reached = left.reach(at(start), length)
    assert reached == at(expected)
    assert left.elapsed(at(start), reached) == length
    assert left.elapsed(at(start), reached - timedelta(microseconds=1)) < length


def test_what_never_ends_leaves_nothing() -> None:
    left = Interrupted(ALWAYS, ((at("12:00"), NEVER),))
    assert left.reach(at("11:00"), HOUR) == at("12:00")
    assert left.reach(at("11:00"), HOUR + MINUTE) == NEVER
    assert left.elapsed(at("11:00"), at("2014-01-01 00:00")) == HOUR


def test_years_are_guessed_as_for_the_hours_themselves() -> None:
    def guessed(hours: ServiceHours) -> frozenset[int]:
        return hours.guessed_years(datetime(2040, 1, 1, tzinfo=CHINA), datetime(2041, 1, 1, tzinfo=CHINA))

    by_calendar = weekly_hours(CHINA, [("mon-fri", "09:00-17:00")], Calendar("CN"))
    assert guessed(Interrupted(by_calendar, LUNCH_AND_EVENING)) == guessed(by_calendar) == {2040, 2041}
    assert guessed(Interrupted(ALWAYS, LUNCH_AND_EVENING)) == frozenset()
