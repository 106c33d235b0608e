"""Time from an event to its message, and lateness of timers: python benchmarks/latency.py.

A playbook of the benchmark's own sends one webhook as soon as an incident has any level, so that each event or timer
leads to exactly one message. The receiver is in this process. Exits with 1 if a message is missing or comes twice.
"""

import base64
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from statistics import median
from typing import Annotated, Any

import typer
import yaml
from bank import ROOT, configuration, database, load_services, numbered, numbered_services
from figures import Row, ms, p99
from load import under_load
from machine import described, markdown_table, package_version
from seeding import SERVICE, Seed, copy_originals, now, outage, post, report_originals
from servers import BenchmarkError, Server, incident_engine

from incident_engine.domain.regions import PROVINCES

SPARE = "spare"
HALF_AN_HOUR = timedelta(minutes=30)
"""The time until an outage of one province reaches its first level (cn-cbrc-2008, Art. 9(3)2)."""
_PATIENCE = 60.0
_AT_ONCE = 50
_LEAD = 10.0
"""Seconds between the last report of an outage and the first level."""
_LATENESS = "incident_engine_timer_lateness_seconds"
_PLAYBOOK = {
    "playbook": "benchmark",
    "title": {"zh-CN": "基准测试", "en": "Benchmark"},
    "steps": [
        {"id": "notify", "on": {"first_level": True}, "audience": "receiver", "template": "customers-acknowledge"}
    ],
}


