"""The verdict: level, trajectory, what comes next, obligations and evidence, at one instant."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.builders import (
    CHINA,
    at,
    cbrc,
    cbrc_document,
    closed,
    corrected,
    degraded,
    incident,
    recorded,
    reported,
    restored,
    started,
    steps_of,
    verdict,
)

from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.assessment_document import assessment_document, trajectory_from
from incident_engine.domain.grading.obligation_status import ObligationState, ObligationStatus
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_levels import history_of
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.incidents.incident import Impairment, Interval
from incident_engine.domain.values import NEVER

TICK = timedelta(microseconds=1)
# 2013-06-23 10:35, Guangdong: III after half an hour, II after three, I after six.
GUANGDONG = started("10:35")
ONE_PROVINCE = [
    ("III", "11:05:00", "art9-3-2"),
    ("II", "13:35:00", "art9-2-2"),
    ("I", "16:35:00", "art9-1-2"),
]


def first_report(assessment: Assessment) -> ObligationStatus:
    (status,) = (status for status in assessment.obligations if status.id == "first-report")
    return status


def test_one_province_down_since_10_35_is_level_iii_at_11_05() -> None:
    document = assessment_document(verdict("11:05", GUANGDONG), CHINA)
    assert document["level"] == "III"
    assert document["trajectory"] == [
        {"level": "III", "at": "2013-06-23T11:05:00+08:00", "rule": "art9-3-2", "cite": "Art. 9(3)2"}
    ]
    assert document["next"] == {
        "level": "II",
        "at": "2013-06-23T13:35:00+08:00",
        "rule": "art9-2-2",
        "cite": "Art. 9(2)2",
    }
    assert [step["level"] for step in document["forecast"]] == ["II", "I"]


@pytest.mark.parametrize(
    ("now", "level", "upcoming"),
    [
        ("10:34", None, "III"),
        ("10:35", None, "III"),
        ("11:04", None, "III"),
        ("11:05", "III", "II"),
        ("13:34", "III", "II"),
        ("13:35", "II", "I"),
        ("16:35", "I", None),
        ("2013-06-30 00:00", "I", None),
    ],
)
def test_the_level_follows_the_clock_alone(now: str, level: str | None, upcoming: str | None) -> None:
    found = verdict(now, GUANGDONG)
    assert found.level == level
    assert (found.next.level if found.next else None) == upcoming
    assert steps_of((*found.trajectory, *found.forecast)) == ONE_PROVINCE


def test_the_level_is_reached_at_the_very_instant_not_before() -> None:
    assert verdict(at("11:05") - TICK, GUANGDONG).level is None
    assert verdict(at("11:05"), GUANGDONG).level == "III"


def test_a_second_province_brings_the_next_levels_forward() -> None:
    found = verdict("12:00", GUANGDONG, started("11:20", "CN-HN"))
    assert steps_of(found.trajectory) == [("III", "11:05:00", "art9-3-2"), ("II", "11:50:00", "art9-2-2")]
    assert steps_of(found.forecast) == [("I", "14:20:00", "art9-1-2")]


def test_two_provinces_at_once_skip_the_lowest_level() -> None:
    found = verdict("11:05", started("10:35", "CN-GD", "CN-HN"))
    assert steps_of(found.trajectory) == [("II", "11:05:00", "art9-2-2")]  # the worst that is met at once counts


def test_what_is_restored_in_time_has_no_level_and_nothing_next() -> None:
    found = verdict("12:00", GUANGDONG, restored("11:04"))
    assert (found.level, found.next, found.trajectory, found.forecast) == (None, None, (), ())
    document = assessment_document(found, CHINA)
    assert (document["level"], document["next"]) == (None, None)


def test_nothing_comes_next_once_it_is_restored() -> None:
    found = verdict("12:00", GUANGDONG, restored("11:30"))
    assert (found.level, found.next) == ("III", None)


def test_the_level_stays_when_the_outage_is_over() -> None:
    assert verdict("2013-07-23 00:00", GUANGDONG, restored("14:00")).level == "II"


def test_nothing_is_graded_without_an_outage() -> None:
    found = verdict("12:00", recorded("note.added", "10:00", data={"text": "?"}))
    assert (found.level, found.next) == (None, None)
    assert first_report(found).state is ObligationState.NOT_APPLICABLE
    assert found.evidence.occurred_at is None


def test_only_provinces_of_china_count() -> None:
    assert verdict("23:00", started("09:00", "DE-HE", "DE-BY")).level is None


def test_outside_service_hours_nothing_counts() -> None:
    hours = {"core-banking": weekly_hours(CHINA, [("mon-fri", "09:00-17:00")])}
    found = verdict("2013-06-24 09:29", GUANGDONG, hours=hours)  # a Sunday's outage
    assert found.level is None
    assert found.next is not None
    assert found.next.at == at("2013-06-24 09:30")


def test_the_verdict_names_the_pack_its_version_and_its_content() -> None:
    found = verdict("12:00", GUANGDONG)
    assert (found.pack, found.version, found.content_hash) == ("cn-cbrc-2008", "2", cbrc().content_hash)


@pytest.mark.parametrize(
    ("instant", "level"), [("10:00", None), ("11:05", "III"), ("13:34", "III"), ("13:35", "II"), ("20:00", "I")]
)
def test_the_level_of_any_other_instant_can_be_asked(instant: str, level: str | None) -> None:
    assert verdict("12:00", GUANGDONG).level_at(at(instant)) == level


# A level never falls (Art. 10).


def test_a_level_once_given_is_held_though_a_late_report_says_it_was_not_reached() -> None:
    before = verdict("12:00", GUANGDONG)
    after = verdict("12:10", GUANGDONG, restored("10:50", received="12:10"), held=before.trajectory)
    assert after.level_retained
    assert steps_of(after.trajectory) == [("III", "11:05:00", "art9-3-2")]
    assert after.next is None


def test_the_facts_alone_would_give_no_level() -> None:
    assert verdict("12:10", GUANGDONG, restored("10:50", received="12:10")).level is None


def test_a_level_is_not_held_if_the_facts_give_it_anyway() -> None:
    before = verdict("12:00", GUANGDONG)
    assert not verdict("13:00", GUANGDONG, held=before.trajectory).level_retained


def test_an_earlier_beginning_reported_late_moves_the_trajectory_forward() -> None:
    before = verdict("12:00", GUANGDONG)
    after = verdict("12:10", GUANGDONG, started("10:00", received="12:10"), held=before.trajectory)
    assert steps_of(after.trajectory) == [("III", "10:30:00", "art9-3-2")]
    assert not after.level_retained


def test_a_held_level_rises_further_from_where_it_stands() -> None:
    before = verdict("12:00", GUANGDONG, started("11:20", "CN-HN"))  # II at 11:50
    late = restored("11:30", "CN-HN", received="12:10")
    after = verdict("12:10", GUANGDONG, started("11:20", "CN-HN"), late, held=before.trajectory)
    assert after.level == "II"
    assert after.level_retained
    assert steps_of(after.forecast) == [("I", "16:35:00", "art9-1-2")]


def test_a_verdict_kept_as_a_document_holds_the_same_trajectory() -> None:
    before = verdict("14:00", GUANGDONG)
    assert trajectory_from(assessment_document(before, CHINA)) == before.trajectory


# The first report is due 60 minutes after the occurrence (Art. 35(5)), from the lowest level on.


def test_the_first_report_does_not_apply_before_any_level() -> None:
    found = first_report(verdict("11:04", GUANGDONG))
    assert found.state is ObligationState.NOT_APPLICABLE
    assert (found.applies_at, found.due_at) == (at("11:05"), at("11:35"))


def test_the_first_report_never_applies_to_what_reaches_no_level() -> None:
    found = first_report(verdict("12:00", GUANGDONG, restored("11:00")))
    assert (found.state, found.due_at, found.applies_at) == (ObligationState.NOT_APPLICABLE, None, None)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (at("11:05"), ObligationState.PENDING),
        (at("11:35"), ObligationState.PENDING),  # exactly at the deadline it is not overdue
        (at("11:35") + TICK, ObligationState.OVERDUE),
    ],
)
def test_the_first_report_is_overdue_only_after_its_deadline(now: datetime, state: ObligationState) -> None:
    assert first_report(verdict(now, GUANGDONG)).state is state


def test_the_first_report_is_met_by_whoever_says_so() -> None:
    found = first_report(verdict("12:00", GUANGDONG, reported("11:16", by="王敏")))
    assert found.state is ObligationState.MET
    assert (found.met_at, found.met_by, found.met_late) == (at("11:16"), "王敏", False)


@pytest.mark.parametrize(("when", "late"), [("11:35", False), ("11:36", True)])
def test_what_is_met_after_the_deadline_is_met_late(when: str, late: bool) -> None:
    found = first_report(verdict("12:00", GUANGDONG, reported(when)))
    assert (found.state, found.met_late) == (ObligationState.MET, late)


def test_the_first_completion_counts() -> None:
    found = first_report(verdict("12:00", GUANGDONG, reported("11:50", by="李工"), reported("11:16", by="王敏")))
    assert (found.met_at, found.met_late) == (at("11:16"), False)


def test_before_it_was_met_it_was_pending() -> None:
    assert first_report(verdict("11:10", GUANGDONG, reported("11:16"))).state is ObligationState.PENDING


def test_another_completion_does_not_meet_it() -> None:
    assert first_report(verdict("11:30", GUANGDONG, reported("11:16", "other"))).state is ObligationState.PENDING


@pytest.mark.parametrize(("received", "flagged"), [("11:35", False), ("11:36", True)])
def test_what_was_due_before_we_knew_is_flagged(received: str, flagged: bool) -> None:
    found = first_report(verdict("12:00", started("10:35", received=received)))
    assert found.overdue_at_detection is flagged
    assert found.state is ObligationState.OVERDUE


def test_an_obligation_applies_from_the_level_that_was_held() -> None:
    before = verdict("12:00", GUANGDONG)
    found = first_report(verdict("12:10", GUANGDONG, restored("10:50"), held=before.trajectory))
    assert (found.state, found.applies_at) == (ObligationState.OVERDUE, at("11:05"))


def test_closing_the_incident_does_not_end_the_obligation() -> None:
    assert first_report(verdict("12:00", GUANGDONG, closed("11:30"))).state is ObligationState.OVERDUE


# The evidence.


def test_the_evidence_says_how_long_each_region_was_out() -> None:
    found = verdict("12:00", GUANGDONG, started("11:20", "CN-HN"), restored("11:30", "CN-HN"))
    guangdong, hunan = found.evidence.regions
    assert (guangdong.region, guangdong.in_service) == ("CN-GD", timedelta(minutes=85))
    assert (hunan.region, hunan.in_service) == ("CN-HN", timedelta(minutes=10))
    assert hunan.intervals == (("core-banking", Interval(at("11:20"), at("11:30"), Impairment.DOWN)),)
    assert guangdong.intervals[0][1].end == NEVER


def test_the_evidence_counts_service_hours_and_the_wall_clock_apart() -> None:
    hours = {"core-banking": weekly_hours(CHINA, [("mon-fri", "09:00-17:00")])}
    (region,) = verdict("2013-06-24 10:00", GUANGDONG, hours=hours).evidence.regions
    assert region.in_service == timedelta(hours=1)
    assert region.wall_clock == timedelta(hours=23, minutes=25)


def test_the_evidence_says_which_regions_met_which_limit_and_when() -> None:
    found = verdict("12:00", GUANGDONG, started("11:20", "CN-HN"))
    third, second = sorted(found.evidence.rules, key=lambda rule: rule.at)
    assert (third.rule, third.at, third.regions) == ("art9-3-2", at("11:05"), (("CN-GD", at("11:05")),))
    assert (second.rule, second.at) == ("art9-2-2", at("11:50"))
    assert second.regions == (("CN-GD", at("11:05")), ("CN-HN", at("11:50")))


def test_the_evidence_names_the_instants_of_the_incident() -> None:
    found = verdict("12:00", started("10:35", received="10:37"), restored("11:30")).evidence
    assert (found.occurred_at, found.detected_at, found.restored_at) == (at("10:35"), at("10:37"), at("11:30"))


def test_the_document_spells_instants_in_the_banks_time_and_what_never_comes_as_null() -> None:
    document = assessment_document(verdict("12:00", GUANGDONG), CHINA)
    (region,) = document["evidence"]["regions"]
    assert document["at"] == "2013-06-23T12:00:00+08:00"
    assert region["name"] == {"zh-CN": "广东", "en": "Guangdong"}
    assert region["in_service_seconds"] == 85 * 60
    assert region["intervals"][0]["end"] is None
    assert document["evidence"]["restored_at"] is None
    obligation = document["obligations"][0]
    assert obligation["id"] == "first-report"
    assert (obligation["state"], obligation["due_at"]) == ("overdue", "2013-06-23T11:35:00+08:00")


# A regulation speaks only while it is in force.


def dated(**in_force: str) -> Pack:
    return parse_pack({**cbrc_document(), "in_force": in_force})


@pytest.mark.parametrize(
    ("in_force", "graded"),
    [
        ({"from": "2013-06-23"}, True),  # from that day on, which begins in China
        ({"from": "2013-06-24"}, False),
        ({"from": "2008-04-23", "until": "2013-06-24"}, True),
        ({"from": "2008-04-23", "until": "2013-06-23"}, False),  # until: exclusive
    ],
)
def test_only_what_occurred_while_the_regulation_was_in_force_is_graded(in_force: dict[str, str], graded: bool) -> None:
    found = verdict("12:00", started("00:10"), pack=dated(**in_force))  # 22 June still, in UTC
    assert (found.level is not None) is graded
    assert found.evidence.in_force is graded


def test_a_level_that_was_given_is_held_even_if_the_regulation_turns_out_not_to_be_in_force() -> None:
    before = verdict("12:00", GUANGDONG)
    late = started("2013-06-22 23:00", received="12:10")
    after = verdict("12:10", GUANGDONG, late, held=before.trajectory, pack=dated(**{"from": "2013-06-23"}))
    assert (after.level, after.level_retained) == ("III", True)


CLOSED_AT_NIGHT = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}
FAILED = {"by": "王", "reason": "备件也坏了"}


def changed(**given: Any) -> Pack:
    return parse_pack({**cbrc_document(), "cases": []} | given)


def test_the_course_of_a_regulation_that_was_not_in_force_is_what_a_person_said() -> None:
    later = changed(in_force={"from": "2013-06-24"})
    assert history_of(incident(started("09:00")), later, {}) == ()
    said = [
        corrected("10:00", "II"),
        corrected("10:30", "III", pack="cn-cbrc-2008"),
        corrected("11:00", "I", pack="another"),
    ]
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
    assert verdict("04:00", *UNREPAIRED, hours=CLOSED_AT_NIGHT, pack=blind).evidence.forecast_points == ()
    assert [moment.at for moment in verdict("04:00", *UNREPAIRED, hours=CLOSED_AT_NIGHT).evidence.forecast_points] == [
        at("03:00")
    ]
