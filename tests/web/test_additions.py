"""Steps that people add: words that go outside are shown first, and never say what is not so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.builders import event_json, restored_json, started_json
from support.fixtures import Served, served

from incident_engine.store.tables import deliveries, events

BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
KEY = "outage-1"
PLAYBOOKS = '["emergency-response", "customer-communication", "partners"]'
SAY_DOWN = (
    "customers-acknowledge",
    "customers-progress",
    "customers-wider",
    "customers-escalated",
    "customers-delay-passed",
    "customers-delay-moved",
    "staff-notice",
    "staff-update",
    "institutions-notice",
    "suppliers-notice",
)
SAY_RESTORED = (
    "customers-resolved",
    "customers-lessons",
    "staff-resolved",
    "institutions-resolved",
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, BEGAN, PLAYBOOKS=PLAYBOOKS) as found:
        assert found.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY)).is_success
        wait(found, 30)
        wait(found, 40)
        yield found


def wait(api: Served, minutes: int) -> None:
    api.clock.set(BEGAN + timedelta(minutes=minutes))
    api.fire()


def restore(api: Served, minutes: int) -> None:
    wait(api, minutes)
    up = restored_json("up", BEGAN + timedelta(minutes=minutes), "CN-GD", incident=KEY)
    assert api.client.post("/api/v1/events", json=up).is_success
    api.fire()


def add(api: Served, **data: Any) -> Any:
    body = {"by": "赵发言", "reason": "客户在问", **data}
    return api.client.post(f"/api/v1/incidents/{KEY}/steps", json=body)


def sent(api: Served, step: str) -> int:
    return len([row for row in api.rows(deliveries) if f":{step}:" in row["step_id"] and row["state"] != "held"])


def test_adding_a_step_whose_words_go_outside_shows_them_and_asks(api: Served) -> None:
    before = sent(api, "customers-acknowledge")
    answer = add(api, step="customers-acknowledge")
    assert answer.status_code == 409
    document = answer.json()
    assert document["errors"][0]["pointer"] == "/confirm"
    assert "sends words outside the bank, to 'customers'" in document["errors"][0]["detail"]
    assert {text["locale"] for text in document["texts"]} == {"zh-CN", "en"}
    english = next(text for text in document["texts"] if text["locale"] == "en")
    assert "you may have been unable to use Core banking in Guangdong" in english["body"]
    assert sent(api, "customers-acknowledge") == before
    assert "step.added" not in [row["type"] for row in api.rows(events)]
    confirmed = add(api, step="customers-acknowledge", confirm=True)
    assert (confirmed.status_code, confirmed.json()["effect"]) == (202, "added")
    assert sent(api, "customers-acknowledge") == 2 * before
    bodies = [row["body"] for row in api.rows(deliveries) if ":added." in row["step_id"]]
    assert english["body"] in bodies, "what was shown is what was sent"


def test_a_native_event_needs_the_confirmation_too(api: Served) -> None:
    data = {"by": "赵发言", "reason": "客户在问", "step": "customers-acknowledge"}
    when = BEGAN + timedelta(minutes=40)
    answer = api.client.post("/api/v1/events", json=event_json("x", "step.added", when, incident=KEY, data=data))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/data/confirm"


def test_a_step_for_the_duty_team_is_added_without_a_question(api: Served) -> None:
    assert add(api, step="duty-update").status_code == 202


@pytest.mark.parametrize("minutes", [1, 17])
@pytest.mark.parametrize("step", SAY_DOWN)
def test_words_of_an_outage_never_go_out_when_nothing_is_down(api: Served, step: str, minutes: int) -> None:
    restore(api, 50)
    wait(api, 50 + minutes)
    before = sent(api, step)
    answer = add(api, step=step, confirm=True)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == (f"step '{step}' says that something is down, and everything works")
    wait(api, 90)
    assert sent(api, step) == before


@pytest.mark.parametrize("step", SAY_RESTORED)
def test_words_of_a_restoration_never_go_out_while_something_is_down(api: Served, step: str) -> None:
    answer = add(api, step=step, confirm=True)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == (f"step '{step}' says that everything works, and something is down")


def test_a_text_that_waits_for_approval_is_withdrawn_at_the_restoration_itself(api: Served) -> None:
    level_one = [started_json(f"p{i}", BEGAN, region, incident=KEY) for i, region in enumerate(("CN-HN", "CN-BJ"))]
    assert api.client.post("/api/v1/events", json=level_one).is_success
    for minutes in (60, 120, 180, 240, 245):
        wait(api, minutes)
    name = f"{KEY}:customer-communication:customers-escalated:I"
    steps = {row["id"]: row for row in api.client.get(f"/api/v1/incidents/{KEY}").json()["steps"]}
    assert steps[name]["state"] == "awaiting"
    wait(api, 246)
    ups = [
        restored_json(f"up {region}", BEGAN + timedelta(minutes=246), region, incident=KEY)
        for region in ("CN-GD", "CN-HN", "CN-BJ")
    ]
    assert api.client.post("/api/v1/events", json=ups).is_success
    late = api.client.post(f"/api/v1/steps/{name}/approve", json={"by": "赵发言"})
    assert late.status_code == 422
    assert "no longer awaits an action" in late.text


def test_a_due_time_that_is_past_is_asked(api: Served) -> None:
    past = (BEGAN - timedelta(hours=1)).isoformat()
    answer = add(api, title="核对日志", due_at=past)
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["detail"] == ("the task would be due at 2013-06-23T01:35:00+00:00, which is past")
    assert answer.json()["texts"] == []
    assert add(api, title="核对日志", due_at=past, confirm=True).status_code == 202
    coming = (BEGAN + timedelta(hours=3)).isoformat()
    assert add(api, title="核对日志", due_at=coming).status_code == 202
