"""The servers under load: starts, queries, measures and stops processes. Linux only, because of /proc."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

PATIENCE = 60.0
"""The most seconds that a server may take to be ready, or to stop."""
_POLL_SECONDS = 0.005


class BenchmarkError(Exception):
    """The run is worthless: a server did not start, refused a request or lost an event."""


@dataclass(slots=True)
class Server:
    """A running server."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    log: Path
    client: httpx2.Client
    seconds_to_ready: float = 0.0
    relatives: Sequence[int] = field(default=())
    """Ids of processes that work for it, such as those of its database."""

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all its threads and relatives since its start."""
        return sum(_cpu_seconds(pid) for pid in (self.process.pid, *self.relatives))

    def resident(self) -> int:
        """Return its resident memory in bytes (VmRSS)."""
        return _status(self.process.pid, "VmRSS")

    def resident_peak(self) -> int:
        """Return the peak of its resident memory in bytes (VmHWM)."""
        return _status(self.process.pid, "VmHWM")

    def get(self, path: str) -> httpx2.Response:
        """Return the response. Raises BenchmarkError unless it is 200."""
        answer = self.client.get(path)
        if answer.status_code != 200:
            raise BenchmarkError(f"{self.name}: GET {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and at least these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in self.get("/metrics").text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in wanted))


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, ready: str, directory: Path, changes: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server and yield it once `ready` answers 200; stop it with SIGTERM at the end."""
    log = directory / f"{name}.log"
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has bytecode, too
    with (
        log.open("ab") as output,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client,
    ):
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - the commands are this benchmark's own
            command, cwd=directory, env={**environment, **(changes or {})}, stdout=output, stderr=output
        )
        server = Server(name, process, str(client.base_url), log, client)
        try:
            _wait_until_ready(server, ready)
            server.seconds_to_ready = time.perf_counter() - began
            yield server
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def alertmanager(directory: Path) -> Iterator[Server]:
    """Run Debian's Alertmanager with the grouping of Debian's configuration, and a receiver that tells nobody."""
    configuration = directory / "alertmanager.yml"
    configuration.write_text(_ALERTMANAGER, encoding="utf-8")
    port = free_port()
    command = [
        "prometheus-alertmanager",
        f"--config.file={configuration}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with running("alertmanager", command, port, "/-/ready", directory) as server:
        yield server


_ALERTMANAGER = """\
route:
  receiver: nobody
  group_by: [alertname, cluster, service]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 3h
receivers: [{name: nobody}]
"""


@contextmanager
def incident_engine(configuration: Path, profile: Path | None = None) -> Iterator[Server]:
    """Run the daemon with a configuration, in its directory; with `profile`, under cProfile, which writes there."""
    port = free_port()
    serve = ["serve", "--config", str(configuration)]
    command = [sys.executable, "-m", "incident_engine", *serve]
    if profile is not None:
        command = [sys.executable, str(Path(__file__).with_name("profiled.py")), str(profile), *serve]
    changes = {"INCIDENT_ENGINE__SERVER__PORT": str(port)}
    with running("incident-engine", command, port, "/readyz", configuration.parent, changes) as server:
        yield server


def family(parent: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        parents[int(path.parent.name)] = int(after_name[1])
    members = [parent]
    for member in members:
        members += [pid for pid, above in parents.items() if above == member]
    return members


def _wait_until_ready(server: Server, path: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            if server.client.get(path).status_code == 200:
                return
        except httpx2.TransportError:
            pass  # not listening yet
        time.sleep(_POLL_SECONDS)
    log_end = server.log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise BenchmarkError(f"{server.name} is not ready (exit code {server.process.poll()}):\n{log_end}")


def _cpu_seconds(pid: int) -> float:
    # clock_getcpuclockid(3): the CPU clock of another process, including threads that have ended.
    return time.clock_gettime(~pid << 3 | 2)


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise BenchmarkError(f"/proc/{pid}/status has no {name}")
