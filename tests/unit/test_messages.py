"""Messages: every shipped template in both languages, and what is said of a wrong one."""

import json
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jinja2.exceptions import SecurityError
from support.builders import (
    CHINA,
    CONFIG,
    RULES,
    at,
    cbrc,
    incident,
    recorded,
    restored,
    rulebook,
    settings,
    started,
    verdict,
)

from incident_engine.common.errors import InvalidFilesError, Problem
from incident_engine.common.yaml_loader import load_file
from incident_engine.config.rulebook import SHIPPED, load_rulebook
from incident_engine.config.settings import PREFIX, load_settings
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.messages.context import MessageContext
from incident_engine.domain.messages.formatting import (
    format_deadline,
    format_duration,
    format_instant,
    format_local_deadline,
    format_minutes,
    format_names,
)
from incident_engine.domain.messages.samples import Use, failures, sample, situations, uses
from incident_engine.domain.messages.sandbox import sandbox, source_problems
from incident_engine.domain.messages.templates import (
    Message,
    MessageBook,
    MessageForm,
    TemplateTooLongError,
    template_problems,
)
from incident_engine.domain.messages.variables import VARIABLES
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.playbook import StepTemplate, parse_playbook
from incident_engine.domain.response.step import Step
from incident_engine.domain.values import LOCALES
from incident_engine.engine.messages import bank_context

TEMPLATES = sorted({path.name.removesuffix(".md.j2") for path in (RULES / "messages").rglob("*.md.j2")})
CORRECTED = {
    level: recorded("level.corrected", "11:08", data={"level": level, "by": "李", "reason": "探针误报"})
    for level in ("II", None)
}
ESTIMATE = recorded("recovery.estimated", "11:00", data={"recovery_at": at("14:45")})
BEGAN = started("10:35", "CN-GD", "CN-HN")  # II at 11:05, I at 13:35

# Each with the instant at which it is read.
SITUATIONS: dict[str, tuple[str, tuple[Recorded, ...]]] = {
    "no level yet": ("10:40", (started("10:35"),)),
    "level III with a next level": ("11:10", (started("10:35"),)),
    "level II with an estimate": ("11:10", (BEGAN, ESTIMATE)),
    "level I without a next level": ("17:00", (started("10:35"),)),
    "restored": ("12:00", (started("10:35"), restored("11:30"))),
    "restored after an estimate": ("12:00", (started("10:35"), ESTIMATE, restored("11:30"))),
    "overdue already at detection": ("12:30", (started("10:35", received="12:10"),)),
    "with notes": ("11:10", (started("10:35"), recorded("note.added", "10:50", data={"text": "主库日志卷写满"}))),
    "corrected to level II": ("11:10", (started("10:35"), CORRECTED["II"])),
    "corrected below the lowest level": ("11:10", (started("10:35"), CORRECTED[None])),
}


@cache
def situation(name: str, template: str) -> MessageContext:
    now, events = SITUATIONS[name]
    known, found = incident(*events), verdict(now, *events)
    wanted = plan(known, [found], rulebook().playbooks, at(now))
    step = next((s for s in reversed(wanted) if s.template == template and s.due_at <= at(now)), None)
    return MessageContext(
        bank=bank_context(settings()),
        service_names=settings().service_names,
        incident=known,
        packs=[cbrc()],
        assessments=[found],
        step=step or Step("INC-1:p:s:1", "p", "s", "1", at(now), "duty-team", template),
        now=at(now),
    )


def read(template: str, locale: str, name: str) -> Message:
    variables = situation(name, template).variables(locale, "王敏")
    return rulebook().messages.render(template, locale, variables)


LIFTED = "corrected below the lowest level"


def can_begin(template: str, name: str) -> bool:
    """Return whether a message can be due: of a level or a correction only after one, of a report if it is owed."""
    if name == "no level yet":
        return not template.startswith(("first-report", "duty-notice", "duty-correction"))
    if name == LIFTED:
        return not template.startswith("first-report")
    return template != "duty-correction" or name.startswith("corrected")


READINGS = [(template, name) for template in TEMPLATES for name in SITUATIONS if can_begin(template, name)]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(("template", "name"), READINGS)
def test_every_template_can_be_read_in_every_situation(template: str, locale: str, name: str) -> None:
    message = read(template, locale, name)
    assert message.locale == locale
    assert message.subject
    assert "\n" not in message.subject
    assert len(message.body) > 60
    for raw in ("None", "datetime", "{{", "{%", "timedelta", "+00:00"):
        assert raw not in message.subject + message.body
    assert ("核心账务" if locale == "zh-CN" else "Core banking") in message.subject + message.body


def test_there_is_every_template_in_every_language() -> None:
    assert sorted(rulebook().messages.names()) == TEMPLATES
    assert {step.template for playbook in rulebook().playbooks for step in playbook.steps} <= set(TEMPLATES)


