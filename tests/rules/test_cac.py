"""国家网络安全事件报告管理办法: every figure by hand, without the cases that stand in the pack."""

from datetime import datetime, timedelta

import pytest
from support.builders import RULES, at, closed, degraded, recorded, restored, started, verdict

from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.obligation_status import ObligationStatus
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.values import RESOLUTION, format_cite

CAC = parse_pack(load_file(RULES / "grading" / "cn-cac-2025.yaml").data)
NINE = at("2026-03-02 09:00")
LONG_AFTER = at("2026-06-01 00:00")

# The limits that are read or told by several secondary sources; each includes itself (以上含本数).
OUTAGES = [
    ("cii_whole_outage", timedelta(hours=6), "I"),
    ("cii_main_function_outage", timedelta(hours=24), "I"),
    ("cii_whole_outage", timedelta(minutes=10), "III"),
]
FIGURES = [
    ("personal_records", 100_000_000, "I"),
    ("personal_records", 10_000_000, "II"),
    ("personal_records", 1_000_000, "III"),
    ("direct_loss_cny", 100_000_000, "I"),
    ("direct_loss_cny", 20_000_000, "II"),
    ("direct_loss_cny", 5_000_000, "III"),
    ("population_share", 50, "I"),
    ("population_affected", 10_000_000, "I"),
]
BELOW = {"I": ("II", "III", None), "II": ("III",), "III": (None,)}
"""The levels that a figure just below a level's limit may still have."""


def measured(when: datetime, **measures: float | bool) -> Recorded:
    return known(when, when, **measures)


def known(aware: datetime, when: datetime, **measures: float | bool) -> Recorded:
    data = {"by": "李雷", "measures": measures}
    return recorded("impact.measured", when, aware, service="core-banking", data=data)


def announced(when: datetime, start: datetime, end: datetime) -> Recorded:
    return recorded("maintenance.announced", when, service="core-banking", data={"start": start, "end": end})


def graded(*events: Recorded, now: datetime = LONG_AFTER) -> Assessment:
    return verdict(now, *events, pack=CAC)


def whole_outage(since: datetime, length: timedelta, question: str = "cii_whole_outage") -> Assessment:
    return graded(measured(since, **{question: True}), started(since), restored(since + length))


def due(assessment: Assessment, obligation: str) -> datetime | None:
    return status(assessment, obligation).due_at


def status(assessment: Assessment, obligation: str) -> ObligationStatus:
    return next(each for each in assessment.obligations if each.id == obligation)


@pytest.mark.parametrize(("question", "limit", "level"), OUTAGES)
def test_an_outage_reaches_its_level_on_the_limit_and_not_before(question: str, limit: timedelta, level: str) -> None:
    on = whole_outage(NINE, limit, question)
    assert (on.level, on.trajectory[-1].at) == (level, NINE + limit)
    assert whole_outage(NINE, limit + RESOLUTION, question).level == level
    assert whole_outage(NINE, limit - RESOLUTION, question).level in BELOW[level]


@pytest.mark.parametrize(("name", "limit", "level"), FIGURES)
def test_a_figure_reaches_its_level_on_the_limit_and_not_before(name: str, limit: int, level: str) -> None:
    assert graded(measured(NINE, **{name: limit})).level == level
    assert graded(measured(NINE, **{name: limit + 1})).level == level
    assert graded(measured(NINE, **{name: limit - 1})).level in BELOW[level]


def test_between_the_limits_that_are_known_the_level_of_an_outage_stays() -> None:
    assert whole_outage(NINE, timedelta(hours=2)).level == "III"
    assert whole_outage(NINE, timedelta(hours=2), "cii_main_function_outage").level is None
    said = {sentence.cite for sentence in CAC.not_modelled}
    assert {"Annex part 2 (outage)", "Annex part 3 (outage)"} <= said


def test_an_outage_counts_only_if_a_person_says_what_it_stops() -> None:
    outage = started(NINE), restored(NINE + timedelta(days=2))
    assert graded(*outage).level is None
    assert graded(measured(NINE, cii_whole_outage=False), *outage).level is None


def test_working_badly_is_no_interruption() -> None:
    events = measured(NINE, cii_whole_outage=True), degraded(NINE), restored(NINE + timedelta(days=2))
    assert graded(*events).level is None


def test_announced_maintenance_does_not_count_and_its_overrun_does() -> None:
    noon, limit = NINE + timedelta(hours=3), timedelta(minutes=10)

    def until(end: datetime) -> Assessment:
        window = announced(NINE - timedelta(hours=1), NINE, noon)
        return graded(window, measured(NINE, cii_whole_outage=True), started(NINE), restored(end))

    assert until(noon).level is None
    assert until(noon + limit - RESOLUTION).level is None
    overrun = until(noon + limit)
    assert [(step.level, step.at) for step in overrun.trajectory] == [("III", noon + limit)]


def test_maintenance_that_is_announced_once_the_service_is_down_counts() -> None:
    minute = timedelta(minutes=1)
    window = announced(NINE + minute, NINE + 2 * minute, NINE + timedelta(hours=3))
    outage = started(NINE), restored(NINE + timedelta(hours=3))
    found = graded(window, measured(NINE, cii_whole_outage=True), *outage)
    assert found.trajectory[0].at == NINE + 10 * minute


