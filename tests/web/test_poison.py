"""An event at which the engine itself fails is isolated: it waits in quarantine, and blocks nobody."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.builders import at, event_json
from support.fixtures import served

from incident_engine.engine.update import CaseUpdater
from incident_engine.store.tables import cases, events, quarantine
from incident_engine.store.unit_of_work import UnitOfWork

NOW = at("10:40")
POISON = "poisoned"


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the engine fail at whatever changes one incident."""
    sound = CaseUpdater.update_case

    def failing(self: CaseUpdater, unit: UnitOfWork, incident_id: str, now: datetime) -> Mapping[str, Any]:
        if incident_id == POISON:
            raise ZeroDivisionError("a fault of the engine")
        return sound(self, unit, incident_id, now)

    monkeypatch.setattr(CaseUpdater, "update_case", failing)


def down(name: str, incident: str) -> dict[str, Any]:
    return event_json(name, "outage.started", at("10:35"), service="core-banking", regions=["CN-GD"], incident=incident)


@pytest.mark.usefixtures("poison")
def test_a_poison_event_waits_in_quarantine_and_the_rest_of_its_request_is_taken(tmp_path: Path) -> None:
    with served(tmp_path, NOW) as api:
        given = [down("a", "sound-1"), down("b", POISON), down("c", "sound-2")]
        answer = api.client.post("/api/v1/events", json=given)
        assert answer.status_code == 500, "an event that is only kept is not answered like a taken one"
        assert answer.json()["title"] == "Events not taken"
        statuses = {receipt["id"]: (receipt["status"], receipt["incident"]) for receipt in answer.json()["events"]}
        assert statuses == {"a": ("accepted", "sound-1"), "b": ("quarantined", None), "c": ("accepted", "sound-2")}
        assert {row["event_id"] for row in api.rows(events)} == {"a", "c"}
        assert {row["id"] for row in api.rows(cases)} == {"sound-1", "sound-2"}, "nothing is half-stored"
        (kept,) = api.rows(quarantine)
        assert (kept["key"], kept["reason"]) == ("b", "event_isolated")
        assert kept["document"]["incident"] == POISON, "the event is kept whole"
        assert "ZeroDivisionError" in kept["detail"]


def test_once_the_fault_is_mended_the_event_is_taken_and_leaves_the_quarantine(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path, NOW) as api:
        request.getfixturevalue("poison")
        assert api.client.post("/api/v1/events", json=down("b", POISON)).json()["events"][0]["status"] == "quarantined"
        monkeypatch.undo()
        assert api.client.post("/api/v1/events", json=down("b", POISON)).json()["events"][0]["status"] == "accepted"
        assert api.rows(quarantine) == []
        assert [row["id"] for row in api.rows(cases)] == [POISON]


@pytest.mark.usefixtures("poison")
def test_others_in_the_same_transaction_are_not_harmed(tmp_path: Path) -> None:
    with served(tmp_path, NOW) as api:
        first = api.client.post("/api/v1/events", json=down("a", "sound-1"))
        bad = api.client.post("/api/v1/events", json=down("b", POISON))
        again = api.client.post("/api/v1/events", json=down("c", "sound-1") | {"regions": ["CN-HN"]})
        assert [answer.status_code for answer in (first, bad, again)] == [202, 500, 202]
        (found,) = api.rows(cases)
        assert found["regions"] == ["CN-GD", "CN-HN"], "what was kept in memory is what is on disk"


@pytest.mark.parametrize("key", ["any-key", "writing", "flush"])
def test_an_event_that_is_taken_leaves_the_quarantine_whatever_the_key_of_its_incident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    def failing(*_: object) -> Mapping[str, Any]:
        raise ZeroDivisionError("a fault of the engine")

    with served(tmp_path, NOW) as api:
        with monkeypatch.context() as patched:
            patched.setattr(CaseUpdater, "update_case", failing)
            answer = api.client.post("/api/v1/events", json=down("b", key))
            assert answer.json()["events"][0]["status"] == "quarantined"
        assert api.client.post("/api/v1/events", json=down("b", key)).json()["events"][0]["status"] == "accepted"
        assert api.rows(quarantine) == []
        assert [row["id"] for row in api.rows(cases)] == [key]


@pytest.mark.usefixtures("poison")
def test_an_event_that_stays_poisoned_is_answered_alike_when_it_is_sent_again(tmp_path: Path) -> None:
    with served(tmp_path, NOW) as api:
        for _ in range(2):
            answer = api.client.post("/api/v1/events", json=down("b", POISON))
            assert (answer.status_code, answer.json()["events"][0]["status"]) == (500, "quarantined")
        assert (
            'reports_quarantined_total{reason="event_isolated",source="monitor"} 1.0' in api.client.get("/metrics").text
        )


def test_once_the_fault_is_mended_a_person_replays_the_event_from_the_quarantine(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path, NOW) as api:
        request.getfixturevalue("poison")
        api.client.post("/api/v1/events", json=down("b", POISON))
        (row,) = api.rows(quarantine)
        path = f"/api/v1/quarantine/{row['source']}/b"
        assert api.client.post(path, json={"by": "王敏", "action": "map"}).status_code == 500, "it fails again"
        assert [kept["state"] for kept in api.rows(quarantine)] == ["waiting"]
        monkeypatch.undo()
        assert api.client.post(path, json={"by": "王敏", "action": "map"}).status_code == 202
        assert api.rows(quarantine) == []
        assert [row["id"] for row in api.rows(cases)] == [POISON]
