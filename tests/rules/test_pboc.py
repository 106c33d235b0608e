"""中国人民银行令〔2025〕第4号: every figure by hand, without the cases that stand in the pack."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from support.builders import CHINA, RULES, at, degraded, recorded, restored, started, verdict

from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.calendar.service_hours import ServiceHours, weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.values import RESOLUTION, format_cite

PBOC = parse_pack(load_file(RULES / "grading" / "cn-pboc-2025.yaml").data)
NINE = at("2026-03-02 09:00")
LONG_AFTER = at("2026-06-01 00:00")
PROVINCES = ("CN-GD", "CN-HN", "CN-SC")

# 特别重大: provinces, hours; both limits include themselves.
LIMITS = [(2, timedelta(hours=3)), (1, timedelta(hours=6))]


def in_scope(when: datetime, answer: bool = True, *, aware: datetime | None = None) -> Recorded:
    data = {"by": "李雷", "measures": {"in_scope_network": answer}}
    return recorded("impact.measured", when, aware, service="core-banking", data=data)


def graded(*events: Recorded, hours: ServiceHours | None = None, now: datetime = LONG_AFTER) -> Assessment:
    return verdict(now, *events, hours={"core-banking": hours} if hours else None, pack=PBOC)


def outage(provinces: int, length: timedelta, since: datetime = NINE) -> Assessment:
    regions = PROVINCES[:provinces]
    return graded(in_scope(since), started(since, *regions), restored(since + length, *regions))


def due(assessment: Assessment, obligation: str) -> datetime | None:
    return next(each.due_at for each in assessment.obligations if each.id == obligation)


@pytest.mark.parametrize(("provinces", "limit"), LIMITS)
def test_the_level_is_reached_on_the_limit_and_not_before(provinces: int, limit: timedelta) -> None:
    on = outage(provinces, limit)
    assert (on.level, on.trajectory[-1].at) == ("I", NINE + limit)
    assert outage(provinces, limit + RESOLUTION).level == "I"
    assert outage(provinces, limit - RESOLUTION).level is None


def test_three_provinces_are_two_and_more() -> None:
    assert outage(3, timedelta(hours=3)).level == "I"


def test_another_network_has_no_level_however_long_it_is_out() -> None:
    down = started(NINE, *PROVINCES), restored(NINE + timedelta(days=3), *PROVINCES)
    assert graded(in_scope(NINE, answer=False), *down).level is None
    assert graded(*down).level is None


def test_it_must_be_wholly_interrupted() -> None:
    badly = degraded(NINE, *PROVINCES), restored(NINE + timedelta(days=3), *PROVINCES)
    assert graded(in_scope(NINE), *badly).level is None


def test_service_hours_stand_for_peak_hours() -> None:
    office = weekly_hours(ZoneInfo("Asia/Shanghai"), [("mon-sun", "09:00-17:00")])
    down = in_scope(NINE), started("2026-03-02 16:00", "CN-GD", "CN-HN"), restored("2026-03-03 12:00", "CN-GD", "CN-HN")
    found = graded(*down, hours=office)
    # One hour before closing on the first day, two after opening on the second.
    assert [step.at for step in found.trajectory] == [at("2026-03-03 11:00")]
    assert "peak hours" in " ".join(sentence.why.en for sentence in PBOC.not_modelled)


def test_there_is_one_level_only_and_it_says_that_the_others_are_missing() -> None:
    assert [(level.id, level.name.in_("zh-CN")) for level in PBOC.levels] == [("I", "特别重大")]
    assert "重大, 较大, 一般" in PBOC.not_modelled[0].cite


def test_it_is_in_force_from_august_2025_in_beijing() -> None:
    first = datetime(2025, 8, 1, tzinfo=CHINA)
    assert outage(2, timedelta(hours=4), since=first - RESOLUTION).level is None
    assert outage(2, timedelta(hours=4), since=first).level == "I"


@pytest.mark.parametrize(
    ("obligation", "limit"),
    [("pboc-brief-report", timedelta(minutes=30)), ("pboc-full-report", timedelta(hours=2))],
)
def test_the_reports_are_due_after_the_level_if_awareness_is_longer_ago(obligation: str, limit: timedelta) -> None:
    found = outage(2, timedelta(hours=4))
    assert due(found, obligation) == NINE + timedelta(hours=3) + limit


@pytest.mark.parametrize(
    ("obligation", "limit"),
    [("pboc-brief-report", timedelta(minutes=30)), ("pboc-full-report", timedelta(hours=2))],
)
def test_the_reports_are_due_after_awareness_if_the_level_comes_soon(obligation: str, limit: timedelta) -> None:
    aware, said = NINE + timedelta(minutes=20), NINE + timedelta(minutes=25)
    word = {"level": "I", "pack": "cn-pboc-2025", "by": "李雷", "reason": "another criterion of this level"}
    events = (
        recorded("outage.started", NINE, received=aware),
        recorded("level.corrected", said, service="core-banking", data=word),
    )
    assert due(graded(*events, now=said), obligation) == aware + limit


@pytest.mark.parametrize(
    ("obligation", "limit"),
    [("pboc-brief-report", timedelta(minutes=30)), ("pboc-full-report", timedelta(hours=2))],
)
def test_who_learns_of_it_in_the_evening_has_the_whole_time_from_then(obligation: str, limit: timedelta) -> None:
    noon, evening = NINE + timedelta(hours=3), NINE + timedelta(hours=11)
    down = (
        recorded("outage.started", NINE, evening, regions=list(PROVINCES)),
        recorded("outage.restored", noon, evening, regions=list(PROVINCES)),
    )
    found = graded(in_scope(NINE, aware=evening), *down, now=evening)
    report = next(each for each in found.obligations if each.id == obligation)
    assert found.trajectory[0].at == noon
    assert (report.state, report.due_at) == ("pending", evening + limit)
    assert not report.overdue_at_detection


def test_announced_maintenance_does_not_count() -> None:
    end = NINE + timedelta(hours=7)
    window = recorded(
        "maintenance.announced", NINE - timedelta(hours=1), service="core-banking", data={"start": NINE, "end": end}
    )
    down = in_scope(NINE), started(NINE, *PROVINCES)
    limit = end + timedelta(hours=3)
    assert graded(window, *down, restored(limit - RESOLUTION, *PROVINCES)).level is None
    assert graded(window, *down, restored(limit, *PROVINCES)).trajectory[0].at == limit


def test_the_chapters_are_cited_in_chinese_too() -> None:
    cites = [rule.cite for rule in PBOC.rules] + [demand.cite for demand in PBOC.obligations]
    spelled = {format_cite(cite, "zh-CN") for cite in cites}
    assert spelled == {"第2章", "第3章"}


@pytest.mark.parametrize("name", ["brief_report", "full_report"])
def test_the_deadlines_say_that_they_come_from_secondary_sources(name: str) -> None:
    why = PBOC.parameters[name].why
    assert why is not None
    assert "secondary sources" in why.en
    assert "二手来源" in why.in_("zh-CN")
