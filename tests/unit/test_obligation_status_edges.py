"""Edges of what is owed: the very instant, the second series, what was lifted, what never applied."""

from typing import Any

from support.build import at, cbrc_document, incident, recorded, reported, restored, started

from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assessment import assess
from incident_engine.domain.grading.obligation_status import ObligationState, ObligationStatus
from incident_engine.domain.grading.pack_parser import parse_pack

MET, PENDING, NOT_YET = ObligationState.MET, ObligationState.PENDING, ObligationState.NOT_APPLICABLE
TWO_PROVINCES = started("09:00", "CN-GD", "CN-HN")  # II at 09:30, I at 12:00
PROGRESS = {"due": {"after": "applies", "within": "2h"}, "every": "2h", "until": "restored", "levels": ["I"]}


def statuses(now: str, given: dict[str, Any], *events: Recorded) -> list[ObligationStatus]:
    said = {"zh-CN": "报告", "en": "Report"}
    demand = {"id": "report", "cite": "Art. 1", "says": said, "to": "police"} | given
    pack = parse_pack({**cbrc_document(), "obligations": [demand], "cases": []})
    return list(assess(incident(*events), pack, {}, at(now)).obligations)


def corrected(when: str, level: str | None) -> Recorded:
    return recorded("level.corrected", when, data={"level": level, "by": "李", "reason": "探针误报"})


def test_what_does_not_apply_still_names_its_clause_and_to_whom_it_is_owed() -> None:
    (found,) = statuses("09:10", PROGRESS, TWO_PROVINCES)
    assert (found.cite, found.to, found.state) == ("Art. 1", "police", NOT_YET)
    (later,) = statuses("12:10", PROGRESS, TWO_PROVINCES)
    assert (later.cite, later.to) == ("Art. 1", "police")


def test_a_report_at_the_very_instant_counts() -> None:
    at_once = {"due": {"after": "applies", "within": "15m"}, "on": "plan.failed"}
    failed = recorded("plan.failed", "10:00", data={"by": "李", "reason": "切换失败"})
    (found,) = statuses("10:00", at_once, TWO_PROVINCES, failed, reported("10:00", "report"))
    assert (found.state, found.met_at) == (MET, at("10:00"))
    first, following = statuses("14:00", PROGRESS, TWO_PROVINCES, reported("14:00", "report"))
    assert (first.state, first.met_late, following.due_at) == (MET, False, at("16:00"))


def test_of_several_occasions_those_after_a_lifted_one_are_still_owed() -> None:
    at_once = {"due": {"after": "applies", "within": "15m"}, "on": "plan.failed"}
    failures = [recorded("plan.failed", when, data={"by": "李", "reason": "切换失败"}) for when in ("10:00", "11:00")]
    first, second = statuses("11:05", at_once, TWO_PROVINCES, *failures, reported("10:05", "report"))
    assert (first.state, second.state, second.due_at) == (MET, PENDING, at("11:15"))


def test_a_second_series_has_its_own_reports_and_goes_on_counting() -> None:
    history = [TWO_PROVINCES, reported("13:30", "report"), restored("15:00", "CN-GD", "CN-HN"), started("20:00")]
    found = statuses("21:30", PROGRESS, *history, reported("21:00", "report"))
    assert [(s.instance, s.state, s.due_at) for s in found] == [
        ("1", MET, at("14:00")),
        ("2", MET, at("22:00")),
        ("3", PENDING, at("2013-06-24 00:00")),
    ]


def test_a_correction_to_a_level_for_which_it_holds_lifts_nothing() -> None:
    given = {"due": {"after": "applies", "within": "60m"}, "levels": ["I", "II"]}
    history = [started("09:00"), corrected("09:40", "II"), corrected("09:50", "I")]
    (found,) = statuses("10:00", given, *history)
    assert (found.state, found.applies_at, found.instance) == (PENDING, at("09:40"), "")


def test_a_deadline_that_is_the_very_end_of_the_outage_is_owed() -> None:
    (found,) = statuses("14:00", PROGRESS, TWO_PROVINCES, restored("14:00", "CN-GD", "CN-HN"))
    assert (found.state, found.due_at) == (PENDING, at("14:00"))
    (late,) = statuses("14:30", PROGRESS, TWO_PROVINCES, restored("14:00", "CN-GD", "CN-HN"))
    assert late.state is ObligationState.OVERDUE


def test_two_reports_for_one_deadline_and_one_for_the_next() -> None:
    reports = [reported(when, "report") for when in ("12:10", "13:00", "15:00")]
    found = statuses("15:30", PROGRESS, TWO_PROVINCES, *reports)
    assert [(s.instance, s.state, s.met_at) for s in found] == [
        ("1", MET, at("12:10")),
        ("2", MET, at("15:00")),
        ("3", PENDING, None),
    ]


def owed(now: str, *demands: dict[str, Any], events: list[Recorded], **changed: Any) -> list[ObligationStatus]:
    said = {"zh-CN": "报告", "en": "Report"}
    whole = [
        {"cite": "Art. 1", "says": said, "to": "regulator", "levels": ["I", "II", "III"]} | each for each in demands
    ]
    pack = parse_pack({**cbrc_document(), "obligations": whole, "cases": [], **changed})
    return list(assess(incident(*events), pack, {}, at(now)).obligations)


