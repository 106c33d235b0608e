"""Outgoing HTTP: a host name is resolved once, its addresses are checked, and the connection goes to a checked one.

Between a check and a second resolution the name could change to an address inside the bank (DNS rebinding), so there
is no second one. The Host header, the TLS server name and the check of the certificate stay those of the name
(httpx: extension `sni_hostname`). Redirects are not followed, and no proxy is taken from the environment.
"""

import asyncio
import ipaddress
import json
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import Any

import httpx2

from incident_engine.config.channels import OutgoingSettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host name and port."""
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
_EMBEDDING = (
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052)
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible, deprecated (RFC 4291, 2.5.5.1)
)
"""Networks whose addresses end with an IPv4 address."""
_NOT_PUBLIC = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "64:ff9b:1::/48",  # local NAT64 (RFC 8215): only the bank's own translator knows where it leads
        "fec0::/10",  # site-local, deprecated (RFC 3879)
        "5f00::/16",  # segment routing within one network (RFC 9602)
        "100::/64",  # discard (RFC 6666)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
"""Networks that Python's `is_global` takes for public, in some or all versions."""
_LARGEST_ANSWER = 65_536
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_NOT_NOW = frozenset({408, 425})
_default_tls = cache(partial(httpx2.create_ssl_context, trust_env=False))
"""Returns the context that checks certificates; loading the authorities is slow, so it is done once."""
LONGEST_WAIT = timedelta(hours=1)
"""The longest wait that a server may ask for."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A server's answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def is_success(self) -> bool:
        """Return whether the status is 2xx. The body may still report an error."""
        return 200 <= self.status < 300

    def data(self) -> Any:
        """Return the body as JSON, or None if it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.text}"


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name, by the system's resolver. Raises OSError if there are none."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


