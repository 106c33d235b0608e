"""What a notice says of quarantined reports: the monitor's words, the reason in the reader's language, two commands."""

import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.builders import at
from support.fixtures import shipped_rulebook

from incident_engine.common.i18n import TERMS
from incident_engine.config.rulebook import SHIPPED
from incident_engine.config.settings import load_settings
from incident_engine.domain.response.playbook import duty_audience
from incident_engine.intake.alertmanager import QuarantineReason
from incident_engine.store.health import EXAMPLES, Health
from incident_engine.store.quarantine import ISOLATED, QuarantinedReport, QuarantineState, WaitingReports
from incident_engine.watchdog.findings import FOR_DUTY, ClockReading, Kind
from incident_engine.watchdog.quarantine_probe import find_quarantined, find_truncated

NOW = at("03:04")
ALERT: dict[str, Any] = {
    "labels": {"alertname": "CoreDown", "service": "corebankin"},
    "annotations": {"summary": "no answer"},
    "startsAt": "2013-06-22T18:59:00Z",
    "status": "firing",
}
WAITING = QuarantinedReport(
    "alertmanager", "fp/1", "no_region_label", "no label 'region'", ALERT, at("03:00"), at("03:00"), 1,
    QuarantineState.WAITING,
)  # fmt: skip
HEALTH = Health(None, None, None, None, None, None, None, None, (), None, 0, None)


def told(locale: str, *reports: QuarantinedReport, more: int = 0, isolated: bool = False) -> str:
    waiting = WaitingReports(len(reports) + more, at("03:00"), at("03:00"), {reports[0].reason: 1}, reports)
    health = replace(HEALTH, isolated=waiting) if isolated else replace(HEALTH, quarantined=waiting)
    (observation,) = find_quarantined(health, ClockReading(NOW, 0))
    assert observation.kind is (Kind.EVENTS_ISOLATED if isolated else Kind.REPORTS_QUARANTINED)
    assert observation.particulars is not None
    return observation.particulars.in_(locale)


def test_a_report_is_told_in_the_readers_language() -> None:
    assert told("zh-CN", WAITING) == (
        "**CoreDown** (alertmanager)\n\n"
        "- 内容：no answer\n"
        "- 标签：alertname=CoreDown, service=corebankin\n"
        "- 状态：firing, 2013-06-22T18:59:00Z\n"
        "- 已等待：4 分钟\n"
        "- 原因：没有写明地区的标签（no label 'region'）\n"
        "- 归入：`incident-engine quarantine map alertmanager fp/1 --service 系统 --region 地区 --by 姓名`\n"
        "- 搁置：`incident-engine quarantine dismiss alertmanager fp/1 --by 姓名 --reason 理由`"
    )
    assert "- Reason: no label names the region (no label 'region')" in told("en", WAITING)
    assert "- Waiting for: 4 min" in told("en", WAITING)


def test_every_reason_has_its_words_in_both_languages() -> None:
    assert {*map(str, QuarantineReason), ISOLATED} <= set(TERMS)


@pytest.mark.parametrize("key", ["fp/$(reboot)", "a'; rm -rf ~; '", "x y"])
def test_a_key_from_outside_stays_one_word_in_the_shell(key: str) -> None:
    (line,) = [line for line in told("en", replace(WAITING, key=key)).splitlines() if line.startswith("- Dismiss it")]
    words = shlex.split(line.partition(": ")[2].strip("`"))
    assert words == [
        "incident-engine",
        "quarantine",
        "dismiss",
        "alertmanager",
        key,
        "--by",
        "NAME",
        "--reason",
        "REASON",
    ]


def test_words_from_outside_are_one_short_line_without_markup() -> None:
    long = {**ALERT, "annotations": {"summary": "**bold** `code` <b>\n- Map it: x\x1b[2J" + "y" * 500}}
    (line,) = [line for line in told("en", replace(WAITING, document=long)).splitlines() if "bold" in line]
    assert line.startswith("- It says: ··bold·· 'code' ‹b› - Map it: x [2Jyyy")
    assert len(line) <= 220


def test_a_malformed_report_of_any_shape_is_told() -> None:
    for document in ([1], "text", None, {"labels": 3, "annotations": []}, {"alert": 7}):
        assert "**fp/1** (alertmanager)" in told("en", replace(WAITING, document=document))


def test_of_an_event_at_which_the_engine_failed_the_data_is_not_told() -> None:
    document = {"type": "note.added", "service": "core-banking", "data": {"text": "customer Wang 6222…"}}
    page = told("en", replace(WAITING, reason=ISOLATED, document=document), isolated=True)
    assert "**note.added**" in page
    assert "service=core-banking" in page
    assert "Wang" not in page
    assert "quarantine map alertmanager fp/1 --by NAME" in page, "it has its own service"


def test_of_many_reports_the_first_are_shown_and_the_others_counted() -> None:
    page = told("en", *([WAITING] * EXAMPLES), more=2_495)
    assert page.count("**CoreDown**") == EXAMPLES
    assert page.endswith("2495 more: `incident-engine quarantine list`")


def test_the_duty_team_is_the_audience_that_the_playbooks_page_at_a_level() -> None:
    assert duty_audience(shipped_rulebook().playbooks) == "duty-team"
    assert duty_audience([]) is None
    assert load_settings(SHIPPED / "config.yaml", {}).quarantine.tell_after == timedelta(minutes=2)


def test_the_duty_team_is_told_of_alerts_that_were_left_out_since_the_last_probe() -> None:
    assert list(find_truncated(0, ClockReading(NOW, 0))) == []
    (observation,) = find_truncated(37, ClockReading(NOW, 0))
    assert observation.kind in FOR_DUTY
    assert "37" in observation.detail.en
    assert "37" in observation.detail.zh_cn
