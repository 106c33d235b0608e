"""Every answer is as the API's description says: status, media type and schema."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from support.builders import started_json
from support.fixtures import Served, held_up, served

BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
KEY = "outage-1"
PAGE = f"{KEY}:emergency-response:page:III"
API_KEY = "a-key-of-sufficient-length"
PLAYBOOKS = '["emergency-response", "regulator-reports", "customer-communication", "partners"]'
INCIDENT = "/api/v1/incidents/{incident_id}"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("answers")
    with served(folder, BEGAN, keys=(API_KEY,), PLAYBOOKS=PLAYBOOKS, INTAKE__QUEUE="1") as found:
        found.client.headers["authorization"] = f"Bearer {API_KEY}"
        answer = found.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY))
        assert answer.status_code == 202
        alert = {"status": "firing", "labels": {"service": "nothing"}, "annotations": {}, "fingerprint": "f"}
        alert |= {"startsAt": BEGAN.isoformat(), "endsAt": "0001-01-01T00:00:00Z"}
        message = {"version": "4", "status": "firing", "alerts": [alert]}
        conforms(found, "post", "/api/v1/alertmanager", found.client.post("/api/v1/alertmanager", json=message), 202)
        found.clock.set(BEGAN + timedelta(minutes=31))
        found.fire()
        correction: dict[str, Any] = {"source": "ops", "id": "c", "type": "level.corrected", "incident": KEY}
        correction["occurred_at"] = found.clock.now().isoformat()
        correction["data"] = {"level": "II", "by": "陈总", "reason": "x"}
        assert found.client.post("/api/v1/events", json=correction).status_code == 202
        yield found


def conforms(api: Served, method: str, path: str, answer: Any, status: int) -> None:
    """Fail unless the description of a route has this answer, and its schema fits."""
    assert answer.status_code == status, answer.text
    description = api.client.get("/openapi.json").json()
    content = description["paths"][path][method]["responses"][str(status)]["content"]
    assert answer.headers["content-type"] in content
    if "json" in answer.headers["content-type"]:
        schema = content[answer.headers["content-type"]]["schema"] | {"components": description["components"]}
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(answer.json())


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/v1/incidents", ""),
        (INCIDENT, ""),
        (f"{INCIDENT}/timeline", ""),
        (f"{INCIDENT}/what-if", "?add_region=CN-HN"),
        (f"{INCIDENT}/reports", ""),
        (f"{INCIDENT}/reports/{{report}}", ""),
        (f"{INCIDENT}/reports/{{report}}", "?format=html"),
        (f"{INCIDENT}/reports/{{report}}", "?format=docx"),
        (f"{INCIDENT}/reports/{{report}}/{{instance}}", "?lang=en"),
        ("/api/v1/reports/summary", ""),
        ("/api/v1/reports/summary", "?format=html"),
        ("/api/v1/archive", ""),
        ("/api/v1/recurring", ""),
        ("/api/v1/quarantine", ""),
        ("/healthz", ""),
        ("/readyz", ""),
        ("/metrics", ""),
    ],
)
def test_what_is_read_is_as_described(api: Served, path: str, query: str) -> None:
    url = path.format(incident_id=KEY, report="cbrc-first-report", instance="first-report") + query
    conforms(api, "get", path, api.client.get(url), 200)


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "headers"),
    [
        ("get", INCIDENT, 401, None, {"authorization": ""}),
        ("post", "/api/v1/events", 401, b"[]", {"authorization": "Bearer wrong"}),
        ("post", "/api/v1/events", 403, b"[]", {"origin": "https://evil.example"}),
        ("get", "/api/v1/incidents", 400, None, {"host": "a b"}),
        ("post", "/api/v1/events", 400, b"[", {}),
        ("post", "/api/v1/events", 413, b" " * 16_777_217, {}),
        ("post", "/api/v1/events", 422, b"{}", {}),
        ("post", "/api/v1/alertmanager", 422, b"{}", {}),
        ("post", f"{INCIDENT}/steps", 400, b"", {}),
        ("post", f"{INCIDENT}/steps", 422, b"{}", {}),
        ("post", "/api/v1/steps/{step_id}/{action}", 202, '{"by": "李雷"}'.encode(), {}),
        ("post", "/api/v1/steps/{step_id}/{action}", 422, b"[]", {}),
        ("get", f"{INCIDENT}/reports/{{report}}", 404, None, {}),
        ("get", "/api/v1/reports/summary", 422, None, {}),
    ],
)
def test_what_is_refused_is_as_described(
    api: Served, method: str, path: str, status: int, body: bytes | None, headers: dict[str, str]
) -> None:
    url = path.format(incident_id=KEY, report="nothing", step_id=PAGE, action="acknowledge")
    url += "?to=0" if path.endswith("summary") else ""  # no instant since 1970
    conforms(api, method, path, api.client.request(method, url, content=body, headers=headers), status)


@pytest.mark.parametrize("path", [INCIDENT, f"{INCIDENT}/timeline", f"{INCIDENT}/what-if", f"{INCIDENT}/reports"])
def test_an_unknown_incident_is_answered_as_described(api: Served, path: str) -> None:
    conforms(api, "get", path, api.client.get(path.format(incident_id="nothing")), 404)


@pytest.mark.parametrize("path", ["/api/v1/incidents", "/api/v1/archive", "/api/v1/quarantine"])
def test_a_wrong_parameter_is_answered_as_described(api: Served, path: str) -> None:
    conforms(api, "get", path, api.client.get(f"{path}?limit=0"), 422)


def test_a_step_for_an_unknown_incident_is_answered_like_a_look_at_it(api: Served) -> None:
    body = {"by": "陈总", "reason": "x", "title": "x"}
    path = f"{INCIDENT}/steps"
    conforms(api, "post", path, api.client.post(path.format(incident_id="nothing"), json=body), 404)


def test_only_health_needs_no_key_by_the_description(api: Served) -> None:
    description = api.client.get("/openapi.json").json()
    assert description["security"] == [{"key": []}]
    paths = description["paths"]
    assert {path for path in paths for operation in paths[path].values() if operation.get("security") == []} == {
        "/healthz",
        "/readyz",
    }


def test_answers_to_the_quarantine_are_as_described(api: Served) -> None:
    path = "/api/v1/quarantine/{source}/{key}"
    [report] = api.client.get("/api/v1/quarantine").json()["quarantine"]
    url = f"/api/v1/quarantine/{report['source']}/{report['key']}"
    conforms(api, "post", path, api.client.post(url, json={"by": "x"}), 422)
    body = {"by": "\u200b王敏\u3000", "service": "payments", "regions": ["CN-GD"]}
    conforms(api, "post", path, api.client.post(url, json=body), 202)
    conforms(api, "post", path, api.client.post(url, json={"by": "王敏", "reason": "x"}), 409)
    conforms(api, "post", path, api.client.post("/api/v1/quarantine/x/y", json=body), 404)
    answered = api.client.get("/api/v1/quarantine?state=mapped")
    conforms(api, "get", "/api/v1/quarantine", answered, 200)
    assert answered.json()["quarantine"][0]["ended_by"] == "王敏"


def test_every_route_of_the_description_has_its_answers_in_the_list(api: Served) -> None:
    for path, operations in api.client.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                assert answer["description"], (method, path)
                for media_type, content in answer["content"].items():
                    assert content["schema"], (method, path, status)
                    is_problem = media_type == "application/problem+json"
                    assert is_problem == (int(status) >= 400) or path == "/readyz", (method, path, status)


def test_an_overload_is_answered_as_described(api: Served) -> None:
    with held_up(api.writer):
        api.writer.submit(lambda _: None)  # fills the queue
        answer = api.client.post("/api/v1/events", json=started_json("z", BEGAN, "CN-GD"))
        conforms(api, "post", "/api/v1/events", answer, 503)


def test_a_daemon_that_is_not_ready_says_so_as_described(api: Served) -> None:
    api.unready.append("writer does not run")
    conforms(api, "get", "/readyz", api.client.get("/readyz"), 503)
    api.unready.clear()
