"""Reports and the review of a period over the API."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from httpx2 import Response
from sqlalchemy import Insert, insert
from support.builders import at, event_json, restored_json, started_json
from support.fixtures import Served, served

from incident_engine.engine import report_versions as reporting
from incident_engine.engine.report_facts import facts_of
from incident_engine.store.tables import deliveries, steps

BEGAN = at("10:35")
BASE = "/api/v1/incidents/k/reports"
FORMAL = f"{BASE}/cbrc-formal-report"
SUMMARY = "/api/v1/reports/summary"
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, at("10:40")) as found:
        yield found


def post(api: Served, *documents: dict[str, Any]) -> None:
    answer = api.client.post("/api/v1/events", json=list(documents))
    assert answer.status_code == 202, answer.text


def wrote(name: str, when: str, report: str = "cbrc-formal-report", **fields: str) -> dict[str, Any]:
    written = {field.replace("_", "-"): text for field, text in fields.items()}
    data = {"by": "王敏", "report": report, "fields": written}
    return event_json(name, "report.written", at(when), incident="k", data=data)


def store(api: Served, statement: Insert) -> None:
    """Write into the database, as another part of the daemon would."""
    api.writer.submit(lambda unit: unit.connection.execute(statement), urgent=True).result(30)


def keep(api: Served) -> None:
    """Keep the versions of the incident's reports as they are now."""
    now = api.clock.now()

    def work(unit: Any) -> None:
        case = api.reader.case(unit.connection, "k", now)
        assert case is not None
        facts = facts_of(api.settings, case.incident, case.packs, case.assessments)
        reporting.update_versions(unit, facts, api.reader.reports, now)

    api.writer.submit(work, urgent=True).result(30)


@pytest.fixture
def known(api: Served) -> Served:
    """Return the API with an outage and two versions of its written report."""
    post(api, started_json("a", BEGAN, incident="k"), wrote("w1", "10:39", next_steps="Switch over"))
    keep(api)
    api.clock.set(at("11:10"))
    post(api, wrote("w2", "11:09", next_steps=f"Switch over {NASTY}", coordination="二线"))
    keep(api)
    return api


