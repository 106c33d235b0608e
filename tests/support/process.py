"""Processes of a daemon that is started, killed, and started again on the same data."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from support.servers import LOOPBACK, PATIENCE, environment

_TESTS = Path(__file__).resolve().parents[1]


class DaemonProcess(Protocol):
    """A running daemon."""

    pid: int

    def wait(self, seconds: float) -> int | None:
        """Return the exit code (negative: the signal) once it has ended; None if it has not within the time."""
        ...


class Starter(Protocol):
    """Starts processes of a daemon."""

    def start(self, arguments: list[str], changes: Mapping[str, str], output: Path) -> DaemonProcess:
        """Start a daemon."""
        ...

    def close(self) -> None:
        """Release the resources of the starter."""
        ...


class ColdStarter:
    """Starts each process from the command line, as an operator does."""

    class _Life:
        def __init__(self, process: "subprocess.Popen[bytes]") -> None:
            self.pid = process.pid
            self._process = process

        def wait(self, seconds: float) -> int | None:
            try:
                return self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None

    def start(self, arguments: list[str], changes: Mapping[str, str], output: Path) -> DaemonProcess:
        """Start a daemon."""
        with output.open("ab") as log:
            command = [sys.executable, "-m", "incident_engine", *arguments]
            return ColdStarter._Life(
                subprocess.Popen(
                    command,
                    env=environment(**changes),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=output.parent,
                )
            )

    def close(self) -> None:
        """Do nothing: there is no resource to release."""


class ForkStarter:
    """Forks each process from one with all imports done."""

    class _Life:
        def __init__(self, pid: int, answers: "subprocess.Popen[str]") -> None:
            self.pid = pid
            self._code: int | None = None
            self._reader = threading.Thread(target=self._read, args=(answers,), daemon=True)
            self._reader.start()

        def _read(self, answers: "subprocess.Popen[str]") -> None:
            assert answers.stdout is not None
            self._code = int(answers.stdout.readline())

        def wait(self, seconds: float) -> int | None:
            self._reader.join(seconds)
            return self._code

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.preload"],
            env=environment(PYTHONPATH=f"{_TESTS}:{_TESTS.parent}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, arguments: list[str], changes: Mapping[str, str], output: Path) -> DaemonProcess:
        """Start a daemon; the one before must have ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"arguments": arguments, "environment": dict(changes), "output": str(output)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return ForkStarter._Life(int(self._process.stdout.readline()), self._process)

    def close(self) -> None:
        """End the parent of the forked processes."""
        assert self._process.stdin is not None
        self._process.communicate(timeout=PATIENCE)


def is_ready(port: int) -> bool:
    """Return whether a daemon answers that it is ready."""
    try:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def wait_ready(life: DaemonProcess, port: int) -> bool:
    """Wait until a daemon is ready; return False if it ends before."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if life.wait(0) is not None:
            return False
        if is_ready(port):
            return True
        time.sleep(0.01)
    raise AssertionError(f"not ready within {PATIENCE:g} s")


def kill(life: DaemonProcess) -> int:
    """End a process at once; return its exit code."""
    if life.wait(0) is None:
        os.kill(life.pid, signal.SIGKILL)
    code = life.wait(PATIENCE)
    assert code is not None, "a killed process did not end"
    return code