def test_the_duty_team_reads_the_level_and_when_the_next_one_comes() -> None:
    english = read("duty-notice", "en", "level III with a next level")
    assert english.subject == "[Level III] Core banking in Guangdong"
    assert "level III (Considerable)" in english.body
    assert "11:05 on 23 June 2013 (UTC+08:00)" in english.body
    assert "level II (Major) at 13:35 on 23 June 2013 (UTC+08:00)" in english.body
    assert "due by 11:35 on 23 June 2013 (UTC+08:00)" in english.body
    chinese = read("duty-notice", "zh-CN", "level III with a next level")
    assert "III级（较大）" in chinese.body
    assert "2013年6月23日11:05" in chinese.body
    assert "将于2013年6月23日13:35升为II级（重大）" in chinese.body


def test_before_any_level_the_duty_team_reads_what_comes_when() -> None:
    english, chinese = (read("incident-opened", locale, "no level yet").body for locale in LOCALES[::-1])
    assert "an outage began at 10:35 on 23 June 2013 (UTC+08:00). It has no level yet." in english
    assert "level III (Considerable) at 11:05 on 23 June 2013 (UTC+08:00)" in english
    assert "(Art. 35(5)): would then be due by 11:35 on 23 June 2013 (UTC+08:00)" in english
    assert "于2013年6月23日10:35发生中断，目前尚未达到任何级别" in chinese
    assert "将于2013年6月23日11:05达到III级（较大）" in chinese
    assert "届时期限为2013年6月23日11:35" in chinese


def test_ahead_of_a_level_the_duty_team_reads_that_level_and_not_the_one_before() -> None:
    now, events = SITUATIONS["no level yet"]
    for level, reached_at in {"III": "11:05", "II": "13:35", "I": "16:35"}.items():
        step = Step(f"INC-1:p:s:{level}", "p", "s", level, at(now), "duty-team", "level-ahead", level=level)
        variables = replace(situation("no level yet", "level-ahead"), step=step).variables("en", "Li")
        message = BOOK.render("level-ahead", "en", variables)
        assert message.subject == f"[Level {level} at 2013-06-23 {reached_at}] Core banking in Guangdong"
        assert len(events) == 1


def test_nothing_is_announced_above_the_worst_level() -> None:
    assert "Level I is the worst." in read("duty-notice", "en", "level I without a next level").body
    assert "已是最高级别" in read("duty-notice", "zh-CN", "level I without a next level").body


def test_an_article_is_cited_as_the_readers_language_writes_it() -> None:
    assert "Art. 9(3)2" in read("duty-notice", "en", "level III with a next level").body
    chinese = read("duty-notice", "zh-CN", "level III with a next level").body
    assert "第9条（3）2" in chinese
    assert "Art." not in chinese


def test_customers_are_told_an_estimate_if_there_is_one() -> None:
    assert "by 14:45 on 23 June 2013" in read("customers-acknowledge", "en", "level II with an estimate").body
    assert "cannot say yet" in read("customers-acknowledge", "en", "level III with a next level").body
    assert "预计2013年6月23日14:45" in read("customers-acknowledge", "zh-CN", "level II with an estimate").body
    assert "尚不能确定" in read("customers-acknowledge", "zh-CN", "level III with a next level").body


def test_customers_are_told_how_long_it_took() -> None:
    assert "55 minutes in all" in read("customers-resolved", "en", "restored").body
    assert "历时55分钟" in read("customers-resolved", "zh-CN", "restored").body


def test_the_report_names_what_is_known() -> None:
    body = read("first-report", "en", "with notes").body
    assert "Cloudsail Bank" in body
    assert "- Note: 主库日志卷写满" in body
    assert "35 minutes so far" in body
    assert "not yet estimated" in body


def test_what_was_overdue_when_we_heard_of_it_says_so() -> None:
    assert "already overdue when" in read("first-report-overdue", "en", "overdue already at detection").body
    assert "获知中断时期限已过" in read("first-report-overdue", "zh-CN", "overdue already at detection").body
    assert "already overdue when" not in read("first-report-overdue", "en", "level I without a next level").body


def test_regions_and_services_are_joined_as_the_language_joins_them() -> None:
    assert "Guangdong and Hunan" in read("customers-acknowledge", "en", "level II with an estimate").subject
    assert "广东和湖南" in read("customers-acknowledge", "zh-CN", "level II with an estimate").subject


# The messages of all shipped playbooks, in the situations in which `check` tries them.


PLAYBOOKS = sorted(path.stem for path in (RULES / "playbooks").glob("*.yaml"))
PACKS = ["cn-cbrc-2008", "eu-dora-2024"]
NEEDS = {
    name: (step, use)
    for path in (RULES / "playbooks").glob("*.yaml")
    for step in reversed(parse_playbook(load_file(path).data).steps)
    for use, name in reversed(list(uses(step)))
}
"""Every template with a step that needs it, and what for."""
TO_CUSTOMERS = sorted(name for name, (step, _) in NEEDS.items() if step.audience == "customers" and name in TEMPLATES)
TO_CUSTOMERS = [name for name in TO_CUSTOMERS if name.startswith("customers-")]
BOOK = rulebook().messages
NEXT_UPDATE = at("12:35")
SINCE = at("10:35")


