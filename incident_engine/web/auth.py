"""Authentication: bearer keys (RFC 6750) for everything but health and signed links.

A browser cannot send a bearer key. For pages it may send the key as a password (RFC 7617), with any user name.
"""

import asyncio
import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from incident_engine.common.link_path import LINK_PATH
from incident_engine.common.telemetry import DeniedReason
from incident_engine.config.settings import is_loopback
from incident_engine.web.denials import Denials
from incident_engine.web.problems import problem_response

OPEN_TO_ALL = frozenset({"/healthz", "/readyz"})
"""The paths that need no key."""
_READS = frozenset({"GET", "HEAD"})
DELAY_SECONDS = 0.5
"""How long the answer to a wrong key waits after too many of them."""
_MOST_DELAYED = 32
"""The most delayed answers at a time; further ones come at once, because a waiting answer holds a connection."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
"""A host and port (RFC 9110, section 7.2)."""
_PROXY_HEADERS = frozenset(
    {
        *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-proxyuser-ip", "proxy-client-ip"),
        *("true-client-ip", "cf-connecting-ip", "cf-ray", "fastly-client-ip", "wl-proxy-client-ip", "client-ip"),
        *("x-azure-clientip", "x-azure-socketip", "x-amzn-trace-id", "x-cloud-trace-context", "x-rewrite-url"),
    }
)
_PROXY_PREFIXES = ("x-forwarded", "x-original-", "x-envoy-", "x-proxy-", "x-arr-")


class KeyAuthentication:
    """Rejects requests without a valid key, and writing requests that a page of another site sends by a browser.

    Without configured keys (loopback only) the Host header must name this machine, and the request must not have come
    through a proxy. Otherwise any web site could make its own name resolve to this address and read along (DNS
    rebinding), and a reverse proxy would open everything to its clients.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str], denials: Denials) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]
        self._denials = denials
        self._delayed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400, 401, 403 or 429."""
        # Probes of health may come without a Host, and tell nothing.
        refusal = None
        if scope["type"] == "http" and scope["path"] not in OPEN_TO_ALL:
            refusal = self._refusal(scope)
        if refusal is not None and refusal.status_code == 429:
            await self._delay()
        await (refusal or self._app)(scope, receive, send)

    async def _delay(self) -> None:
        if self._delayed < _MOST_DELAYED:
            self._delayed += 1
            try:
                await asyncio.sleep(DELAY_SECONDS)
            finally:
                self._delayed -= 1

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        # HTTP/1.0 knows no Host; two of them are read differently by a proxy and by this program (RFC 9112, 3.2).
        may_lack_host = scope["http_version"] == "1.0"
        if len(hosts) > 1 or not (_is_valid_host(*hosts) if hosts else may_lack_host):
            detail = "send exactly one Host header with a name or address and a port"
            return self._deny(scope, DeniedReason.HOST, 400, "Bad Request", detail)
        # A signed link carries its own proof, so it needs no key and may come through a proxy.
        if scope["path"].startswith(LINK_PATH):
            return None
        if not self._keys and _came_by_proxy(scope):
            detail = (
                "this request came through a proxy, and without keys a proxy would open everything to its clients: "
                "set server.keys ('openssl rand -hex 32'), or call http://127.0.0.1 directly"
            )
            return self._deny(scope, DeniedReason.PROXY, 403, "Forbidden", detail)
        if not self._keys and not _is_this_machine(hosts[0]):
            detail = "without server.keys only http://127.0.0.1 or http://localhost is served; other names need a key"
            return self._deny(scope, DeniedReason.HOST, 403, "Forbidden", detail)
        if scope["method"] not in _READS and _is_cross_site(headers):
            detail = "a page of another site may not write here"
            return self._deny(scope, DeniedReason.CROSS_SITE, 403, "Forbidden", detail)
        # Browsers resend a password with every request, also one forged by another page, so it may only read.
        if self._keys and not self._has_key(headers, allow_basic=scope["method"] in _READS):
            return self._no_key(scope, headers)
        return None

    def _no_key(self, scope: Scope, headers: Headers) -> Response:
        detail = "send one of the keys of server.keys as 'Authorization: Bearer KEY'"
        challenge = {"WWW-Authenticate": 'Bearer realm="incident-engine", Basic realm="incident-engine"'}
        if not headers.get("authorization"):
            return self._deny(scope, DeniedReason.NO_KEY, 401, "Unauthorized", detail, challenge)
        # A right key is always taken: peers behind one proxy share an address with the one that guesses.
        if self._denials.exceeds(_address(scope)):
            wait = {"Retry-After": "1", "Connection": "close"}
            detail = f"too many wrong keys from this address; {detail}"
            return self._deny(scope, DeniedReason.MANY_WRONG_KEYS, 429, "Too Many Requests", detail, wait)
        return self._deny(scope, DeniedReason.WRONG_KEY, 401, "Unauthorized", detail, challenge)

    def _deny(
        self,
        scope: Scope,
        reason: DeniedReason,
        status: int,
        title: str,
        detail: str,
        headers: dict[str, str] | None = None,
    ) -> Response:
        self._denials.record(reason, _address(scope))
        return problem_response(status, title, detail, headers=headers)

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


def _address(scope: Scope) -> str:
    """Return the address that sent a request; uvicorn takes it from X-Forwarded-For of a proxy on this machine."""
    return scope["client"][0] if scope.get("client") else "unknown"


def _came_by_proxy(scope: Scope) -> bool:
    """Return whether a request has a sign of a proxy: a header that proxies add, or the HTTP/1.0 that nginx speaks."""
    if scope["http_version"] == "1.0":
        return True
    return any(_is_of_a_proxy(name) for name, _ in scope["headers"])


@lru_cache(maxsize=1_024)  # senders repeat the same few names with every request
def _is_of_a_proxy(header: bytes) -> bool:
    # Some proxies pass on underscores as they stand, which would hide a header from a comparison.
    name = header.decode("latin-1").lower().replace("_", "-")
    return name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIXES)


@lru_cache(maxsize=1_024)
def _is_valid_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None


@lru_cache(maxsize=1_024)
def _is_this_machine(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:  # not an address, such as "[1]"
        return False


def _is_cross_site(headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")  # older browsers send only this one
    try:
        return origin is not None and urlsplit(origin).netloc != headers.get("host")
    except ValueError:
        return True
