"""How people close an incident: by the API, by the link in the request, and what keeps them from it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.builders import UNMET, event_json, restored_json, started_json
from support.fixtures import Served, served

from incident_engine.common.signed_links import Links
from incident_engine.store.tables import deliveries, events

BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
KEY = "outage-1"
LINKS = Links("https://ops.bank.example", "a key for the tests")
PLAYBOOKS = '["emergency-response", "regulator-reports"]'
ENDED = BEGAN + timedelta(minutes=70)
OBSERVED = ENDED + timedelta(minutes=31)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    """Serve an incident of level III that is over and observed, with two obligations overdue."""
    with served(tmp_path, BEGAN, links=LINKS, PLAYBOOKS=PLAYBOOKS, CLOSING__OBSERVATION="30m") as found:
        assert found.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY)).is_success
        for minutes in (30, 61, 70):
            found.clock.set(BEGAN + timedelta(minutes=minutes))
            found.fire()
        up = restored_json("r", ENDED, "CN-GD", incident=KEY)
        assert found.client.post("/api/v1/events", json=up).is_success
        found.clock.set(OBSERVED)
        found.fire()
        yield found


def close(api: Served, **data: Any) -> Any:
    return api.client.post(f"/api/v1/incidents/{KEY}/close", json={"by": "陈总", **data})


def view(api: Served) -> dict[str, Any]:
    document: dict[str, Any] = api.client.get(f"/api/v1/incidents/{KEY}").json()
    return document


def the_request(api: Served) -> dict[str, Any]:
    return next(step for step in view(api)["steps"] if step["step"] == "close" and step["parent_id"] is None)


def test_closing_with_overdue_obligations_is_refused_and_says_what_to_write(api: Served) -> None:
    answer = close(api)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/overdue", "/overdue"]
    first, second = answer.json()["errors"]
    assert "obligation 'first-report' was due at 2013-06-23T03:35:00+00:00" in first["detail"]
    assert '{"obligation": "partners-notice", "reason": "…"}' in second["expected"]
    assert view(api)["state"] != "closed"


def test_closing_with_a_reason_for_each_overdue_obligation_is_on_record(api: Served) -> None:
    assert close(api, reason="观察期满", overdue=UNMET).status_code == 202
    assert view(api)["closed_by"] == "陈总"
    [event] = [row for row in api.rows(events) if row["type"] == "incident.closed"]
    assert event["document"]["data"]["overdue"] == UNMET
    states = {status["id"]: status["state"] for status in view(api)["assessments"][0]["obligations"]}
    assert states["first-report"] == "overdue", "the closing lifts no obligation"


def test_an_obligation_that_was_met_late_needs_no_reason(api: Served) -> None:
    for obligation in ("first-report", "partners-notice"):
        data = {"by": "王敏", "fulfils": obligation}
        done = event_json(obligation, "step.completed", OBSERVED, incident=KEY, data=data)
        assert api.client.post("/api/v1/events", json=done).status_code == 202
    assert close(api).status_code == 202


def test_completing_the_request_to_close_is_refused_with_the_way_to_close(api: Served) -> None:
    answer = api.client.post(f"/api/v1/steps/{the_request(api)['id']}/complete", json={"by": "陈总"})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/step"
    assert "a completion closes nothing" in error["detail"]
    assert error["expected"] == f"incident.closed, or: incident-engine step close {KEY} --by NAME"
    assert the_request(api)["state"] == "started"


def test_the_link_of_the_request_closes_once_every_overdue_obligation_has_a_reason(api: Served) -> None:
    bodies = [row["body"] for row in api.rows(deliveries) if row["step_id"] == the_request(api)["id"]]
    link = re.search(r"https://ops\.bank\.example(/do/[\w.-]+)", bodies[0])
    assert link is not None, bodies[0]
    shown = api.client.get(link[1])
    assert "关闭事件" in shown.text
    assert 'name="overdue.first-report"' in shown.text
    assert 'name="overdue.partners-notice"' in shown.text
    refused = api.client.post(link[1], data={"by": "陈总", "overdue.first-report": "补报"})
    assert refused.status_code == 422
    assert "give a reason for each overdue obligation" in refused.text
    assert view(api)["state"] != "closed"
    reasons = {"overdue.first-report": "补报", "overdue.partners-notice": "已口头告知"}
    done = api.client.post(link[1], data={"by": "陈总", **reasons})
    assert done.status_code == 200
    assert "The incident is closed." in done.text
    assert view(api)["closed_by"] == "陈总"
    assert the_request(api)["completed_by"] == "陈总"