def forms_of(names: Iterable[str]) -> list[tuple[str, str, MessageForm]]:
    return [(name, locale, form) for name in names for locale in LOCALES for form in BOOK.forms(name, locale)]


def sampled(
    template: str, locale: str, form: MessageForm = MessageForm.LONG, use: Use | None = None, **changed: Any
) -> Message:
    """Return a template in the fullest sample situation, with this bank's own words, after some changes."""
    step, first_use = NEEDS[template]
    variables = sample(step, use or first_use) | {"bank": bank_context(settings()).variables(locale)}
    for name, parts in changed.items():
        known = variables[name]
        variables[name] = {**known, **parts} if isinstance(known, dict) and isinstance(parts, dict) else parts
    return BOOK.render(template, locale, variables, form)


def text_of(message: Message) -> str:
    return f"{message.subject}\n{message.body}"


def test_all_playbooks_can_be_chosen_together() -> None:
    environment = {
        PREFIX + "PLAYBOOKS": json.dumps(PLAYBOOKS),
        PREFIX + "GRADING": json.dumps({"packs": PACKS, "primary": PACKS[0]}),
    }
    chosen = load_rulebook(load_settings(CONFIG, environment), CONFIG)
    assert len(chosen.playbooks) == len(PLAYBOOKS)


def test_a_template_that_every_playbook_needs_is_missed_once(tmp_path: Path) -> None:
    shutil.copytree(RULES, tmp_path / "rules")
    for locale in LOCALES:
        (tmp_path / "rules" / "messages" / locale / "handover.md.j2").unlink()
    chosen = load_settings(CONFIG, {PREFIX + "RULES": json.dumps({"directory": str(tmp_path / "rules")})})
    with pytest.raises(InvalidFilesError) as refused:
        load_rulebook(chosen, CONFIG)
    (finding,) = refused.value.findings
    assert "no template 'handover'" in str(finding)


def test_the_handbook_names_every_variable_and_template() -> None:
    handbook = (SHIPPED / "docs" / "playbooks.md").read_text(encoding="utf-8")
    variables = {f"{name}.{part}" for name, parts in VARIABLES.items() for part in parts}
    variables |= {name for name, parts in VARIABLES.items() if not parts}
    assert {name for name in variables | set(TEMPLATES) if f"`{name}`" not in handbook} == set()


def test_no_template_is_left_that_nobody_needs() -> None:
    assert set(NEEDS) == set(TEMPLATES)


@pytest.mark.parametrize(("template", "locale", "form"), forms_of(TEMPLATES))
def test_every_message_can_be_read_in_every_sample_situation(template: str, locale: str, form: MessageForm) -> None:
    step, use = NEEDS[template]
    for _, variables in situations(step, use, level_based=True):
        message = BOOK.render(template, locale, variables, form)
        text = text_of(message)
        assert not re.search(r"None|datetime|\{\{|\{%|timedelta|\+00:00|\[\]|。。|，，|\.\.", text), text
        assert message.subject.strip()
        assert message.body.strip()
        if form is MessageForm.SHORT:
            assert "\n" not in message.body.strip()


@pytest.mark.parametrize(("template", "locale"), [(name, locale) for name in NEEDS for locale in LOCALES])
def test_whatever_can_go_to_a_telephone_has_a_short_form(template: str, locale: str) -> None:
    older = ("duty-", "first-report")  # their subjects say it all
    assert template.startswith(older) or MessageForm.SHORT in BOOK.forms(template, locale)


@pytest.mark.parametrize(("template", "locale", "form"), forms_of(TO_CUSTOMERS))
def test_customers_read_no_level_no_regulation_and_no_number(template: str, locale: str, form: MessageForm) -> None:
    step, use = NEEDS[template]
    forbidden = ("III", "Art.", "evel ", "级", "第9条", "条（", "20130623", "监管", "regulat", "our rules", "规定")
    for _, variables in situations(step, use):
        text = text_of(BOOK.render(template, locale, variables, form))
        assert [word for word in forbidden if word in text] == []


@pytest.mark.parametrize(("template", "locale", "form"), forms_of(TO_CUSTOMERS))
def test_customers_read_no_cause_and_no_blame(template: str, locale: str, form: MessageForm) -> None:
    text = text_of(sampled(template, locale, form, incident={"notes": ["供应商的磁盘"], "plan_failures": ["A: disk"]}))
    assert not re.search(r"供应商|disk|原因是|责任|fault|caused by (?!this outage)|our system", text)


