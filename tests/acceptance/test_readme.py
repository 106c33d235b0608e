"""README.md and README.zh-CN.md: each command runs as it is written, and prints what the page shows below it.

What depends on the moment (instants, durations since the outage, dates, hashes, ports, links) is left out of both
sides. A block that is marked as shortened has some lines of the output, in their order.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.budget import thorough
from support.builders import CONFIG, write
from support.checkout import CommandServer
from support.markdown import Block, blocks
from support.pages import Notes, follow, joined
from support.servers import PATIENCE, PROMTOOL, ROOT, environment, need

from incident_engine.cli.check import check

AMTOOL = "amtool"
NOTES = Notes(
    not_run={"make test": "it runs this test"},
    tries={'"id": "evt-81735"': "mv block events.json"},
    before={
        # It counts provinces only while they are down at the same time.
        "replay history.jsonl": """
        sed -e 's/^version: "2"/version: "3"/' -e '/^  counting:/,/value:/ s/value: own/value: concurrent/' \\
          rules/grading/cn-cbrc-2008.yaml > changed.yaml
        """,
        # The second incident of the year.
        "report --from": """
        outage() {
          curl -s http://127.0.0.1:8080/api/v1/events -d '{
            "source": "zabbix-bj", "id": "'"$1"'", "type": "'"$2"'", "service": "payments", "regions": ["CN-GD"],
            "occurred_at": "'"$(date -d "$3" -Iseconds)"'"}'
        }
        payments=$(outage evt-81740 outage.started '45 minutes ago' | grep -o '[0-9]*-payments-76e6d4c8')
        .venv/bin/incident-engine step acknowledge $payments:emergency-response:page:III --by Li
        outage evt-81741 outage.restored now
        """,
    },
    instead={
        "incident-engine 0.1.0": "cat daemon.out",
        "/do/": "until cat var/outbox/*/*page.II-duty-$READER*.md 2> /dev/null; do sleep 0.1; done",
        "version 3|版本 3": ".venv/bin/incident-engine report --incident 20261122-banking-57b6aa18",
        "2013-06-21 10:40": ".venv/bin/incident-engine grade corrected.json --at 2013-06-21T11:00",
        "zabbix-bj/evt-81735": ".venv/bin/incident-engine grade events.json --at 2013-06-23T11:30 --explain",
        "rules/grading/broken.yaml": """
        mkdir -p broken/rules/grading
        cd broken
        sed '136s/at_least: 3h/atleast: 3h/' ../rules/grading/cn-cbrc-2008.yaml > rules/grading/broken.yaml
        ../.venv/bin/incident-engine check rules/grading/broken.yaml --config ../config.yaml || true
        """,
    },
)


def outage(number: int, kind: str, at: str, service: str, *regions: str) -> dict[str, Any]:
    about = {"service": service, "regions": regions, "occurred_at": f"{at}:00+08:00"}
    return {"source": "monitor", "id": str(number), "type": f"outage.{kind}", **about}


HISTORY = [
    outage(1, "started", "2026-03-02T09:00", "core-banking", "CN-GD"),
    outage(2, "restored", "2026-03-02T09:40", "core-banking", "CN-GD"),
    # One province after the other: the changed pack counts them together only.
    outage(3, "started", "2026-04-02T09:00", "payments", "CN-GD"),
    outage(4, "restored", "2026-04-02T10:00", "payments", "CN-GD"),
    outage(5, "started", "2026-04-02T10:00", "payments", "CN-HN"),
    outage(6, "restored", "2026-04-02T10:40", "payments", "CN-HN"),
]
"""The history that the pages replay."""


def corrected(*corrections: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Return the events of an outage whose level people corrected: times, names and reasons."""
    events = [outage(1, "started", "2013-06-21T10:00", "core-banking", "CN-GD", "CN-HN")]
    for at, by, reason in corrections:
        data = {"level": "III", "by": by, "reason": reason}
        about = {"service": "core-banking", "occurred_at": f"2013-06-21T{at}:00+08:00", "data": data}
        events.append({"source": "desk", "id": at, "type": "level.corrected", **about})
    return events


@dataclass(frozen=True, slots=True)
class Page:
    """A page, the locale of its reader, and the corrections that it shows."""

    name: str
    locale: str
    reader: str
    corrected: list[dict[str, Any]]


PAGES = [
    Page(
        "README.md",
        "en_GB.UTF-8",
        "engineer",
        corrected(
            ("10:40", "Li Na", "Hunan served by the second site"),
            ("10:50", "Wang Min", "confirmed"),
        ),
    ),
    Page(
        "README.zh-CN.md",
        "zh_CN.UTF-8",
        "officer",
        corrected(("10:40", "李娜", "湖南业务由备用中心承接"), ("10:50", "王敏", "情况属实")),
    ),
]


@pytest.mark.parametrize("page", [PAGES[0], pytest.param(PAGES[1], marks=thorough)], ids=lambda page: page.name)
def test_each_command_prints_what_the_page_shows(page: Page, commands: CommandServer, tmp_path: Path) -> None:
    write(tmp_path, "history.jsonl", "\n".join(map(json.dumps, HISTORY)))
    write(tmp_path, "corrected.json", json.dumps(page.corrected))
    follow(page.name, NOTES, tmp_path, commands, LANG=page.locale, READER=page.reader)


def yaml_blocks(page: Page) -> dict[str, Block]:
    """Return the blocks of YAML by their first key."""
    found = [block for block in blocks(ROOT / page.name) if block.language == "yaml"]
    return {block.text.partition(":")[0]: block for block in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_block_of_yaml_is_tried_here(page: Page) -> None:
    assert list(yaml_blocks(page)) == ["route", "scrape_configs", "groups", "grading", "services"]


@pytest.mark.servers
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize(
    ("key", "checker"),
    [
        ("route", [AMTOOL, "check-config"]),
        ("scrape_configs", [PROMTOOL, "check", "config", "--syntax-only"]),
        ("groups", [PROMTOOL, "check", "rules"]),
    ],
)
def test_the_monitors_accept_their_configuration(page: Page, key: str, checker: list[str], tmp_path: Path) -> None:
    need(checker[0])
    file = tmp_path / "file.yaml"
    file.write_text(yaml_blocks(page)[key].text, encoding="utf-8")
    checked = subprocess.run(
        [*checker, file.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_check_accepts_the_configuration_that_both_pages_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["services"] = [service for service in config["services"] if service["id"] != "mobile"]  # the page has it
    for key in ("grading", "services"):
        english, chinese = (yaml.safe_load(yaml_blocks(page)[key].text) for page in PAGES)
        assert english == chinese
        config = joined(config, english)
    assert config["audiences"]["duty-team"][-1] == "night-shift"
    write(tmp_path, "secrets/wecom-url", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0123456789")
    file = write(tmp_path, "config.yaml", yaml.safe_dump(config, allow_unicode=True))
    monkeypatch.chdir(tmp_path)
    assert [str(finding) for finding in check([file], CONFIG).findings] == []