@dataclass(slots=True)
class Receiver:
    """Receives webhooks and records the arrival of each incident's messages, by both clocks, in seconds."""

    port: int
    came: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def record(self, incident: str, wall: float, steady: float) -> None:
        """Record the arrival of a message."""
        with self._changed:
            self.came.setdefault(incident, []).append((wall, steady))
            self._changed.notify_all()

    def wait_for(self, incidents: Sequence[str]) -> None:
        """Wait for a message about each incident. Raises BenchmarkError if one is missing after a minute."""
        with self._changed:
            if not self._changed.wait_for(lambda: all(name in self.came for name in incidents), _PATIENCE):
                missing = [name for name in incidents if name not in self.came]
                raise BenchmarkError(f"no message about {len(missing)} incidents, such as {missing[0]}")

    def only(self, incident: str) -> tuple[float, float]:
        """Return the arrival of an incident's message. Raises BenchmarkError if there were several."""
        (came, *others) = self.came[incident]
        if others:
            raise BenchmarkError(f"{1 + len(others)} messages about {incident}")
        return came


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive webhooks on the loopback interface."""

    class Handler(StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:  # minimal HTTP: the receiver must not add to the latency
            while self.rfile.readline():
                length = 0
                while (line := self.rfile.readline().strip()) != b"":
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                body = self.rfile.read(length)
                came = time.time(), time.perf_counter()
                self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                receiver.record(json.loads(body)["data"]["incident"], *came)

    class Server(ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 100

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()


def idle(messages: int) -> Iterator[Row]:
    """Report one outage after another, each half an hour old, and wait for its message."""
    with receiving() as receiver, tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        services = [*numbered_services(SPARE, messages), *load_services()]
        took: list[float] = []
        with incident_engine(_bank(directory, services, receiver)) as server:
            port = server.client.base_url.port
            with closing(HTTPConnection("127.0.0.1", port)) as monitor:
                for number in range(messages):
                    time.sleep(0.02)
                    name = numbered("idle", number)
                    event = outage(numbered(SPARE, number), name, PROVINCES[0].code, now() - HALF_AN_HOUR)
                    content = json.dumps(event).encode()
                    began = time.perf_counter()
                    monitor.request("POST", "/api/v1/events", content, {"content-type": "application/json"})
                    answer = monitor.getresponse()
                    if answer.status != 202:
                        raise BenchmarkError(f"POST /api/v1/events: {answer.status} {answer.read()!r}")
                    answer.read()
                    receiver.wait_for([name])
                    took.append(receiver.only(name)[1] - began)
    yield f"event → webhook received, idle, {messages} events: median", ms(median(took)), "≤ 5 ms"
    yield "event → webhook received, idle: p99", ms(p99(took)), "≤ 20 ms"


def timers(pending: int, fired: int, spacing: float, connections: int) -> Iterator[Row]:
    """Let timers fall due, one after another, while many others wait and alerts come in."""
    seed = Seed(pending, now() + timedelta(minutes=25))  # after the end of the run
    with receiving() as receiver, tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        services = [*numbered_services(SERVICE, seed.services), *numbered_services(SPARE, fired), *load_services()]
        config = _bank(directory, services, receiver)
        began = now()
        with incident_engine(config) as server:
            report_originals(server, seed, began)
        copy_originals(database(directory), seed, began)
        for name, batch, pause in (
            ("1,000 alerts/s", 10, 0.01 * connections),
            ("as many alerts as it takes", 64, 0.0),
        ):
            with incident_engine(config) as server:
                yield from _under(server, receiver, name, (fired, spacing), (batch, pause, connections))


def main(
    messages: Annotated[int, typer.Option(help="Events that lead to a webhook.")] = 300,
    pending: Annotated[int, typer.Option(help="Timers that wait.")] = 50_000,
    fired: Annotated[int, typer.Option(help="Timers that fall due under load.")] = 400,
    spacing: Annotated[float, typer.Option(help="Seconds between two of them.")] = 0.04,
    connections: Annotated[int, typer.Option(help="Requests under way at once.")] = 16,
) -> None:
    """Measure, and print the table."""
    typer.echo(described(f"wrk {package_version('wrk')}") + "\n")
    rows: list[Row] = []
    try:
        if messages:
            rows += idle(messages)
        if pending:
            rows += timers(pending, fired, spacing, connections)
    except BenchmarkError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    finally:
        typer.echo("\n".join(markdown_table(["measure", "figure", "at least"], rows)))


def _under(
    server: Server, receiver: Receiver, name: str, due: tuple[int, float], load: tuple[int, float, int]
) -> Iterator[Row]:
    (count, spacing), (batch, pause, connections) = due, load
    prefix = f"due-{batch}"
    instants = _report_due(server, prefix, count, spacing)
    before = _buckets(server)
    seconds = (max(instants.values()) - now()).total_seconds() + 1
    with under_load(server, seconds, batch, connections, pause) as results:
        time.sleep(max(0.0, seconds))
        receiver.wait_for(list(instants))
    late = [receiver.only(incident)[0] - at.timestamp() for incident, at in instants.items()]
    if min(late) < 0:
        raise BenchmarkError(f"a message came {ms(-min(late))} before it was due")
    after = _buckets(server)
    observed = {bound: after[bound] - before[bound] for bound in after}
    rate = results[0].alerts / results[0].seconds
    load_name = f"under {name} ({rate:,.0f} alerts/s)"
    yield f"timer fired late, {load_name}: p99, by the daemon's histogram", _bound(observed, 0.99), "≤ 50 ms"
    yield f"due → webhook received, {load_name}: median", ms(median(late)), ""
    yield f"due → webhook received, {load_name}: p99", ms(p99(late)), ""


def _report_due(server: Server, prefix: str, count: int, spacing: float) -> dict[str, datetime]:
    """Report outages that soon reach their first level, one after another; return the instants by incident."""
    began = time.monotonic()
    _report(server, f"{prefix}-trial", {number: now() for number in range(_AT_ONCE)})
    estimate = (time.monotonic() - began) / _AT_ONCE * count
    first = now() + timedelta(seconds=_LEAD + 2 * estimate)
    instants = {number: first + number * timedelta(seconds=spacing) for number in range(count)}
    _report(server, prefix, {number: at - HALF_AN_HOUR for number, at in instants.items()})
    if now() > first:
        raise BenchmarkError("the outages took so long to report that the first timers were due before the load began")
    time.sleep(max(0.0, (first - now()).total_seconds() - 1))
    return {numbered(prefix, number): at for number, at in instants.items()}


def _report(server: Server, prefix: str, began: Mapping[int, datetime]) -> None:
    events = [
        outage(numbered(SPARE, number), numbered(prefix, number), PROVINCES[0].code, at) for number, at in began.items()
    ]
    for first in range(0, len(events), _AT_ONCE):
        post(server, "/api/v1/events", events[first : first + _AT_ONCE])


def _bank(directory: Path, services: Sequence[Mapping[str, Any]], receiver: Receiver) -> Path:
    rules = directory / "rules"
    shutil.copytree(ROOT / "rules", rules)
    (rules / "playbooks" / "benchmark.yaml").write_text(yaml.safe_dump(_PLAYBOOK, allow_unicode=True), encoding="utf-8")
    secret = "whsec_" + base64.b64encode(b"a key of the benchmark's own....").decode()
    hook = {"type": "webhook", "url": f"http://127.0.0.1:{receiver.port}/", "secret": {"value": secret}}
    contact = {
        "id": "receiver",
        "name": {"zh-CN": "接收者", "en": "Receiver"},
        "locale": "en",
        "via": [{"channel": "hook"}],
    }
    return configuration(
        directory,
        services,
        rules={"directory": str(rules)},
        playbooks=["benchmark"],
        channels={"hook": hook},
        outgoing={"allow": ["127.0.0.1"]},
        contacts=[contact],
        audiences={"receiver": ["receiver"]},
        watchdog={"audience": []},
        bank={"name": {"zh-CN": "云帆银行", "en": "Cloudsail Bank"}, "timezone": "Asia/Shanghai"},
    )


def _buckets(server: Server) -> dict[float, float]:
    """Return the number of timers by upper bound of their lateness in seconds, from the daemon's histogram."""
    counts: dict[float, float] = {}
    for line in server.get("/metrics").text.splitlines():
        if line.startswith(f'{_LATENESS}_bucket{{le="'):
            counts[float(line.split('"')[1])] = float(line.rpartition(" ")[2])
    return counts


def _bound(buckets: Mapping[float, float], share: float) -> str:
    """Return the smallest upper bound below which a share of the timers lies."""
    total = max(buckets.values())
    bound = min(bound for bound, count in buckets.items() if count >= share * total)
    return f"≤ {ms(bound)} (of {total:g})"


if __name__ == "__main__":
    typer.run(main)
