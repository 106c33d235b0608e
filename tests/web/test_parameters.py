"""Query parameters: every route refuses the ones that it does not know, and names the nearest that it does."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from support.builders import started_json
from support.fixtures import Served, served

NOW = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("api"), NOW) as found:
        assert found.client.post("/api/v1/events", json=started_json("a", NOW, "CN-GD", incident="one")).is_success
        yield found


def routes(api: Served) -> list[tuple[str, str]]:
    paths = api.client.get("/openapi.json").json()["paths"]
    return [(method, path) for path, operations in paths.items() for method in operations]


def test_every_route_refuses_a_parameter_that_it_does_not_know(api: Served) -> None:
    wanted = {"incident_id": "one", "action": "acknowledge", "step_id": "x", "report": "x", "instance": "x"}
    seen = 0
    for method, path in routes(api):
        address = path.format(**wanted, source="x", key="x")
        answer = api.client.request(method, address, params={"sate": "open"}, json={})
        assert answer.status_code == 422, (method, path, answer.text)
        document = answer.json()
        assert document["title"] == "Invalid parameters", path
        [error] = document["errors"]
        assert error["parameter"] == "sate", path
        assert error["detail"] == "unknown parameter 'sate'", path
        seen += 1
    assert seen >= 18


@pytest.mark.parametrize(
    ("path", "params", "error"),
    [
        (
            "/api/v1/incidents",
            {"sate": "open"},
            {
                "parameter": "sate",
                "detail": "unknown parameter 'sate'",
                "expected": "one of: state, limit, offset",
                "nearest": "state",
            },
        ),
        (
            "/api/v1/quarantine",
            {"limt": 5},
            {
                "parameter": "limt",
                "detail": "unknown parameter 'limt'",
                "expected": "one of: state, limit, offset",
                "nearest": "limit",
            },
        ),
        (
            "/api/v1/reports/summary",
            {"form": "html"},
            {
                "parameter": "form",
                "detail": "unknown parameter 'form'",
                "expected": "one of: from, to, lang, format",
                "nearest": "format",
            },
        ),
        (
            "/api/v1/incidents/one",
            {"at": "now"},
            {"parameter": "at", "detail": "unknown parameter 'at'", "expected": "one of: (there is none)"},
        ),
    ],
)
def test_the_answer_names_the_parameter_and_the_nearest_one(
    api: Served, path: str, params: dict[str, Any], error: dict[str, str]
) -> None:
    answer = api.client.get(path, params=params)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [error]


def test_nothing_is_stored_by_a_request_with_a_parameter_that_nobody_knows(api: Served) -> None:
    event = started_json("b", NOW, "CN-HN", incident="two")
    assert api.client.post("/api/v1/events?dry_run=true", json=event).status_code == 422
    assert api.client.get("/api/v1/incidents/two").status_code == 404


def test_a_parameter_is_given_once_unless_it_may_be_repeated(api: Served) -> None:
    answer = api.client.get("/api/v1/incidents", params={"limit": [5, 6]})
    assert answer.json()["errors"] == [
        {"parameter": "limit", "detail": "is given more than once", "expected": "one value"}
    ]
    regions = "add_region=CN-BJ&add_region=CN-SH"
    assert api.client.get(f"/api/v1/incidents/one/what-if?{regions}").status_code == 200


def test_a_link_to_which_a_mail_gateway_added_parameters_shows_its_page(api: Served) -> None:
    answer = api.client.get("/do/x?utm_source=mail")
    assert "This link is not valid" in answer.text
    assert answer.status_code == 404


def test_health_takes_no_parameters(api: Served) -> None:
    assert api.client.get("/healthz").status_code == 200
    assert api.client.get("/healthz?verbose").status_code == 422