def test_from_the_first_report_or_from_the_last() -> None:
    initial = {"id": "initial", "due": {"after": "occurrence", "within": "1h"}}
    reports = [reported("09:40", "initial"), reported("10:20", "initial")]
    for anchor, when in (("met", "12:40"), ("last_met", "13:20")):
        following = {"id": "next", "due": {"after": anchor, "of": "initial", "within": "3h"}}
        found = owed("11:00", initial, following, events=[started("09:00"), *reports])
        assert found[1].due_at == at(when)


def test_a_day_off_is_one_in_the_packs_own_time_zone() -> None:
    """Monday 06:00 in Beijing is still Sunday in UTC."""
    given = {"id": "next", "due": {"after": "occurrence", "within": "21h", "on_day_off": "noon_next_working_day"}}
    (found,) = owed("2013-06-23 10:00", given, events=[started("2013-06-23 09:00")])
    assert found.due_at == at("2013-06-24 06:00")
    (moved,) = owed("2013-06-22 10:00", given, events=[started("2013-06-22 09:00")])
    assert moved.due_at == at("2013-06-24 12:00")


def test_a_report_for_a_deadline_that_is_the_very_end_of_the_outage_meets_it() -> None:
    history = [TWO_PROVINCES, restored("14:00", "CN-GD", "CN-HN"), reported("13:30", "report")]
    (found,) = statuses("14:30", PROGRESS, *history)
    assert (found.state, found.due_at, found.met_at) == (MET, at("14:00"), at("13:30"))


def test_a_deadline_runs_from_a_report_of_this_very_instant_and_from_no_later_one() -> None:
    initial = {"id": "initial", "due": {"after": "occurrence", "within": "1h"}}
    following = {"id": "next", "due": {"after": "met", "of": "initial", "within": "3h"}}
    events = [started("09:00"), reported("09:40", "initial")]
    for now, when in (("09:39", "13:00"), ("09:40", "12:40")):
        found = owed(now, initial, following, events=events)
        assert found[1].due_at == at(when)


FIRST = {"due": {"after": "applies", "within": "60m"}, "levels": ["I", "II", "III"]}


def test_what_never_applied_names_its_clause_and_to_whom_it_would_be_owed() -> None:
    (found,) = statuses("12:00", FIRST, started("09:00"), restored("09:10"))
    assert (found.cite, found.to, found.state, found.instance) == ("Art. 1", "police", NOT_YET, "")


def test_a_correction_at_the_very_instant_at_which_the_level_is_reached_lifts_what_it_demands() -> None:
    false_alarm = [started("09:00"), corrected("09:30", None), restored("09:45")]
    (found,) = statuses("10:00", FIRST, *false_alarm)
    assert found.state is NOT_YET
    (anew,) = statuses("11:40", FIRST, *false_alarm, started("11:00"))
    assert (anew.state, anew.applies_at, anew.due_at) == (PENDING, at("11:30"), at("12:30"))


def test_what_is_owed_anew_after_a_correction_has_a_name_of_its_own() -> None:
    history = [started("09:00"), corrected("09:40", None), restored("09:45")]
    (first,) = statuses("09:35", FIRST, *history)
    (anew,) = statuses("11:40", FIRST, *history, started("11:00"))
    assert (first.instance, anew.instance) == ("", "20130623T033000Z")


def test_what_a_condition_demands_is_owed_once_and_has_no_name() -> None:
    down = {"regions_down": {"at_least": 1, "for": {"at_least": "30m"}}}
    (found,) = statuses("10:00", {"due": {"after": "applies", "within": "1h"}, "when": down}, started("09:00"))
    assert (found.instance, found.applies_at) == ("", at("09:30"))


def test_nothing_is_owed_under_a_regulation_that_was_not_in_force_or_before_anything_began() -> None:
    later = {"in_force": {"from": "2013-06-24"}}
    at_level = {"id": "one", "due": {"after": "applies", "within": "1h"}}
    found = owed("12:00", at_level, events=[started("09:00"), corrected("10:00", "II")], **later)
    assert [status.state for status in found] == [NOT_YET]
    given = {"due": {"after": "applies", "within": "1h"}, "on": "plan.failed"}
    plan_failed = recorded("plan.failed", "10:00", data={"by": "李", "reason": "切换失败"})
    (nothing_began,) = statuses("10:05", given, plan_failed)
    assert nothing_began.state is NOT_YET


def test_without_any_outage_progress_is_owed_until_the_incident_is_closed() -> None:
    data = {"kind": "bank", "seriousness": "considerable", "cause": "data_loss", "by": "李", "reason": "台账受损"}
    harm = recorded("harm.assessed", "09:00", data=data)
    given = PROGRESS | {"levels": ["I", "II", "III"]}
    (open_end,) = statuses("10:00", given, harm)
    assert (open_end.state, open_end.due_at) == (PENDING, at("11:00"))
    over = recorded("incident.closed", "10:30", data={"by": "陈总"})
    (closed_before,) = statuses("12:00", given, harm, over)
    assert closed_before.state is NOT_YET


def test_what_is_restored_as_its_level_is_reached_owes_no_progress() -> None:
    given = {"due": {"after": "occurrence", "within": "30m"}, "every": "2h", "until": "restored", "levels": ["III"]}
    (found,) = statuses("12:00", given, started("09:00"), restored("09:30"))
    assert (found.state, found.due_at) == (NOT_YET, None)
