"""Edges of the verdict: out of force, clocks other than the pack's own, and what is sure after a correction."""

from datetime import timedelta
from typing import Any

import pytest
from support.build import CHINA, at, cbrc_document, degraded, incident, recorded, restored, started, steps_of, verdict

from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assessment import Assessment, assess, history_of
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack

CLOSED_AT_NIGHT = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}
FAILED = {"by": "王", "reason": "备件也坏了"}


def changed(**given: Any) -> Pack:
    return parse_pack({**cbrc_document(), "cases": []} | given)


def corrected(when: str, level: str | None, pack: str | None = None) -> Recorded:
    named = {"pack": pack} if pack else {}
    return recorded("level.corrected", when, data={"level": level, "by": "李", "reason": "探针误报"} | named)


def test_the_course_of_a_regulation_that_was_not_in_force_is_what_a_person_said() -> None:
    later = changed(in_force={"from": "2013-06-24"})
    assert history_of(incident(started("09:00")), later, {}) == ()
    said = [corrected("10:00", "II"), corrected("10:30", "III", "cn-cbrc-2008"), corrected("11:00", "I", "another")]
    assert steps_of(history_of(incident(started("09:00"), *said), later, {})) == [
        ("II", "10:00:00", ""),
        ("III", "10:30:00", ""),
    ]
    assert steps_of(history_of(incident(started("09:00")), changed(), {}))[0] == ("III", "09:30:00", "art9-3-2")


def test_the_course_of_what_has_not_begun_is_what_a_person_said() -> None:
    noted = recorded("note.added", "09:00", data={"text": "?"})
    for pack in (changed(), changed(in_force={"from": "2013-06-24"})):
        assert history_of(incident(noted), pack, {}) == ()
        assert steps_of(history_of(incident(noted, corrected("10:00", "II")), pack, {})) == [("II", "10:00:00", "")]


def test_the_course_is_read_as_the_pack_reads_it() -> None:
    history = incident(degraded("09:00"))
    assert history_of(history, changed(interpretation={"degraded": "down_only"}), {}) == ()
    assert steps_of(history_of(history, changed(), {}))[0] == ("III", "09:30:00", "art9-3-2")
    before_opening = incident(started("08:00"), restored("09:10"))
    assert history_of(before_opening, changed(), CLOSED_AT_NIGHT) == ()
    by_the_wall = history_of(before_opening, changed(interpretation={"clock": "wall_clock"}), CLOSED_AT_NIGHT)
    assert steps_of(by_the_wall) == [("III", "08:30:00", "art9-3-2")]


def test_the_course_holds_the_worst_credible_case() -> None:
    history = incident(started("02:00"), recorded("repair.failed", "03:00", data=FAILED))
    (first, *_) = history_of(history, changed(), CLOSED_AT_NIGHT)
    assert (first.level, first.at) == ("I", at("03:00"))


def test_a_worst_case_after_a_correction_is_provisional_too() -> None:
    history = [
        started("01:00"),
        recorded("repair.failed", "02:00", data=FAILED),
        corrected("02:30", None),
        recorded("repair.failed", "03:00", data=FAILED),
    ]
    found = verdict("04:00", *history, hours=CLOSED_AT_NIGHT)
    assert (found.level, found.provisional) == ("I", True)
    estimated = recorded("recovery.estimated", "02:45", data={"recovery_at": at("09:45")})
    told = verdict("04:00", *history, estimated, hours=CLOSED_AT_NIGHT)
    assert (told.level, told.provisional) == ("III", False)


def test_maintenance_that_begins_as_the_outage_ends_is_no_part_of_it() -> None:
    def announced(start: str, end: str) -> Recorded:
        data = {"start": at(start), "end": at(end)}
        return recorded("maintenance.announced", "08:00", service="core-banking", data=data)

    history = [announced("10:00", "10:10"), announced("10:30", "10:40"), started("09:00"), restored("10:30")]
    (region,) = verdict("12:00", *history).evidence.regions
    assert region.maintenance == (("core-banking", at("10:00"), at("10:10")),)


@pytest.mark.parametrize(("clock", "counted"), [("service_hours", 10), ("unplanned", 60), ("wall_clock", 70)])
def test_the_evidence_counts_by_each_clock_whatever_the_pack_reads(clock: str, counted: int) -> None:
    window = {"start": at("08:20"), "end": at("08:30")}
    history = [
        recorded("maintenance.announced", "08:00", service="core-banking", data=window),
        started("08:00"),
        restored("09:10"),
    ]
    found = verdict("12:00", *history, hours=CLOSED_AT_NIGHT, pack=changed(interpretation={"clock": clock}))
    (region,) = found.evidence.regions
    minute = timedelta(minutes=1)
    assert (region.counted, region.in_service, region.wall_clock) == (counted * minute, 10 * minute, 70 * minute)


