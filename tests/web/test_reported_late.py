"""An outage that is reported late: graded as the law says, and nothing goes outside before a person confirms it."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.builders import event_json, started_json
from support.fixtures import Served, served

from incident_engine.common.signed_links import Links
from incident_engine.store.tables import deliveries

REPORTED = datetime(2013, 6, 23, 10, 35, tzinfo=UTC)
LABELLED = REPORTED - timedelta(hours=8)
"""The time of a clock in UTC that is labelled +08:00."""
KEY = "outage-1"
PLAYBOOKS = '["emergency-response", "regulator-reports", "customer-communication", "partners"]'
OUTSIDE = {"customers-zh", "customers-en", "institutions", "suppliers"}
QUESTION = f"{KEY}:emergency-response:reported-late:20130623T103500Z"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, REPORTED, links=Links("https://ops.bank.example", "key"), PLAYBOOKS=PLAYBOOKS) as found:
        report = started_json("a", LABELLED, "CN-GD", incident=KEY, data={"signal": "s"})
        assert found.client.post("/api/v1/events", json=report).status_code == 202
        yield found


def words(api: Served) -> Counter[str]:
    """Return how many messages each step has to readers outside the bank."""
    rows = [row for row in api.rows(deliveries) if row["contact"] in OUTSIDE]
    return Counter(row["step_id"].split(":")[2] for row in rows)


def test_the_duty_team_is_asked_and_nobody_outside_hears_anything(api: Served) -> None:
    assert api.client.get(f"/api/v1/incidents/{KEY}").json()["level"] == "I"
    asked = {row["contact"]: row for row in api.rows(deliveries) if row["step_id"] == QUESTION}
    assert set(asked) == {"duty-officer", "duty-engineer"}
    assert asked["duty-engineer"]["subject"].startswith("Reported late: is the time right? ")
    assert (
        "began at **10:35 on 23 June 2013 (UTC+08:00)** was reported to us at 18:35" in asked["duty-engineer"]["body"]
    )
    assert "https://ops.bank.example/do/" in asked["duty-engineer"]["body"]
    api.clock.set(REPORTED + timedelta(hours=1))
    api.fire()
    assert words(api) == {}
    paged = {row["contact"] for row in api.rows(deliveries) if row["step_id"].startswith(f"{QUESTION}~")}
    assert {"execution-group", "leading-group"} <= paged


def test_after_the_confirmation_each_reader_gets_one_word_of_the_outage(api: Served) -> None:
    answer = api.client.post(f"/api/v1/steps/{QUESTION}/complete", json={"by": "Li Lei", "note": "seen on the switch"})
    assert answer.status_code == 202
    # Two readers of the customers' notice; no "progress no. 8" beside "not available".
    sent = words(api)
    assert sent.pop("customers-acknowledge") == 2
    assert "customers-progress" not in sent
    api.clock.set(REPORTED + timedelta(minutes=30))
    api.fire()
    assert words(api)["customers-progress"] == 2  # the rhythm goes on, with its next update


def test_an_outage_whose_time_was_wrong_is_ended_at_its_start_and_reported_again(api: Served) -> None:
    about = {"service": "core-banking", "regions": ["CN-GD"], "incident": KEY, "data": {"signal": "s"}}
    events = [
        event_json("b", "outage.restored", LABELLED, **about),
        event_json("c", "outage.started", REPORTED - timedelta(minutes=1), **about),
    ]
    api.clock.set(REPORTED + timedelta(minutes=5))
    assert api.client.post("/api/v1/events", json=events).status_code == 202
    incident = api.client.get(f"/api/v1/incidents/{KEY}").json()
    # The level that was reached by the wrong time stays until a person corrects it, and so does the question.
    assert state(incident) == "started"
    assert words(api) == {}
    data = {"level": None, "by": "Li Lei", "reason": "the monitor's clock was wrong"}
    about = {"service": "core-banking", "incident": KEY, "data": data}
    corrected = event_json("d", "level.corrected", REPORTED + timedelta(minutes=5), **about)
    assert api.client.post("/api/v1/events", json=corrected).status_code == 202
    assert state(api.client.get(f"/api/v1/incidents/{KEY}").json()) == "withdrawn"
    assert words(api) == {}
    api.clock.set(REPORTED + timedelta(minutes=29))
    api.fire()
    assert words(api)["customers-acknowledge"] == 2  # level III, half an hour after the right time


def state(incident: dict[str, Any]) -> str:
    return next(str(step["state"]) for step in incident["steps"] if step["id"] == QUESTION)