def test_several_grounds_at_once_give_the_worst() -> None:
    assert graded(measured(NINE, personal_records=2_000_000, direct_loss_cny=30_000_000)).level == "II"


def test_the_levels_are_three_and_the_worst_stands_first() -> None:
    named = [(level.id, level.name.in_("zh-CN")) for level in CAC.levels]
    assert named == [("I", "特别重大"), ("II", "重大"), ("III", "较大")]


def test_it_is_in_force_from_november_2025_in_beijing() -> None:
    first = at("2025-11-01 00:00")
    assert graded(measured(first - RESOLUTION, personal_records=1_000_000)).level is None
    assert graded(measured(first, personal_records=1_000_000)).level == "III"


@pytest.mark.parametrize("obligation", ["cac-report", "cac-police-report"])
def test_an_operator_of_critical_infrastructure_has_an_hour_from_awareness(obligation: str) -> None:
    assert due(whole_outage(NINE, timedelta(minutes=40)), obligation) == NINE + timedelta(hours=1)


def test_a_level_reached_after_that_hour_leaves_an_hour_from_the_level() -> None:
    three_later = NINE + timedelta(hours=3)
    leak = graded(measured(NINE, personal_records=12), measured(three_later, personal_records=1_000_000))
    assert due(leak, "cac-report") == three_later + timedelta(hours=1)


def test_awareness_not_occurrence_starts_the_hour() -> None:
    eight_past = NINE + timedelta(minutes=8)
    late = recorded("outage.started", NINE, received=eight_past)
    found = graded(late, measured(eight_past, cii_whole_outage=True), now=NINE + timedelta(hours=1))
    assert found.trajectory[0].at == NINE + timedelta(minutes=10)
    assert due(found, "cac-report") == eight_past + timedelta(hours=1)


@pytest.mark.parametrize("obligation", ["cac-report", "cac-police-report"])
def test_who_learns_of_it_in_the_evening_has_an_hour_from_then(obligation: str) -> None:
    evening = NINE + timedelta(hours=11)
    leak = graded(known(evening, NINE, personal_records=1_000_000), now=evening)
    found = status(leak, obligation)
    assert leak.trajectory[0].at == NINE
    assert (found.state, found.due_at) == ("pending", evening + timedelta(hours=1))
    assert not found.overdue_at_detection


def test_if_the_clock_runs_from_the_occurrence_it_was_overdue_before_he_learned_of_it() -> None:
    document = load_file(RULES / "grading" / "cn-cac-2025.yaml").data
    document["parameters"]["clock_starts"]["value"] = "occurrence"
    evening = NINE + timedelta(hours=11)
    leak = verdict(evening, known(evening, NINE, personal_records=1_000_000), pack=parse_pack(document))
    assert status(leak, "cac-report").due_at == NINE + timedelta(hours=1)
    assert status(leak, "cac-report").overdue_at_detection


def test_all_other_operators_have_four_hours() -> None:
    document = load_file(RULES / "grading" / "cn-cac-2025.yaml").data
    assert document["parameters"]["first_report"]["one_of"] == ["1h", "2h", "4h"]
    document["parameters"]["first_report"]["value"] = "4h"
    other = verdict(LONG_AFTER, measured(NINE, personal_records=1_000_000), pack=parse_pack(document))
    assert due(other, "cac-report") == NINE + timedelta(hours=4)


def test_the_summary_is_due_thirty_days_after_the_restoration() -> None:
    restored_at = NINE + timedelta(minutes=40)
    assert due(whole_outage(NINE, timedelta(minutes=40)), "cac-summary") == restored_at + timedelta(days=30)


def test_without_any_outage_the_summary_is_due_thirty_days_after_a_person_closed_the_incident() -> None:
    leak, evening = measured(NINE, personal_records=1_000_000), NINE + timedelta(hours=11)
    still_open = status(graded(leak), "cac-summary")
    assert (still_open.state, still_open.due_at) == ("not_applicable", None)
    ended = status(graded(leak, closed(evening, service="core-banking"), now=evening), "cac-summary")
    assert (ended.state, ended.due_at) == ("pending", evening + timedelta(days=30))


def test_with_an_outage_the_summary_runs_from_the_restoration_whenever_the_incident_is_closed() -> None:
    restored_at = NINE + timedelta(minutes=5)
    events = measured(NINE, personal_records=1_000_000), started(NINE), restored(restored_at)
    ended = graded(*events, closed(NINE + timedelta(days=3), service="core-banking"))
    assert due(ended, "cac-summary") == restored_at + timedelta(days=30)


def test_below_the_lowest_level_nothing_is_to_be_reported() -> None:
    small = graded(measured(NINE, personal_records=999_999))
    assert [(each.state.value, each.due_at) for each in small.obligations] == [("not_applicable", None)] * 3


@pytest.mark.parametrize("name", ["loss_2", "loss_3", "whole_3"])
def test_what_only_secondary_sources_tell_says_so(name: str) -> None:
    assert "secondary sources" in (CAC.parameters[name].cite or "")


def test_the_annex_is_cited_in_chinese_too() -> None:
    cites = [rule.cite for rule in CAC.rules] + [sentence.cite for sentence in CAC.not_modelled]
    spelled = {format_cite(cite, "zh-CN") for cite in cites}
    assert {"附件第1部分", "附件第2部分", "附件第3部分"} <= spelled
    assert not [cite for cite in spelled if "Annex" in cite or "Art." in cite or " part" in cite]
