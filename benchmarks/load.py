"""Load by Debian's wrk: distinct alerts, as fast as the answers come or with pauses."""

import itertools
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bank import LOAD
from servers import BenchmarkError, Server

from incident_engine.domain.regions import PROVINCES

PATHS = {"alertmanager": "/api/v2/alerts", "incident-engine": "/api/v1/alertmanager"}
_SCRIPT = Path(__file__).with_name("alerts.lua")
_runs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """The result of wrk: answered requests, duration, and latency of a request in seconds."""

    batch: int
    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def alerts(self) -> int:
        """Return the number of acknowledged alerts."""
        return self.requests * self.batch


@contextmanager
def under_load(
    server: Server, seconds: float, batch: int, connections: int, pause: float = 0, services: Sequence[str] = LOAD
) -> Iterator[list[Load]]:
    """Load a server while the block runs, then wait for the end of the load and put its result into the yielded list.

    Each connection waits `pause` seconds before each request. Raises BenchmarkError if any request was not answered
    with a 2xx or 3xx.
    """
    script = {
        "TARGET": server.name,
        "BATCH": str(batch),
        "RUN": f"{next(_runs):04d}",
        "SERVICES": ",".join(services),
        "REGIONS": ",".join(province.code for province in PROVINCES),
        "PAUSE": str(round(pause * 1000)),
    }
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    command += ["-s", str(_SCRIPT), server.url.rstrip("/") + PATHS[server.name]]
    process = subprocess.Popen(command, env={**os.environ, **script}, stdout=subprocess.PIPE)  # noqa: S603
    results: list[Load] = []
    try:
        yield results
        output = process.communicate()[0].decode()
    finally:
        process.kill()
        process.wait()
    results.append(_result(output, batch, server))


def load(server: Server, seconds: float, batch: int, connections: int) -> Load:
    """Load a server for a number of seconds, as fast as the answers come."""
    with under_load(server, seconds, batch, connections) as results:
        pass
    return results[0]


def _result(output: str, batch: int, server: Server) -> Load:
    lines = [line.removeprefix("RESULT ") for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise BenchmarkError(f"wrk did not come to an end:\n{output}")
    result = json.loads(lines[0])
    if result["refused"] or result["broken"] or not result["requests"]:
        raise BenchmarkError(
            f"{server.name}: of {result['requests']} answers {result['refused']} were errors, "
            f"and {result['broken']} requests got no answer; its log ends:\n"
            f"{server.log.read_text(encoding='utf-8', errors='replace')[-500:]}"
        )
    return Load(batch, result["requests"], result["seconds"], result["p50"], result["p99"])
