"""Processes of a daemon that is started, killed, and started again on the same data."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from support.forked import Forked
from support.servers import LOOPBACK, PATIENCE, environment


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


class ForkStarter:
    """Forks each process from one with all imports done."""

    class _Life:
        def __init__(self, process: Forked) -> None:
            self.pid = process.pid
            self._process = process

        def wait(self, seconds: float) -> int | None:
            return self._process.ended(seconds)

    def start(self, arguments: list[str], changes: Mapping[str, str], output: Path) -> DaemonProcess:
        """Start a daemon."""
        with output.open("ab") as log:
            process = Forked(arguments, cwd=output.parent, env=environment(**changes), stdout=log, stderr=log)
        return ForkStarter._Life(process)


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
