"""A storm: a hundred thousand alerts of one outage, sent several times."""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import typer
from bank import LOAD, configuration, database, load_services
from figures import Row, mb, ms, p99
from seeding import now, one
from servers import BenchmarkError, Server, incident_engine

from incident_engine.domain.regions import PROVINCES

PATH = "/api/v1/alertmanager"
BATCH = 64
PATIENCE = 240.0
"""The most seconds that one round may take."""


def alert(service: str, region: str, number: int, at: str) -> dict[str, Any]:
    """Return an alert in the form of Alertmanager's webhook."""
    return {
        "status": "firing",
        "labels": {
            "alertname": "ServiceDown",
            "cluster": "prod-a",
            "instance": f"node-{number:06d}:9100",
            "region": region,
            "service": service,
            "severity": "critical",
        },
        "annotations": {"summary": f"{service} does not answer on node {number:06d}"},
        "startsAt": at,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up%3D%3D0",
        "fingerprint": f"{number:016x}",
    }


def notification(alerts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the body of Alertmanager's webhook."""
    return {"version": "4", "status": "firing", "receiver": "incident-engine", "alerts": list(alerts)}


def storm(alerts: int, rounds: int) -> Iterator[Row]:
    """Send the alerts of one outage in all provinces, repeat them, and yield the growth of time and memory."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        config = configuration(directory, load_services())
        at = (now() - timedelta(seconds=20)).isoformat(timespec="milliseconds")
        alert_bodies = [alert(LOAD[0], PROVINCES[n % len(PROVINCES)].code, n, at) for n in range(alerts)]
        parts = [alert_bodies[first : first + BATCH] for first in range(0, alerts, BATCH)]
        bodies = [json.dumps(notification(part)).encode() for part in parts]
        with incident_engine(config) as server:
            done = [_round(server, bodies, number) for number in range(rounds + 1)]
        _check_storm(database(directory), alerts)
    first, repeats = done[0][0], [median(times) for times, _ in done[1:]]
    tenth = max(1, len(first) // 10)
    rise = median(first[-tenth:]) / median(first[:tenth])
    yield f"storm of {alerts:,}: a batch of {BATCH}, first tenth", ms(median(first[:tenth])), ""
    yield "storm: a batch, last tenth, against the first", f"{rise:.2f}×", "no growth"
    yield f"storm: a batch sent again, {rounds} rounds", " / ".join(ms(seconds) for seconds in repeats), "no growth"
    yield "storm: memory after each round", " / ".join(mb(resident) for _, resident in done), "no growth"


def _round(server: Server, bodies: Sequence[bytes], number: int) -> tuple[list[float], int]:
    times: list[float] = []
    end = time.monotonic() + PATIENCE
    for index, body in enumerate(bodies):
        began = time.perf_counter()
        answer = server.client.post(PATH, content=body, headers={"content-type": "application/json"})
        times.append(time.perf_counter() - began)
        if answer.status_code != 202:
            raise BenchmarkError(f"storm, round {number}, batch {index}: {answer.status_code} {answer.text[:200]}")
        if time.monotonic() > end:
            times_text = f"{ms(median(times[:10]))} at first, {ms(median(times[-10:]))} in the end"
            raise BenchmarkError(f"storm, round {number}: only {index + 1} batches in {PATIENCE:g} s: {times_text}")
    resident = server.resident()
    typer.echo(f"  storm, round {number}: {ms(median(times))}, p99 {ms(p99(times))}, {mb(resident)}", err=True)
    return times, resident


def _check_storm(path: Path, alerts: int) -> None:
    stored = one(path, "SELECT count(*) FROM events WHERE source = 'alertmanager'")
    incidents = one(path, "SELECT count(*) FROM cases")
    if (stored, incidents) != (alerts, 1):
        raise BenchmarkError(
            f"{alerts} alerts of one outage were sent; stored are {stored} events of {incidents} incidents"
        )