def get(api: Served, path: str, **params: Any) -> dict[str, Any]:
    answer = api.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def refused(answer: Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    return document


# Reports


def test_all_versions_are_listed_and_what_can_be_drafted(known: Served) -> None:
    found = get(known, BASE)
    formal = next(each for each in found["reports"] if each["report"] == "cbrc-formal-report")
    assert formal["title"]["zh-CN"] == "重要信息系统突发事件书面报告"
    numbers = [version["version"] for version in formal["versions"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 2
    assert {version["state"] for version in formal["versions"]} == {"draft"}
    assert formal["versions"][0]["gaps"] > formal["versions"][-1]["gaps"]
    assert {"cbrc-summary-report", "dora-final", "drill-report"} <= set(found["available"])


def test_the_newest_version_is_given_unless_another_is_asked_for(known: Served) -> None:
    newest, first = get(known, FORMAL, lang="en"), get(known, FORMAL, version=1, lang="en")
    assert newest["version"] > 1 == first["version"]
    assert newest["fields"]["handling"]["next-steps"] == f"Switch over {NASTY}"
    assert first["fields"]["handling"]["next-steps"] == "Switch over"
    assert "coordination" in first["gaps"]
    assert "coordination" not in newest["gaps"]
    assert newest["title"] == "Written report on an incident in an important information system"


def test_the_bank_s_language_is_the_default(known: Served) -> None:
    assert get(known, FORMAL)["locale"] == "zh-CN"
    assert get(known, FORMAL)["fields"]["event"]["place"] == "广东"


def test_json_has_the_texts_by_group_and_field(known: Served) -> None:
    found = get(known, f"{BASE}/dora-initial", lang="en")
    assert found["fields"]["initial"]["detected-at"] == "2013-06-23T02:40:00Z"
    assert found["fields"]["general"]["submitting-entity"] == "Cloudsail Bank"
    assert found["fields"]["general"]["entity-type"] is None


def test_a_report_that_nothing_asked_for_is_drafted_for_the_look_and_not_kept(known: Served) -> None:
    assert get(known, f"{BASE}/cbrc-summary-report")["version"] == 0
    assert "cbrc-summary-report" not in {each["report"] for each in get(known, BASE)["reports"]}


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_as_a_page_to_print_nothing_of_it_is_markup(known: Served, lang: str) -> None:
    answer = known.client.get(FORMAL, params={"format": "html", "lang": lang})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "@page" in answer.text


@pytest.mark.parametrize(("lang", "region"), [("zh-CN", "广东"), ("en", "Guangdong")])
def test_as_docx_to_edit(known: Served, lang: str, region: str) -> None:
    answer = known.client.get(FORMAL, params={"format": "docx", "lang": lang, "version": 1})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="k-cbrc-formal-report-v1-{lang}.docx"'
    document = Document(BytesIO(answer.content))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    assert region in cells


def test_what_is_not_there_is_told_with_the_nearest_name(known: Served) -> None:
    assert "GET /api/v1/incidents lists them" in refused(known.client.get("/api/v1/incidents/x/reports"), 404)["detail"]
    wrong = refused(known.client.get(f"{BASE}/cbrc-formal-reprot"), 404)
    assert "did you mean 'cbrc-formal-report'?" in wrong["detail"]
    assert "no version 99" in refused(known.client.get(FORMAL, params={"version": 99}), 404)["detail"]
    assert "no instance 'x'" in refused(known.client.get(f"{FORMAL}/x"), 404)["detail"]


@pytest.mark.parametrize(
    ("path", "params", "parameter"),
    [
        (FORMAL, {"fromat": "html"}, "fromat"),
        (FORMAL, {"format": "pdf"}, "format"),
        (FORMAL, {"version": "0"}, "version"),
        (FORMAL, {"lang": "de"}, "lang"),
        (BASE, {"limit": "3"}, "limit"),
        (SUMMARY, {"form": "2013-01-01"}, "form"),
        (SUMMARY, {"from": "yesterday"}, "from"),
        (SUMMARY, {"from": "2013-02-01", "to": "2013-01-01"}, "to"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(
    known: Served, path: str, params: dict[str, str], parameter: str
) -> None:
    problem = refused(known.client.get(path, params=params), 422)
    assert [error["parameter"] for error in problem["errors"]] == [parameter]


def test_an_instance_is_given_by_its_name(known: Served) -> None:
    row = {"id": "k:p:s:1", "case_id": "k", "playbook": "p", "step": "s", "audience": "a", "template": "t"}
    for number, due in ((1, "10:50"), (2, "11:00")):
        values = row | {"id": f"k:p:s:{number}", "instance": f"progress-report.{number}", "due_at": at(due)}
        store(known, insert(steps).values(**values, report="cbrc-progress-report", state="started"))
    keep(known)
    assert get(known, f"{BASE}/cbrc-progress-report/progress-report.1")["instance"] == "progress-report.1"
    assert get(known, f"{BASE}/cbrc-progress-report")["instance"] == "progress-report.2"


# The review of a period


def delivery(api: Served, name: str, step: str, state: str, ended: str) -> None:
    values: dict[str, Any] = {
        "id": name,
        "step_id": step,
        "case_id": "k",
        "contact": "c",
        "channel": "outbox",
        "locale": "en",
    }
    values |= {"subject": "s", "body": "b", "priority": 2, "position": 0, "state": state, "attempts": 1}
    instants = {"created_at": at("11:05"), "ended_at": at(ended)}
    store(api, insert(deliveries).values(**values, **instants))


def test_the_figures_of_a_period(api: Served) -> None:
    post(api, started_json("a", BEGAN, incident="k"))  # we hear of it five minutes after it began
    api.clock.set(at("11:20"))
    api.fire()
    step = next(row["id"] for row in api.rows(steps) if row["audience"] == "customers")
    delivery(api, "d1", step, "delivered", "11:06")
    delivery(api, "d2", step, "delivered", "11:09")
    delivery(api, "d3", step, "failed", "11:10")
    done = {"by": "王敏", "fulfils": "first-report"}
    cause = {"by": "Li", "root_cause": "disk array"}
    post(
        api,
        event_json("c", "step.completed", at("11:16"), incident="k", data=done),
        event_json("m", "impact.measured", at("11:17"), incident="k", data=cause),
        restored_json("r", at("11:18"), incident="k"),
    )
    found = get(api, SUMMARY, **{"from": "2013-06-23", "to": "2013-06-23"})
    assert found["incidents"] == {
        "total": 1,
        "graded": 1,
        "by_level": {"III": 1},
        "by_service": {"core-banking": 1},
        "by_root_cause": {"disk array": 1},
    }
    seconds = {name: spread["median_seconds"] for name, spread in found["times"].items()}
    # From 10:35: known 10:40, customers told 11:06, reported 11:16, restored 11:18; nobody acknowledged anything.
    assert seconds == {"detected": 300, "customers_told": 31 * 60, "reported": 41 * 60, "restored": 43 * 60}
    assert found["messages"] == {"delivered": 2, "failed": 1}
    assert found["deadlines"]["met"] == 1


@pytest.mark.parametrize(
    ("first", "last", "count"),
    [("2013-06-23", "2013-06-23", 1), ("2013-06-24", "2013-06-24", 0), ("2013-01-01", "2013-06-22", 0)],
)
def test_a_period_has_whole_days_of_the_bank_both_included(api: Served, first: str, last: str, count: int) -> None:
    api.clock.set(at("00:30"))
    post(api, started_json("a", at("00:00"), incident="k"))  # still the 22nd in UTC
    assert get(api, SUMMARY, **{"from": first, "to": last})["incidents"]["total"] == count


def test_the_year_until_today_is_the_default(api: Served) -> None:
    found = get(api, SUMMARY)
    assert (found["from"], found["to"]) == ("2013-01-01", "2013-06-23")


@pytest.mark.parametrize(("lang", "word"), [("zh-CN", "中位数"), ("en", "Median")])
def test_the_review_as_a_page(known: Served, lang: str, word: str) -> None:
    lesson = {"by": "Li", "text": NASTY}
    post(known, event_json("l", "lesson.recorded", at("11:10"), incident="k", data=lesson))
    answer = known.client.get(SUMMARY, params={"format": "html", "lang": lang})
    assert answer.status_code == 200
    assert word in answer.text
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text


# The whole way


def test_a_report_is_drafted_when_its_step_begins_and_frozen_when_it_is_handed_in(tmp_path: Path) -> None:
    with served(tmp_path, at("10:40"), PLAYBOOKS='["regulator-reports"]') as api:
        post(api, started_json("a", BEGAN, incident="k"))
        api.clock.set(at("11:05"))
        api.fire()
        api.clock.set(at("11:16"))
        done = {"by": "王敏", "fulfils": "first-report"}
        post(api, event_json("c", "step.completed", at("11:16"), incident="k", data=done))
        api.clock.set(at("11:25"))
        post(api, started_json("b", at("11:20"), "CN-HN", incident="k"))
        reports = {each["report"]: each["versions"] for each in get(api, BASE)["reports"]}
    first = [
        (version["version"], version["state"], version["by"], version["at"]) for version in reports["cbrc-first-report"]
    ]
    assert first == [
        (1, "draft", None, "2013-06-23T11:05:00+08:00"),
        (1, "submitted", "王敏", "2013-06-23T11:16:00+08:00"),
    ]
    # The written report is not handed in yet: it learns of the first report, and of Hunan.
    assert [version["version"] for version in reports["cbrc-formal-report"]] == [1, 2, 3]


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2200-01-01", "9999-12-31"])
@pytest.mark.parametrize("name", ["from", "to"])
def test_a_day_near_the_ends_of_the_calendar_is_refused(known: Served, name: str, day: str) -> None:
    answer = known.client.get(SUMMARY, params={name: day})
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert (error["parameter"], error["expected"]) == (name, "one from 1970-01-01 to 2199-12-31")


def test_the_whole_range_of_days_is_answered(known: Served) -> None:
    answer = known.client.get(SUMMARY, params={"from": "1970-01-01", "to": "2199-12-31"})
    assert answer.status_code == 200, answer.text
