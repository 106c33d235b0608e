"""Real servers on the loopback interface. Each is a context manager; no process outlives its block."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx2
import pytest
import yaml
from aiosmtpd.controller import Controller

from support.forked import Forked

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
REQUIRE = "INCIDENT_ENGINE_TESTS_REQUIRE_SERVERS"
ALERTMANAGER, PROMETHEUS, PROMTOOL = "prometheus-alertmanager", "prometheus", "promtool"
PATIENCE = 30.0
"""How many seconds anything may take on a machine that is busy with other tests."""


def need(*binaries: str) -> None:
    """Skip the test where a binary is missing; fail it where it must not be skipped."""
    missing = [binary for binary in binaries if shutil.which(binary) is None]
    if missing and os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but these are not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def environment(**changes: str) -> dict[str, str]:
    """Return this process' environment without proxies and without settings of the daemon, with the changes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.upper().startswith("INCIDENT_ENGINE__")
    }
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", **changes}


def free_port() -> int:
    """Return a port that nobody has, below those that the system hands out for outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port


def client(base_url: str, **headers: str) -> httpx2.Client:
    """Return a client that asks no proxy."""
    return httpx2.Client(base_url=base_url, trust_env=False, timeout=10, headers=headers)


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """Return what the probe finds as soon as it finds it; refused connections and failed assertions are "not yet"."""
    end = time.monotonic() + seconds
    while True:
        last: object = None
        try:
            found = probe()
        except (httpx2.TransportError, AssertionError) as error:
            found, last = None, repr(error)
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {last or found!r}")
        time.sleep(0.05)


class Process:
    """A server in a process of its own; what it writes is kept in files beside its data, over all its lives."""

    def __init__(self, command: Sequence[str], directory: Path, env: Mapping[str, str]) -> None:
        self.name = Path(command[0]).name
        self._command = command
        self._directory = directory
        self._env = dict(env)
        self._out, self._err = directory / f"{self.name}.out", directory / f"{self.name}.err"
        self._out.touch()
        self._err.touch()
        self._popen: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> None:
        """Start it, for the first time or again."""
        assert not self.is_running
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self._popen = self._opened(out, err)

    def _opened(self, out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
        return subprocess.Popen(self._command, cwd=self._directory, env=self._env, stdout=out, stderr=err)

    @property
    def is_running(self) -> bool:
        """Return whether the process lives."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int | None:
        """Return the process id, once it was started."""
        return self._popen.pid if self._popen is not None else None

    @property
    def printed(self) -> str:
        """Return what it has written to stdout so far."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def logged(self) -> str:
        """Return what it has written to stderr so far."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return the exit code of a process that ends by itself."""
        assert self._popen is not None
        return self._popen.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._popen is not None
        self._popen.send_signal(number)

    def stop(self, number: signal.Signals, seconds: float = PATIENCE) -> int:
        """Send a signal and return the exit code."""
        self.send(number)
        return self.wait(seconds)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.is_running:
            self.stop(signal.SIGKILL)

    def wait_until_up(self, base_url: str, path: str) -> None:
        """Wait until it answers 200."""

        def answers() -> bool:
            if not self.is_running:
                pytest.fail(f"{self.name} has ended instead of answering")
            answer = http.get(path)
            assert answer.status_code == 200, answer.text
            return True

        with client(base_url) as http:
            wait_for(f"{self.name} answers at {base_url}{path}", answers)

    def tail(self) -> str:
        """Return the end of what it has written."""
        return f"--- {self.name}, stdout:\n{self.printed[-2000:]}\n--- {self.name}, stderr:\n{self.logged[-6000:]}"


@contextmanager
def _kept(process: Process) -> Iterator[None]:
    """Kill the process at the end, and add what it wrote to whatever went wrong."""
    try:
        yield
    except BaseException as error:
        error.add_note(process.tail())
        raise
    finally:
        process.kill()


