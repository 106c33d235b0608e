"""What a daemon does with more than it takes: a 503 that says when to come again, one line in the log, a count."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs
from support.fast_bank import write_bank
from support.servers import LOOPBACK, Daemon, client, daemon, wait_for

from incident_engine.common import telemetry
from incident_engine.common.clock import SystemClock
from incident_engine.common.telemetry import RateLimitedLog, logger
from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import load_settings
from incident_engine.daemon import Daemon as InProcess
from incident_engine.web import limits
from incident_engine.web.limits import HEAD_BYTES, LEAST_OF_ADDRESS, RESERVE

MOST = 3


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = write_bank(tmp_path_factory.mktemp("limits"), "http://127.0.0.1:9/1")
    with daemon(config, INCIDENT_ENGINE__SERVER__MAX_CONNECTIONS=str(MOST)) as found:
        yield found


HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\n"
HALF_A_BODY = b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n["


def connect(ours: Daemon, sent: bytes = HALF_A_HEAD) -> socket.socket:
    """Send the beginning of a request; the rest of it never comes."""
    connection = socket.create_connection((LOOPBACK, int(ours.url.rsplit(":", 1)[1])), timeout=10)
    connection.sendall(sent)
    return connection


def connect_and_ask(ours: Daemon) -> socket.socket:
    """Send a whole request, and keep the connection."""
    connection = connect(ours, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert b" 200 " in connection.recv(4_096)
    return connection


def refusals(ours: Daemon) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in ours.logged.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "too_many_connections"]


def test_beyond_the_limit_requests_are_refused_with_when_to_come_again_and_health_is_answered(ours: Daemon) -> None:
    at = datetime.now(UTC).isoformat()
    event = {"source": "m", "id": "1", "type": "outage.started", "service": "core-banking", "regions": ["CN-GD"]}
    with client(ours.url) as http, ExitStack() as idle:
        for _ in range(MOST):
            idle.enter_context(connect_and_ask(ours))
        refused = [http.post("/api/v1/events", json=event | {"occurred_at": at}) for _ in range(40)]
        assert {answer.status_code for answer in refused} == {503}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert f"more than {MOST} connections (server.max_connections)" in refused[0].json()["detail"]
        assert http.get("/healthz").status_code == 200
        idle.close()
        wait_for("it takes events again", lambda: http.get("/api/v1/incidents").status_code == 200)
        assert http.get("/api/v1/incidents").json()["incidents"] == []  # nothing of what was refused was stored
        counted = [line for line in http.get("/metrics").text.splitlines() if "too_many_connections" in line]
        assert float(counted[0].rsplit(" ", 1)[1]) >= len(refused)
    assert 1 <= len(refusals(ours)) < 10  # one a second at most


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, HALF_A_BODY], ids=["nothing", "half a head", "half a body"])
def test_connections_that_finish_no_request_take_no_room_and_the_oldest_are_closed(ours: Daemon, sent: bytes) -> None:
    number = max(MOST + RESERVE, LEAST_OF_ADDRESS) * 2
    with ExitStack() as idle, client(ours.url) as http:
        flood = [idle.enter_context(connect(ours, sent)) for _ in range(number)]
        for path in ("/healthz", "/readyz", "/api/v1/incidents"):
            assert http.get(path).status_code == 200, path
        with suppress(ConnectionResetError):  # it may be closed before our words have come
            assert flood[0].recv(1) == b""
        counted = [line for line in http.get("/metrics").text.splitlines() if "unfinished_request" in line]
        assert float(counted[0].rsplit(" ", 1)[1]) >= number - MOST - RESERVE
    lines = [json.loads(line) for line in ours.logged.splitlines() if line.startswith("{")]
    closed = [line for line in lines if line["event"] == "unfinished_request_closed"]
    assert closed
    assert {line["address"] for line in closed} == {LOOPBACK}


def test_peers_that_share_an_address_are_answered_during_a_flood_from_it(ours: Daemon) -> None:
    with ExitStack() as idle:
        peers = [idle.enter_context(client(ours.url)) for _ in range(MOST)]
        for _ in range(3):
            for _ in range(LEAST_OF_ADDRESS * 2):
                idle.enter_context(connect(ours, HALF_A_BODY))
            assert [peer.get("/api/v1/incidents").status_code for peer in peers] == [200] * MOST


def test_probes_of_health_cannot_use_up_the_reserve_for_health(ours: Daemon) -> None:
    with ExitStack() as idle:
        for _ in range(MOST + 1):
            idle.enter_context(connect_and_ask(ours))
        for _ in range(RESERVE * 2):
            probe = idle.enter_context(connect(ours, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
            answer = probe.recv(4_096)
            while chunk := probe.recv(4_096):
                answer += chunk
            assert b" 200 " in answer
            assert b"connection: close" in answer.lower()


def test_a_head_without_end_is_cut_off(ours: Daemon) -> None:
    with connect(ours) as connection:
        connection.sendall(b"X-Long: ")
        answer = b""
        try:
            for _ in range(100):
                connection.sendall(b"x" * HEAD_BYTES)
            answer = connection.recv(100)
        except (BrokenPipeError, ConnectionResetError):
            return  # it was closed in our face
        assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_long_body_is_no_long_head(ours: Daemon) -> None:
    with client(ours.url) as http:
        for _ in range(3):  # on one connection
            answer = http.post("/api/v1/events", content=b"[" + b" " * (10 * HEAD_BYTES) + b"]")
            assert (answer.status_code, answer.json()) == (202, {"events": []})


def test_a_line_that_repeats_is_logged_once_in_a_while_with_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(telemetry, "ticks", lambda: now)
    with capture_logs() as lines:
        log = RateLimitedLog(logger("room").warning, 1)
        for _ in range(5):
            log("full", reason="queue_full")
        now = 101.0
        log("full", reason="queue_full")
        log.reset()
        log("full", reason="queue_full")
    assert [line["times"] for line in lines] == [1, 5, 1]


def test_how_many_connections_there_may_be_is_a_setting(tmp_path: Path) -> None:
    config = write_bank(tmp_path, "http://127.0.0.1:9/1")
    with daemon(config, ready=False, INCIDENT_ENGINE__SERVER__MAX_CONNECTIONS="0") as ours:
        assert ours.wait() == 1
        assert "INCIDENT_ENGINE__SERVER__MAX_CONNECTIONS" in ours.logged


@pytest.mark.parametrize(
    "started",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost:",
        HALF_A_BODY,
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nG",
    ],
    ids=["nothing", "half a head", "half a body", "a request and an empty line", "a request and a letter"],
)
def test_who_does_not_come_to_an_end_is_closed_and_who_does_may_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: bytes
) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.25)
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.5)

    async def test() -> None:
        config = write_bank(tmp_path, "http://127.0.0.1:9/1")
        settings = load_settings(config, {"INCIDENT_ENGINE__SERVER__PORT": "0"})
        daemon = InProcess(settings, load_rulebook(settings, config), SystemClock())
        async with daemon.running(), httpx2.AsyncClient(base_url=daemon.url, trust_env=False) as http:
            reader, writer = await asyncio.open_connection(LOOPBACK, int(daemon.url.rsplit(":", 1)[1]))
            writer.write(started)
            with capture_logs() as logs:
                for _ in range(5):  # on one connection, for longer than a request may take
                    assert (await http.get("/healthz")).status_code == 200
                    await asyncio.sleep(0.2)
                answer = await asyncio.wait_for(reader.read(), 10)
                assert answer.count(b"HTTP/1.1 ") == started.count(b"\r\n\r\n") - started.count(b"Content-Length")
            assert [line for line in logs if line["event"] == "request_failed"] == []
            writer.close()

    asyncio.run(test())
