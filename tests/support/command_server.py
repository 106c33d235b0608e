"""Runs the command line for shells: each command is a fork of a process that has imported everything.

That process has also checked the shipped rules, and a command checks them again only if a setting or a file differs.
A shell starts CLIENT, which takes a fiftieth of the time that the command line takes to import. It sends its folder,
arguments, environment and standard streams over a Unix socket, and ends with the command's exit code.
"""

import gc
import os
import select
import signal
import socket
import sys
import traceback
from typing import NoReturn

import pytest

from incident_engine import daemon as _daemon  # noqa: F401 - imported before the first fork
from incident_engine.cli import app as cli
from incident_engine.cli import check
from incident_engine.cli import report_output as _report_output  # noqa: F401
from incident_engine.config import rulebook
from incident_engine.drills import runner as _runner  # noqa: F401
from support.memo import remember_rules

CLIENT = """#!{python} -SE
import os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    environment = [name + "=" + value for name, value in os.environ.items()]
    request = "\\0".join([os.getcwd(), str(len(sys.argv) - 1), *sys.argv[1:], *environment]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    pid = int.from_bytes(server.recv(4), "big")
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    code = server.recv(1)
sys.exit(code[0] if code else "the command was killed")
"""


def _receive(connection: socket.socket) -> tuple[list[int], list[str]]:
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    if not head:
        os._exit(0)  # somebody asked only whether this process listens
    size, request = int.from_bytes(head, "big"), b""
    while len(request) < size:
        part = connection.recv(size - len(request))
        assert part, "the client has gone"
        request += part
    return streams, request.decode().split("\0")


def _run(connection: socket.socket) -> NoReturn:
    streams, (folder, count, *parts) = _receive(connection)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # New streams: the old ones remember whether the server's own output could be sought.
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    os.chdir(folder)
    sys.argv = ["incident-engine", *parts[: int(count)]]
    os.environ.clear()
    for name, _, value in (part.partition("=") for part in parts[int(count) :]):
        os.environ[name] = value
    connection.sendall(os.getpid().to_bytes(4, "big"))
    code = 1
    try:
        cli.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception:  # noqa: BLE001 - printed as the interpreter would, before this fork ends without it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([code]))
        os._exit(code)


def main(path: str) -> None:
    """Serve clients at the socket `path` until stdin ends."""
    patch = pytest.MonkeyPatch()  # until this process ends
    remember_rules(patch)
    assert check.check([], rulebook.SHIPPED / "config.yaml").findings == []
    gc.freeze()  # what is shared stays shared: collecting would write to every page of a child
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        children: set[int] = set()
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if (child := os.fork()) == 0:
                listener.close()
                _run(connection)
            connection.close()
            children.add(child)
            children -= {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}
    for child in children:
        os.kill(child, signal.SIGKILL)  # no daemon outlives the tests, however they end
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1])
