"""`report` as the risk department uses it: beside the daemon, in a year's end, for one report."""

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from support.builders import at, event_json, restored_json, started_json
from support.fixtures import House, bank, house

Run = Callable[..., Any]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Hold a database with one incident open, as the daemon does, and let the command find it."""
    monkeypatch.setenv("INCIDENT_ENGINE__STORE__URL", f"sqlite:///{tmp_path / 'engine.db'}")
    with house(tmp_path, bank(tmp_path)) as found:
        found.report(at("10:40"), started_json("a", at("10:35"), incident="k"))
        found.fire(at("11:10"))
        lesson = {"by": "Li", "text": "Test the switch-over"}
        found.report(at("11:21"), restored_json("r", at("11:20"), incident="k"))
        found.report(at("11:22"), event_json("l", "lesson.recorded", at("11:22"), incident="k", data=lesson))
        yield found


@pytest.mark.parametrize(("lang", "words"), [("en", "restored after"), ("zh-CN", "经验教训")])
def test_the_review_of_a_year(run: Run, held: House, lang: str, words: str) -> None:
    said = run("report", "--from", "2013-01-01", "--to", "2013-12-31", "--lang", lang)
    assert (said.code, said.err) == (0, "")
    assert "2013-01-01 – 2013-12-31" in said.out
    (listed,) = (line.split() for line in said.out.splitlines() if "2013-06-23 10:35" in line)
    assert listed[:2] == ["k", "III"]
    assert "Test the switch-over" in said.out
    assert words in said.out


def test_the_review_as_json_and_as_a_page(run: Run, held: House) -> None:
    document = json.loads(run("report", "--from", "2013-01-01", "--format", "json").out)
    assert document["incidents"]["by_level"] == {"III": 1}
    page = run("report", "--from", "2013-01-01", "--format", "html", "--output", "review.html", "--lang", "en")
    assert page.out == "written: review.html\n"
    assert "<h1>Cloudsail Bank · review of incidents</h1>" in Path("review.html").read_text(encoding="utf-8")


def test_an_incident_has_its_figures_and_its_reports(run: Run, held: House) -> None:
    said = run("report", "--incident", "k")
    assert said.code == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0] == "incident k level: III"
    assert "detected 5 minutes" in lines
    assert "restored 45 minutes" in lines
    assert "acknowledged —" in lines
    document = json.loads(run("report", "--incident", "k", "--format", "json").out)
    assert document["seconds_to"]["detected"] == 300
    assert "cbrc-formal-report" in document["available"]


@pytest.mark.parametrize(("lang", "place"), [("en", "Guangdong"), ("zh-CN", "广东")])
def test_one_report_in_every_form(run: Run, held: House, lang: str, place: str) -> None:
    asked = ("report", "--incident", "k", "--report", "cbrc-formal-report", "--lang", lang)
    assert place in run(*asked).out
    assert json.loads(run(*asked, "--format", "json").out)["fields"]["event"]["place"] == place
    assert f'<html lang="{lang}">' in run(*asked, "--format", "html").out
    assert run(*asked, "--format", "docx", "-o", "report.docx").code == 0
    cells = [
        c.text for t in Document(BytesIO(Path("report.docx").read_bytes())).tables for r in t.rows for c in r.cells
    ]
    assert place in cells


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--incident", "x"), "there is no incident 'x'"),
        (("--incident", "k", "--report", "cbrc-formal-reprot"), "did you mean 'cbrc-formal-report'?"),
        (("--incident", "k", "--report", "cbrc-summary-report", "--version", "7"), "has no version 7"),
        (("--incident", "k", "--format", "html"), "html is only for a single report"),
    ],
)
def test_what_is_not_there_is_told_on_a_line(run: Run, held: House, arguments: tuple[str, ...], said: str) -> None:
    found = run("report", *arguments)
    assert found.code == 1
    assert said in found.err
    assert found.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "pdf"),
        ("--from", "yesterday"),
        ("--from", "2013-02-01", "--to", "2013-01-01"),
        ("--report", "cbrc-formal-report"),
        ("--incident", "k", "--version", "1"),
        ("--incident", "k", "--from", "2013-01-01"),
        ("--incident", "k", "--report", "cbrc-formal-report", "--format", "docx"),
    ],
)
def test_what_cannot_be_understood_is_a_fault_of_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("report", *arguments).code == 2


def test_without_a_database_it_says_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCIDENT_ENGINE__STORE__URL", f"sqlite:///{tmp_path / 'none.db'}")
    said = run("report")
    assert said.code == 1
    assert said.err.startswith("error: there is no database ")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2200-01-01", "9999-12-31"])
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_day_near_the_ends_of_the_calendar_is_refused_in_words(run: Run, option: str, day: str) -> None:
    refused = run("report", option, day)
    assert refused.code == 2
    assert "from 1970-01-01 to 2199-12-31" in refused.err
