"""Every answer says what it did: the effect of outages and of people's actions, in answers, log and timeline."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.builders import event_json, restored_json, started_json
from support.fixtures import Served, served

BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
KEY = "outage-1"
PLAYBOOKS = '["emergency-response", "regulator-reports", "partners"]'
PAGE = f"{KEY}:emergency-response:page:III"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, BEGAN, PLAYBOOKS=PLAYBOOKS) as found:
        yield found


def report(api: Served, *documents: dict[str, Any]) -> list[tuple[str, str]]:
    """Return effect and English sentence of each event."""
    answer = api.client.post("/api/v1/events", json=list(documents))
    assert answer.status_code == 202, answer.text
    return [(row["effect"], row["detail"]["en"]) for row in answer.json()["events"]]


def after(minutes: int) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def wait(api: Served, minutes: int) -> None:
    api.clock.set(after(minutes))
    api.fire()


def act(api: Served, step: str, action: str, **data: Any) -> dict[str, Any]:
    answer = api.client.post(f"/api/v1/steps/{step}/{action}", json=data)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_the_course_of_an_outage_is_told_event_by_event(api: Served) -> None:
    wait(api, 20)
    a, b = started_json("a", BEGAN, "CN-GD", incident=KEY), started_json("b", after(1), "CN-HN", incident=KEY)
    assert report(api, a) == [("started", "impaired now: Core banking in Guangdong")]
    assert report(api, b) == [("extended", "impaired now, too: Core banking in Hunan")]
    assert report(api, a) == [("none", "it was received before; nothing changes")]
    again = started_json("again", after(2), "CN-GD", incident=KEY)
    assert report(api, again) == [("none", "this was known before; nothing changes")]
    wrong = restored_json("wrong", after(3), "CN-BJ", incident=KEY)
    assert report(api, wrong) == [
        (
            "none",
            "Core banking in Beijing was not impaired, so nothing ends; "
            "impaired: Core banking in Guangdong, Core banking in Hunan",
        )
    ]
    one = restored_json("one", after(4), "CN-GD", incident=KEY)
    assert report(api, one) == [
        ("partly_ended", "works again: Core banking in Guangdong; still impaired: Core banking in Hunan")
    ]
    rest = restored_json("rest", after(5), "CN-HN", incident=KEY)
    assert report(api, rest) == [("ended", "everything works again: Core banking in Hunan")]
    over = restored_json("over", after(6), "CN-HN", incident=KEY)
    assert report(api, over) == [("none", "Core banking in Hunan was not impaired, so nothing ends")]


def test_events_of_one_request_have_the_effects_that_they_have_one_by_one(api: Served) -> None:
    wait(api, 20)
    documents = [
        started_json("a", BEGAN, "CN-GD", incident=KEY),
        started_json("b", after(1), "CN-HN", incident=KEY),
        restored_json("c", after(2), "CN-BJ", incident=KEY),
        restored_json("d", after(3), "CN-GD", incident=KEY),
        restored_json("e", after(4), "CN-HN", incident=KEY),
    ]
    assert [effect for effect, _ in report(api, *documents)] == ["started", "extended", "none", "partly_ended", "ended"]


def test_an_end_of_one_signal_ends_nothing_while_another_goes_on(api: Served) -> None:
    wait(api, 20)
    signals = [
        started_json(name, after(minute), "CN-GD", incident=KEY, data={"signal": name})
        for minute, name in enumerate(("x", "y"))
    ]
    assert [effect for effect, _ in report(api, *signals)] == ["started", "none"]
    end = restored_json("x up", after(5), "CN-GD", incident=KEY, data={"signal": "x"})
    assert report(api, end) == [("none", "other signals still report it, so nothing ends yet")]


def test_a_late_outage_that_is_over_changes_only_the_past(api: Served) -> None:
    wait(api, 60)
    report(
        api,
        started_json("a", after(10), "CN-GD", incident=KEY),
        restored_json("b", after(20), "CN-GD", incident=KEY),
    )
    late = started_json("late", after(5), "CN-GD", incident=KEY)
    assert report(api, late) == [("changed", "nothing changes now; the times of what is over do")]


def test_an_outage_after_the_closing_says_that_the_incident_is_open_again(api: Served) -> None:
    wait(api, 20)
    report(api, started_json("a", BEGAN, "CN-GD", incident=KEY), restored_json("b", after(1), "CN-GD", incident=KEY))
    closing = event_json("c", "incident.closed", after(2), incident=KEY, data={"by": "陈总"})
    assert report(api, closing) == [("closed", "the incident is closed")]
    assert report(api, started_json("d", after(5), "CN-GD", incident=KEY)) == [
        ("reopened", "the incident is open again")
    ]


def test_what_is_only_put_on_record_says_so(api: Served) -> None:
    wait(api, 20)
    report(api, started_json("a", BEGAN, "CN-GD", incident=KEY))
    note = event_json("n", "note.added", after(1), incident=KEY, data={"text": "已通知厂商"})
    assert report(api, note) == [("recorded", "it is on record")]


def test_a_second_answer_says_who_has_the_step_since_when(api: Served) -> None:
    report(api, started_json("a", BEGAN, "CN-GD", incident=KEY))
    wait(api, 30)
    first = act(api, PAGE, "acknowledge", by="李雷")
    assert (first["effect"], first["detail"]["zh-CN"]) == ("acknowledged", "李雷已接手，不再呼叫其他人")
    wait(api, 32)
    for action, more in (("acknowledge", {}), ("complete", {}), ("assign", {"to": "duty-engineer", "reason": "换班"})):
        answer = act(api, PAGE, action, by="王敏", **more)
        assert answer["status"] == "accepted", "it stays on record"
        assert answer["effect"] == "none", action
        assert answer["detail"]["en"] == "李雷 has it since 2013-06-23 11:05:00; nothing changes"
        assert answer["detail"]["zh-CN"] == "李雷已于2013-06-23 11:05:00办理，没有变化"


def test_completing_a_step_that_awaits_nobody_says_so(api: Served) -> None:
    report(api, started_json("a", BEGAN, "CN-GD", incident=KEY))
    wait(api, 30)
    steps = api.client.get(f"/api/v1/incidents/{KEY}").json()["steps"]
    notice = next(step["id"] for step in steps if step["step"] == "staff-notice")
    assert act(api, notice, "complete", by="王敏")["detail"]["en"] == "this step awaits nobody; nothing changes"


def test_skipping_twice_and_assigning_twice_say_who_was_first(api: Served) -> None:
    report(api, started_json("a", BEGAN, "CN-GD", incident=KEY))
    wait(api, 30)
    given = {"by": "陈总", "to": "duty-engineer", "reason": "换班"}
    assert act(api, PAGE, "assign", **given)["effect"] == "assigned"
    assert act(api, PAGE, "assign", **given)["detail"]["en"] == (
        "duty-engineer has it since 2013-06-23 11:05:00; nothing changes"
    )
    assert act(api, PAGE, "skip", by="陈总", reason="已知")["effect"] == "skipped"
    again = act(api, PAGE, "skip", by="王敏", reason="已知")
    assert (again["effect"], again["detail"]["en"]) == (
        "none",
        "陈总 decided against it at 2013-06-23 11:05:00; nothing changes",
    )


def test_the_log_and_the_timeline_say_the_same(api: Served) -> None:
    wait(api, 20)
    with capture_logs() as logs:
        report(
            api, started_json("a", BEGAN, "CN-GD", incident=KEY), restored_json("b", after(1), "CN-BJ", incident=KEY)
        )
        wait(api, 30)
        act(api, PAGE, "acknowledge", by="李雷")
        wait(api, 31)
        act(api, PAGE, "acknowledge", by="王敏")
    effects = [(line["type"], line["effect"]) for line in logs if line["event"] == "event_accepted"]
    assert effects == [
        ("outage.started", "started"),
        ("outage.restored", "none"),
        ("step.acknowledged", "acknowledged"),
        ("step.acknowledged", "none"),
    ]
    assert "李雷" not in str(logs)
    timeline = api.client.get(f"/api/v1/incidents/{KEY}/timeline").json()["timeline"]
    shown = [(entry["type"], entry["effect"]) for entry in timeline if entry["kind"] == "event"]
    assert shown == effects
    assert all(set(entry["detail"]) == {"zh-CN", "en"} for entry in timeline if entry["kind"] == "event")