def rule(name: str, when: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "level": "III", "cite": "Art. 1", "says": {"zh-CN": "文", "en": "text"}, "when": when}


def by_clock(clock: str, minutes: int) -> dict[str, Any]:
    return {"regions_down": {"at_least": 1, "for": {"at_least": f"{minutes}m"}, "clock": clock}}


def test_the_regions_that_met_a_limit_are_counted_by_its_own_clock() -> None:
    history = incident(started("08:00"), started("08:50", "CN-HN"))
    when = {"any": [by_clock("service_hours", 30), by_clock("wall_clock", 45)]}
    found: Assessment = assess(history, changed(rules=[rule("r", when)]), CLOSED_AT_NIGHT, at("12:00"))
    (reached,) = found.evidence.rules
    assert (reached.at, reached.regions) == (at("08:45"), (("CN-GD", at("08:45")),))
    assert found.level_at(at("08:44")) is None


def test_another_reading_is_told_from_the_very_instant_on() -> None:
    history = [started("08:00"), restored("09:10")]
    for now, wanted in (("08:29", []), ("08:30", [("clock", "unplanned", "III"), ("clock", "wall_clock", "III")])):
        interpretations = verdict(now, *history, hours=CLOSED_AT_NIGHT).evidence.interpretations
        assert [(other.point, other.value, other.level) for other in interpretations] == wanted


def test_of_repeated_outages_another_reading_may_give_no_level() -> None:
    history = [started("09:00"), restored("09:20"), started("10:00"), restored("10:20")]
    found = verdict("12:00", *history)
    assert steps_of(found.trajectory) == [("III", "10:10:00", "art9-3-2")]
    (other,) = found.evidence.interpretations
    assert (other.point, other.value, other.level) == ("flapping", "longest_run", None)


def test_what_begins_after_a_correction_is_not_graded_by_a_regulation_that_was_not_in_force() -> None:
    history = [started("08:00"), restored("08:20"), corrected("08:10", None), started("09:00")]
    before = changed(in_force={"from": "2013-06-24"})
    found = verdict("2013-06-24 12:00", *history, pack=before, hours=CLOSED_AT_NIGHT)
    assert (found.level, found.trajectory, found.forecast, found.evidence.interpretations) == (None, (), (), ())


def test_a_level_reached_at_the_very_instant_is_not_held_and_its_rule_is_evidence() -> None:
    before = verdict("10:00", started("09:00"))
    found = verdict("09:30", started("09:00"), held=before.trajectory)
    assert (found.level, found.level_retained) == ("III", False)
    assert not verdict("09:30", started("09:00")).level_retained
    assert [reached.rule for reached in verdict("09:30", started("09:00")).evidence.rules] == ["art9-3-2"]
    assert verdict("09:29", started("09:00")).evidence.rules == ()


UNREPAIRED = [started("02:00"), recorded("repair.failed", "03:00", data=FAILED)]


@pytest.mark.parametrize(("said", "now", "provisional"), [("03:00", "04:00", False), ("04:00", "04:00", False)])
def test_a_person_confirms_the_worst_case_from_the_instant_at_which_it_is_said(
    said: str, now: str, provisional: bool
) -> None:
    assert verdict(now, *UNREPAIRED, hours=CLOSED_AT_NIGHT).provisional
    found = verdict(now, *UNREPAIRED, corrected(said, "I"), hours=CLOSED_AT_NIGHT)
    assert (found.level, found.provisional) == ("I", provisional)
    not_yet = verdict("03:59", *UNREPAIRED, corrected("04:00", "I"), hours=CLOSED_AT_NIGHT)
    assert not_yet.provisional


def test_closed_doors_are_evidence_only_where_a_rule_looks_ahead() -> None:
    half_an_hour = {"regions_down": {"at_least": 1, "for": {"at_least": "30m"}}}
    blind = changed(rules=[rule("r", half_an_hour)])
    assert verdict("04:00", *UNREPAIRED, hours=CLOSED_AT_NIGHT, pack=blind).evidence.moments == ()
    assert [moment.at for moment in verdict("04:00", *UNREPAIRED, hours=CLOSED_AT_NIGHT).evidence.moments] == [
        at("03:00")
    ]
