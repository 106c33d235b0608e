"""What a pack demands: on which occasion, by when, and whether it was met.

2013-06-23 is a Sunday. Guangdong is down from 09:00: III at 09:30, II at 12:00, I at 15:00.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from support.builders import (
    CHINA,
    at,
    cbrc_document,
    closed,
    corrected,
    incident,
    recorded,
    reported,
    restored,
    started,
    verdict,
)

from incident_engine.domain.calendar.holidays import Calendar, DayKind
from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment_document import assessment_document
from incident_engine.domain.grading.obligation_status import ObligationState, ObligationStatus
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack

NOT_YET, PENDING, MET, OVERDUE = (
    ObligationState.NOT_APPLICABLE,
    ObligationState.PENDING,
    ObligationState.MET,
    ObligationState.OVERDUE,
)
DOWN = started("09:00")
TWO_PROVINCES = started("09:00", "CN-GD", "CN-HN")  # II at 09:30, I at 12:00


def demand(name: str = "report", **given: Any) -> dict[str, Any]:
    return {"id": name, "cite": "Art. 1", "says": {"zh-CN": "报告", "en": "Report"}, "to": "regulator"} | given


def pack_of(*demands: dict[str, Any], **changed: Any) -> Pack:
    return parse_pack({**cbrc_document(), "obligations": list(demands), "cases": [], **changed})


def statuses(
    now: str, demands: Sequence[dict[str, Any]], *events: Recorded, calendar: Calendar | None = None, **changed: Any
) -> tuple[ObligationStatus, ...]:
    calendars = {} if calendar is None else {calendar.country: calendar}
    return assess(incident(*events), pack_of(*demands, **changed), {}, at(now), (), calendars).obligations


def status(now: str, given: dict[str, Any], *events: Recorded, **changed: Any) -> ObligationStatus:
    (found,) = statuses(now, [given], *events, **changed)
    return found


def said(kind: str, when: str) -> Recorded:
    data: dict[str, str] = {"by": "李", "reason": "切换失败"}
    if kind == "harm.assessed":
        data |= {"kind": "public", "seriousness": "considerable", "cause": "data_leak"}
    return recorded(kind, when, data=data)


# On which occasion: at levels.

AT_ALL = demand(due={"after": "occurrence", "within": "60m"}, levels=["I", "II", "III"])
AT_II = demand(due={"after": "applies", "within": "60m"}, levels=["I", "II"])


@pytest.mark.parametrize(
    ("now", "state"), [("09:29", NOT_YET), ("09:30", PENDING), ("10:00", PENDING), ("10:01", OVERDUE)]
)
def test_it_applies_from_the_lowest_level_on_and_runs_from_the_occurrence(now: str, state: ObligationState) -> None:
    found = status(now, AT_ALL, DOWN)
    assert (found.state, found.applies_at, found.due_at) == (state, at("09:30"), at("10:00"))


@pytest.mark.parametrize(
    ("now", "state"), [("11:59", NOT_YET), ("12:00", PENDING), ("13:00", PENDING), ("13:01", OVERDUE)]
)
def test_it_applies_only_from_its_own_levels_on(now: str, state: ObligationState) -> None:
    found = status(now, AT_II, DOWN)
    assert (found.state, found.applies_at, found.due_at) == (state, at("12:00"), at("13:00"))


def test_a_rise_keeps_the_deadline_that_runs_from_the_first_level() -> None:
    assert status("15:00", AT_II, DOWN).due_at == at("13:00")


def test_what_never_reaches_the_level_never_owes_it() -> None:
    found = status("20:00", AT_II, DOWN, restored("11:59"))
    assert (found.state, found.due_at, found.applies_at) == (NOT_YET, None, None)


# On which occasion: once a condition holds.

ON_HARM = demand(due={"after": "applies", "within": "15m"}, when={"harm": {"kinds": ["public"]}})


def test_it_applies_once_its_condition_holds_whatever_the_level() -> None:
    events = [DOWN, restored("09:10"), said("harm.assessed", "09:05")]
    found = status("09:05", ON_HARM, *events)
    assert (found.state, found.applies_at, found.due_at) == (PENDING, at("09:05"), at("09:20"))
    assert status("09:21", ON_HARM, *events).state is OVERDUE
    assert status("09:10", ON_HARM, DOWN).state is NOT_YET


def test_the_condition_of_an_obligation_may_be_a_length_of_time() -> None:
    length = {"regions_down": {"at_least": 1, "for": {"more_than": "10m"}}}
    given = demand(due={"after": "occurrence", "within": "30m"}, when=length)
    assert status("09:10", given, DOWN).state is NOT_YET
    assert status("09:11", given, DOWN).state is PENDING


def test_the_condition_of_an_obligation_may_look_ahead() -> None:
    given = demand(due={"after": "applies", "within": "30m"}, when={"forecast": {"rule": "art9-3-2"}})
    assert status("09:30", given, DOWN, said("repair.failed", "09:10")).state is NOT_YET  # it never closes


# On which occasion: for each event of a type.


@pytest.mark.parametrize("kind", ["plan.failed", "repair.failed", "harm.assessed"])
def test_each_event_asks_for_its_own_report(kind: str) -> None:
    given = demand(due={"after": "applies", "within": "15m"}, on=kind)
    first, second = statuses("11:10", [given], DOWN, said(kind, "10:00"), said(kind, "11:00"))
    assert (first.key, first.state, first.due_at) == ("report.20130623T020000Z", OVERDUE, at("10:15"))
    assert (second.key, second.state, second.due_at) == ("report.20130623T030000Z", PENDING, at("11:15"))
    assert status("11:10", given, DOWN).state is NOT_YET


def test_a_report_meets_what_happened_before_it_and_not_what_happens_after_it() -> None:
    given = demand(due={"after": "applies", "within": "15m"}, on="plan.failed")
    failures = [said("plan.failed", "10:00"), said("plan.failed", "11:00")]
    between = statuses("11:10", [given], DOWN, *failures, reported("10:10", "report"))
    assert [each.state for each in between] == [MET, PENDING]
    after = statuses("11:10", [given], DOWN, *failures, reported("11:05", "report"))
    assert [(each.state, each.met_late) for each in after] == [(MET, True), (MET, False)]
    before = statuses("11:10", [given], DOWN, *failures, reported("09:50", "report"))
    assert [each.state for each in before] == [OVERDUE, PENDING]


def test_the_same_event_said_twice_at_one_instant_asks_for_one_report() -> None:
    given = demand(due={"after": "applies", "within": "15m"}, on="plan.failed")
    twice = [said("plan.failed", "10:00"), recorded("plan.failed", "10:00", data={"by": "王", "reason": "另一说法"})]
    assert len(statuses("10:10", [given], DOWN, *twice)) == 1


def test_events_within_one_second_have_names_of_their_own() -> None:
    given = demand(due={"after": "applies", "within": "15m"}, on="plan.failed")
    one, other = datetime.fromisoformat("2013-06-23T10:00:00.1+08:00"), at("10:00")
    events = [recorded("plan.failed", when, data={"by": "李", "reason": "切换失败"}) for when in (one, other)]
    found = statuses("10:10", [given], DOWN, *events)
    assert len({each.key for each in found}) == 2


def test_a_regulation_that_is_not_in_force_demands_nothing() -> None:
    found = status("10:30", AT_ALL, DOWN, in_force={"from": "2013-06-24"})
    assert (found.state, found.due_at) == (NOT_YET, None)


# Met.


@pytest.mark.parametrize(
    ("when", "late"), [("09:10", False), ("09:45", False), ("10:00", False), ("10:01", True), ("18:00", True)]
)
def test_it_is_met_by_the_first_report_in_time_or_late(when: str, late: bool) -> None:
    found = status("20:00", AT_ALL, DOWN, reported(when, "report"), reported("19:00", "report", by="other"))
    assert (found.state, found.met_at, found.met_by, found.met_late) == (MET, at(when), "王敏", late)


def test_a_report_of_something_else_meets_nothing() -> None:
    assert status("20:00", AT_ALL, DOWN, reported("09:45", "reports")).state is OVERDUE


@pytest.mark.parametrize(("received", "flagged"), [("10:00", False), ("10:01", True)])
def test_what_was_due_before_we_knew_is_said_to_be_so(received: str, flagged: bool) -> None:
    late = started("09:00", received=received)
    assert status("10:30", AT_ALL, late).overdue_at_detection is flagged
    assert status("10:30", AT_ALL, late, reported("10:20", "report")).overdue_at_detection is flagged


def test_from_awareness_nothing_is_overdue_at_detection() -> None:
    given = demand(due={"after": "awareness", "within": "60m"}, levels=["I", "II", "III"])
    found = status("13:00", given, started("09:00", received="12:30"))
    assert (found.due_at, found.state, found.overdue_at_detection) == (at("13:30"), PENDING, False)


# Corrected away, and back.


def test_a_correction_below_its_levels_lifts_it() -> None:
    events = [DOWN, restored("11:00"), corrected("09:40", None)]
    assert status("09:39", AT_ALL, *events).state is PENDING
    assert status("09:40", AT_ALL, *events).state is NOT_YET
    assert status("20:00", AT_ALL, *events).state is NOT_YET


def test_a_correction_to_another_of_its_levels_lifts_nothing() -> None:
    events = [DOWN, restored("13:00"), corrected("12:10", "III")]
    found = status("13:00", AT_ALL, *events)
    assert (found.state, found.due_at) == (OVERDUE, at("10:00"))
    assert status("13:00", AT_II, *events).state is NOT_YET


def test_what_was_met_before_the_correction_stays_met() -> None:
    events = [DOWN, restored("11:00"), reported("09:35", "report"), corrected("09:40", None)]
    found = status("20:00", AT_ALL, *events)
    assert (found.state, found.met_at) == (MET, at("09:35"))


def test_a_rise_after_the_correction_asks_for_it_again() -> None:
    events = [DOWN, corrected("09:40", None)]
    assert (status("11:59", AT_II, *events).state, status("12:00", AT_II, *events).state) == (NOT_YET, PENDING)
    found = status("12:00", AT_ALL, *events)
    assert (found.state, found.applies_at, found.due_at) == (OVERDUE, at("12:00"), at("10:00"))


def test_what_was_met_before_the_correction_is_met_for_the_rise_after_it() -> None:
    events = [DOWN, reported("09:35", "report"), corrected("09:40", None)]
    found = status("12:30", AT_ALL, *events)
    assert (found.state, found.applies_at) == (MET, at("09:30"))


def test_corrected_away_and_back_it_applies_from_the_last_word() -> None:
    events = [DOWN, restored("10:00"), corrected("09:40", None), corrected("10:20", "III")]
    given = demand(due={"after": "applies", "within": "60m"}, levels=["III"])
    assert status("10:19", given, *events).state is NOT_YET
    found = status("10:20", given, *events)
    assert (found.state, found.applies_at, found.due_at) == (PENDING, at("10:20"), at("11:20"))


def test_a_correction_upward_makes_it_apply() -> None:
    found = status("09:50", AT_II, DOWN, corrected("09:45", "I"))
    assert (found.state, found.applies_at, found.due_at) == (PENDING, at("09:45"), at("10:45"))


# Again and again: progress every two hours from level I at 12:00 on, the first at 14:00.

PROGRESS = demand("progress", due={"after": "applies", "within": "2h"}, every="2h", until="restored", levels=["I"])


def progress(now: str, *events: Recorded) -> list[tuple[str, ObligationState, str, bool, int]]:
    """Return each instance as (number, state, due in Beijing time, met late, missed)."""
    found = statuses(now, [PROGRESS], TWO_PROVINCES, *events)
    return [
        (each.instance, each.state, f"{each.due_at:%H:%M}" if each.due_at else "", each.met_late, each.missed)
        for each in found
    ]


def due(text: str) -> str:
    """Return a time in Beijing as `progress` spells it, in UTC."""
    return f"{at(text):%H:%M}"


def handed_in(*times: str) -> list[Recorded]:
    return [reported(when, "progress") for when in times]


def test_before_level_i_no_progress_is_owed() -> None:
    assert progress("11:59") == [("1", NOT_YET, due("14:00"), False, 0)]
    assert progress("12:00") == [("1", PENDING, due("14:00"), False, 0)]
    assert progress("14:00") == [("1", PENDING, due("14:00"), False, 0)]


def test_each_report_in_time_brings_the_next_deadline() -> None:
    found = progress("17:00", *handed_in("13:50", "15:40"))
    assert found == [
        ("1", MET, due("14:00"), False, 0),
        ("2", MET, due("16:00"), False, 0),
        ("3", PENDING, due("18:00"), False, 0),
    ]


def test_an_early_report_meets_the_first_one_due() -> None:
    assert progress("13:00", *handed_in("12:00"))[0] == ("1", MET, due("14:00"), False, 0)
    assert progress("13:00", *handed_in("11:59")) == [("1", PENDING, due("14:00"), False, 0)]  # before it applied


def test_a_second_report_before_the_deadline_is_one_more_than_asked_for() -> None:
    found = progress("14:30", *handed_in("12:30", "13:00", "13:59"))
    assert found == [("1", MET, due("14:00"), False, 0), ("2", PENDING, due("16:00"), False, 0)]


def test_a_late_report_meets_what_was_missed_and_the_next_keeps_its_deadline() -> None:
    found = progress("15:00", *handed_in("14:10"))
    assert found == [("1", MET, due("14:00"), True, 1), ("2", PENDING, due("16:00"), False, 0)]


def test_one_report_after_several_deadlines_meets_the_latest_and_says_how_many_were_missed() -> None:
    found = progress("18:30", *handed_in("18:10"))
    assert found == [("3", MET, due("18:00"), True, 3), ("4", PENDING, due("20:00"), False, 0)]


def test_of_several_that_were_missed_only_the_latest_stands() -> None:
    assert progress("14:01") == [("1", OVERDUE, due("14:00"), False, 1), ("2", PENDING, due("16:00"), False, 0)]
    assert progress("18:01") == [("3", OVERDUE, due("18:00"), False, 3), ("4", PENDING, due("20:00"), False, 0)]


def test_a_report_after_the_one_before_it_was_missed_leaves_the_next_due() -> None:
    found = progress("18:01", *handed_in("15:00"))
    assert found == [
        ("1", MET, due("14:00"), True, 1),
        ("3", OVERDUE, due("18:00"), False, 2),
        ("4", PENDING, due("20:00"), False, 0),
    ]


def test_once_restored_nothing_more_is_due() -> None:
    back = restored("15:00", "CN-GD", "CN-HN")
    assert progress("20:00", back, *handed_in("13:50")) == [("1", MET, due("14:00"), False, 0)]
    assert progress("20:00", back) == [("1", OVERDUE, due("14:00"), False, 1)]
    assert progress("20:00", back, *handed_in("15:30")) == [("1", MET, due("14:00"), True, 1)]


def test_what_was_due_at_the_instant_of_the_restoration_is_still_owed() -> None:
    assert progress("20:00", restored("14:00", "CN-GD", "CN-HN")) == [("1", OVERDUE, due("14:00"), False, 1)]
    early = restored("13:59", "CN-GD", "CN-HN")
    assert [each[1] for each in progress("20:00", early)] == [NOT_YET]


def test_what_was_not_owed_while_everything_worked_is_not_missed_when_it_breaks_again() -> None:
    history = [*handed_in("13:30"), restored("15:00", "CN-GD", "CN-HN")]
    assert [each[1] for each in progress("19:00", *history)] == [MET]
    again = progress("20:01", *history, started("20:00"))
    assert not any(state is OVERDUE for _, state, *_ in again)


def test_a_correction_ends_the_series_and_keeps_what_was_met() -> None:
    found = progress("20:00", *handed_in("13:50"), corrected("15:00", "II"))
    assert found == [("1", MET, due("14:00"), False, 0)]


def test_a_series_may_hang_on_a_condition() -> None:
    condition = {"regions_down": {"at_least": 1, "for": {"at_least": "1h"}}}
    given = demand(due={"after": "applies", "within": "30m"}, every="1h", until="restored", when=condition)
    found = statuses("12:10", [given], DOWN)
    assert [(each.state, each.due_at) for each in found] == [(OVERDUE, at("11:30")), (PENDING, at("12:30"))]


# Restored, months, working days.


def summary(**due_: Any) -> dict[str, Any]:
    return demand(due=due_, levels=["I", "II", "III"])


def test_what_runs_from_the_restoration_waits_for_it() -> None:
    given = summary(after="restored", within="24h")
    waiting = status("10:00", given, DOWN)
    assert (waiting.state, waiting.due_at, waiting.applies_at) == (NOT_YET, None, at("09:30"))
    found = status("11:00", given, DOWN, restored("10:00"))
    assert (found.state, found.due_at) == (PENDING, at("2013-06-24 10:00"))
    again = status("11:00", given, DOWN, restored("10:00"), started("10:30"))
    assert again.state is NOT_YET


def test_without_an_outage_it_is_over_when_it_is_closed() -> None:
    harm = recorded(
        "harm.assessed",
        "09:00",
        data={"kind": "bank", "seriousness": "serious", "cause": "data_leak", "by": "李", "reason": "x"},
    )
    given = summary(after="restored", within="24h")
    assert status("10:00", given, harm).due_at is None
    assert status("12:00", given, harm, closed("11:00")).due_at == at("2013-06-24 11:00")


@pytest.mark.parametrize(
    ("ended", "months", "expected"),
    [
        ("2026-01-15 10:00", 1, "2026-02-15 10:00"),
        ("2026-01-31 10:00", 1, "2026-02-28 10:00"),
        ("2028-01-31 10:00", 1, "2028-02-29 10:00"),  # a leap year
        ("2026-01-31 10:00", 3, "2026-04-30 10:00"),
        ("2026-12-31 10:00", 2, "2027-02-28 10:00"),
        ("2026-11-30 00:30", 13, "2027-12-30 00:30"),  # 29 November still, in UTC
    ],
)
def test_months_end_on_the_same_day_or_on_the_last_of_a_shorter_month(ended: str, months: int, expected: str) -> None:
    given = summary(after="restored", months=months)
    begun = datetime.fromisoformat(ended).replace(hour=0, minute=0)
    events = [started(f"{begun:%Y-%m-%d} 00:00"), restored(ended)]
    assert status("2030-01-01 00:00", given, *events).due_at == at(expected)


@pytest.mark.parametrize(
    ("ended", "days", "expected"),
    [
        ("2026-01-09 10:00", 1, "2026-01-13 00:00"),  # Friday: Monday, to its end
        ("2026-01-09 23:59", 1, "2026-01-13 00:00"),
        ("2026-01-10 00:30", 1, "2026-01-13 00:00"),  # Saturday, though Friday still in UTC
        ("2026-01-12 00:30", 1, "2026-01-14 00:00"),  # the day itself is none of them
        # Spring Festival 2026: off from 15 to 23 February, work on Saturdays 14 and 28 February.
        ("2026-02-13 10:00", 1, "2026-02-15 00:00"),
        ("2026-02-13 10:00", 2, "2026-02-25 00:00"),
        ("2026-02-27 10:00", 1, "2026-03-01 00:00"),
        ("2026-02-27 10:00", 2, "2026-03-03 00:00"),
    ],
)
def test_working_days_leave_out_weekends_and_holidays_and_count_make_up_days(
    ended: str, days: int, expected: str
) -> None:
    given = summary(after="restored", working_days=days)
    events = [started(f"{ended[:10]} 00:00"), restored(ended)]
    assert status("2030-01-01 00:00", given, *events).due_at == at(expected)


@pytest.mark.parametrize(
    ("ended", "days", "years"),
    [
        ("2026-12-29 10:40", 5, (2027,)),  # five working days from Tuesday end in January 2027
        ("2026-12-29 10:40", 2, ()),  # the 30th and the 31st
        ("2026-12-31 10:40", 1, (2027,)),
    ],
)
def test_an_obligation_names_the_years_whose_working_days_are_a_guess(
    ended: str, days: int, years: tuple[int, ...]
) -> None:
    events = [started(f"{ended[:10]} 00:00"), restored(ended)]
    later = {"after": "met", "of": "report", "within": "24h"}
    pack = pack_of(summary(after="restored", working_days=days), demand("later", levels=["III"], due=later))
    published = Calendar("CN", {}, frozenset({2027}))
    assessment = assess(incident(*events), pack, {}, at("2030-01-01 00:00"))
    # The second obligation runs from the deadline of the first, and is as uncertain.
    assert [found.guessed_years for found in assessment.obligations] == [years, years]
    assert assessment.evidence.guessed_years == years
    vouched = assess(incident(*events), pack, {}, at("2030-01-01 00:00"), (), {"CN": published})
    assert vouched.evidence.guessed_years == ()


def test_a_deadline_moved_off_a_day_off_names_the_years_that_are_a_guess() -> None:
    # Two days after 2026-12-31 is Saturday 2027-01-02: Monday noon, if that is a working day.
    due = {"after": "restored", "within": "48h", "on_day_off": "noon_next_working_day"}
    events = [started("2026-12-31 00:00"), restored("2026-12-31 10:00")]
    [found] = statuses("2030-01-01 00:00", [demand(levels=["III"], due=due)], *events)
    assert (found.due_at, found.guessed_years) == (at("2027-01-04 12:00"), (2027,))


def test_a_forecast_names_the_years_whose_service_hours_are_a_guess() -> None:
    # The counter fails on Thursday 2026-12-31 at 16:50 and stays down: the next level is reached in January.
    hours = {"core-banking": weekly_hours(CHINA, [("mon-fri", "09:00-17:00")], Calendar("CN"))}
    assessment = verdict("2026-12-31 17:00", started("2026-12-31 16:50"), hours=hours)
    assert assessment.next is not None
    assert assessment.next.at > at("2027-01-01 00:00")
    assert assessment.evidence.guessed_years == (2027,)


def test_payments_down_at_the_end_of_an_announced_year_have_a_summary_due_in_a_guessed_one() -> None:
    events = started("2026-12-29 10:00"), restored("2026-12-29 10:40")
    assessment = verdict("2026-12-29 11:00", *events)
    [summary_report] = [found for found in assessment.obligations if found.id == "summary-report"]
    assert (summary_report.due_at, summary_report.guessed_years) == (at("2027-01-07 00:00"), (2027,))
    assert assessment_document(assessment, CHINA)["evidence"]["guessed_years"] == [2027]


def test_working_days_are_those_of_the_calendar_that_operators_have_set_right() -> None:
    given = summary(after="restored", working_days=1)
    events = [started("2026-01-09 00:00"), restored("2026-01-09 10:00")]
    monday_off = Calendar("CN", {date(2026, 1, 12): DayKind.HOLIDAY})
    assert status("2030-01-01 00:00", given, *events, calendar=monday_off).due_at == at("2026-01-14 00:00")


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ("2026-01-08 10:00", "2026-01-09 10:00"),  # due on a Friday: as it is
        ("2026-01-09 10:00", "2026-01-12 12:00"),  # on a Saturday: Monday noon
        ("2026-01-10 10:00", "2026-01-12 12:00"),
        ("2026-01-11 18:00", "2026-01-12 18:00"),  # on a Monday
        ("2026-02-13 10:00", "2026-02-14 10:00"),  # on a Saturday on which people work
        ("2026-02-14 10:00", "2026-02-24 12:00"),  # in the Spring Festival
    ],
)
def test_a_deadline_on_a_day_off_may_move_to_noon_of_the_next_working_day(ended: str, expected: str) -> None:
    given = summary(after="restored", within="24h", on_day_off="noon_next_working_day")
    events = [started(f"{ended[:10]} 00:00"), restored(ended)]
    assert status("2030-01-01 00:00", given, *events).due_at == at(expected)
    kept = summary(after="restored", within="24h", on_day_off="keep")
    assert status("2030-01-01 00:00", kept, *events).due_at == at(ended) + timedelta(days=1)


# The earliest of several: four hours from classification and a day from awareness, as under DORA.

INITIAL = demand(
    due={"earliest": [{"after": "applies", "within": "4h"}, {"after": "awareness", "within": "24h"}]}, levels=["I"]
)


@pytest.mark.parametrize(
    ("classified", "expected"),
    [
        ("12:00", "16:00"),  # four hours
        ("2013-06-24 04:59", "2013-06-24 08:59"),
        ("2013-06-24 05:00", "2013-06-24 09:00"),  # both end together
        ("2013-06-24 07:00", "2013-06-24 09:00"),  # the day from awareness ends first
        ("2013-06-24 09:00", "2013-06-24 09:00"),  # classified as it ends
        ("2013-06-24 09:01", "2013-06-24 13:01"),  # later than a day: four hours
        ("2013-06-26 10:00", "2013-06-26 14:00"),
    ],
)
def test_of_several_deadlines_the_earliest_counts_that_had_not_passed_before_it_applied(
    classified: str, expected: str
) -> None:
    events = [DOWN, restored("09:10"), corrected(classified, "I")]
    found = status("2013-06-30 00:00", INITIAL, *events)
    assert (found.applies_at, found.due_at) == (at(classified), at(expected))


def test_what_is_classified_for_a_time_before_we_knew_is_due_from_when_we_knew() -> None:
    given = demand(due={"after": "classified", "within": "4h"}, levels=["III"])
    assert status("12:00", given, started("09:00", received="11:00")).due_at == at("15:00")
    assert status("12:00", given, started("09:00", received="09:10")).due_at == at("13:30")


# After another obligation.

INTERMEDIATE = demand("intermediate", due={"after": "met", "of": "report", "within": "72h"}, levels=["I", "II", "III"])


def test_what_runs_from_another_obligation_runs_from_its_deadline_until_it_is_met() -> None:
    _, waiting = statuses("09:45", [AT_ALL, INTERMEDIATE], DOWN)
    assert (waiting.state, waiting.due_at) == (PENDING, at("2013-06-26 10:00"))


@pytest.mark.parametrize(
    ("when", "expected"),
    [("09:40", "2013-06-26 09:40"), ("10:00", "2013-06-26 10:00"), ("14:00", "2013-06-26 14:00")],
)
def test_what_runs_from_another_obligation_runs_from_when_that_was_met_early_or_late(when: str, expected: str) -> None:
    _, found = statuses("15:00", [AT_ALL, INTERMEDIATE], DOWN, reported(when, "report"))
    assert (found.state, found.due_at) == (PENDING, at(expected))


def test_what_runs_from_an_obligation_that_does_not_apply_is_not_due() -> None:
    rare = demand(due={"after": "applies", "within": "60m"}, on="plan.failed")
    _, found = statuses("10:00", [rare, INTERMEDIATE], DOWN)
    assert (found.state, found.due_at) == (NOT_YET, None)


def test_it_may_run_from_the_last_time_that_another_was_met() -> None:
    final = demand("final", due={"after": "last_met", "of": "intermediate", "months": 1}, levels=["I", "II", "III"])
    handed = [reported("09:40", "report"), reported("11:00", "intermediate"), reported("13:00", "intermediate")]
    found = statuses("14:00", [AT_ALL, INTERMEDIATE, final], DOWN, *handed)
    assert found[2].due_at == at("2013-07-23 13:00")
    earlier = statuses("12:00", [AT_ALL, INTERMEDIATE, final], DOWN, *handed)
    assert earlier[2].due_at == at("2013-07-23 11:00")


def test_a_chain_that_nobody_has_begun_runs_from_deadline_to_deadline() -> None:
    final = demand("final", due={"after": "met", "of": "intermediate", "months": 1}, levels=["I", "II", "III"])
    found = statuses("14:00", [AT_ALL, INTERMEDIATE, final], DOWN)
    # 10:00 on the 23rd, 72 hours, a month.
    assert [each.due_at for each in found] == [at("10:00"), at("2013-06-26 10:00"), at("2013-07-26 10:00")]


PROGRESS_REPORTS = {"due": {"after": "applies", "within": "2h"}, "every": "2h", "until": "restored", "levels": ["I"]}


def statuses_of(now: str, given: dict[str, Any], *events: Recorded) -> list[ObligationStatus]:
    said = {"zh-CN": "报告", "en": "Report"}
    demand = {"id": "report", "cite": "Art. 1", "says": said, "to": "police"} | given
    pack = parse_pack({**cbrc_document(), "obligations": [demand], "cases": []})
    return list(assess(incident(*events), pack, {}, at(now)).obligations)


def test_what_does_not_apply_still_names_its_clause_and_to_whom_it_is_owed() -> None:
    (found,) = statuses_of("09:10", PROGRESS_REPORTS, TWO_PROVINCES)
    assert (found.cite, found.to, found.state) == ("Art. 1", "police", NOT_YET)
    (later,) = statuses_of("12:10", PROGRESS_REPORTS, TWO_PROVINCES)
    assert (later.cite, later.to) == ("Art. 1", "police")


def test_a_report_at_the_very_instant_counts() -> None:
    at_once = {"due": {"after": "applies", "within": "15m"}, "on": "plan.failed"}
    failed = recorded("plan.failed", "10:00", data={"by": "李", "reason": "切换失败"})
    (found,) = statuses_of("10:00", at_once, TWO_PROVINCES, failed, reported("10:00", "report"))
    assert (found.state, found.met_at) == (MET, at("10:00"))
    first, following = statuses_of("14:00", PROGRESS_REPORTS, TWO_PROVINCES, reported("14:00", "report"))
    assert (first.state, first.met_late, following.due_at) == (MET, False, at("16:00"))


def test_of_several_occasions_those_after_a_lifted_one_are_still_owed() -> None:
    at_once = {"due": {"after": "applies", "within": "15m"}, "on": "plan.failed"}
    failures = [recorded("plan.failed", when, data={"by": "李", "reason": "切换失败"}) for when in ("10:00", "11:00")]
    first, second = statuses_of("11:05", at_once, TWO_PROVINCES, *failures, reported("10:05", "report"))
    assert (first.state, second.state, second.due_at) == (MET, PENDING, at("11:15"))


def test_a_second_series_has_its_own_reports_and_goes_on_counting() -> None:
    history = [TWO_PROVINCES, reported("13:30", "report"), restored("15:00", "CN-GD", "CN-HN"), started("20:00")]
    found = statuses_of("21:30", PROGRESS_REPORTS, *history, reported("21:00", "report"))
    assert [(s.instance, s.state, s.due_at) for s in found] == [
        ("1", MET, at("14:00")),
        ("2", MET, at("22:00")),
        ("3", PENDING, at("2013-06-24 00:00")),
    ]


def test_a_correction_to_a_level_for_which_it_holds_lifts_nothing() -> None:
    given = {"due": {"after": "applies", "within": "60m"}, "levels": ["I", "II"]}
    history = [started("09:00"), corrected("09:40", "II"), corrected("09:50", "I")]
    (found,) = statuses_of("10:00", given, *history)
    assert (found.state, found.applies_at, found.instance) == (PENDING, at("09:40"), "")


def test_a_deadline_that_is_the_very_end_of_the_outage_is_owed() -> None:
    (found,) = statuses_of("14:00", PROGRESS_REPORTS, TWO_PROVINCES, restored("14:00", "CN-GD", "CN-HN"))
    assert (found.state, found.due_at) == (PENDING, at("14:00"))
    (late,) = statuses_of("14:30", PROGRESS_REPORTS, TWO_PROVINCES, restored("14:00", "CN-GD", "CN-HN"))
    assert late.state is ObligationState.OVERDUE


def test_two_reports_for_one_deadline_and_one_for_the_next() -> None:
    reports = [reported(when, "report") for when in ("12:10", "13:00", "15:00")]
    found = statuses_of("15:30", PROGRESS_REPORTS, TWO_PROVINCES, *reports)
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
    (found,) = statuses_of("14:30", PROGRESS_REPORTS, *history)
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
    (found,) = statuses_of("12:00", FIRST, started("09:00"), restored("09:10"))
    assert (found.cite, found.to, found.state, found.instance) == ("Art. 1", "police", NOT_YET, "")


def test_a_correction_at_the_very_instant_at_which_the_level_is_reached_lifts_what_it_demands() -> None:
    false_alarm = [started("09:00"), corrected("09:30", None), restored("09:45")]
    (found,) = statuses_of("10:00", FIRST, *false_alarm)
    assert found.state is NOT_YET
    (anew,) = statuses_of("11:40", FIRST, *false_alarm, started("11:00"))
    assert (anew.state, anew.applies_at, anew.due_at) == (PENDING, at("11:30"), at("12:30"))


def test_what_is_owed_anew_after_a_correction_has_a_name_of_its_own() -> None:
    history = [started("09:00"), corrected("09:40", None), restored("09:45")]
    (first,) = statuses_of("09:35", FIRST, *history)
    (anew,) = statuses_of("11:40", FIRST, *history, started("11:00"))
    assert (first.instance, anew.instance) == ("", "20130623T033000Z")


def test_what_a_condition_demands_is_owed_once_and_has_no_name() -> None:
    down = {"regions_down": {"at_least": 1, "for": {"at_least": "30m"}}}
    (found,) = statuses_of("10:00", {"due": {"after": "applies", "within": "1h"}, "when": down}, started("09:00"))
    assert (found.instance, found.applies_at) == ("", at("09:30"))


def test_nothing_is_owed_under_a_regulation_that_was_not_in_force_or_before_anything_began() -> None:
    later = {"in_force": {"from": "2013-06-24"}}
    at_level = {"id": "one", "due": {"after": "applies", "within": "1h"}}
    found = owed("12:00", at_level, events=[started("09:00"), corrected("10:00", "II")], **later)
    assert [status.state for status in found] == [NOT_YET]
    given = {"due": {"after": "applies", "within": "1h"}, "on": "plan.failed"}
    plan_failed = recorded("plan.failed", "10:00", data={"by": "李", "reason": "切换失败"})
    (nothing_began,) = statuses_of("10:05", given, plan_failed)
    assert nothing_began.state is NOT_YET


def test_without_any_outage_progress_is_owed_until_the_incident_is_closed() -> None:
    data = {"kind": "bank", "seriousness": "considerable", "cause": "data_loss", "by": "李", "reason": "台账受损"}
    harm = recorded("harm.assessed", "09:00", data=data)
    given = PROGRESS_REPORTS | {"levels": ["I", "II", "III"]}
    (open_end,) = statuses_of("10:00", given, harm)
    assert (open_end.state, open_end.due_at) == (PENDING, at("11:00"))
    over = recorded("incident.closed", "10:30", data={"by": "陈总"})
    (closed_before,) = statuses_of("12:00", given, harm, over)
    assert closed_before.state is NOT_YET


def test_what_is_restored_as_its_level_is_reached_owes_no_progress() -> None:
    given = {"due": {"after": "occurrence", "within": "30m"}, "every": "2h", "until": "restored", "levels": ["III"]}
    (found,) = statuses_of("12:00", given, started("09:00"), restored("09:30"))
    assert (found.state, found.due_at) == (NOT_YET, None)
