"""Who may speak to the daemon: bearer keys (RFC 6750) for everything but health.

A browser cannot send a bearer key; for pages it is asked for the key as a password (RFC 7617), with any user name.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from incident_engine.web.problems import problem_response

_OPEN_TO_ALL = frozenset({"/healthz", "/readyz"})


class BearerGuard:
    """Refuses what comes without one of the keys. Without any key configured everything is open (loopback only)."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != "http" or not self._keys or scope["path"] in _OPEN_TO_ALL or self._knows(scope):
            await self._app(scope, receive, send)
            return
        response = problem_response(
            401,
            "Unauthorized",
            "send one of the keys of server.keys as 'Authorization: Bearer KEY'",
            headers={"WWW-Authenticate": f'{"Bearer" if scope["path"].startswith("/api/") else "Basic"} realm="keys"'},
        )
        await response(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        token = given.strip().encode()
        if scheme.lower() == "basic":
            token = _password(token)
        elif scheme.lower() != "bearer":
            return False
        return any(hmac.compare_digest(token, key) for key in self._keys)


def _password(credentials: bytes) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
