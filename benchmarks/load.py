"""Load by Debian's wrk: alerts that are all different, as fast as the answers come, or with pauses."""

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
    """What wrk saw: answered requests, how long it took, and the latency of a request in seconds."""

    batch: int
    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def alerts(self) -> int:
        """Return how many alerts were acknowledged."""
        return self.requests * self.batch


@contextmanager
def under_load(
    server: Server, seconds: float, batch: int, connections: int, pause: float = 0, services: Sequence[str] = LOAD
) -> Iterator[list[Load]]:
    """Keep a server under load while the block runs; its end waits for the load's, whose result is put into the list.

    `pause` is how many seconds each connection waits before each request. Raises BenchmarkError if any request was
    not answered with a 2xx or 3xx.
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
    found: list[Load] = []
    try:
        yield found
        output = process.communicate()[0].decode()
    finally:
        process.kill()
        process.wait()
    found.append(_result(output, batch, server))


def load(server: Server, seconds: float, batch: int, connections: int) -> Load:
    """Send for so many seconds, as fast as the answers come."""
    with under_load(server, seconds, batch, connections) as found:
        pass
    return found[0]


def _result(output: str, batch: int, server: Server) -> Load:
    lines = [line.removeprefix("RESULT ") for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise BenchmarkError(f"wrk did not come to an end:\n{output}")
    said = json.loads(lines[0])
    if said["refused"] or said["broken"] or not said["requests"]:
        raise BenchmarkError(
            f"{server.name}: of {said['requests']} answers {said['refused']} were errors, "
            f"and {said['broken']} requests got no answer; its log ends:\n"
            f"{server.log.read_text(encoding='utf-8', errors='replace')[-500:]}"
        )
    return Load(batch, said["requests"], said["seconds"], said["p50"], said["p99"])
