"""Pages of docs/: each command runs as it is written, and prints what the page shows below it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.budget import thorough
from support.builders import CONFIG, RULES, write
from support.checkout import CommandServer
from support.markdown import blocks
from support.pages import Notes, follow, joined
from support.servers import ROOT

from incident_engine.config.settings import load_settings
from incident_engine.domain.events.model import EVENT

OUTAGE = """
make run
curl -s http://127.0.0.1:8080/api/v1/events -d '{
  "source": "zabbix-bj", "id": "evt-81734", "type": "outage.started", "service": "core-banking",
  "regions": ["CN-GD", "湖南"], "occurred_at": "'"$(date -d '40 minutes ago' -Iseconds)"'"}' > /dev/null
"""
"""The outage of README.md, of which the pages show the incident."""


def outage(key: str, begins: str, ends: str, *regions: str) -> list[dict[str, Any]]:
    about = {"source": "m", "service": "core-banking", "incident": key, "regions": regions}
    return [
        {**about, "id": f"{key}-1", "type": "outage.started", "occurred_at": f"2013-06-{begins}:00+08:00"},
        {**about, "id": f"{key}-2", "type": "outage.restored", "occurred_at": f"2013-06-{ends}:00+08:00"},
    ]


@thorough
def test_replay(commands: CommandServer, tmp_path: Path) -> None:
    year = [*outage("A-1", "20T09:00", "20T09:40", "CN-GD"), *outage("A-2", "21T09:00", "21T12:30", "CN-GD", "CN-HN")]
    write(tmp_path, "year.jsonl", "\n".join(map(json.dumps, year)))
    # The reader changes the copy: two provinces for four hours instead of three.
    change = """
    cp() {
      command cp "$@"
      sed -i -e 's/^version: "2"/version: "3"/' -e '/id: art9-1-2/,/id: / s/at_least: 3h/at_least: 4h/' slower.yaml
    }
    """
    follow("docs/replay.md", Notes(before={"slower.yaml": change}), tmp_path, commands, LANG="en_GB.UTF-8")


def test_the_first_line_for_editors_is_that_of_every_shipped_pack() -> None:
    (shown,) = [block.text for block in blocks(ROOT / "docs/replay.md") if block.language == "yaml"]
    packs = list((RULES / "grading").glob("*.yaml"))
    assert packs
    assert all(pack.read_text(encoding="utf-8").startswith(shown) for pack in packs)


@thorough
def test_drills(commands: CommandServer, tmp_path: Path) -> None:
    tries = {
        "scenario: example": """
        mv block example.yaml
        .venv/bin/incident-engine drill example.yaml --speed max
        """
    }
    notes = Notes(not_run={"drill two-provinces": "test_readme.py plays it"}, tries=tries)
    follow("docs/drills.md", notes, tmp_path, commands, LANG="en_GB.UTF-8")


@thorough
def test_reports(commands: CommandServer, tmp_path: Path) -> None:
    notes = Notes(
        before={'"type": "report.written"': OUTAGE},
        instead={
            "dora-initial": "curl -s http://127.0.0.1:8080/api/v1/incidents/20261122-banking-57b6aa18/reports/dora-initial"
        },
        tries={"report: mas-first": "mv block mas-first.yaml; .venv/bin/incident-engine check mas-first.yaml"},
    )
    follow("docs/reports.md", notes, tmp_path, commands, LANG="en_GB.UTF-8")


EVENTS = Notes(
    before={
        '"CHG-4711"': OUTAGE,
        '"type":"outage.start"': 'curl() { command curl "$@"; }',  # the daemon refuses it
        "/recurring": """
        incident() {  # ID FROM TO MEASURED FIGURES: an outage of ten minutes, which hits no threshold by itself
          about='"source": "m", "incident": "'"$1"'", "service": "atm"'
          curl -s http://127.0.0.1:8080/api/v1/events -d '[
            {'"$about"', "id": "'"$1"'-1", "type": "outage.started", "regions": ["CN-GD"], "occurred_at": "'"$2"'"},
            {'"$about"', "id": "'"$1"'-2", "type": "outage.restored", "regions": ["CN-GD"], "occurred_at": "'"$3"'"},
            {'"$about"', "id": "'"$1"'-3", "type": "impact.measured", "occurred_at": "'"$4"'",
             "data": {"by": "Li Na", "measures": {'"$5"'}, "root_cause": "certificate expired"}}]' > /dev/null
        }
        incident INC-31 2026-10-13T17:50:26+08:00 2026-10-13T18:00:26+08:00 2026-10-14T17:50:26+08:00 \\
          '"clients": 60000, "media_coverage": true'
        incident INC-38 2026-11-19T17:50:26+08:00 2026-11-19T18:00:26+08:00 2026-11-20T17:50:26+08:00 '"clients": 50000'
        """,
    },
    instead={
        "occurred: 2026-03-03": ".venv/bin/incident-engine grade maintenance.json",
        "unknown measure": """
        curl() { command curl "$@"; }
        curl -s http://127.0.0.1:8080/api/v1/events -d '{
          "source": "desk", "id": "i2", "type": "impact.measured", "service": "payments",
          "occurred_at": "2026-11-22T17:36:25+08:00", "data": {"by": "Li Na", "measures": {"costs": 1}}}'
        """,
        '"corrected_by"': "curl -s http://127.0.0.1:8080/api/v1/incidents/20261122-banking-57b6aa18",
        '"status":"duplicate"': """
        for _ in first again; do
          curl -s http://127.0.0.1:8080/api/v1/events -o answer -d '{
            "source": "me", "id": "1", "type": "outage.started", "service": "payments", "regions": ["CN-GD"],
            "occurred_at": "2026-11-22T17:36:25+08:00"}'
        done
        cat answer
        """,
        "Another content": """
        curl() { command curl "$@"; }
        curl -s http://127.0.0.1:8080/api/v1/events -d '{
          "source": "me", "id": "1", "type": "outage.restored", "service": "payments", "regions": ["CN-GD"],
          "occurred_at": "2026-11-22T17:36:25+08:00"}'
        """,
        '"quarantined"': """
        alert() {
          echo '{"status": "firing", "labels": {"alertname": "Down", "service": "payments"'"$2"'},
            "startsAt": "2026-11-22T14:36:16+08:00", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "'"$1"'"}'
        }
        curl -s http://127.0.0.1:8080/api/v1/alertmanager \\
          -d '{"version": "4", "alerts": ['"$(alert abc ', "region": "CN-GD"'), $(alert abe '')"']}'
        """,
    },
    not_compared={
        "progress-report 3": "the obligations of an incident of eight hours, as a person would list them",
        '"type": "impact.measured"': "an event",
        '"type": "incident.closed"': "an event",
        '"type": "step.approved"': "an event",
    },
)
"""What the page says of an incident that began 40 minutes ago."""


def test_events(commands: CommandServer, tmp_path: Path) -> None:
    mobile = {"service": "mobile", "regions": ["CN-GD"], "source": "m"}
    announced = {"start": "2026-03-02T22:00:00+08:00", "end": "2026-03-03T02:00:00+08:00", "by": "Zhao Lei"}
    history = [
        {
            "source": "changes",
            "id": "CHG-4711",
            "type": "maintenance.announced",
            "service": "mobile",
            "occurred_at": "2026-03-02T10:00:00+08:00",
            "data": announced,
        },
        {**mobile, "id": "1", "type": "outage.started", "occurred_at": "2026-03-02T22:00:00+08:00"},
        {**mobile, "id": "2", "type": "outage.restored", "occurred_at": "2026-03-03T02:40:00+08:00"},
    ]
    write(tmp_path, "maintenance.json", json.dumps(history))
    packs = json.dumps(["cn-cbrc-2008", "cn-cac-2025", "cn-pboc-2025", "eu-dora-2024"])
    variables = {"LANG": "en_GB.UTF-8", "INCIDENT_ENGINE__GRADING__PACKS": packs}
    follow("docs/events.md", EVENTS, tmp_path, commands, **variables)


def test_the_events_that_the_page_shows_are_events() -> None:
    shown = [json.loads(block.text) for block in blocks(ROOT / "docs/events.md") if block.language == "json"]
    events = [document for document in shown if "occurred_at" in document]
    assert [EVENT.validate_python(event).type for event in events] == [
        "impact.measured",
        "step.approved",
        "incident.closed",
    ]


def at_the_counter(number: int, kind: str, at: str, **more: Any) -> dict[str, Any]:
    about = {"source": "d", "id": str(number), "service": "counter", "occurred_at": f"2013-06-{at}:00+08:00"}
    return {**about, "type": kind, **more}


def test_grading(commands: CommandServer, tmp_path: Path) -> None:
    elsewhere = "tests/rules/test_walkthrough.py"
    friday = at_the_counter(1, "outage.started", "21T16:50", regions=["CN-GD"])
    monday = at_the_counter(2, "outage.restored", "24T09:30", regions=["CN-GD"])
    failed = at_the_counter(2, "repair.failed", "21T21:00", data={"by": "Li Na", "reason": "no spare part"})
    corrected = at_the_counter(
        2, "level.corrected", "21T16:55", data={"level": "IV", "by": "Li Na", "reason": "no such level"}
    )
    write(tmp_path, "events.json", json.dumps([friday, monday]))
    write(tmp_path, "failed.json", json.dumps([friday, failed]))
    write(tmp_path, "corrected.json", json.dumps([friday, corrected]))
    notes = Notes(
        not_run={
            "check FILE…": "it names no file",
            "cn-oprisk": elsewhere,
        },
        not_compared={
            "rules/grading/": elsewhere,
            "config.yaml: 2 files": elsewhere,
            "Operational risk management": elsewhere,
            '"level.corrected"': elsewhere,
            '"id": "1", "type": "outage.started"': elsewhere,
        },
        instead={
            "provisional: ": ".venv/bin/incident-engine grade failed.json --at 2013-06-21T22:00",
            "counted 40 minutes": ".venv/bin/incident-engine grade events.json",
            "'IV'": ".venv/bin/incident-engine grade corrected.json 2>&1 || true",
        },
    )
    follow("docs/grading.md", notes, tmp_path, commands, LANG="en_GB.UTF-8")


@pytest.mark.parametrize(("page", "key"), [("docs/reports.md", "bank"), ("docs/drills.md", "drills")])
def test_the_settings_that_a_page_shows_are_settings(page: str, key: str, tmp_path: Path) -> None:
    (part,) = [yaml.safe_load(block.text) for block in blocks(ROOT / page) if block.text.startswith(f"{key}:")]
    config = joined(yaml.safe_load(CONFIG.read_text(encoding="utf-8")), part)
    member = config["contacts"][0]["id"]
    config["rotations"] = [
        {"id": "night-shift", "timezone": "Asia/Shanghai", "starts": "2026-01-05T09:00", "members": [member]}
    ]
    file = write(tmp_path, "config.yaml", yaml.safe_dump(config, allow_unicode=True))
    loaded = load_settings(file, {}).model_dump(mode="json", by_alias=True)[key]
    assert joined(loaded, part[key]) == loaded  # each value of the page is there
