"""Limits on connections and request heads; beyond them a request is refused at once."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sized
from functools import partial
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from incident_engine.common.errors import OverloadedError
from incident_engine.common.telemetry import Metrics, RateLimitedLog, RefusedReason, logger
from incident_engine.web.problems import problem_response

HEAD_BYTES = 65_536
"""The most bytes of a request's head: its first line and its headers."""
RESERVE = 64
"""Connections above the limit that are still answered: health with its answer, any other request with a 503."""
LEAST_OF_ADDRESS = 64
"""The unfinished requests that one address may have at least; more is a quarter of all connections."""
HEAD_SECONDS = 10.0
"""The most seconds until a head has arrived, from the start of its connection or its first byte."""
REQUEST_SECONDS = 60.0
"""The most seconds until a request has arrived, from the start of its connection or its first byte."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_CONNECTION = "connection"
"""The key of a request's connection in the state of its scope."""
_HEALTH = frozenset({"/healthz", "/readyz"})
_Protocol: Any = AutoHTTPProtocol
_is_httptools = hasattr(_Protocol, "on_message_begin")
"""Whether uvicorn parses with httptools, which has no limit of its own; h11, its fallback, has one."""


class UnfinishedRequests:
    """The connections whose request has not arrived as a whole, by address, the oldest first.

    They may be a flood of connections that never finish one. An honest request arrives within a second, so the oldest
    are closed for new ones: they use up neither the limit of connections nor the reserve for health.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self.most = most
        self.most_of_address = max(LEAST_OF_ADDRESS, most // 4)
        self._metrics = metrics
        self._by_address: dict[str, OrderedDict[_Bounded, None]] = {}
        self._all: OrderedDict[_Bounded, None] = OrderedDict()
        self._log = RateLimitedLog(logger("web").warning, 1)

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, connection: object) -> bool:
        return connection in self._all

    def add(self, connection: "_Bounded") -> None:
        """Add a connection, and close the oldest one of its address if the address has too many."""
        self._all[connection] = None
        siblings = self._by_address.setdefault(connection.address, OrderedDict())
        siblings[connection] = None
        if len(siblings) > self.most_of_address:
            self._close(next(iter(siblings)))

    def discard(self, connection: "_Bounded") -> None:
        """Remove a connection whose request has arrived, or that was closed."""
        if connection in self._all:
            del self._all[connection]
            siblings = self._by_address[connection.address]
            del siblings[connection]
            if not siblings:
                del self._by_address[connection.address]

    def close_oldest(self) -> None:
        """Close the oldest connection of all, if there is any."""
        if self._all:
            self._close(next(iter(self._all)))

    def _close(self, connection: "_Bounded") -> None:
        self.discard(connection)
        self._metrics.count_refused(RefusedReason.UNFINISHED)
        self._log("unfinished_request_closed", reason=RefusedReason.UNFINISHED.value, address=connection.address)
        connection.transport.close()


class ConnectionLimit:
    """Answers 503 while there are more connections than the settings allow; health is always answered."""

    def __init__(
        self, app: ASGIApp, connections: Callable[[], Sized], unfinished: UnfinishedRequests, metrics: Metrics
    ) -> None:
        self._app = app
        self._most = unfinished.most
        self._connections = connections
        self._unfinished = unfinished
        self._metrics = metrics
        self._overflow = RateLimitedLog(logger("web").warning, 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        # The request at hand counts, although its body may still be under way.
        others = len(self._unfinished) - (scope.get("state", {}).get(_CONNECTION) in self._unfinished)
        is_full = len(self._connections()) - others > self._most
        if not is_full or scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] in _HEALTH:
            # An orchestrator that gets no answer about health would restart a daemon that is merely busy. The
            # connection ends with the answer: kept alive, probes of health could fill the reserve for health.
            await self._app(scope, receive, partial(_send_and_close, send))
        else:
            self._metrics.count_refused(RefusedReason.CONNECTIONS)
            self._overflow("too_many_connections", reason=RefusedReason.CONNECTIONS.value, most=self._most)
            reason = f"more than {self._most} connections (server.max_connections); nothing of this request was stored"
            headers = {"Retry-After": str(OverloadedError.retry_after_seconds), "Connection": "close"}
            response = problem_response(503, "Overloaded", f"{reason}, send it again", headers=headers)
            await response(scope, receive, send)


async def _send_and_close(send: Send, message: Any) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], (b"connection", b"close")]
    await send(message)


class _Bounded(_Protocol):  # type: ignore[misc]
    """uvicorn's protocol with limits on the size of a head and on the time until a request has arrived."""

    unfinished: UnfinishedRequests
    address: str = "unknown"
    _head: int | None = 0 if _is_httptools else None
    """Bytes of the head so far; None while a body is read."""
    _deadline: asyncio.TimerHandle | None = None
    """The end of the time for the head or the request; None between two requests."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.address = self.client[0] if self.client else self.address
        self._start_deadline()
        if self._deadline is not None:
            self.unfinished.add(self)
        if len(self.connections) > self.unfinished.most + RESERVE:
            self.unfinished.close_oldest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        self.unfinished.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        # Empty lines begin no message, but end uvicorn's time between two requests: they need a deadline as well.
        if self._head and self._deadline is None:
            self._start_deadline()
        if self._deadline is not None:
            self.unfinished.add(self)
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
        self.scope["state"][_CONNECTION] = self
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._cancel_deadline()
        self.unfinished.discard(self)
        super().on_message_complete()
        self._head = 0

    def _start_deadline(self) -> None:
        """Close the connection unless a head, and then its body, arrive in time: silent ones use up the limit."""
        if _is_httptools:  # h11 calls no on_message_complete, so nothing would cancel the deadline
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._end_of_head)

    def _end_of_head(self) -> None:
        # One timer serves head and body, because every request starts one.
        if self._head is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS - HEAD_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bounded_protocol(unfinished: UnfinishedRequests) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with limits on connections, silent connections and endless heads."""
    return cast("type[asyncio.Protocol]", type("Bounded", (_Bounded,), {"unfinished": unfinished}))
