"""The registry of inbound formats: a row is all that routes, quarantine and the API's description need."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.builders import at
from support.fixtures import bank, served

from incident_engine.common.errors import Problem
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event, outage_started
from incident_engine.intake.base import Batch, Format, FormatDocs, IntakeContext, Overrides, Rejected
from incident_engine.intake.native import NativeFormat
from incident_engine.intake.registry import FORMATS, open_formats
from incident_engine.store.tables import events

NOW = at("10:40")


class PingFormat(Format):
    """Reports of a monitor that sends the name of a service that does not answer, and nothing else."""

    name = "Ping"
    path = "/api/v1/ping"
    source = "ping"
    has_quarantine = True
    docs = FormatDocs(
        "Ping", "A service does not answer.", {"Ping": Mapping[str, str]}, {"$ref": "#/components/schemas/Ping"}
    )

    def __init__(self, settings: Settings) -> None:
        self._services = settings.service_names

    def parse(self, body: bytes, context: IntakeContext) -> Batch:
        service = body.decode().strip()
        if service not in self._services:
            rejected = [Rejected("ping/" + service[:4], "unknown_service", service, {"service": service})]
            return Batch(self.source, [], rejected=rejected)
        key = "ping/" + service[:4]
        event = outage_started(self.source, key, context.received_at, service, ("CN-GD",), {"signal": key})
        return Batch(self.source, [event], resolved=[key])

    def map_document(
        self, document: Mapping[str, Any], overrides: Overrides, context: IntakeContext
    ) -> Sequence[Event]:
        name = overrides.service or document["service"]
        return [event for event in self.parse(name.encode(), context).events if event is not None]


def test_names_and_paths_are_unique(tmp_path: Path) -> None:
    formats = open_formats(bank(tmp_path))
    assert len({format_.name for format_ in formats}) == len(FORMATS)
    assert len({format_.path for format_ in formats}) == len(FORMATS)


def test_a_row_in_the_registry_is_all_that_a_new_format_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incident_engine.intake.registry.FORMATS", (NativeFormat, PingFormat))
    with served(tmp_path, NOW) as api:
        answer = api.client.post("/api/v1/ping", content=b"core-banking")
        assert answer.status_code == 202, answer.text
        assert answer.json()["quarantined"] == []
        (receipt,) = answer.json()["events"]
        assert (receipt["source"], receipt["id"], receipt["status"]) == ("ping", "ping/core", "accepted")
        assert [row["source"] for row in api.rows(events)] == ["ping"]
        operation = api.client.get("/openapi.json").json()["paths"]["/api/v1/ping"]["post"]
        assert operation["summary"] == "Ping"
        assert api.client.get("/api/v1/ping").status_code == 405


def test_the_quarantine_of_a_format_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incident_engine.intake.registry.FORMATS", (*FORMATS, PingFormat))
    with served(tmp_path, NOW) as api:
        unmapped = {"status": "firing", "labels": {}, "startsAt": "2013-06-23T02:35:00Z", "fingerprint": "a"}
        api.client.post("/api/v1/alertmanager", json={"version": "4", "alerts": [unmapped]})
        answer = api.client.post("/api/v1/ping", content=b"core-bankink").json()
        assert answer["quarantined"] == [{"key": "ping/core", "reason": "unknown_service", "detail": "core-bankink"}]
        assert _quarantined(api.client.get("/api/v1/quarantine").json()) == {"alertmanager", "ping"}
        api.client.post("/api/v1/ping", content=b"core-banking")  # which resolves it
        assert _quarantined(api.client.get("/api/v1/quarantine").json()) == {"alertmanager"}


def _quarantined(listed: Mapping[str, Any]) -> set[str]:
    return {row["source"] for row in listed["quarantine"]}


def test_the_last_instant_of_an_event_is_the_clock_and_its_allowed_skew(tmp_path: Path) -> None:
    context = IntakeContext(NOW, bank(tmp_path).intake.max_clock_skew)
    assert context.latest == at("10:45")


@pytest.mark.parametrize(("is_array", "path"), [(True, (0, "type")), (False, ("type",))])
def test_a_single_event_has_no_index_in_the_paths_of_its_problems(is_array: bool, path: tuple[str | int, ...]) -> None:
    problem = Problem((0, "type"), "unknown type", "a known one")
    batch = Batch("monitor", [None], [problem], is_array=is_array)
    assert [located.path for located in batch.located(batch.problems)] == [path]