@pytest.mark.parametrize(("template", "locale", "form"), forms_of(TO_CUSTOMERS))
def test_customers_are_told_when_they_hear_again(template: str, locale: str, form: MessageForm) -> None:
    text = sampled(template, locale, form, next_update_at=NEXT_UPDATE).body
    assert format_instant(NEXT_UPDATE, locale, CHINA) in text or "2013-06-23 12:35" in text
    assert "12:35" not in sampled(template, locale, form, next_update_at=None, incident={"recovery_at": None}).body


SECONDS = timedelta(seconds=52)


@pytest.mark.parametrize(("template", "locale", "form"), forms_of(TO_CUSTOMERS))
def test_words_to_customers_have_no_seconds_and_no_promise_moves_later(
    template: str, locale: str, form: MessageForm
) -> None:
    incident = {"occurred_at": at("10:35") + SECONDS, "recovery_at": at("15:30") + SECONDS, "duration": 45 * SECONDS}
    text = text_of(sampled(template, locale, form, next_update_at=NEXT_UPDATE + SECONDS, incident=incident))
    assert not re.search(r"\d:\d\d:\d\d|\d seconds?|秒", text)
    assert "12:36" not in text
    assert "15:31" not in text
    if template != "customers-lessons":
        assert "12:35" in text


@pytest.mark.parametrize(
    ("length", "english", "chinese"),
    [
        (timedelta(seconds=59), "less than a minute", "不到1分钟"),
        (timedelta(seconds=60), "1 minute", "1分钟"),
        (timedelta(minutes=39, seconds=59), "39 minutes", "39分钟"),
        (timedelta(days=1, hours=2, seconds=1), "1 day 2 hours", "1天2小时"),
    ],
)
def test_a_message_gives_lengths_of_time_in_full_minutes(length: timedelta, english: str, chinese: str) -> None:
    assert [format_minutes(length, locale) for locale in ("en", "zh-CN")] == [english, chinese]


@pytest.mark.parametrize(
    ("deadline", "english", "chinese", "short"),
    [
        ("2013-06-29T00:00:00", "the end of 28 June 2013 (UTC+08:00)", "2013年6月28日24:00", "2013-06-28 24:00"),
        ("2014-01-01T00:00:00", "the end of 31 December 2013 (UTC+08:00)", "2013年12月31日24:00", "2013-12-31 24:00"),
        ("2013-06-28T23:59:00", "23:59 on 28 June 2013 (UTC+08:00)", "2013年6月28日23:59", "2013-06-28 23:59"),
    ],
)
def test_a_deadline_at_midnight_is_said_as_the_end_of_the_day(
    deadline: str, english: str, chinese: str, short: str
) -> None:
    due_at = datetime.fromisoformat(deadline).replace(tzinfo=CHINA).astimezone(UTC)
    assert [format_deadline(due_at, locale, CHINA) for locale in ("en", "zh-CN")] == [english, chinese]
    assert format_local_deadline(due_at, CHINA) == short


@pytest.mark.parametrize("path", [path for path in (SHIPPED / "rules").rglob("*.*") if path.suffix in (".j2", ".yaml")])
def test_no_shipped_text_says_a_deadline_as_an_ordinary_instant(path: Path) -> None:
    assert re.findall(r"(?:deadline|due_at)[ )]*\| *(?:instant|local)\b", path.read_text("utf-8")) == []


@pytest.mark.parametrize(("template", "locale"), [(name, locale) for name in TO_CUSTOMERS for locale in LOCALES])
def test_customers_are_told_whom_to_call(template: str, locale: str) -> None:
    for form in (MessageForm.LONG, MessageForm.WEB):
        assert "95000" in sampled(template, locale, form).body
    assert "95000" not in sampled(template, locale, bank={"hotline": None, "compensation": None}).body


@pytest.mark.parametrize(("template", "locale"), [(name, locale) for name in TO_CUSTOMERS for locale in LOCALES])
def test_a_text_message_to_customers_is_short(template: str, locale: str) -> None:
    harmed = {"has_outage": False, "harms": ["A: b"]}
    for known in ({}, {"restored_at": at("11:35")}, {"recovery_at": None}, harmed):
        for next_update_at in (NEXT_UPDATE, None):
            message = sampled(template, locale, MessageForm.SHORT, incident=known, next_update_at=next_update_at)
            assert message.sms_parts <= 4, message.body


DURING = ["customers-acknowledge", "customers-progress", "customers-escalated", "customers-delay"]


@pytest.mark.parametrize("template", DURING)
@pytest.mark.parametrize(("locale", "promise"), [("en", "remain protected"), ("zh-CN", "仍受保护")])
def test_that_money_and_data_are_safe_is_said_only_of_an_outage(template: str, locale: str, promise: str) -> None:
    assert promise in sampled(template, locale).body
    for form in BOOK.forms(template, locale):
        assert promise not in sampled(template, locale, form, incident={"harms": ["A: a leak"]}).body
        assert promise not in sampled(template, locale, form, incident={"has_outage": False}).body


