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
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
_KILLED = -signal.SIGKILL


@cache
def command_socket() -> str:
    """Return the address of this worker's command server, which starts at the first call and ends with the worker."""
    # The path of a Unix socket has 107 bytes at most; the folder of a test may be longer.
    folder = tempfile.mkdtemp(prefix="shell-")
    address = f"{folder}/socket"
    environment = {
        name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "TMP", "LANG"))
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "support.command_server", address],
        env={**environment, "PYTHONUTF8": "1", "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def end() -> None:
        process.communicate(timeout=20)
        shutil.rmtree(folder)

    atexit.register(end)
    return address


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
        return self._ended(0)

    def wait(self, seconds: float) -> int:
        """Return the exit code once it has ended. Raises subprocess.TimeoutExpired after `seconds`."""
        code = self._ended(seconds)
        if code is None:
            raise subprocess.TimeoutExpired("incident-engine", seconds)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _ended(self, seconds: float) -> int | None:
        if self._code is None and select.select([self._server], [], [], seconds)[0]:
            # A command that is killed says no code: its end of the connection just closes.
            said = self._server.recv(1)
            self._code = said[0] if said else _KILLED
            self._server.close()
        return self._code
