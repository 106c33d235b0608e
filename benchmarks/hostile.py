"""Hostile bodies: how long `/healthz` takes while the daemon refuses or takes them."""

import json
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import httpx2
import typer
from bank import LOAD, configuration, load_services
from figures import ms
from seeding import now
from servers import Server, incident_engine
from storm import alert, notification

AIM = 0.1
"""The most seconds until `/healthz` answers."""
EVENTS, ALERTS = "/api/v1/events", "/api/v1/alertmanager"


def bodies() -> Mapping[str, tuple[str, bytes]]:
    """Return the path and the body of each case, by its name."""
    at = now().isoformat(timespec="milliseconds")
    megabyte, sixteen = 1_000_000, 16_700_000
    unknown = [alert(LOAD[0], f"Guangdon{number}", number, at) for number in range(10_000)]
    regions = {"source": "z", "id": "1", "type": "outage.started", "service": LOAD[0], "occurred_at": at}
    return {
        "1 MB of {} as events": (EVENTS, b"[" + b"{}," * (megabyte // 3) + b"{}]"),
        "10,000 x {} as events": (EVENTS, b"[" + b"{}," * 9_999 + b"{}]"),
        "16 MB of {} as events": (EVENTS, b"[" + b"{}," * (sixteen // 3) + b"{}]"),
        "41,000 unknown types": (EVENTS, json.dumps([{"type": "outage.starte"}] * 41_000).encode()),
        "10,000 unknown types": (EVENTS, json.dumps([{"type": "outage.starte"}] * 10_000).encode()),
        "60,000 unknown regions": (
            EVENTS,
            json.dumps(regions | {"regions": [f"r{n}" for n in range(60_000)]}).encode(),
        ),
        "340,000 x {} as alerts": (ALERTS, b'{"version":"4","alerts":[' + b"{}," * 340_000 + b"{}]}"),
        "10,000 alerts of unknown regions": (ALERTS, json.dumps(notification(unknown)).encode()),
        "200 alerts of unknown regions": (ALERTS, json.dumps(notification(unknown[:200])).encode()),
        "10,000 alerts": (
            ALERTS,
            json.dumps(notification([alert(LOAD[0], "CN-GD", n, at) for n in range(10_000)])).encode(),
        ),
        "16 MB of one text": (ALERTS, json.dumps({"version": "4", "alerts": ["\\" * (sixteen // 4)]}).encode()),
        "400,000 keys": (EVENTS, json.dumps(dict.fromkeys(map(str, range(400_000)), 1)).encode()),
    }


def main() -> None:
    """Print, for each body, the answer and the longest `/healthz` meanwhile. Exit with 1 beyond the aim."""
    late = 0
    with tempfile.TemporaryDirectory() as directory, incident_engine(_configuration(Path(directory))) as server:
        typer.echo(f"| body | size | answer | seconds | longest /healthz (at most {ms(AIM)}) |\n|---|---|---|---|---|")
        for name, (path, body) in bodies().items():
            status, seconds, longest = _send(server, path, body)
            late += longest > AIM
            typer.echo(f"| {name} | {len(body) / 1e6:.1f} MB | {status} | {seconds:.2f} | {ms(longest)} |")
    raise typer.Exit(1 if late else 0)


def _configuration(directory: Path) -> Path:
    return configuration(directory, load_services())


def _send(server: Server, path: str, body: bytes) -> tuple[int, float, float]:
    """Return the status, the seconds until the answer, and the longest seconds of `/healthz` until then."""
    longest, stopping, warm = [0.0], threading.Event(), threading.Event()

    def probe() -> None:
        with httpx2.Client(base_url=server.url) as client:
            client.get("/healthz")  # opens the connection
            warm.set()
            while not stopping.is_set():
                began = time.perf_counter()
                client.get("/healthz").raise_for_status()
                longest[0] = max(longest[0], time.perf_counter() - began)
                time.sleep(0.005)

    thread = threading.Thread(target=probe)
    thread.start()
    warm.wait(30)
    began = time.perf_counter()
    try:
        answer = server.client.post(path, content=body, headers={"content-type": "application/json"}, timeout=120)
    finally:
        stopping.set()
        thread.join()
    return answer.status_code, time.perf_counter() - began, longest[0]


if __name__ == "__main__":
    typer.run(main)