@pytest.mark.parametrize("template", TO_CUSTOMERS)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_worst_level_asks_for_a_stronger_apology(template: str, locale: str) -> None:
    ordinary = sampled(template, locale, current={"is_worst": False}).body
    assert sampled(template, locale, current={"is_worst": True}).body != ordinary
    assert sampled(template, locale, current=None).body == ordinary


FORMER, NEW = at("11:00"), at("15:00")


def test_an_estimate_that_did_not_hold_is_admitted() -> None:
    moved = {"previous_recovery_at": FORMER, "recovery_at": NEW}
    english = sampled("customers-delay", "en", incident=moved).body
    assert "to be back by 11:00 on 23 June 2013 (UTC+08:00). We have not kept to that time" in english
    assert "We now expect to be back **by 15:00 on 23 June 2013" in english
    chinese = sampled("customers-delay", "zh-CN", incident=moved).body
    assert "预计2013年6月23日11:00前恢复。我们没有做到" in chinese
    assert "现在预计**2013年6月23日15:00前**恢复" in chinese


def test_without_a_new_estimate_none_is_promised() -> None:
    passed = {"previous_recovery_at": None, "recovery_at": FORMER}
    english = sampled("customers-delay", "en", incident=passed).body
    assert "to be back by 11:00" in english
    assert "We have no new time to give you yet" in english
    assert "我们现在还给不出来" in sampled("customers-delay", "zh-CN", incident=passed).body


def test_what_is_made_good_is_the_banks_published_standard() -> None:
    assert "We bear fees, late charges and lost interest" in sampled("customers-make-good", "en").body
    bare = sampled("customers-make-good", "en", bank={"compensation": None}).body
    assert "shall not be left with the loss" not in bare
    assert "we look into each and put it right" in bare


def test_lessons_are_told_as_customers_may_read_them_and_honestly_if_there_are_none() -> None:
    learned = {"lessons": ["log volume full, no alarm"], "customer_lessons": ["两地备份每月演练"]}
    told = sampled("customers-lessons", "zh-CN", incident=learned).body
    assert "- 两地备份每月演练" in told
    assert "log volume" not in told
    for locale, honest in (("zh-CN", "还没有可以向您交代的结论"), ("en", "nothing yet that we could put before you")):
        assert honest in sampled("customers-lessons", locale, incident={"customer_lessons": []}).body


# Those who are paged.

UNANSWERED = {"round": 1, "tier": 0, "since": SINCE, "waited": timedelta(minutes=20)}


def test_a_page_says_how_to_answer() -> None:
    links = {"acknowledge": "https://bank.example/do/1", "approve": "https://bank.example/do/2"}
    for form in (MessageForm.LONG, MessageForm.SHORT):
        assert "https://bank.example/do/1" in sampled("page", "en", form, links=links).body
        assert "https://bank.example/do/2" not in sampled("page", "en", form, links=links).body
    bare = sampled("page", "en", links=None).body
    assert "incident-engine step acknowledge 20130623-banking-00000000:playbook:step:1 --by NAME" in bare


def test_a_page_that_nobody_answers_says_since_when_and_in_which_round() -> None:
    english = sampled("page", "en", escalation=UNANSWERED)
    assert english.subject.startswith("[NO ANSWER since 10:35 on 23 June 2013 (UTC+08:00), round 1]")
    assert "In 20 minutes nobody has acknowledged it" in english.body
    assert "Your team has not answered" in english.body
    chinese = sampled("page", "zh-CN", escalation=UNANSWERED)
    assert chinese.subject.startswith("【无人应答：自2013年6月23日10:35起，第1轮】")
    assert "您所在的小组没有应答" in chinese.body


def test_a_page_tells_the_next_tier_that_the_team_before_did_not_answer() -> None:
    told = UNANSWERED | {"tier": 1}
    assert "The team paged before you did not answer" in sampled("page", "en", escalation=told).body
    assert "此前呼叫的小组没有应答" in sampled("page", "zh-CN", escalation=told).body
    assert "The team before you did not answer" in sampled("page", "en", MessageForm.SHORT, escalation=told).body
    assert "前一小组未应答" in sampled("page", "zh-CN", MessageForm.SHORT, escalation=told).body


def test_a_page_grows_louder_with_the_second_round() -> None:
    again = UNANSWERED | {"round": 2}
    assert sampled("page", "en", escalation=again).subject.startswith("[URGENT: STILL NO ANSWER")
    assert sampled("page", "zh-CN", escalation=again).subject.startswith("【紧急：第2轮仍无人应答")
    assert "URGENT, round 2" in sampled("page", "en", MessageForm.SHORT, escalation=again).body
    assert "URGENT" not in sampled("page", "en", escalation=UNANSWERED).subject


# Those who approve, report and do.

