"""How much the daemon takes at once: connections, and the head of a request. Beyond it the answer is a plain no."""

import asyncio
from collections.abc import Callable, Sized
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from incident_engine.common.errors import OverloadedError
from incident_engine.common.telemetry import Metrics, RateLimitedLog, RefusedReason, logger
from incident_engine.web.problems import problem_response

HEAD_BYTES = 65_536
"""So long may the head of a request be: its first line and its headers."""
RESERVE = 64
"""So many more connections are answered, if only by a 503; what comes beyond them is closed unanswered."""
REQUEST_SECONDS = 60.0
"""So long may a request take to arrive, from the beginning of its connection or the end of the one before it."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_HEALTH = frozenset({"/healthz", "/readyz"})
_Protocol: Any = AutoHTTPProtocol
_knows_heads = hasattr(_Protocol, "on_message_begin")
"""Whether the parser of heads is httptools, which has no limit of its own; h11, where httptools is missing, has."""


class ConnectionLimit:
    """Answers 503 while there are more connections than the settings allow; health is always answered."""

    def __init__(self, app: ASGIApp, most: int, connections: Callable[[], Sized], metrics: Metrics) -> None:
        self._app = app
        self._most = most
        self._connections = connections
        self._metrics = metrics
        self._overflow = RateLimitedLog(logger("web").warning, 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if len(self._connections()) <= self._most or scope["type"] != "http" or scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        self._metrics.count_refused(RefusedReason.CONNECTIONS)
        self._overflow("too_many_connections", reason=RefusedReason.CONNECTIONS.value, most=self._most)
        said = f"more than {self._most} connections (server.max_connections); nothing of this request was stored"
        headers = {"Retry-After": str(OverloadedError.retry_after_seconds), "Connection": "close"}
        await problem_response(503, "Overloaded", f"{said}, send it again", headers=headers)(scope, receive, send)


class _Bounded(_Protocol):  # type: ignore[misc]
    """uvicorn's protocol with limits on how long a head may be and how long a request may take to arrive."""

    most: int
    _head: int | None = 0 if _knows_heads else None
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self.most + RESERVE:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        if self._patience is None:
            self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._arrived()
        super().on_message_complete()
        self._head = 0

    def _wait(self) -> None:
        """Close the connection unless a request has arrived in time: who says nothing keeps a place from others."""
        if _knows_heads:  # or nobody would say that it has
            self._patience = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _arrived(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def bounded_protocol(most: int) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with limits: of connections, of those that say nothing, and of heads that never end."""
    return cast("type[asyncio.Protocol]", type("Bounded", (_Bounded,), {"most": most}))
