"""Limits on connections and request heads; beyond them a request is refused at once."""

import asyncio
from collections.abc import Callable, Sized
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from incident_engine.common.errors import OverloadedError
from incident_engine.common.telemetry import Metrics, RateLimitedLog, RefusedReason, logger
from incident_engine.web.problems import problem_response

HEAD_BYTES = 65_536
"""The most bytes of a request's head: its first line and its headers."""
RESERVE = 64
"""Connections above the limit that are still answered, with a 503; any beyond them are closed unanswered."""
REQUEST_SECONDS = 60.0
"""The most seconds until a request has arrived, from the start of its connection or the end of the previous request."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_HEALTH = frozenset({"/healthz", "/readyz"})
_Protocol: Any = AutoHTTPProtocol
_is_httptools = hasattr(_Protocol, "on_message_begin")
"""Whether uvicorn parses with httptools, which has no limit of its own; h11, its fallback, has one."""


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
        # An orchestrator that gets no answer about health would restart a daemon that is merely busy.
        if len(self._connections()) <= self._most or scope["type"] != "http" or scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        self._metrics.count_refused(RefusedReason.CONNECTIONS)
        self._overflow("too_many_connections", reason=RefusedReason.CONNECTIONS.value, most=self._most)
        reason = f"more than {self._most} connections (server.max_connections); nothing of this request was stored"
        headers = {"Retry-After": str(OverloadedError.retry_after_seconds), "Connection": "close"}
        await problem_response(503, "Overloaded", f"{reason}, send it again", headers=headers)(scope, receive, send)


class _Bounded(_Protocol):  # type: ignore[misc]
    """uvicorn's protocol with limits on the size of a head and on the time until a request has arrived."""

    most: int
    _head: int | None = 0 if _is_httptools else None
    """Bytes of the head so far; None while a body is read."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._start_deadline()
        if len(self.connections) > self.most + RESERVE:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        # Checked after parsing: by then the head may be complete and the rest of the data a body.
        if self._head is not None and self._head > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        if self._deadline is None:
            self._start_deadline()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._cancel_deadline()
        super().on_message_complete()
        self._head = 0

    def _start_deadline(self) -> None:
        """Close the connection unless a request arrives in time: silent connections would use up the limit."""
        if _is_httptools:  # h11 calls no on_message_complete, so nothing would cancel the deadline
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bounded_protocol(most: int) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with limits on connections, silent connections and endless heads."""
    return cast("type[asyncio.Protocol]", type("Bounded", (_Bounded,), {"most": most}))
