"""Reports with empty required fields: approving or handing them in names the fields, and needs a word for it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from support.builders import CONFIG, at, event_json, started_json
from support.fixtures import Served, served
from typer.testing import CliRunner

from incident_engine.cli.steps import app
from incident_engine.common.signed_links import Links
from incident_engine.store.tables import deliveries

KEY = "outage-1"
LINKS = Links("https://ops.bank.example", "a key for the tests")
FORMAL = f"{KEY}:regulator-reports:formal-report:formal-report"
FIRST = f"{KEY}:regulator-reports:first-report:first-report"
TEXTS = {"cause": "磁盘", "measures": "切换", "next-steps": "夜间切回", "coordination": "无"}
EMPTY = "Analysis of the cause, Measures taken, Proposed next steps, What the regulator should coordinate"
EMPTY_ZH = "原因分析、已采取的措施、下一步处置建议、需要监管部门协调的事项"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    """Serve an incident of level III, whose written report has been drafted with four empty fields."""
    with served(tmp_path, at("10:35"), links=LINKS, PLAYBOOKS='["regulator-reports"]') as found:
        assert found.client.post("/api/v1/events", json=started_json("a", at("10:35"), incident=KEY)).is_success
        found.clock.set(at("11:05"))
        found.fire()
        found.clock.set(at("11:10"))
        yield found


def act(api: Served, action: str, step: str = FORMAL, **data: Any) -> Any:
    return api.client.post(f"/api/v1/steps/{step}/{action}", json={"by": "王敏", **data})


def write(api: Served, texts: dict[str, str]) -> None:
    data = {"by": "王敏", "report": "cbrc-formal-report", "fields": texts}
    written = event_json("w", "report.written", api.clock.now(), incident=KEY, data=data)
    assert api.client.post("/api/v1/events", json=written).status_code == 202


def states(api: Served, report: str = "cbrc-formal-report") -> list[str]:
    """Return the states of a report's versions, in their order."""
    listed = api.client.get(f"/api/v1/incidents/{KEY}/reports").json()["reports"]
    return [version["state"] for found in listed if found["report"] == report for version in found["versions"]]


def link(api: Served) -> str:
    [body] = [row["body"] for row in api.rows(deliveries) if row["step_id"] == FORMAL]
    found = re.search(r"https://ops\.bank\.example(/do/[\w.-]+)", body)
    assert found is not None, body
    return found[1]


@pytest.mark.parametrize("action", ["approve", "complete"])
def test_an_action_on_a_report_with_empty_fields_is_refused_with_their_names(api: Served, action: str) -> None:
    answer = act(api, action)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/with_gaps"
    assert error["detail"] == f"required fields of 'cbrc-formal-report' are empty: {EMPTY}"
    assert error["expected"] == "true if it must go without them; fill them in with the event report.written"
    assert states(api) == ["draft"]


@pytest.mark.parametrize(("action", "state"), [("approve", "approved"), ("complete", "submitted")])
def test_an_action_with_gaps_takes_the_report_as_it_is(api: Served, action: str, state: str) -> None:
    assert act(api, action, with_gaps=True).status_code == 202
    assert states(api)[-1] == state


@pytest.mark.parametrize(("action", "state"), [("approve", "approved"), ("complete", "submitted")])
def test_a_report_without_empty_fields_needs_no_word(api: Served, action: str, state: str) -> None:
    write(api, TEXTS)
    assert act(api, action).status_code == 202
    assert states(api)[-1] == state


def test_only_the_fields_that_are_still_empty_are_named(api: Served) -> None:
    write(api, {name: text for name, text in TEXTS.items() if name != "coordination"})
    [error] = act(api, "complete").json()["errors"]
    assert error["detail"].endswith("are empty: What the regulator should coordinate")


def test_a_completion_that_names_only_the_obligation_is_refused_alike(api: Served) -> None:
    data: dict[str, Any] = {"by": "王敏", "fulfils": "formal-report"}
    done = event_json("c", "step.completed", at("11:10"), incident=KEY, data=data)
    answer = api.client.post("/api/v1/events", json=done)
    assert [(error["pointer"], EMPTY in error["detail"]) for error in answer.json()["errors"]] == [
        ("/data/with_gaps", True)
    ]
    data["with_gaps"] = True
    assert api.client.post("/api/v1/events", json=done).status_code == 202
    assert states(api)[-1] == "submitted"


def test_what_was_approved_with_gaps_is_handed_in_with_gaps(api: Served) -> None:
    assert act(api, "approve", with_gaps=True).status_code == 202
    api.clock.set(at("11:15"))
    write(api, TEXTS)  # into the next draft, which is not handed in
    assert act(api, "complete").status_code == 422
    assert act(api, "complete", with_gaps=True).status_code == 202


def test_other_actions_and_repeated_ones_do_not_ask(api: Served) -> None:
    assert act(api, "complete", FIRST).status_code == 202  # the facts fill every field
    assert act(api, "complete", FORMAL, with_gaps=True).status_code == 202
    assert act(api, "complete", FORMAL).json()["effect"] == "none"


def test_a_report_that_was_skipped_does_not_ask(api: Served) -> None:
    assert act(api, "skip", reason="已口头报告").status_code == 202
    assert act(api, "complete").status_code == 202


def test_the_page_names_the_empty_fields_and_needs_the_tick(api: Served) -> None:
    path = link(api)
    shown = api.client.get(path).text
    assert EMPTY in shown
    assert EMPTY_ZH in shown
    assert 'type="checkbox" id="with_gaps" name="with_gaps"' in shown
    refused = api.client.post(path, data={"by": "王敏"})
    assert refused.status_code == 422
    assert "Not recorded: required fields of the report are empty." in refused.text
    assert EMPTY in refused.text
    assert states(api) == ["draft"]
    done = api.client.post(path, data={"by": "王敏", "with_gaps": "true"})
    assert done.status_code == 200
    assert "Recorded as done." in done.text
    assert states(api)[-1] == "submitted"


def test_the_page_of_a_filled_report_asks_for_no_tick(api: Served) -> None:
    write(api, TEXTS)
    path = link(api)
    assert "with_gaps" not in api.client.get(path).text
    assert api.client.post(path, data={"by": "王敏"}).status_code == 200
    assert states(api)[-1] == "submitted"


@pytest.mark.parametrize(("command", "state"), [("approve", "approved"), ("complete", "submitted")])
def test_the_command_names_the_empty_fields_and_takes_with_gaps(
    api: Served, monkeypatch: pytest.MonkeyPatch, command: str, state: str
) -> None:
    def request(method: str, url: str, *, json: Any, headers: dict[str, str], **_: Any) -> Any:
        return api.client.request(method, urlsplit(url).path, json=json, headers=headers)

    monkeypatch.setattr(httpx2, "request", request)
    arguments = [command, FORMAL, "--by", "Wang Min", "--config", str(CONFIG), "--lang", "en"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert f"/with_gaps: required fields of 'cbrc-formal-report' are empty: {EMPTY}" in refused.output
    taken = CliRunner().invoke(app, [*arguments, "--with-gaps"])
    assert taken.exit_code == 0, taken.output
    assert states(api)[-1] == state
