"""The HTTP server: its socket, its limits and its keys."""

import contextlib
import os
import resource
import socket
from collections.abc import Iterator, Sized

import uvicorn
from starlette.types import ASGIApp

from incident_engine.common.errors import StartupError
from incident_engine.common.telemetry import Metrics, logger
from incident_engine.config.settings import Settings, server_problems
from incident_engine.web.limits import RESERVE, ConnectionLimit, UnfinishedRequests, bounded_protocol

_OTHER_FILES = 256
"""Files that may be open beside connections of clients: database, channels, log."""


class _SignalFreeServer(uvicorn.Server):
    """uvicorn without its own handling of signals, which would end the process before the daemon has drained."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon."""
        yield


def read_keys(settings: Settings) -> list[str]:
    """Return the bearer keys.

    Raises StartupError if one of them, or the key of the links, cannot be read or is no key, or if other machines
    could connect without a key.
    """
    for problem in server_problems(settings.server):
        name = "" if problem.path == ("server", "host") else f"{'.'.join(str(part) for part in problem.path[:2])}: "
        raise StartupError(f"{name}{problem.sentence()}")
    return [key.read() for key in settings.server.keys]


def listen(settings: Settings) -> socket.socket:
    """Open the socket. Raises StartupError if the address is in use or not one of this machine."""
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartupError(
            f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}; "
            "set another with INCIDENT_ENGINE__SERVER__PORT or server.port"
        ) from error


def http_server(app: ASGIApp, settings: Settings, metrics: Metrics) -> uvicorn.Server:
    """Return the server of an application, with limits on connections and on the size and duration of requests."""
    unfinished = UnfinishedRequests(settings.server.max_connections, metrics)

    def connections() -> Sized:
        return server.server_state.connections  # uvicorn makes the set with the server, which needs the app first

    server = _SignalFreeServer(
        uvicorn.Config(
            ConnectionLimit(app, connections, unfinished, metrics),
            http=bounded_protocol(unfinished),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    return server


def raise_file_limit(connections: int) -> None:
    """Raise the limit of open files to the number that `connections` need, as far as the system allows."""
    wanted = connections + RESERVE + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        logger("web").warning("few_open_files", reason="limit_of_the_system", allowed=allowed, wanted=wanted)
