"""What Prometheus' own checker says of our metrics."""

import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.bank import write_config
from support.servers import PATIENCE, PROMTOOL, ROOT, client, daemon, environment, need, wait_for

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
