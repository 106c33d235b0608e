"""What the API answers about incidents that were archived."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builders import at, restored_json, started_json
from support.fixtures import Served, served

from incident_engine.engine.retention import Archiver
from incident_engine.store.tables import archived_incidents

LATER = at("2014-07-01 03:00")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    """Serve a bank that keeps closed incidents for a year; one of 2013 was archived."""
    where = str(tmp_path / "archive")
    with served(tmp_path, at("10:40"), RETENTION__CLOSED_INCIDENTS="365d", RETENTION__DIRECTORY=where) as found:
        for document in (started_json("a", at("10:35"), incident="k"), restored_json("b", at("10:36"), incident="k")):
            assert found.client.post("/api/v1/events", json=document).status_code == 202
        found.clock.set(at("12:40"))
        found.fire()
        found.clock.set(LATER)
        Archiver(found.settings.retention, found.database, found.writer, found.reader).run(LATER)
        yield found


@pytest.mark.parametrize(
    "path", ["", "/timeline", "/what-if?add_region=CN-HN", "/reports", "/reports/cbrc-first-report"]
)
def test_an_archived_incident_is_gone_and_it_is_said_where_to(api: Served, path: str) -> None:
    answer = api.client.get(f"/api/v1/incidents/k{path}")
    (row,) = api.rows(archived_incidents)
    assert answer.status_code == 410
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    said = f"incident 'k' was archived in {row['file']}; 'incident-engine report --incident k' reads it"
    assert (document["title"], document["detail"]) == ("Archived", said)
    assert document["archived"] == {
        "id": "k",
        "group": "banking",
        "levels": {"cn-cbrc-2008": None},
        "occurred_at": "2013-06-23T10:35:00+08:00",
        "closed_at": "2013-06-23T12:40:00+08:00",
        "archived_at": "2014-07-01T03:00:00+08:00",
        "file": row["file"],
        "sha256": row["sha256"],
    }


@pytest.mark.parametrize("path", ["", "/timeline", "/reports"])
def test_an_incident_that_never_was_is_not_found(api: Served, path: str) -> None:
    answer = api.client.get(f"/api/v1/incidents/other{path}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no incident 'other'; GET /api/v1/incidents lists them"


def test_archived_incidents_have_a_list_of_their_own(api: Served) -> None:
    assert api.client.get("/api/v1/incidents").json() == {"incidents": [], "total": 0}
    listed = api.client.get("/api/v1/archive").json()
    assert ([each["id"] for each in listed["archive"]], listed["total"]) == (["k"], 1)
    assert api.client.get("/api/v1/archive", params={"offset": 1}).json() == {"archive": [], "total": 1}
    assert api.client.get("/api/v1/archive", params={"limits": 1}).status_code == 422


def test_nobody_does_anything_with_the_steps_of_an_archived_incident(api: Served) -> None:
    answer = api.client.post("/api/v1/steps/k:outage-response:duty-notice:III/acknowledge", json={"by": "Li"})
    assert answer.status_code == 410
    added = api.client.post("/api/v1/incidents/k/steps", json={"by": "Li", "reason": "r", "title": "t"})
    assert added.status_code == 410
    assert "incident 'k' was archived in incidents-" in added.json()["detail"]


def test_the_summary_of_the_year_has_what_was_archived(api: Served) -> None:
    document = api.client.get("/api/v1/reports/summary", params={"from": "2013-01-01", "to": "2013-12-31"}).json()
    (row,) = api.rows(archived_incidents)
    assert document["archived"] == {"files": {row["file"]: 1}, "unread": {}}
    assert document["incidents"]["total"] == 1
    assert [each["incident"] for each in document["list"]] == ["k"]