class Daemon(Process):
    """Our daemon: forked from a process that has imported everything, or started as an operator starts it."""

    def __init__(self, config: Path, port: int, *, is_cold: bool = False, **env: str) -> None:
        self._arguments = ["serve", "--config", str(config), "--lang", "en"]
        self._is_cold = is_cold
        settings = {"INCIDENT_ENGINE__SERVER__PORT": str(port), **env}
        command = [sys.executable, "-m", "incident_engine", *self._arguments]
        super().__init__(command, config.parent, environment(**settings))
        self.name = "daemon"
        self.url = f"http://{LOOPBACK}:{port}"

    def _opened(self, out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
        if self._is_cold:
            return super()._opened(out, err)
        return Forked(self._arguments, cwd=self._directory, env=self._env, stdout=out, stderr=err)

    def start_ready(self) -> None:
        """Start it and wait until it is ready and takes signals, which is when it says how it stops."""
        lives = self.printed.count("Ctrl-C stops")
        self.start()
        self.wait_until_up(self.url, "/readyz")
        wait_for("the banner", lambda: self.printed.count("Ctrl-C stops") > lives)


@contextmanager
def daemon(
    config: Path, port: int | None = None, *, ready: bool = True, is_cold: bool = False, **env: str
) -> Iterator[Daemon]:
    """Run the daemon; with `ready=False` it is started and may end as it likes."""
    process = Daemon(config, port or free_port(), is_cold=is_cold, **env)
    with _kept(process):
        (process.start_ready if ready else process.start)()
        yield process


def alertmanager(directory: Path, webhook: str) -> AbstractContextManager[str]:
    """Run Alertmanager, alone in its cluster, which notifies the webhook of everything at once; gives its URL."""
    route = {"receiver": "daemon", "group_by": ["service"]}
    quick = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1s"}
    receiver = {"name": "daemon", "webhook_configs": [{"url": webhook, "send_resolved": True}]}
    flags = ["--storage.path=alertmanager", "--cluster.listen-address="]
    return _tool(ALERTMANAGER, directory, {"route": {**route, **quick}, "receivers": [receiver]}, flags)


def prometheus(directory: Path, target: str) -> AbstractContextManager[str]:
    """Run Prometheus, which scrapes the target (host:port) every second; gives its URL."""
    scrape = {"job_name": "incident-engine", "static_configs": [{"targets": [target]}]}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [scrape]}
    return _tool(PROMETHEUS, directory, config, ["--storage.tsdb.path=prometheus"])


@contextmanager
def _tool(binary: str, directory: Path, config: Mapping[str, Any], flags: Sequence[str]) -> Iterator[str]:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{binary}.yml"
    file.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    address = f"{LOOPBACK}:{free_port()}"
    path = shutil.which(binary) or binary
    command = [path, f"--config.file={file}", f"--web.listen-address={address}", "--log.level=warn", *flags]
    process = Process(command, directory, environment(NO_PROXY="*"))
    with _kept(process):
        process.start()
        process.wait_until_up(f"http://{address}", "/-/ready")
        yield f"http://{address}"


class _Handler:
    """What aiosmtpd calls."""

    def __init__(self, mails: list[EmailMessage]) -> None:
        self._mails = mails

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self._mails.append(mail)
        return "250 OK"


@contextmanager
def smtp_server() -> Iterator[tuple[int, list[EmailMessage]]]:
    """Run a mail server; yields its port and the messages that it gets."""
    mails: list[EmailMessage] = []
    controller = Controller(_Handler(mails), hostname=LOOPBACK, port=free_port(), ready_timeout=PATIENCE)
    controller.start()
    try:
        yield controller.port, mails
    finally:
        controller.stop()


@dataclass(frozen=True, slots=True)
class Posted:
    """One request that a receiver got; the names of its headers are in lower case."""

    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """Where requests are collected: `got` has them in the order of arrival, also those that were never answered."""

    url: str
    got: list[Posted] = field(default_factory=list)


@contextmanager
def http_receiver(answer: Callable[[Posted], int | None] = lambda posted: 200) -> Iterator[Receiver]:
    """Run a web server that answers POST requests as `answer` says: with a status, or None for never."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            posted = Posted({name.lower(): value for name, value in self.headers.items()}, body)
            receiver.got.append(posted)
            status = answer(posted)
            if status is None:
                over.wait()  # whoever asked hears nothing until the test is over
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a sender that was killed is no error here
    receiver = Receiver(f"http://{LOOPBACK}:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
