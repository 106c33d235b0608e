"""Commands as forks of a process that has imported everything, with the interface of `subprocess.Popen`."""

import atexit
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
VARIABLE = "INCIDENT_ENGINE_TESTS_COMMANDS"
"""The environment variable with the address of a command server that the workers of one run share."""
_KILLED = -signal.SIGKILL
_PATIENCE = 60.0


class CommandServerProcess:
    """A command server, from the moment at which it is started until it is told to end."""

    def __init__(self) -> None:
        # The path of a Unix socket has 107 bytes at most; the folder of a test may be longer.
        self._folder = tempfile.mkdtemp(prefix="shell-")
        self.address = f"{self._folder}/socket"
        kept = ("PATH", "HOME", "TMP", "LANG")
        environment = {name: value for name, value in os.environ.items() if name.startswith(kept)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.command_server", self.address],
            env={**environment, "PYTHONUTF8": "1", "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )

    def end(self) -> None:
        """End it, and every command that still runs."""
        self._process.communicate(timeout=_PATIENCE)
        shutil.rmtree(self._folder)


@cache
def command_socket() -> str:
    """Return the address of the command server, which is the run's, or this process's own and ends with it."""
    address = os.environ.get(VARIABLE)
    if address is None:
        server = CommandServerProcess()
        atexit.register(server.end)
        address = server.address
    # It listens once it has checked the shipped rules.
    end = time.monotonic() + _PATIENCE
    while not _listens(address):
        assert time.monotonic() < end, "the command server does not start"
        time.sleep(0.05)
    return address


def _listens(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(address)
        except OSError:
            return False
        return True


class Forked:
    """One command in a process of its own. It takes signals, and is waited for, as a `subprocess.Popen` is."""

    def __init__(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]
    ) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(command_socket())
        variables = [f"{name}={value}" for name, value in env.items()]
        request = "\0".join([str(cwd), str(len(arguments)), *arguments, *variables]).encode()
        with Path(os.devnull).open("rb") as nothing:
            streams = [stream.fileno() for stream in (nothing, stdout, stderr)]
            socket.send_fds(self._server, [len(request).to_bytes(4, "big")], streams)
        self._server.sendall(request)
        self.pid = int.from_bytes(self._server.recv(4), "big")
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it lives."""
        return self.ended(0)

    def wait(self, seconds: float) -> int:
        """Return the exit code once it has ended. Raises subprocess.TimeoutExpired after `seconds`."""
        code = self.ended(seconds)
        if code is None:
            raise subprocess.TimeoutExpired("incident-engine", seconds)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def ended(self, seconds: float) -> int | None:
        """Return the exit code, or None if it still lives after `seconds`."""
        if self._code is None and select.select([self._server], [], [], seconds)[0]:
            # A command that is killed says no code: its end of the connection just closes.
            said = self._server.recv(1)
            self._code = said[0] if said else _KILLED
            self._server.close()
        return self._code
