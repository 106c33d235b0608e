"""What the API answers: lists, an incident, its timeline; documentation, health, metrics, keys and refusals."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from prometheus_client.parser import text_string_to_metric_families
from support.builders import UNMET, at, event_json, restored_json, started_json
from support.fixtures import Served, served

from incident_engine import __version__

BEGAN = at("10:35")
KEY = "k" * 32


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, at("10:40")) as found:
        yield found


def report(api: Served, *documents: dict[str, Any]) -> None:
    answer = api.client.post("/api/v1/events", json=list(documents))
    assert answer.status_code == 202, answer.text


def get(api: Served, path: str, **params: Any) -> dict[str, Any]:
    answer = api.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def refused(answer: Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    return document


# Incidents


def test_no_incident_at_all_is_an_empty_list(api: Served) -> None:
    assert get(api, "/api/v1/incidents") == {"incidents": [], "total": 0}


def test_a_deadline_in_a_year_without_published_days_off_is_marked(tmp_path: Path) -> None:
    with served(tmp_path, at("2026-12-29 11:00"), PLAYBOOKS='["regulator-reports"]') as api:
        report(api, started_json("a", at("2026-12-29 10:00")), restored_json("b", at("2026-12-29 10:40")))
        [row] = get(api, "/api/v1/incidents")["incidents"]
        incident = get(api, f"/api/v1/incidents/{row['id']}")
    obligations = {found["id"]: found for found in incident["assessments"][0]["obligations"]}
    assert obligations["summary-report"]["due_at"] == "2027-01-07T00:00:00+08:00"
    assert obligations["summary-report"]["guessed_years"] == [2027]
    assert obligations["first-report"]["guessed_years"] == []
    assert incident["assessments"][0]["evidence"]["guessed_years"] == [2027]
    years = {step["id"]: step["guessed_years"] for step in incident["steps"] if step["parent_id"] is None}
    assert {name.split(":")[2]: found for name, found in years.items()} == {
        "first-report": [],
        "formal-report": [],
        "summary-report": [2027],
    }


def test_the_list_has_the_worst_open_ones_first_and_the_closed_ones_last(api: Served) -> None:
    report(
        api,
        started_json("a", at("10:30"), incident="blip"),
        started_json("b", at("07:00"), incident="worst"),  # II since 10:00
        started_json("c", at("10:00"), incident="middle"),  # III since 10:30
        started_json("d", at("07:00"), incident="over"),
        restored_json("e", at("10:30"), incident="over"),
        event_json("f", "incident.closed", at("10:31"), incident="over", data={"by": "Chen", "overdue": UNMET}),
    )
    listed = get(api, "/api/v1/incidents")
    assert [(row["id"], row["level"]) for row in listed["incidents"]] == [
        ("worst", "II"),
        ("middle", "III"),
        ("blip", None),
        ("over", "II"),
    ]
    assert listed["total"] == 4
    assert [row["id"] for row in get(api, "/api/v1/incidents", state="closed")["incidents"]] == ["over"]
    assert get(api, "/api/v1/incidents", state="open")["total"] == 3
    page = get(api, "/api/v1/incidents", state="open", limit=1, offset=1)
    assert ([row["id"] for row in page["incidents"]], page["total"]) == (["middle"], 3)


def test_an_entry_of_the_list_says_what_where_and_since_when(api: Served) -> None:
    report(api, started_json("a", BEGAN, "CN-HN", "CN-GD", incident="k", service="mobile"))
    (entry,) = get(api, "/api/v1/incidents")["incidents"]
    assert entry == {
        "id": "k",
        "state": "open",
        "level": None,
        "group": "banking",
        "services": ["mobile"],
        "regions": ["CN-GD", "CN-HN"],
        "occurred_at": "2013-06-23T10:35:00+08:00",
        "restored_at": None,
        "opened_at": "2013-06-23T10:40:00+08:00",
        "closed_at": None,
    }


def test_an_incident_is_shown_as_of_now_with_its_verdict_steps_and_deliveries(api: Served) -> None:
    report(api, started_json("a", BEGAN, incident="k"))
    api.clock.set(at("11:05"))
    api.fire()
    data = {"recovery_at": "2013-06-23T12:00:00+08:00"}
    report(api, event_json("r", "recovery.estimated", at("11:04"), incident="k", data=data))
    found = get(api, "/api/v1/incidents/k")
    assert (found["level"], found["detected_at"]) == ("III", "2013-06-23T10:40:00+08:00")
    assert found["recovery_estimated_at"] == "2013-06-23T12:00:00+08:00"
    (verdict,) = found["assessments"]
    assert (verdict["pack"], verdict["version"], verdict["level_retained"]) == ("cn-cbrc-2008", "2", False)
    assert verdict["at"] == "2013-06-23T11:05:00+08:00"
    assert verdict["trajectory"] == [
        {"level": "III", "at": "2013-06-23T11:05:00+08:00", "rule": "art9-3-2", "cite": "Art. 9(3)2"}
    ]
    assert verdict["next"] == {
        "level": "II",
        "at": "2013-06-23T13:35:00+08:00",
        "rule": "art9-2-2",
        "cite": "Art. 9(2)2",
    }
    assert [rise["level"] for rise in verdict["forecast"]] == ["II", "I"]
    (region,) = verdict["evidence"]["regions"]
    assert (region["region"], region["name"]["zh-CN"], region["in_service_seconds"]) == ("CN-GD", "广东", 1800)
    assert [(step["step"], step["state"]) for step in found["steps"]] == [
        ("customers-acknowledge", "started"),
        ("duty-notice", "started"),
        ("first-report", "started"),
        ("first-report-reminder", "pending"),
        ("first-report-overdue", "pending"),
        ("duty-notice", "pending"),
        ("duty-notice", "pending"),
    ]
    assert len(found["deliveries"]) == 5
    assert {delivery["state"] for delivery in found["deliveries"]} == {"pending"}


def test_the_verdict_is_that_of_the_moment_of_the_question(api: Served) -> None:
    report(api, started_json("a", BEGAN, incident="k"))
    for time, level in (("11:04:59.999999", None), ("11:05", "III"), ("13:35", "II"), ("16:35", "I")):
        api.clock.set(at(time))
        assert get(api, "/api/v1/incidents/k")["assessments"][0]["level"] == level


def test_the_timeline_tells_in_order_of_time_what_happened(api: Served) -> None:
    report(api, started_json("a", BEGAN, incident="k"))
    api.clock.set(at("11:05"))
    api.fire()
    api.clock.set(at("11:20"))
    report(
        api,
        event_json("n", "note.added", at("10:50"), incident="k", data={"text": "主库日志卷写满", "by": "李工"}),
        event_json("c", "step.completed", at("11:10"), incident="k", data={"fulfils": "first-report", "by": "王敏"}),
        restored_json("b", at("11:15"), incident="k"),
    )
    timeline = get(api, "/api/v1/incidents/k/timeline")
    assert timeline["incident"] == "k"
    told = [(entry["at"][11:16], entry["kind"], entry.get("type")) for entry in timeline["timeline"]]
    assert [entry for entry in told if entry[1] != "step"] == [
        ("10:35", "event", "outage.started"),
        ("10:50", "event", "note.added"),
        ("11:05", "level", None),
        ("11:10", "event", "step.completed"),
        ("11:10", "obligation", None),
        ("11:15", "event", "outage.restored"),
    ]
    times = [entry["at"] for entry in timeline["timeline"]]
    assert times == sorted(times)
    met = next(entry for entry in timeline["timeline"] if entry["kind"] == "obligation")
    assert (met["state"], met["by"], met["late"]) == ("met", "王敏", False)
    assert met["due_at"] == "2013-06-23T11:35:00+08:00"
    note = timeline["timeline"][1]
    assert note["received_at"] == "2013-06-23T11:20:00+08:00"


def test_an_obligation_that_was_missed_stands_on_the_timeline_when_it_was_due(api: Served) -> None:
    report(api, started_json("a", BEGAN, incident="k"))
    api.clock.set(at("12:00"))
    api.fire()
    entries = get(api, "/api/v1/incidents/k/timeline")["timeline"]
    missed = next(entry for entry in entries if entry["kind"] == "obligation")
    assert (missed["at"], missed["state"]) == ("2013-06-23T11:35:00+08:00", "overdue")


@pytest.mark.parametrize("path", ["/api/v1/incidents/none", "/api/v1/incidents/none/timeline"])
def test_an_incident_that_does_not_exist_is_told_where_to_look(api: Served, path: str) -> None:
    document = refused(api.client.get(path), 404)
    assert document["detail"] == "there is no incident 'none'; GET /api/v1/incidents lists them"


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"limit": 0}, {"limit"}),
        ({"limit": 501}, {"limit"}),
        ({"offset": -1, "state": "opened"}, {"offset", "state"}),
        ({"limit": "many"}, {"limit"}),
    ],
)
def test_parameters_that_mean_nothing_are_named(api: Served, params: dict[str, Any], names: set[str]) -> None:
    document = refused(api.client.get("/api/v1/incidents", params=params), 422)
    assert {error["parameter"] for error in document["errors"]} == names


def test_an_offset_beyond_all_incidents_is_no_fault_of_the_program(api: Served) -> None:
    assert api.client.get("/api/v1/incidents", params={"offset": 10**20}).status_code in (200, 422)


# Refusals


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/incident", "/api/v2/events", "/static/nothing.js"])
def test_a_path_that_does_not_exist_is_a_problem_document(api: Served, path: str) -> None:
    assert refused(api.client.get(path), 404)["title"] == "Not Found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/events", "POST"),
        ("PUT", "/api/v1/alertmanager", "POST"),
        ("DELETE", "/api/v1/incidents", "GET"),
        ("POST", "/healthz", "GET"),
    ],
)
def test_a_method_that_is_not_allowed_is_told_which_is(api: Served, method: str, path: str, allowed: str) -> None:
    answer = api.client.request(method, path)
    refused(answer, 405)
    assert allowed in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/static/../api.py", "/static/%2e%2e/api.py", "/static/..%2fapi.py"])
def test_nothing_but_the_static_files_is_served_from_the_disk(api: Served, path: str) -> None:
    assert api.client.get(path).status_code == 404


# Health


def test_health_says_that_the_process_answers_and_which_version_it_is(api: Served) -> None:
    assert get(api, "/healthz") == {"status": "ok", "version": __version__}


def test_readiness_names_what_does_not_work(api: Served) -> None:
    assert get(api, "/readyz") == {"status": "ready", "reasons": [], "warnings": []}
    api.warnings.append("clock_stepped: by an hour")
    assert get(api, "/readyz") == {"status": "ready", "reasons": [], "warnings": ["clock_stepped: by an hour"]}
    api.unready.append("writer does not run")
    answer = api.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unready",
        "reasons": ["writer does not run"],
        "warnings": ["clock_stepped: by an hour"],
    }


# Keys


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", KEY],
)
@pytest.mark.parametrize("path", ["/api/v1/incidents", "/metrics", "/docs", "/openapi.json", "/nothing"])
def test_without_a_right_key_nothing_is_told(tmp_path: Path, path: str, header: str | None) -> None:
    with served(tmp_path, BEGAN, keys=("another-key-of-sufficient-length", KEY)) as api:
        headers = {} if header is None else {"authorization": header}
        answer = api.client.get(path, headers=headers)
        refused(answer, 401)
        # A program is asked for the key, a browser for a password.
        assert answer.headers["www-authenticate"] == 'Bearer realm="incident-engine", Basic realm="incident-engine"'
        assert KEY not in answer.text


def test_without_a_key_nothing_is_stored(tmp_path: Path) -> None:
    with served(tmp_path, BEGAN, keys=(KEY,)) as api:
        refused(api.client.post("/api/v1/events", json=started_json("a", BEGAN)), 401)
        headers = {"authorization": f"Bearer {KEY}"}
        assert api.client.get("/api/v1/incidents", headers=headers).json()["total"] == 0


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_each_of_the_keys_opens_everything(tmp_path: Path, scheme: str) -> None:
    other = "another-key-of-sufficient-length"
    with served(tmp_path, BEGAN, keys=(other, KEY)) as api:
        for key in (other, KEY):
            headers = {"authorization": f"{scheme} {key}"}
            assert api.client.get("/api/v1/incidents", headers=headers).status_code == 200


def test_a_browser_may_send_the_key_as_a_password(tmp_path: Path) -> None:
    with served(tmp_path, BEGAN, keys=(KEY,)) as api:
        assert api.client.get("/docs", auth=("anybody", KEY)).status_code == 200
        assert api.client.get("/docs", auth=(KEY, "anything")).status_code == 401
        assert api.client.get("/docs", headers={"authorization": "Basic %%%"}).status_code == 401


def test_health_is_open_to_all(tmp_path: Path) -> None:
    with served(tmp_path, BEGAN, keys=(KEY,)) as api:
        assert [api.client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


# Documentation


def test_the_documentation_comes_from_this_server_alone(api: Served) -> None:
    answer = api.client.get("/docs")
    assert answer.status_code == 200
    assert "://" not in answer.text
    assert re.findall(r'(?:src|href|url)\s*[=:]\s*"//', answer.text) == []
    for path in re.findall(r'(?:src|href)="(static/[^"]+)"', answer.text):
        assert api.client.get(f"/{path}").status_code == 200
    assert api.client.get("/", follow_redirects=False).headers["location"] == "docs"


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def test_the_description_has_no_reference_that_leads_nowhere(api: Served) -> None:
    schema = get(api, "/openapi.json")
    assert schema["openapi"].startswith("3.")
    assert (schema["info"]["title"], schema["info"]["version"]) == ("incident-engine", __version__)
    names = set(references(schema))
    assert names
    for name in names:
        here: Any = schema
        for part in name.removeprefix("#/").split("/"):
            here = here[part]
    mapping = schema["components"]["schemas"]["Event"]["discriminator"]["mapping"]
    assert {name.rsplit("/", 1)[1] for name in mapping.values()} <= set(schema["components"]["schemas"])


def test_the_description_names_every_operation_once_and_every_answer(api: Served) -> None:
    paths = get(api, "/openapi.json")["paths"]
    assert set(paths) == {
        "/api/v1/events",
        "/api/v1/alertmanager",
        "/api/v1/incidents",
        "/api/v1/incidents/{incident_id}",
        "/api/v1/incidents/{incident_id}/timeline",
        "/api/v1/incidents/{incident_id}/what-if",
        "/api/v1/incidents/{incident_id}/steps",
        "/api/v1/incidents/{incident_id}/close",
        "/api/v1/incidents/{incident_id}/reports",
        "/api/v1/incidents/{incident_id}/reports/{report}",
        "/api/v1/incidents/{incident_id}/reports/{report}/{instance}",
        "/api/v1/steps/{step_id}/{action}",
        "/api/v1/reports/summary",
        "/api/v1/archive",
        "/api/v1/recurring",
        "/api/v1/quarantine",
        "/api/v1/quarantine/{source}/{key}",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    operations = [operation for path in paths.values() for operation in path.values()]
    assert all(operation["summary"] and operation["responses"] for operation in operations)
    for operation in operations:
        for status, answer in operation["responses"].items():
            assert answer["description"]
            for media_type, content in answer["content"].items():
                assert content["schema"], (operation, status)
                assert (media_type == "application/problem+json") == (int(status) >= 400 and status != "503") or (
                    status == "503"
                )
    ids = [operation["operationId"] for operation in operations if "operationId" in operation]
    assert len(ids) == len(set(ids))


def test_the_description_has_the_bodies_of_what_is_posted(api: Served) -> None:
    schema = get(api, "/openapi.json")
    for path, wanted in (
        ("/api/v1/events", ["#/components/schemas/Event"]),
        ("/api/v1/alertmanager", ["#/components/schemas/Notification"]),
    ):
        operation = schema["paths"][path]["post"]
        body = operation["requestBody"]
        assert body["required"] is True
        assert sorted(set(references(body))) == wanted
        assert {"202", "400", "413", "422", "503"} <= set(operation["responses"])
    alert = schema["components"]["schemas"]["Alert"]
    assert {"status", "labels", "startsAt", "fingerprint"} <= set(alert["required"])


def test_the_example_of_the_description_is_accepted(api: Served) -> None:
    content = get(api, "/openapi.json")["paths"]["/api/v1/events"]["post"]["requestBody"]["content"]
    example = content["application/json"]["example"]
    answer = api.client.post("/api/v1/events", json=example)
    assert answer.status_code == 202


# Metrics


def samples(api: Served) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = api.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name.removeprefix("incident_engine_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(api: Served, name: str, **labels: str) -> float | None:
    return samples(api).get((name, tuple(sorted(labels.items()))))


def test_the_families_of_metrics_are_these_and_of_these_kinds(api: Served) -> None:
    text = api.client.get("/metrics").text
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    prefix = "incident_engine_"
    assert kinds == {
        f"{prefix}events": "counter",
        f"{prefix}events_ahead": "counter",
        f"{prefix}reports_lost": "counter",
        f"{prefix}requests_refused": "counter",
        f"{prefix}reports_quarantined": "counter",
        f"{prefix}alerts_truncated": "counter",
        f"{prefix}requests_denied": "counter",
        f"{prefix}deliveries": "counter",
        f"{prefix}digest_deliveries": "counter",
        f"{prefix}deliveries_postponed": "counter",
        f"{prefix}channel_circuit": "gauge",
        f"{prefix}timer_lateness_seconds": "histogram",
        f"{prefix}build_info": "gauge",
        f"{prefix}open_incidents": "gauge",
        f"{prefix}quarantined_alerts": "gauge",
        f"{prefix}incident_level": "gauge",
        f"{prefix}incident_next_escalation_timestamp_seconds": "gauge",
        f"{prefix}obligation_due_timestamp_seconds": "gauge",
    }


def test_events_are_counted_by_source_and_what_became_of_them(api: Served) -> None:
    report(api, started_json("a", BEGAN), started_json("b", BEGAN))
    report(api, started_json("a", BEGAN))
    api.client.post("/api/v1/events", json={"source": "monitor"})
    api.client.post("/api/v1/events", content=b"{")
    odd = {"status": "firing", "labels": {}, "startsAt": "2013-06-23T02:35:00Z", "fingerprint": "f"}
    api.client.post("/api/v1/alertmanager", json={"version": "4", "alerts": [odd]})
    assert value(api, "events_total", source="monitor", outcome="accepted") == 2
    assert value(api, "events_total", source="monitor", outcome="duplicate") == 1
    assert value(api, "events_total", source="unknown", outcome="invalid") == 2
    assert value(api, "events_total", source="alertmanager", outcome="quarantined") == 1
    assert value(api, "quarantined_alerts") == 1


def test_open_incidents_are_counted_by_level_and_every_level_is_there(api: Served) -> None:
    report(
        api,
        started_json("a", BEGAN, incident="a"),
        started_json("b", at("07:00"), incident="b"),  # II
        started_json("c", at("07:00"), incident="c"),
        restored_json("c up", at("10:36"), incident="c"),
        event_json("d", "incident.closed", at("10:36"), incident="c", data={"by": "Chen", "overdue": UNMET}),
    )
    counts = {level: value(api, "open_incidents", level=level) for level in ("I", "II", "III", "none")}
    assert counts == {"I": 0, "II": 1, "III": 0, "none": 1}


def test_an_open_incident_has_its_level_next_escalation_and_deadlines(api: Served) -> None:
    report(api, started_json("a", BEGAN, incident="k"))
    pack = {"incident": "k", "pack": "cn-cbrc-2008"}
    assert value(api, "incident_level", **pack, level="none") == 0
    assert value(api, "incident_next_escalation_timestamp_seconds", **pack, level="III") == at("11:05").timestamp()
    api.clock.set(at("11:05"))
    api.fire()
    assert value(api, "incident_level", **pack, level="III") == 1
    assert value(api, "incident_next_escalation_timestamp_seconds", **pack, level="II") == at("13:35").timestamp()
    due = at("11:35").timestamp()
    assert value(api, "obligation_due_timestamp_seconds", **pack, obligation="first-report", state="pending") == due
    api.clock.set(at("17:00"))
    api.fire()
    assert value(api, "incident_level", **pack, level="I") == 3
    assert value(api, "obligation_due_timestamp_seconds", **pack, obligation="first-report", state="overdue") == due
    assert not [name for name, _ in samples(api) if name == "incident_next_escalation_timestamp_seconds"]


def test_a_closed_incident_has_no_series_of_its_own(api: Served) -> None:
    report(api, started_json("a", BEGAN, incident="k"))
    report(api, restored_json("b", at("10:38"), incident="k"))
    report(api, event_json("d", "incident.closed", at("10:39"), incident="k", data={"by": "Chen"}))
    assert not [labels for _, labels in samples(api) if ("incident", "k") in labels]


def test_how_late_a_timer_was_fired_is_measured(api: Served) -> None:
    report(api, started_json("a", BEGAN, incident="k"))
    api.clock.set(at("11:05") + timedelta(seconds=7))
    api.fire()
    assert value(api, "timer_lateness_seconds_count") == 1
    assert value(api, "timer_lateness_seconds_sum") == 7
    assert value(api, "timer_lateness_seconds_bucket", le="5.0") == 0
    assert value(api, "timer_lateness_seconds_bucket", le="10.0") == 1


def test_sources_without_end_do_not_grow_the_metrics_without_end(api: Served) -> None:
    for start in range(0, 210, 70):
        many = [
            started_json("a", BEGAN, incident="k") | {"source": f"s{number}"} for number in range(start, start + 70)
        ]
        report(api, *many)
    sources = {dict(labels)["source"] for name, labels in samples(api) if name == "events_total"}
    assert "other" in sources
    assert len(sources) <= 201


def test_the_version_is_a_metric(api: Served) -> None:
    found = [dict(labels) for name, labels in samples(api) if name == "build_info"]
    assert [labels["version"] for labels in found] == [__version__]