DRAFTS = [
    {"locale": "zh-CN", "subject": "致歉", "body": "尊敬的客户：……"},
    {"locale": "en", "subject": "An apology", "body": "Dear customers, …"},
]


def test_whoever_approves_reads_every_draft_the_deadline_and_that_nothing_goes_out_before() -> None:
    asked: dict[str, Any] = {"drafts": DRAFTS, "deadline": at("12:00"), "links": None, "escalation": None}
    english = sampled("approval-request", "en", **asked)
    for words in ("致歉", "尊敬的客户", "An apology", "Dear customers", "by 12:00 on 23 June 2013", "nothing goes out"):
        assert words in english.body
    assert "incident-engine step approve 20130623-banking-00000000:playbook:step:1 --by NAME" in english.body
    assert "一律不发出" in sampled("approval-request", "zh-CN", **asked).body
    assert "一律不发出" in sampled("approval-request", "zh-CN", MessageForm.SHORT, **asked).body


def test_an_approval_that_is_waited_for_says_how_long() -> None:
    waited: dict[str, Any] = {"drafts": DRAFTS, "escalation": UNANSWERED | {"tier": 1}}
    english = sampled("approval-request", "en", **waited)
    assert english.subject.startswith("[Waiting 20 minutes for approval]")
    assert "the decision is yours" in english.body
    assert sampled("approval-request", "zh-CN", **waited).subject.startswith("【待批准已20分钟】")


def test_whoever_takes_a_step_over_reads_from_whom_and_why() -> None:
    given = {"by": "王敏", "reason": "换班", "at": SINCE}
    english = sampled("handover", "en", use=Use.HANDOVER, handover=given, drafts=[])
    assert "王敏 handed this over to you at 10:35 on 23 June 2013 (UTC+08:00), because: 换班" in english.body
    assert "From now on it is yours" in english.body
    silent = sampled("handover", "zh-CN", use=Use.HANDOVER, handover=given | {"reason": None}, drafts=[])
    assert "王敏于2013年6月23日10:35将下列事项转交给您。" in silent.body


def test_a_report_is_asked_for_with_what_is_missing_and_how_to_record_it() -> None:
    body = sampled("report-due", "en").body
    for words in (
        "due by **11:35 on 23 June 2013",
        "Addressee: regulator",
        "**2 required fields are**",
        "report.written",
    ):
        assert words in body
    assert "incident-engine step complete 20130623-banking-00000000:playbook:step:1 --by NAME" in body
    assert "**2处**" in sampled("report-due", "zh-CN").body


def test_that_partners_were_not_told_in_time_is_said_without_a_report() -> None:
    for locale in LOCALES:
        told = sampled("report-overdue", locale, report=None, level=None, current=None)
        assert "11:35" in told.subject
        assert "report.written" not in told.body


def test_a_task_names_who_asks_why_and_by_when() -> None:
    task = {"title": "补充备库演练", "by": "陈总", "reason": "切换超时", "due_at": at("2013-06-30 18:00")}
    for locale in LOCALES:
        body = sampled("task", locale, task=task).body
        assert all(words in body for words in ("补充备库演练", "陈总", "切换超时", "18:00"))
    assert "no date" in sampled("task", "en", task=task | {"due_at": None}).body


def test_staff_are_told_what_to_tell_customers_and_not_the_level() -> None:
    for template, locale, words in (
        ("staff-notice", "en", "**Say**"),
        ("staff-notice", "zh-CN", "**请这样说**"),
        ("staff-resolved", "en", "**Say**"),
        ("staff-resolved", "zh-CN", "**请这样说**"),
    ):
        body = sampled(template, locale).body
        assert words in body
        assert "III" not in body


@pytest.mark.parametrize("template", ["institutions-notice", "institutions-resolved", "suppliers-notice"])
@pytest.mark.parametrize("locale", LOCALES)
def test_outsiders_read_neither_the_level_nor_the_regulation(template: str, locale: str) -> None:
    text = text_of(sampled(template, locale))
    assert [word for word in ("III", "Art.", "级", "level", "监管", "条(") if word in text] == []


# Wrong templates.


def problems(text: str) -> list[Problem]:
    return list(template_problems("Subject\n\n" + text))


@pytest.mark.parametrize(
    ("text", "line", "message", "nearest"),
    [
        ("{{ incidnt.id }}", 3, "unknown variable 'incidnt'", "incident"),
        ("\n{{ incident.servics | names }}", 4, "'incident' has no 'servics'", "services"),
        ("{{ level.nam }}", 3, "'level' has no 'nam'", "name"),
        ("a\nb\n{{ obligation.due }}", 5, "'obligation' has no 'due'", "due_at"),
        ("{% if nxt %}x{% endif %}", 3, "unknown variable 'nxt'", "next"),
        ("{% for note in incident.note %}{{ note }}{% endfor %}", 3, "'incident' has no 'note'", "notes"),
        ("{{ now.year }}", 3, "'now' has no 'year'", ""),
    ],
)
def test_an_unknown_variable_is_named_with_line_and_nearest(text: str, line: int, message: str, nearest: str) -> None:
    (found,) = problems(text)
    assert (found.path, found.message, found.nearest) == ((line,), message, nearest)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{ level.id", 3),
        ("\n{% if next %}", 4),
        ("{% include 'x' %}{% endif %}", 3),
    ],
)
def test_a_template_that_cannot_be_read_is_named_with_its_line(text: str, line: int) -> None:
    (found,) = problems(text)
    assert found.path == (line,)
    assert found.message.startswith("not a valid template: ")


