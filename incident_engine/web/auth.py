"""Authentication: bearer keys (RFC 6750) for everything but health and signed links.

A browser cannot send a bearer key. For pages it may send the key as a password (RFC 7617), with any user name.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from incident_engine.common.signed_links import LINK_PATH
from incident_engine.config.settings import is_loopback
from incident_engine.web.problems import problem_response

_OPEN_TO_ALL = frozenset({"/healthz", "/readyz"})
_READS = frozenset({"GET", "HEAD"})


class KeyAuthentication:
    """Rejects requests without a valid key, and writing requests that a page of another site sends by a browser.

    Without configured keys (loopback only) the Host header must name this machine. Otherwise any web site could make
    its own name resolve to this address and read along (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 403."""
        # A signed link carries its own proof, so it needs no key.
        is_open = scope["type"] != "http" or scope["path"] in _OPEN_TO_ALL or scope["path"].startswith(LINK_PATH)
        refusal = None if is_open else self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._keys and not _is_this_machine(headers.get("host", "")):
            return problem_response(
                403, "Forbidden", "without a key only http://127.0.0.1 or http://localhost is served"
            )
        if scope["method"] not in _READS and _is_cross_site(headers):
            return problem_response(403, "Forbidden", "a page of another site may not write here")
        # Browsers resend a password with every request, also one forged by another page, so it may only read.
        if self._keys and not self._has_key(headers, allow_basic=scope["method"] in _READS):
            return problem_response(
                401,
                "Unauthorized",
                "send one of the keys of server.keys as 'Authorization: Bearer KEY'",
                headers={"WWW-Authenticate": 'Bearer realm="incident-engine", Basic realm="incident-engine"'},
            )
        return None

    def _has_key(self, headers: Headers, *, allow_basic: bool) -> bool:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        token = credentials.strip().encode()
        if scheme.lower() == "basic" and allow_basic:
            try:
                token = base64.b64decode(token, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return any(hmac.compare_digest(token, key) for key in self._keys)  # in constant time: no guessing by timing


@lru_cache(maxsize=1_024)
def _is_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:  # not an address, such as "["
        return False
    return name is None or is_loopback(name)


def _is_cross_site(headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")  # older browsers send only this one
    try:
        return origin is not None and urlsplit(origin).netloc != headers.get("host")
    except ValueError:
        return True
