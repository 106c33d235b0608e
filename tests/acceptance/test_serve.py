"""`serve` as an operator meets it: it starts, says where it is, stops when told to and refuses what cannot work."""

import json
import signal
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.bank import contacts, write_config, write_rules
from support.builders import started_json
from support.servers import LOOPBACK, Daemon, Posted, client, daemon, free_port, http_receiver, wait_for

KEY = "0123456789abcdef0123456789abcdef"
SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgYWNjZXB0YW5jZSB0ZXN0"
STOPPING = [signal.SIGINT, signal.SIGTERM]


def stop(ours: Daemon, number: signal.Signals) -> None:
    """Stop the daemon, which must take less than five seconds and end well."""
    begun = time.monotonic()
    assert ours.stop(number) == 0
    assert time.monotonic() - begun < 5
    assert ours.printed.endswith("stopped\n")
    assert "Traceback" not in ours.logged


def refusal(ours: Daemon) -> str:
    """Return what a daemon that must not start says, which must be one line and nothing else."""
    assert ours.wait() == 1
    assert ours.printed == ""
    [line] = ours.logged.splitlines()
    return line


@pytest.mark.parametrize("number", STOPPING)
def test_it_says_where_it_is_and_stops_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    config = write_config(tmp_path)
    with daemon(config, is_cold=number is STOPPING[0]) as ours:
        head, warning, *lines = ours.printed.splitlines()
        stop(ours, number)
    assert head.startswith("incident-engine 0.1.0 · Cloudsail Bank · ")
    assert head.endswith(str(config))
    assert "example bank, not yours" in warning
    assert lines[:4] == [
        f"  push events: POST {ours.url}/api/v1/events    Alertmanager: POST {ours.url}/api/v1/alertmanager",
        f"  pages: {ours.url}/docs    {ours.url}/api/v1/incidents",
        f"  metrics: {ours.url}/metrics",
        f"  messages: {tmp_path / 'outbox'}",
    ]
    assert lines[4].startswith(f"  try: curl -s {ours.url}/api/v1/events -d '")
    assert lines[5:] == ["  Ctrl-C stops"]


def test_the_event_that_the_banner_offers_opens_an_incident_of_level_iii(tmp_path: Path) -> None:
    with daemon(write_config(tmp_path)) as ours, client(ours.url) as http:
        [line] = [line for line in ours.printed.splitlines() if line.startswith("  try: ")]
        event = line.split(" -d ")[1].strip("'")
        answer = http.post("/api/v1/events", content=event)
        assert answer.status_code == 202, answer.text
        # It began forty minutes ago, in one province.
        assert [found["level"] for found in http.get("/api/v1/incidents").json()["incidents"]] == ["III"]


@pytest.mark.parametrize("number", STOPPING)
def test_it_stops_while_a_receiver_never_answers_and_sends_the_message_again_when_it_is_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    stopped: list[bool] = []

    def answer(_: Posted) -> int | None:
        return 204 if stopped else None

    with http_receiver(answer) as desk:
        members = ("duty-officer", "duty-engineer", "risk-reporter", "leading-group", "customers-zh", "customers-en")
        config = write_config(
            tmp_path,
            outgoing={"allow": [LOOPBACK]},
            channels={"desk": {"type": "webhook", "url": desk.url, "secret": {"value": SECRET}, "timeout": "60s"}},
            contacts=contacts({member: [{"channel": "desk"}] for member in members}),
        )
        with daemon(config) as ours, client(ours.url) as http:
            begun = datetime.now(UTC) - timedelta(minutes=40)
            assert http.post("/api/v1/events", json=started_json("1", begun)).status_code == 202
            # Level III: the two on duty, the reporter and the customers in two languages.
            wait_for("five messages are under way", lambda: len(desk.got) == 5)
            stop(ours, number)
            stopped.append(True)
            ours.start_ready()
            wait_for("they come again", lambda: len(desk.got) == 10)
            first, again = ([posted.headers["webhook-id"] for posted in half] for half in (desk.got[:5], desk.got[5:]))
            assert len(set(first)) == 5
            assert sorted(again) == sorted(first)