def test_an_unknown_filter_is_named_with_its_line_and_the_nearest() -> None:
    (found,) = problems("\n\n{{ level.id | instnt }}")
    assert (found.path, found.message, found.nearest) == ((5,), "unknown filter 'instnt'", "instant")


@pytest.mark.parametrize("source", ["", "Subject", "Subject\n", "Subject\nText", "Subject\nText\n\nMore"])
def test_a_template_begins_with_a_subject_and_an_empty_line(source: str) -> None:
    assert [found.message for found in template_problems(source)] == ["no subject"]


def test_a_variable_of_a_loop_is_no_unknown_one() -> None:
    assert problems("{% for word in incident.notes %}{{ word }}{% endfor %}{% set x = level %}{{ x.id }}") == []


@pytest.mark.parametrize("text", ["{{ ''.__class__.__mro__ }}", "{{ incident.services.append('x') }}"])
def test_a_template_cannot_leave_its_sandbox(text: str) -> None:
    from jinja2 import TemplateError

    book = MessageBook({(locale, "t"): f"S\n\n{text}" for locale in LOCALES}, CHINA)
    with pytest.raises(TemplateError):
        book.render("t", "en", {"incident": {"services": ["a"]}})


def step_with(template: str, on: dict[str, Any]) -> StepTemplate:
    return StepTemplate.model_validate({"id": "it", "on": on, "audience": "a", "template": template})


LEVEL, RESTORED = {"level_reached": ["III"]}, {"restored": True}
REPORT = {"obligation": {"id": "first-report", "when": "applies"}}


@pytest.mark.parametrize(
    ("text", "on", "fails"),
    [
        ("{{ next.id }}", LEVEL, True),  # nothing comes after the worst level
        ("{% if next %}{{ next.id }}{% endif %}", LEVEL, False),
        ("{{ incident.recovery_at | instant }}", LEVEL, True),  # nobody has estimated yet
        ("{{ incident.restored_at | instant }}", LEVEL, True),
        ("{{ incident.restored_at | instant }}", RESTORED, False),
        ("{{ obligation.due_at | instant }}", LEVEL, True),
        ("{{ obligation.due_at | instant }}", REPORT, False),
        ("{{ incident.occurred_at | duration }}", LEVEL, True),  # a filter for another kind of value
    ],
)
def test_a_template_that_fails_in_some_situation_of_its_step_is_found_beforehand(
    text: str, on: dict[str, Any], fails: bool
) -> None:
    book = MessageBook({(locale, "t"): f"S\n\n\n{text}" for locale in LOCALES}, CHINA)
    found = list(failures(step_with("t", on), "en", book))
    assert bool(found) is fails
    assert {problem.path for problem in found} <= {(4,)}


def test_a_template_exists_only_if_it_does_in_every_language() -> None:
    book = MessageBook({("en", "a"): "S\n\nx", ("zh-CN", "a"): "S\n\nx", ("en", "b"): "S\n\nx"}, CHINA)
    assert book.names() == {"a"}
    with pytest.raises(KeyError):
        book.render("b", "zh-CN", {})


# Instants, durations, lists.

NOON_UTC = datetime(2013, 6, 23, 4, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("locale", "zone", "expected"),
    [
        ("en", "Asia/Shanghai", "12:00:05 on 23 June 2013 (UTC+08:00)"),
        ("zh-CN", "Asia/Shanghai", "2013年6月23日12:00:05"),
        ("en", "Europe/Berlin", "06:00:05 on 23 June 2013 (UTC+02:00)"),
        ("zh-CN", "Europe/Berlin", "2013年6月23日06:00:05"),
    ],
)
def test_an_instant_is_told_in_the_banks_zone_and_the_readers_language(locale: str, zone: str, expected: str) -> None:
    assert format_instant(NOON_UTC, locale, ZoneInfo(zone)) == expected


