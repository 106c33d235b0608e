"""`preview`: a message as its reader would get it in a scenario."""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.builders import CONFIG

from incident_engine.common.yaml_loader import load_text
from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.scenario import Scenario
from incident_engine.config.settings import Settings, load_settings
from incident_engine.domain.messages.templates import MessageForm
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.preview import Preview, PreviewRequest, preview

Run = Callable[..., Any]

SCENARIO = """
scenario: one-night
title: {zh-CN: 一夜, en: One night}
start: 2013-06-23T10:35:00+08:00
lasts: 9h
events:
  - {at: 0m, type: outage.started, service: core-banking, regions: [CN-GD]}
  - {at: 40m, type: recovery.estimated, service: core-banking, data: {recovery_at: "2013-06-23T11:35:00+08:00", by: A}}
  - {at: 51m, type: step.added, service: core-banking, data: {title: 补充演练, by: 陈总, reason: 超时}}
  - {at: 53m, type: step.acknowledged, service: core-banking, data: {step: page/III, by: 李工}}
  - {at: 2h, type: plan.failed, service: core-banking, data: {by: 李工, reason: 备库日志缺失}}
  - {at: 6h30m, type: outage.restored, service: core-banking, regions: [CN-GD]}
  - {at: 7h30m, type: incident.closed, service: core-banking, data: {by: 陈总}}
  - {at: 8h, type: lesson.recorded, service: core-banking, data: {by: A, text: b, for_customers: 两地备份每月演练}}
"""


@cache
def bank() -> tuple[Settings, Rulebook]:
    settings = load_settings(CONFIG, {})
    return settings, load_rulebook(settings, CONFIG)


def shown(template: str, after: timedelta | None = None, step: str | None = None, **given: Any) -> Preview:
    settings, rulebook = bank()
    scenario = Scenario.model_validate(load_text(SCENARIO, "one-night").data)
    return preview(PreviewRequest(template, "en", step=step, after=after, **given), scenario, settings, rulebook)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


# Which step, when.


def test_a_message_is_shown_as_of_when_its_step_begins() -> None:
    found = shown("page")
    assert found.step is not None
    assert found.step.step == "page"
    assert found.reader == "Duty engineer"
    assert found.message.subject == "[Answer now] Level III: Core banking in Guangdong"
    assert "30 minutes ago" in found.message.body


def test_at_an_instant_the_latest_step_that_has_begun_is_shown() -> None:
    assert shown("page", minutes(36)).message.subject.startswith("[NO ANSWER since 11:05")
    assert shown("page", minutes(52)).message.subject.startswith("[URGENT: STILL NO ANSWER")


def test_a_page_that_the_scenario_answers_is_not_told_again() -> None:
    assert shown("page", minutes(120)).message.subject.startswith("[Answer now]")


def test_before_its_step_begins_it_is_shown_as_it_is_expected() -> None:
    found = shown("customers-acknowledge", minutes(10))
    assert found.step is not None
    assert found.step.due_at == found.at
    assert "We cannot say yet how long it will take" in found.message.body


def test_a_step_can_be_chosen() -> None:
    found = shown("page", step="page-leading-group")
    assert found.step is not None
    assert (found.step.step, found.step.level) == ("page-leading-group", "I")


def test_what_comes_long_after_the_scenario_is_shown_too() -> None:
    found = shown("customers-follow-up")
    assert found.step is not None
    assert found.message.subject.startswith("[Please follow up]")


# What is known.


def test_a_delay_is_shown_once_the_estimate_has_passed() -> None:
    assert "to be back by 11:35 on 23 June 2013" in shown("customers-delay").message.body


def test_what_people_said_in_the_scenario_is_shown() -> None:
    assert "What failed: **李工: 备库日志缺失**" in shown("plan-failed").message.body
    assert shown("task").message.subject == "[Task] 补充演练"
    assert "- 两地备份每月演练" in shown("customers-lessons").message.body


def test_an_approval_is_shown_with_the_words_that_wait() -> None:
    body = shown("approval-request").message.body
    assert "云帆银行致歉" in body
    assert "An apology from Cloudsail Bank" in body


def test_a_report_is_shown_with_its_gaps() -> None:
    body = shown("report-due", step="formal-report").message.body
    assert "Written report on an incident in an important information system" in body
    assert "left for you to fill in" in body


def test_a_report_that_the_facts_fill_is_shown_without_gaps() -> None:
    body = shown("report-due").message.body
    assert "First report on an incident in an important information system" in body
    assert "left for you to fill in" not in body


def test_what_no_step_uses_in_the_scenario_is_shown_in_a_made_up_situation() -> None:
    for template, words in (("repair-failed", "[Repair failed]"), ("duty-notice", "[Level III]")):
        found = shown(template)
        assert found.step is None
        assert found.message.subject.startswith(words)


def test_a_form_that_a_template_has_not_is_known() -> None:
    assert not shown("duty-update", form=MessageForm.SHORT).has_form
    assert shown("page", form=MessageForm.SHORT).has_form


# The command.


def test_the_command_shows_whose_message_it_is_and_when(run: Run) -> None:
    said = run("preview", "page", "--config", CONFIG)
    assert said.code == 0
    assert "emergency-response:page:III" in said.out
    assert "at: 11:05 on 23 June 2013 (UTC+08:00) (30 minutes after the scenario's start)" in said.out
    assert "subject: [Answer now] Level III: Core banking in Guangdong" in said.out
    assert "reader: Duty engineer" in said.out


def test_a_chinese_reader_reads_chinese_and_a_text_message_its_parts(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "one-night.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    wanted = ("customers-resolved", "--form", "short", "--lang", "zh-CN", "--at", "8h", "--scenario", file)
    said = run("preview", *wanted, "--config", CONFIG)
    assert "读者: 客户公告" in said.out
    assert "场景开始后8小时" in said.out
    assert "形式: 短信" in said.out
    assert "标题:" not in said.out
    assert "短信条数: 2" in said.out


def test_the_command_says_that_a_situation_is_made_up_and_a_form_missing(run: Run) -> None:
    said = run("preview", "duty-update", "--form", "web", "--step", "duty-correction", "--config", CONFIG)
    assert "! no step of the chosen playbooks uses this template in the scenario" in said.out
    assert "no separate version" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pages"], "unknown template 'pages'"),
        (["page", "--step", "pag"], "unknown step 'pag'"),
        (["page", "--scenario", "two-province"], "did you mean 'two-provinces'?"),
    ],
)
def test_what_there_is_not_is_told_with_the_nearest(run: Run, arguments: list[str], words: str) -> None:
    said = run("preview", *arguments, "--config", CONFIG)
    assert said.code == 1
    assert words in said.err
    assert "did you mean" in said.err


@pytest.mark.parametrize("arguments", [["page", "--at", "noon"], ["page", "--form", "tall"], ["page", "--lang", "fr"]])
def test_what_cannot_be_understood_is_a_fault_of_usage(run: Run, arguments: list[str]) -> None:
    said = run("preview", *arguments, "--config", CONFIG)
    assert said.code == 2
    assert "Traceback" not in said.err