def test_it_stops_while_somebody_is_still_sending_an_event(tmp_path: Path) -> None:
    with daemon(write_config(tmp_path)) as ours:
        host, port = LOOPBACK, int(ours.url.rsplit(":", 1)[1])
        with socket.create_connection((host, port), timeout=10) as slow:
            slow.sendall(b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            with client(ours.url) as http:  # asked after it, answered after it was read
                assert http.get("/healthz").status_code == 200
            begun = time.monotonic()
            assert ours.stop(signal.SIGTERM) == 0
            assert time.monotonic() - begun < 5


def test_a_second_daemon_on_the_same_database_refuses_to_start(tmp_path: Path) -> None:
    config = write_config(tmp_path / "one")
    database = tmp_path / "one" / "engine.db"
    second = write_config(tmp_path / "two", store={"url": f"sqlite:///{database}"})
    with daemon(config) as ours, daemon(second, ready=False) as other, client(ours.url) as http:
        assert refusal(other) == (
            f"error: {database} is in use by another incident-engine; stop it, or name another store.url"
        )
        assert http.get("/readyz").status_code == 200


def test_a_second_daemon_on_the_same_port_refuses_to_start(tmp_path: Path) -> None:
    port = free_port()
    one, two = write_config(tmp_path / "one"), write_config(tmp_path / "two")
    with daemon(one, port) as ours, daemon(two, port, ready=False) as other, client(ours.url) as http:
        said = refusal(other)
        assert said.startswith(f"error: cannot listen on 127.0.0.1 port {port}: Address already in use")
        assert said.endswith("; set another with INCIDENT_ENGINE__SERVER__PORT or server.port")
        assert http.get("/readyz").status_code == 200


def test_open_to_others_it_refuses_to_start_without_a_key(tmp_path: Path) -> None:
    with daemon(write_config(tmp_path), ready=False, INCIDENT_ENGINE__SERVER__HOST="0.0.0.0") as ours:
        assert refusal(ours) == (
            "error: server.host is 0.0.0.0, which others can reach, and server.keys is empty; "
            "set a key ('openssl rand -hex 32'), or bind to 127.0.0.1"
        )
    assert not (tmp_path / "engine.db").exists()


def test_with_a_key_everything_but_health_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    config = write_config(tmp_path, server={"host": LOOPBACK, "keys": [{"file": str(tmp_path / "key")}]})
    guarded = [
        *(("GET", path, 200) for path in ("/metrics", "/docs", "/openapi.json")),
        *(("GET", path, 200) for path in ("/api/v1/incidents", "/api/v1/quarantine")),
        *(("GET", path, 404) for path in ("/api/v1/incidents/x", "/api/v1/incidents/x/timeline", "/nowhere")),
        ("GET", "/", 307),
        *(("POST", path, 400) for path in ("/api/v1/events", "/api/v1/alertmanager")),
    ]
    with daemon(config) as ours, client(ours.url) as http, client(ours.url, Authorization=f"Bearer {KEY}") as keyed:
        assert http.get("/healthz").status_code == 200
        assert http.get("/readyz").status_code == 200
        for method, path, status in guarded:
            refused = http.request(method, path)
            assert (path, refused.status_code) == (path, 401)
            assert (
                refused.headers["www-authenticate"] == 'Bearer realm="incident-engine", Basic realm="incident-engine"'
            )
            assert refused.headers["content-type"] == "application/problem+json"
            wrong = http.request(method, path, headers={"Authorization": f"Bearer {KEY}x"})
            assert wrong.status_code in (401, 429)  # after ten of them the address is slowed down
            assert (path, keyed.request(method, path).status_code) == (path, status)


def test_what_fell_due_while_it_was_down_is_done_at_once(tmp_path: Path) -> None:
    # One province: level III after six seconds, long enough to stop the daemon before.
    config = write_config(tmp_path, write_rules(tmp_path, one_province_iii="6s", two_provinces_ii="30m"))
    with daemon(config) as ours, client(ours.url) as http:
        begun = datetime.now(UTC)
        due = begun + timedelta(seconds=6)
        receipt = http.post("/api/v1/events", json=started_json("1", begun)).json()["events"][0]
        assert http.get("/api/v1/incidents").json()["incidents"][0]["level"] is None
        stop(ours, signal.SIGTERM)
        assert datetime.now(UTC) < due, "this machine was too slow to stop the daemon before level III"
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()) + 0.5)
        ours.start_ready()
        back = datetime.now(UTC)

        def told() -> dict[str, Any]:
            found: dict[str, Any] = http.get(f"/api/v1/incidents/{receipt['incident']}").json()
            assert [delivery["state"] for delivery in found["deliveries"]] == ["delivered"] * 5, found
            return found

        incident = wait_for("the messages of level III are delivered", told)
        [rise] = incident["assessments"][0]["trajectory"]
        assert (rise["level"], datetime.fromisoformat(rise["at"])) == ("III", due)
        created = [datetime.fromisoformat(delivery["created_at"]) for delivery in incident["deliveries"]]
        assert max(created) < back + timedelta(seconds=2)
        [lateness] = [
            line
            for line in http.get("/metrics").text.splitlines()
            if line.startswith("incident_engine_timer_lateness_seconds_sum")
        ]
        assert float(lateness.split()[1]) >= 0.5
    heads = [file.read_text(encoding="utf-8") for file in (tmp_path / "outbox" / incident["id"]).glob("*.md")]
    assert len(heads) == 5
    assert sum("subject: [Level III] Core banking in Guangdong\n" in head for head in heads) == 1


def test_the_log_is_one_json_object_a_line_each_with_its_reason(tmp_path: Path) -> None:
    with daemon(write_config(tmp_path)) as ours, client(ours.url) as http:
        begun = datetime.now(UTC) - timedelta(minutes=40)
        assert http.post("/api/v1/events", json=started_json("1", begun)).status_code == 202
        stop(ours, signal.SIGTERM)
    lines = [json.loads(line) for line in ours.logged.splitlines()]
    assert all(line["reason"] for line in lines)
    assert {"started", "incident_opened", "event_accepted", "level_reached", "step_started", "stopped"} <= {
        line["event"] for line in lines
    }