@pytest.mark.parametrize(
    ("length", "english", "chinese"),
    [
        (timedelta(0), "0 seconds", "0 秒"),
        (timedelta(seconds=1), "1 second", "1秒钟"),
        (timedelta(seconds=59), "59 seconds", "59秒钟"),
        (timedelta(minutes=1), "1 minute", "1分钟"),
        (timedelta(minutes=59, seconds=59), "59 minutes 59 seconds", "59分钟59秒钟"),
        (timedelta(hours=1), "1 hour", "1小时"),
        (timedelta(hours=4, minutes=10), "4 hours 10 minutes", "4小时10分钟"),
        (timedelta(hours=1, seconds=30), "1 hour", "1小时"),
        (timedelta(hours=23, minutes=59), "23 hours 59 minutes", "23小时59分钟"),
        (timedelta(days=1), "1 day", "1天"),
        (timedelta(days=45, hours=2), "45 days 2 hours", "45天2小时"),
        (timedelta(days=400), "400 days", "400天"),
    ],
)
def test_a_length_of_time_is_told_in_the_readers_language(length: timedelta, english: str, chinese: str) -> None:
    assert format_duration(length, "en") == english
    assert format_duration(length, "zh-CN").replace("秒钟", "秒") == chinese.replace("秒钟", "秒")


@pytest.mark.parametrize(
    ("names", "english", "chinese"),
    [
        ([], "—", "—"),
        (["A"], "A", "A"),
        (["A", "B"], "A and B", "A和B"),
        (["A", "B", "C"], "A, B, and C", "A、B和C"),
    ],
)
def test_names_are_joined_in_the_readers_language(names: list[str], english: str, chinese: str) -> None:
    assert format_names(names, "en") == english
    assert format_names(names, "zh-CN") == chinese


def test_a_service_that_the_configuration_no_longer_has_is_called_by_its_id() -> None:
    known = situation("restored", "duty-notice")
    bare = MessageContext(known.bank, {}, known.incident, known.packs, known.assessments, known.step, known.now)
    variables: dict[str, Any] = bare.variables("en", "x")
    assert variables["incident"]["services"] == ["core-banking"]


def test_a_message_that_is_too_long_is_refused_and_a_loop_comes_to_an_end() -> None:
    looped = "S\n\n{% for a in incident.notes %}{% for b in incident.notes %}xxxxxxxxxx{% endfor %}{% endfor %}\n"
    book = MessageBook({(locale, "t"): looped for locale in LOCALES}, CHINA)
    with pytest.raises(TemplateTooLongError, match="longer than 60000 characters"):
        book.render("t", "en", {"incident": {"notes": ["n"] * 200}})


@pytest.mark.parametrize(
    "source",
    [
        "{{ bank.name.rjust(1000000000) }}",
        "{{ bank.name * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 9 ** 99999999 }}",
    ],
)
def test_a_template_cannot_grow_what_it_was_given(source: str) -> None:
    book = MessageBook({(locale, "t"): f"S\n\n{source}\n" for locale in LOCALES}, CHINA)
    with pytest.raises(SecurityError):
        book.render("t", "en", {"bank": {"name": "B"}})


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1|round(99999999,'ceil') }}", "{{ 1|round(-99999999) }}", "{{ 1|round(13) }}", "{{ 2 ** 9 }}",
        "{{ 1000000000 * 1000000000 }}", "{{ 1000000000000000 + 1 }}", "{{ -1000000000000000 - 1 }}",
        "{{ 1e300 / 1e-300 }}", "{{ '9999999999999999999'|int }}", "{{ 9999999999999999999|int }}", "{{ 1e99|number }}",
        "{{ 'a' * 99999999 }}", "{{ [1] * 99999999 }}", "{{ '%99999999d' % 1 }}", "{{ 10000000000000000 // 1 }}",
        "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a + a %}" * 40, "{{ 'x' * 3 }}",
        "{{ ('y'|list)|join('" + "x" * 60_001 + "') }}",
    ],
)  # fmt: skip
def test_a_template_cannot_compute_with_numbers_or_texts_without_bound(source: str) -> None:
    started = time.monotonic()
    with pytest.raises(SecurityError):
        sandbox("en", None).from_string(source).render()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 1.256|round(2) }} {{ 1.2|round(0, 'ceil')|int }}", "1.26 2"),
        ("{{ '12'|int + 3 - 1 }} {{ 7 // 2 }} {{ 7 % 2 }} {{ 6 / 4 }} {{ 6 * 7 }}", "14 3 1 1.5 42"),
        ("{{ 'ff'|int(0, 16) }} {{ 'x'|int(5) }}", "255 5"),
        ("{{ 'a' + 'b' }} {{ [1, 2]|join('-') }} {{ ([1] + [2])|join }}", "ab 1-2 12"),
        ("{{ 999999999999999|number }}", "999,999,999,999,999"),
    ],
)
def test_a_template_computes_with_ordinary_numbers_and_texts(source: str, text: str) -> None:
    assert sandbox("en", None).from_string(source).render() == text


@pytest.mark.parametrize("source", ["{{ " + "9" * 5_000 + " }}", "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}"])
def test_a_template_that_cannot_be_read_is_a_problem_and_no_crash(source: str) -> None:
    (problem,) = source_problems(source, {})
    assert problem.message.startswith("not a valid template")
