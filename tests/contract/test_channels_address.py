"""Outgoing HTTP reaches only the addresses that it may, and the one that was checked."""

import asyncio
import gzip
import ssl
import tracemalloc
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_engine.config.channels import OutgoingSettings, WebhookSettings
from incident_engine.config.secret import Secret
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.delivery.channels.http_client import HttpAnswer as Got
from incident_engine.delivery.channels.http_client import HttpClient
from incident_engine.delivery.channels.webhook import WebhookChannel

from .channel_support import LOCAL, SECRET, failure
from .servers import LOOPBACK, Answer, free_port, web_server

SECOND = timedelta(seconds=1)
TLS = Path(__file__).parent / "tls"


class Resolver:
    """Answers each question with the next of the given answers."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = [list(answer) for answer in answers]
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answer = self.answers.pop(0)
        if not answer:
            raise OSError(-2, "Name or service not known")
        return answer


def get(http: HttpClient, *urls: str) -> list[Got]:
    async def run() -> list[Got]:
        try:
            return [await http.send("POST", url, {}, b"{}") for url in urls]
        finally:
            await http.close()

    return asyncio.run(run())


def error_of(http: HttpClient, url: str) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        get(http, url)
    return caught.value


def port_of(url: str) -> str:
    return url.rsplit(":", 1)[1]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1",
        "fd12:3456::1", "ff02::1", "ff0e::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:0a00:0001::1",
        "64:ff9b::10.0.0.1", "2001:0:1:1:1:1:f5ff:fffe", "::127.0.0.1", "::10.0.0.1", "fec0::1", "feff::1",
        "64:ff9b:1::1", "64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff::10.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:0001::1",
        "2001:0:7f00:1:1:1:f7f7:f7f7", "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:192.168.0.1", "3fff::1",
        "5f00::1", "100::1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused_for_good_and_said_plainly(address: str) -> None:
    resolver = Resolver([address])
    error = error_of(HttpClient(OutgoingSettings(), SECOND, resolver), "http://desk.example/hook")
    assert (error.outcome, error.permanent) == (DeliveryOutcome.MISCONFIGURED, True)
    assert error.detail.startswith("desk.example is at ")
    assert "name it in outgoing.allow" in error.detail
    literal = f"http://[{address}]/hook" if ":" in address else f"http://{address}/hook"
    assert error_of(HttpClient(OutgoingSettings(), SECOND, resolver), literal).outcome is DeliveryOutcome.MISCONFIGURED
    assert resolver.asked == ["desk.example"]


@pytest.mark.parametrize("allow", [(LOOPBACK,), ("127.0.0.0/8",), ("10.0.0.0/8", "DESK.example")])
def test_what_is_allowed_by_network_or_name_is_reached_with_the_name_as_the_host(allow: tuple[str, ...]) -> None:
    with web_server(Answer(200, body="here")) as server:
        port = port_of(server.url.removesuffix("/hook"))
        http = HttpClient(OutgoingSettings(allow=allow), SECOND, Resolver([LOOPBACK]))
        (got,) = get(http, f"http://desk.example:{port}/hook")
    assert got.text == "here"
    assert server.posted[0].headers["host"] == f"desk.example:{port}"


def test_a_name_that_means_something_else_a_moment_later_leads_nowhere_else() -> None:
    """Between check and connection nobody is asked again, and each request is checked anew."""
    with web_server(Answer(200)) as server:
        port = port_of(server.url.removesuffix("/hook"))
        resolver = Resolver([LOOPBACK], ["10.9.9.9"])
        http = HttpClient(LOCAL, SECOND, resolver)
        url = f"http://desk.example:{port}/hook"
        with pytest.raises(DeliveryError, match=r"desk\.example is at 10\.9\.9\.9, which is not public"):
            get(http, url, url)
    assert resolver.asked == ["desk.example"] * 2
    assert len(server.posted) == 1


def test_of_several_addresses_those_that_may_not_be_reached_are_left_out() -> None:
    with web_server(Answer(200)) as server:
        port = port_of(server.url.removesuffix("/hook"))
        get(HttpClient(LOCAL, SECOND, Resolver(["10.9.9.9", LOOPBACK])), f"http://desk.example:{port}/hook")
    assert len(server.posted) == 1


def test_the_next_address_is_tried_where_nobody_listens() -> None:
    with web_server(Answer(200)) as server:
        port = port_of(server.url.removesuffix("/hook"))
        http = HttpClient(OutgoingSettings(allow=("127.0.0.0/8",)), SECOND, Resolver(["127.9.9.9", LOOPBACK]))
        get(http, f"http://desk.example:{port}/hook")
    assert len(server.posted) == 1


def test_a_name_that_nobody_knows_may_be_known_later() -> None:
    error = error_of(HttpClient(OutgoingSettings(), SECOND, Resolver([])), "http://desk.example/hook")
    assert (error.outcome, error.permanent) == (DeliveryOutcome.CONNECTION_FAILED, False)
    assert "desk.example cannot be resolved" in error.detail


def test_the_systems_resolver_is_asked() -> None:
    with web_server(Answer(200)) as server:
        port = port_of(server.url.removesuffix("/hook"))
        assert (
            error_of(HttpClient(OutgoingSettings(), 5 * SECOND), f"http://localhost:{port}/").outcome
            is DeliveryOutcome.MISCONFIGURED
        )
        get(HttpClient(OutgoingSettings(allow=("localhost",)), 5 * SECOND), f"http://localhost:{port}/hook")
    assert len(server.posted) == 1


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{free_port()}")
    with web_server(Answer(200)) as server:
        get(HttpClient(LOCAL, SECOND), server.url)
    assert len(server.posted) == 1


def test_an_answer_without_end_is_cut() -> None:
    with web_server(Answer(200, body="x" * 1_000_000)) as server:
        (got,) = get(HttpClient(LOCAL, 5 * SECOND), server.url)
    assert got.text == "x" * 65_536


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate"])
def test_a_packed_answer_is_unpacked_up_to_the_largest_answer(coding: str) -> None:
    def packed(text: bytes) -> bytes:
        return zlib.compress(text) if coding == "deflate" else gzip.compress(text)

    bomb = packed(b"x" * 50_000_000)
    with web_server(
        Answer(200, {"content-encoding": coding}, packed(b'{"errcode": 0}')),
        Answer(200, {"content-encoding": coding}, bomb),
        Answer(200, {"content-encoding": coding}, b"not packed"),
        Answer(200, {"content-encoding": "br"}, b"unknown"),
    ) as server:
        small, large, broken, unknown = get(HttpClient(LOCAL, 5 * SECOND), *[server.url] * 4)
    assert small.data() == {"errcode": 0}
    assert large.text == "x" * 65_536
    assert (broken.text, unknown.text) == ("not packed", "unknown")
    assert server.posted[0].headers["accept-encoding"] == "identity"


def test_a_packed_answer_never_takes_more_memory_than_its_limit() -> None:
    bomb = gzip.compress(b"x" * 100_000_000)  # 97 KB on the wire
    with web_server(Answer(200, {"content-encoding": "gzip"}, bomb)) as server:
        tracemalloc.start()
        try:
            get(HttpClient(LOCAL, 5 * SECOND), server.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 20_000_000


def test_a_webhook_to_a_private_address_is_misconfigured() -> None:
    with web_server() as server:
        settings = WebhookSettings(type="webhook", url=server.url, secret=Secret(value=SECRET))
        error = failure(WebhookChannel(settings, OutgoingSettings()))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.MISCONFIGURED, True)
    assert server.posted == []


# TLS: the certificate in tests/contract/tls is that of desk.bank.example, signed by itself.


def over_tls(host: str) -> tuple[list[str | None], Any]:
    """Return the server names that a server was asked for, and what came of a request to a host by its name."""
    named: list[str | None] = []
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(TLS / "desk.pem", TLS / "desk.key")
    ours.sni_callback = lambda _, name, __: named.append(name)
    theirs = ssl.create_default_context(cafile=str(TLS / "desk.pem"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> Any:
        server = await asyncio.start_server(answer, LOOPBACK, 0, ssl=ours)
        port = server.sockets[0].getsockname()[1]
        http = HttpClient(LOCAL, 5 * SECOND, Resolver([LOOPBACK]), theirs)
        try:
            return (await http.send("GET", f"https://{host}:{port}/", {})).status
        except DeliveryError as error:
            return error
        finally:
            await http.close()
            server.close()

    return named, asyncio.run(run())


def test_the_certificate_is_checked_for_the_name_and_not_for_the_address() -> None:
    named, came = over_tls("desk.bank.example")
    assert (named, came) == (["desk.bank.example"], 200)


def test_a_certificate_of_another_name_is_refused() -> None:
    _, came = over_tls("other.bank.example")
    assert isinstance(came, DeliveryError)
    assert came.outcome is DeliveryOutcome.CONNECTION_FAILED
    assert "Hostname mismatch" in came.detail
