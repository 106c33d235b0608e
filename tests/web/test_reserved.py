"""The engine's own names: no event or action from outside can pass for one of the engine itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.builders import at, event_json, started_json
from support.fixtures import Served, served

from incident_engine.store.tables import events

NOW = at("10:40")
INCIDENT = "core-1"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NOW) as found:
        yield found


@pytest.mark.parametrize("source", ["incident-engine", "link", "api", "API", "Incident-Engine", "ａｐｉ"])
def test_a_reserved_source_is_refused_and_nothing_of_its_request_is_stored(api: Served, source: str) -> None:
    sound = started_json("1", at("10:35"))
    answer = api.client.post("/api/v1/events", json=[sound, started_json("2", at("10:35"), source=source)])
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["detail"]) == ("/1/source", f"source '{source}' is reserved")
    assert "api, incident-engine, link" in error["expected"]
    assert api.rows(events) == []


def test_of_a_single_event_the_pointer_has_no_index(api: Served) -> None:
    answer = api.client.post("/api/v1/events", json=started_json("2", at("10:35"), source="api"))
    assert answer.json()["errors"][0]["pointer"] == "/source"


@pytest.mark.parametrize("by", ["incident-engine", "INCIDENT-ENGINE"])
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("incident.closed", {"reason": "closed_below_lowest_level"}),
        ("note.added", {"text": "all is well"}),
        ("level.corrected", {"pack": "cn-cbrc-2008", "level": "III", "reason": "x"}),
    ],
)
def test_nobody_can_act_in_the_engines_name(api: Served, kind: str, data: dict[str, Any], by: str) -> None:
    api.client.post("/api/v1/events", json=started_json("1", at("10:35"), incident=INCIDENT))
    event = event_json("2", kind, at("10:39"), incident=INCIDENT, data=data | {"by": by})
    answer = api.client.post("/api/v1/events", json=event)
    assert answer.status_code == 422
    assert "/data/by" in [error["pointer"] for error in answer.json()["errors"]]
    assert len(api.rows(events)) == 1


def test_neither_can_an_action_by_the_api_or_an_answer_to_the_quarantine(api: Served) -> None:
    api.client.post("/api/v1/events", json=started_json("1", at("10:35"), incident=INCIDENT))
    body = {"by": "incident-engine", "reason": "x", "title": "y"}
    for path in (f"/api/v1/incidents/{INCIDENT}/steps", "/api/v1/quarantine/alertmanager/x"):
        sent = body if "steps" in path else {"by": "incident-engine", "reason": "x"}
        answer = api.client.post(path, json=sent)
        assert (path, answer.status_code) == (path, 422)
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/by"]


def test_names_that_only_contain_a_reserved_one_are_free(api: Served) -> None:
    for source in ("api-gateway", "uplink", "incident-engine-test"):
        assert api.client.post("/api/v1/events", json=started_json("1", at("10:35"), source=source)).status_code == 202
