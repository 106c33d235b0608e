"""The parts of a drill: a clock that stands still, marks on messages, and which step a short name means."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.builders import at, closed, restored, started

from incident_engine.common.clock import SteppedClock
from incident_engine.config.scenario import ScenarioEvent
from incident_engine.delivery.digest import digest_of
from incident_engine.domain.messages.drill_marks import marked, marked_wording
from incident_engine.domain.messages.templates import Message, MessageForm
from incident_engine.domain.response.incident_view import PlanSettings
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.playbook import parse_playbook
from incident_engine.drills.feeder import step_id_of
from incident_engine.drills.runner import parse_speed
from incident_engine.store.claims import ClaimedDelivery

START = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)


def test_a_stepped_clock_stands_still_and_goes_on_when_told() -> None:
    clock = SteppedClock(START)
    assert clock.now() == clock.now() == START
    clock.advance_to(START + timedelta(hours=3))
    assert clock.now() == START + timedelta(hours=3)
    assert clock.now().tzinfo is UTC


def test_a_stepped_clock_does_not_go_back() -> None:
    clock = SteppedClock(START)
    clock.advance_to(START)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance_to(START - timedelta(microseconds=1))


def test_waiting_does_not_bring_a_stepped_clock_on() -> None:
    clock, real = SteppedClock(START), datetime.now(UTC)
    assert clock.real_time_of(START) - real < timedelta(minutes=1)
    assert clock.real_time_of(START + timedelta(seconds=1)) - real > timedelta(days=365)


@pytest.mark.parametrize(
    ("text", "speed"), [("max", None), ("live", 1), ("600x", 600), ("600", 600), ("1.5x", 1.5), ("3600", 3600)]
)
def test_a_speed_is_spelled_in_these_ways(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "0", "0.5", "3601x", "fast", "x", "-1", "1xx", "nan", "inf"])
def test_other_speeds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^" + text.replace("-", "\\-")):
        parse_speed(text)


def row(step: str, instance: str, state: str, due: int, parent_id: str | None = None) -> dict[str, Any]:
    due_at = (START + timedelta(minutes=due)).isoformat()
    return {
        "id": f"INC:book:{step}:{instance}",
        "step": step,
        "instance": instance,
        "state": state,
        "due_at": due_at,
        "parent_id": parent_id,
    }


ROWS = [
    row("page", "III", "completed", 30),
    row("page", "III~1.1", "completed", 35, "INC:book:page:III"),
    row("page", "II", "started", 75),
    row("page", "II~1.1", "pending", 80, "INC:book:page:II"),
    row("page", "I", "pending", 225),
    row("words", "20130623T023500Z", "awaiting", 40),
    row("gone", "I", "withdrawn", 10),
]


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("page", "page:II"),  # the one that waits for an answer
        ("page/III", "page:III"),
        ("page/I", "page:I"),
        ("page/II~1.1", "page:II~1.1"),
        ("words", "words:20130623T023500Z"),
        ("gone", None),
        ("pages", None),
        ("page/IV", None),
    ],
)
def test_a_short_name_means_the_step_that_waits_now(name: str, instance: str | None) -> None:
    assert step_id_of(name, ROWS) == (instance and f"INC:book:{instance}")


def test_if_none_waits_the_next_is_meant_and_then_the_last() -> None:
    assert step_id_of("page", [ROWS[0], ROWS[4]]) == "INC:book:page:I"
    assert step_id_of("page", ROWS[:2]) == "INC:book:page:III"


@pytest.mark.parametrize(
    ("locale", "subject", "body"),
    [
        ("zh-CN", "【演练】标题", "【演练】这是一次应急演练，没有发生真实事件。\n\n正文\n"),
        ("en", "[DRILL] 标题", "[DRILL] This is an exercise; nothing has really happened.\n\n正文\n"),
    ],
)
def test_a_message_of_a_drill_says_so_first(locale: str, subject: str, body: str) -> None:
    assert marked(Message("标题", "正文\n", locale)) == Message(subject, body, locale)


def test_a_short_message_of_a_drill_stays_on_one_line() -> None:
    found = marked(Message("Down", "Down\n", "en"), MessageForm.SHORT)
    assert found.body == "[DRILL] This is an exercise; nothing has really happened. Down\n"


def test_what_is_marked_is_not_marked_twice() -> None:
    once = marked(Message("标题", "正文\n", "zh-CN"))
    assert marked(once) == once


def test_words_that_a_person_gave_are_marked_too() -> None:
    found = marked_wording({"en": ("We are sorry", "Soon."), "zh-CN": ("【演练】致歉", "很快。")})
    assert found["en"][0] == "[DRILL] We are sorry"
    assert found["en"][1].startswith("[DRILL] This is an exercise")
    assert found["zh-CN"][0] == "【演练】致歉"
    assert found["zh-CN"][1].startswith("【演练】")


@pytest.mark.parametrize("subject", ["[DRILL] Down", "Down"])
def test_a_bundle_of_a_drills_messages_is_marked(subject: str) -> None:
    one = ClaimedDelivery("a", "s", "i", "c", "chat", None, "en", subject, "text", START, 1)
    found = digest_of([one, one])
    is_drill = subject.startswith("[DRILL]")
    assert found.subject == ("[DRILL] 2 messages" if is_drill else "2 messages")
    assert found.body.startswith("[DRILL]") is is_drill


@pytest.mark.parametrize(("at_text", "offset"), [("-12h", -12), ("3h", 3), ("-0m", 0)])
def test_an_event_may_be_before_the_start(at_text: str, offset: int) -> None:
    found = ScenarioEvent.model_validate({"at": at_text, "type": "note.added"})
    assert found.at == timedelta(hours=offset)


# What drills brought to light


def planned(now: str, on: dict[str, Any], *events: Any, **step: Any) -> list[tuple[str, datetime]]:
    from support.builders import incident, verdict

    document = {
        "playbook": "test",
        "title": {"zh-CN": "测试", "en": "Test"},
        "steps": [{"id": "it", "on": on, "audience": "duty-team", "template": "task", **step}],
    }
    basis = PlanSettings(observation=timedelta(minutes=30))
    found = plan(incident(*events), [verdict(now, *events)], [parse_playbook(document)], at(now), basis)
    return [(each.instance, each.due_at) for each in found]


ASKED_TO_CLOSE = {"awaits": "completion", "escalation": [{"after": "4h", "to": "leading-group"}]}
OUTAGE = (started("10:35"), restored("11:35"))


def test_nobody_is_told_that_a_closed_incident_waits_to_be_closed() -> None:
    still_open = planned("12:30", {"observed": True}, *OUTAGE, **ASKED_TO_CLOSE)
    assert [instance for instance, _ in still_open] == ["20130623T033500Z", "20130623T033500Z~1.1"]
    is_closed = planned("12:30", {"observed": True}, *OUTAGE, closed("12:20"), **ASKED_TO_CLOSE)
    assert [due for _, due in is_closed] == [at("12:05")]


@pytest.mark.parametrize(("before", "reminders"), [("20m", 1), ("1h", 0), ("1d", 0)])
def test_nobody_is_reminded_at_once_of_what_was_only_just_said(before: str, reminders: int) -> None:
    found = planned(
        "11:06",
        {"level_reached": ["III"]},
        started("10:35"),
        awaits="completion",
        deadline={"after": "start", "within": "1h"},
        escalation=[{"before_deadline": before, "to": "duty-team"}],
    )
    assert len(found) == 1 + reminders