class HttpClient:
    """Sends requests to public addresses, and to private ones that the settings allow.

    `timeout` limits a whole request.
    """

    def __init__(
        self,
        outgoing: OutgoingSettings,
        timeout: timedelta,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._names: set[str] = set()
        for entry in outgoing.allow:
            try:
                self._networks.append(ipaddress.ip_network(entry))
            except ValueError:
                self._names.add(entry.casefold())
        self._timeout = timeout
        self._resolve = resolve
        self._tls = tls or _default_tls()
        self._client = httpx2.AsyncClient(
            timeout=timeout.total_seconds(), follow_redirects=False, trust_env=False, verify=self._tls
        )

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> HttpAnswer:
        """Send a request and return the answer. Raises DeliveryError if there is none, or the address is refused."""
        parsed = httpx2.URL(url)
        error: DeliveryError | None = None
        timeout = self._timeout.total_seconds()
        try:
            # The client's own timeout is for each read; a slow answer in many pieces must end as well.
            async with asyncio.timeout(timeout):
                for address in await self._addresses(parsed):
                    try:
                        return await self._send(method, parsed, address, headers, content)
                    except httpx2.ConnectError as failure:
                        error = DeliveryError(DeliveryOutcome.CONNECTION_FAILED, repr(failure))
        except (httpx2.TimeoutException, TimeoutError) as failure:
            detail = f"no answer within {timeout:g} s: {failure!r}"
            raise DeliveryError(DeliveryOutcome.TIMED_OUT, detail) from failure
        except httpx2.HTTPError as failure:
            raise DeliveryError(DeliveryOutcome.CONNECTION_FAILED, repr(failure)) from failure
        raise error or DeliveryError(DeliveryOutcome.CONNECTION_FAILED, f"{parsed.host} has no address")

    async def connect(self, url: str) -> str:
        """Open a connection, with TLS and a check of the certificate for https, and return the address.

        No request is sent: a gateway might send a message for any. Raises DeliveryError.
        """
        parsed = httpx2.URL(url)
        is_tls = parsed.scheme == "https"
        port = parsed.port or (443 if is_tls else 80)
        tls, name = (self._tls, parsed.raw_host.decode("ascii")) if is_tls else (None, None)
        error = DeliveryError(DeliveryOutcome.CONNECTION_FAILED, f"{parsed.host} has no address")
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                for address in await self._addresses(parsed):
                    try:
                        _, writer = await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)
                    except OSError as failure:  # ssl.SSLError is one
                        error = DeliveryError(DeliveryOutcome.CONNECTION_FAILED, f"{address} port {port}: {failure}")
                        continue
                    writer.close()
                    return f"{address} port {port}{', TLS' if is_tls else ''}"
        except TimeoutError as failure:
            detail = f"no connection within {self._timeout.total_seconds():g} s"
            raise DeliveryError(DeliveryOutcome.TIMED_OUT, detail) from failure
        raise error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(
        self, method: str, url: httpx2.URL, address: str, headers: Mapping[str, str], content: bytes | None
    ) -> HttpAnswer:
        request = self._client.build_request(
            method,
            url.copy_with(host=address),
            # An answer that is packed a thousandfold would fill the memory before it could be cut.
            headers={**headers, "host": url.netloc.decode("ascii"), "accept-encoding": "identity"},
            content=content,
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) >= _LARGEST_ANSWER:
                    break
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        content = _unpacked(bytes(body[:_LARGEST_ANSWER]), headers.get("content-encoding", ""))
        return HttpAnswer(response.status_code, headers, content.decode("utf-8", errors="replace"))

    async def _addresses(self, url: httpx2.URL) -> list[str]:
        """Return the addresses of a host that may be reached. Raises DeliveryError if all of them are forbidden."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            addresses = [str(ipaddress.ip_address(url.host))]
        except ValueError:
            try:
                addresses = await self._resolve(url.host, port)
            except OSError as error:
                detail = f"{url.host} cannot be resolved: {error}"
                raise DeliveryError(DeliveryOutcome.CONNECTION_FAILED, detail) from error
        reachable = [address for address in addresses if self._may_reach(url.host, address)]
        if addresses and not reachable:
            listed = ", ".join(addresses)
            detail = f"{url.host} is at {listed}, which is not public; if that is right, name it in outgoing.allow"
            raise DeliveryError(DeliveryOutcome.MISCONFIGURED, detail, permanent=True)
        return reachable

    def _may_reach(self, host: str, address: str) -> bool:
        ips = _embedded(address)
        return (
            host.casefold() in self._names
            or all(map(_is_public, ips))
            or any(ip in network for ip in ips for network in self._networks)
        )


def _embedded(address: str) -> list[_Ip]:
    """Return an address and the IPv4 addresses in it: a public IPv6 address may lead to a private IPv4 one."""
    ip = ipaddress.ip_address(address.partition("%")[0])  # without the zone of a link-local address
    ips: list[_Ip] = [ip]
    if isinstance(ip, ipaddress.IPv6Address):
        ips += filter(None, (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())))  # Teredo: the server and the client
        low = int(ip) & 0xFFFFFFFF
        if any(ip in network for network in _EMBEDDING):
            ips.append(ipaddress.IPv4Address(low))
        if (int(ip) >> 32) & 0xFFFFFFFF in (0x5EFE, 0x02005EFE):  # ISATAP (RFC 5214, 6.1)
            ips.append(ipaddress.IPv4Address(low))
    return ips


def _is_public(ip: _Ip) -> bool:
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def _unpacked(content: bytes, coding: str) -> bytes:
    """Return at most the largest answer of a body, although it was asked for no coding (RFC 9110, 12.5.3)."""
    if coding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return content  # of a coding that is not known, status and headers still tell the outcome
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(content, _LARGEST_ANSWER)
    except zlib.error:
        return content


def explained(answer: HttpAnswer, now: datetime) -> DeliveryError:
    """Return the failure that the status of an answer means (RFC 9110)."""
    wait = retry_after(answer.headers.get("retry-after"), now)
    if answer.status == 429:
        return DeliveryError(DeliveryOutcome.RATE_LIMITED, str(answer), retry_after=wait)
    if answer.status >= 500 or answer.status in _NOT_NOW:
        return DeliveryError(DeliveryOutcome.SERVER_ERROR, str(answer), retry_after=wait)
    if answer.status in (401, 403):
        return DeliveryError(DeliveryOutcome.AUTHENTICATION_FAILED, str(answer))
    # Only "gone" is final (Standard Webhooks): a receiver that is being deployed answers 404 or redirects for a while.
    return DeliveryError(DeliveryOutcome.REFUSED, str(answer), permanent=answer.status == 410)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return the wait that a Retry-After header asks for (RFC 9110, 10.2.3), an hour at most."""
    if value is None:
        return None
    if value.strip().isdigit():
        seconds = float(value)  # never too large for a float, which an int of many digits may be for a timedelta
        return timedelta(seconds=min(seconds, LONGEST_WAIT.total_seconds()))
    try:
        wait = parsedate_to_datetime(value) - now
    except (ValueError, TypeError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)
