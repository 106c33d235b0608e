"""What Prometheus' own checker says of our metrics."""

import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from support.bank import write_config
from support.markdown import blocks
from support.servers import PATIENCE, PROMTOOL, ROOT, client, daemon, environment, need, wait_for

AMTOOL = "amtool"
NOTIFICATION = {
    "version": "4",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "Down", "service": "no-such-service", "region": "CN-GD"},
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "0123456789abcdef",
        }
    ],
}


@pytest.mark.servers
def test_promtool_takes_the_alert_rules_of_the_documentation(tmp_path: Path) -> None:
    need(PROMTOOL)
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rules = text.partition("```yaml\n")[2].partition("```\n")[0]
    file = tmp_path / "incident-engine.rules.yml"
    file.write_text(rules, encoding="utf-8")
    checked = subprocess.run(
        [PROMTOOL, "check", "rules", file.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    count = rules.count("- alert: ")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert f"SUCCESS: {count} rules found" in checked.stdout
    assert f"SUCCESS: {count} rules found" in text  # as the documentation shows it


@pytest.mark.servers
@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_documented_route_sends_own_alerts_to_people_and_alerts_about_services_to_the_engine(
    tmp_path: Path, readme: str
) -> None:
    need(AMTOOL)
    configuration, rules = (
        next(block.text for block in blocks(ROOT / readme) if block.language == "yaml" and word in block.text)
        for word in ("webhook_configs", "- alert: ")
    )
    file = tmp_path / "alertmanager.yml"
    file.write_text(configuration, encoding="utf-8")

    def amtool(*arguments: str) -> str:
        command = [AMTOOL, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, env=environment(), check=True
        ).stdout

    assert "SUCCESS" in amtool("check-config", file.name)
    own = yaml.safe_load(rules)["groups"][0]["rules"][0]["labels"]
    for labels, receiver in (
        ({**own, "incident": "20261122-banking-57b6aa18", "pack": "cn-cbrc-2008"}, "people"),
        ({"service": "core-banking", "region": "CN-GD", "severity": "critical"}, "incident-engine"),
        ({"service": "corebankin"}, "incident-engine"),
    ):
        pairs = [f"{name}={value}" for name, value in labels.items()]
        assert amtool("config", "routes", "test", f"--config.file={file.name}", *pairs).strip() == receiver


def test_every_documented_rule_has_the_label_by_which_it_is_routed_and_recognised() -> None:
    for page in ("README.md", "README.zh-CN.md", "docs/metrics.md"):
        found = [block.text for block in blocks(ROOT / page) if "- alert: " in block.text]
        rules = [rule for text in found for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
        assert rules
        for rule in rules:
            assert rule["labels"]["origin"] == "incident-engine", rule["alert"]


@pytest.mark.servers
def test_promtool_finds_nothing_to_say_about_the_metrics(tmp_path: Path) -> None:
    need(PROMTOOL)
    begun = datetime.now(UTC) - timedelta(minutes=40)
    event = {
        "source": "test",
        "id": "1",
        "type": "outage.started",
        "service": "core-banking",
        "regions": ["CN-GD"],
        "occurred_at": begun.isoformat(),
    }
    with daemon(write_config(tmp_path)) as ours, client(ours.url) as http:
        assert http.post("/api/v1/events", json=event).status_code == 202
        assert http.post("/api/v1/events", json=event | {"service": "no-such"}).status_code == 422
        assert len(http.post("/api/v1/alertmanager", json=NOTIFICATION).json()["quarantined"]) == 1
        [incident] = http.get("/api/v1/incidents").json()["incidents"]

        def delivered() -> bool:
            # Down for 40 minutes: level III, so the two on duty, the reporter and the customers in two languages.
            found = http.get(f"/api/v1/incidents/{incident['id']}").json()["deliveries"]
            assert Counter(delivery["state"] for delivery in found) == {"delivered": 5}
            return True

        wait_for("the messages of level III are delivered", delivered)
        metrics = http.get("/metrics")

    for line in (
        'incident_engine_open_incidents{level="III"} 1.0',
        f'incident_engine_incident_level{{incident="{incident["id"]}",level="III",pack="cn-cbrc-2008"}} 1.0',
        'incident_engine_deliveries_total{channel="outbox",outcome="delivered"} 5.0',
        'incident_engine_events_total{outcome="accepted",source="test"} 1.0',
        'incident_engine_events_total{outcome="quarantined",source="alertmanager"} 1.0',
        "incident_engine_quarantined_alerts 1.0",
    ):
        assert line in metrics.text.splitlines()
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"],
        input=metrics.content,
        capture_output=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    assert (checked.returncode, checked.stdout.decode(), checked.stderr.decode()) == (0, "", "")
