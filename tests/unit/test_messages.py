"""Messages: every shipped template in both languages, and what is said of a wrong one."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.build import (
    CHINA,
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

from incident_engine.errors import Problem
from incident_engine.facts.events import Recorded
from incident_engine.response.messages import (
    LOCALES,
    Message,
    MessageBook,
    spell_duration,
    spell_instant,
    spell_names,
    template_problems,
)
from incident_engine.response.plan import Step, plan
from incident_engine.response.playbook import StepTemplate
from incident_engine.response.reader import Situation
from incident_engine.response.samples import failures

TEMPLATES = sorted({path.name.removesuffix(".md.j2") for path in (RULES / "messages").rglob("*.md.j2")})
CORRECTED = {
    level: recorded("level.corrected", "11:08", data={"level": level, "by": "李", "reason": "探针误报"})
    for level in ("II", None)
}
ESTIMATE = recorded("recovery.estimated", "11:00", data={"recovery_at": at("14:45")})
BEGAN = started("10:35", "CN-GD", "CN-HN")  # II at 11:05, I at 13:35

# Each with the instant at which it is read.
SITUATIONS: dict[str, tuple[str, tuple[Recorded, ...]]] = {
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


def situation(name: str, template: str) -> Situation:
    now, events = SITUATIONS[name]
    known, found = incident(*events), verdict(now, *events)
    wanted = plan(known, [found], rulebook().playbooks, at(now))
    step = next((s for s in reversed(wanted) if s.template == template and s.due_at <= at(now)), None)
    return Situation(
        bank_name=settings().bank.name,
        service_names=settings().service_names,
        incident=known,
        assessment=found,
        pack=cbrc(),
        step=step or Step("INC-1:p:s:1", "p", "s", "1", at(now), "duty-team", template),
        now=at(now),
    )


def read(template: str, locale: str, name: str) -> Message:
    variables = situation(name, template).variables(locale, "王敏")
    return rulebook().messages.render(template, locale, variables)


LIFTED = "corrected below the lowest level"


def can_begin(template: str, name: str) -> bool:
    """Return whether a message may have to be written: of a correction only after one, of a report if it is owed."""
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
    assert "due 11:35 on 23 June 2013 (UTC+08:00)" in english.body
    chinese = read("duty-notice", "zh-CN", "level III with a next level")
    assert "III级（较大）" in chinese.body
    assert "2013年6月23日11:05" in chinese.body
    assert "将于2013年6月23日13:35升为II级（重大）" in chinese.body


def test_nothing_is_announced_above_the_worst_level() -> None:
    assert "Level I is the worst." in read("duty-notice", "en", "level I without a next level").body
    assert "已是最高级别" in read("duty-notice", "zh-CN", "level I without a next level").body


def test_an_article_is_cited_as_the_readers_language_writes_it() -> None:
    assert "Art. 9(3)2" in read("duty-notice", "en", "level III with a next level").body
    chinese = read("duty-notice", "zh-CN", "level III with a next level").body
    assert "第9条(3)2" in chinese
    assert "Art." not in chinese


def test_customers_are_told_an_estimate_if_there_is_one() -> None:
    assert "by 14:45 on 23 June 2013" in read("customers-acknowledge", "en", "level II with an estimate").body
    assert "cannot say yet" in read("customers-acknowledge", "en", "level III with a next level").body
    assert "预计2013年6月23日14:45" in read("customers-acknowledge", "zh-CN", "level II with an estimate").body
    assert "尚不能确定" in read("customers-acknowledge", "zh-CN", "level III with a next level").body


def test_customers_read_no_level_and_no_regulation() -> None:
    for template in ("customers-acknowledge", "customers-resolved"):
        for locale in LOCALES:
            text = read(template, locale, "restored").body
            assert all(word not in text for word in ("III", "Art.", "第9条", "INC-1", "监管"))


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
        ("\n\n{{ level.id | instnt }}", 5),
        ("{% include 'x' %}{% endif %}", 3),
    ],
)
def test_a_template_that_cannot_be_read_is_named_with_its_line(text: str, line: int) -> None:
    (found,) = problems(text)
    assert found.path == (line,)
    assert found.message.startswith("not a valid template: ")


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
    assert spell_instant(NOON_UTC, locale, ZoneInfo(zone)) == expected


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
    assert spell_duration(length, "en") == english
    assert spell_duration(length, "zh-CN").replace("秒钟", "秒") == chinese.replace("秒钟", "秒")


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
    assert spell_names(names, "en") == english
    assert spell_names(names, "zh-CN") == chinese


def test_a_service_that_the_configuration_no_longer_has_is_called_by_its_id() -> None:
    known = situation("restored", "duty-notice")
    bare = Situation(known.bank_name, {}, known.incident, known.assessment, known.pack, known.step, known.now)
    variables: dict[str, Any] = bare.variables("en", "x")
    assert variables["incident"]["services"] == ["core-banking"]
