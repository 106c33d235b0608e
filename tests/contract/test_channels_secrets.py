"""No channel tells its secrets: not to the log, not to the database, not in what is shown of the settings."""

import base64
import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import TypeAdapter
from support.fixtures import rows

from incident_engine.common.telemetry import configure_logging
from incident_engine.config.channels import ChannelSettings
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.redaction import RedactingChannel
from incident_engine.store.claims import ClaimedDelivery
from incident_engine.store.tables import attempts, deliveries

from .channel_support import failure, send
from .servers import LOOPBACK, Answer, free_port, mail_server, silent_server, web_server
from .test_dispatcher import at_work, run

KEY = "k3y/of+the=robot-0123456789"
SIGN = "SEC-s1gn/secret+0123"
PASSWORD = "pa55word:of the mail"
HOOK = base64.b64encode(b"a secret of thirty-two characters").decode()


def channels(url: str) -> dict[str, dict[str, Any]]:
    """Return a channel of each type, at the address of one server."""
    port = url.rsplit(":", 1)[1].partition("/")[0]
    key = quote(KEY, safe="")
    return {
        "webhook": {"url": f"{url}?k=t0ken-in-the-address", "secret": {"value": HOOK}},
        "wecom": {"url": {"value": f"{url}?key={key}"}},
        "dingtalk": {"url": {"value": f"{url}?access_token={key}"}, "secret": {"value": SIGN}},
        "feishu": {"url": {"value": f"{url}/{key}"}, "secret": {"value": SIGN}},
        "sms": {
            "url": f"{url}?key={{secret.key}}&to={{to}}",
            "body": '{"text": "{text}", "sign": "{secret.sign}"}',
            "secrets": {"key": {"value": KEY}, "sign": {"value": SIGN}},
            "success": {"json_path": "code", "equals": "0"},
        },
        "apprise": {"url": {"value": f"json://user:{key}@{LOOPBACK}:{port}/hook?cto=1&rto=1"}},
        "email": {"host": LOOPBACK, "port": int(port), "sender": "a@b.example", "tls": "none",
                  "username": "ops", "password": {"value": PASSWORD}},
    }  # fmt: skip


TYPES = list(channels("http://127.0.0.1:1/hook"))


OWN = {
    "webhook": [HOOK, "t0ken-in-the-address"],
    "wecom": [KEY, quote(KEY, safe="")],
    "dingtalk": [KEY, quote(KEY, safe=""), SIGN, quote(SIGN, safe="")],
    "feishu": [KEY, quote(KEY, safe=""), SIGN, quote(SIGN, safe="")],
    "sms": [KEY, quote(KEY, safe=""), SIGN, quote(SIGN, safe="")],
    "apprise": [KEY, quote(KEY, safe="")],
    "email": [PASSWORD],
}


def settings(kind: str, url: str) -> ChannelSettings:
    made: ChannelSettings = TypeAdapter(ChannelSettings).validate_python(
        {"type": kind, "timeout": timedelta(seconds=0.2), **channels(url)[kind]}
    )
    return made


def said_of(folder: Path, channel: ChannelSettings) -> str:
    """Return everything that is logged and stored of a delivery over a channel."""
    stream = io.StringIO()
    configure_logging(stream)
    kept: list[Any] = []

    async def test() -> None:
        async with at_work(folder, channel) as post:
            post.put()
            post.dispatcher.notify()
            await post.settle()
            while post.delivery()["state"] == "sending":
                await post.settle()
            kept.extend(rows(post.database, attempts) + rows(post.database, deliveries))

    run(test)
    assert len(kept) == 2
    assert "delivery_" in stream.getvalue()
    return stream.getvalue() + json.dumps(kept, default=str, ensure_ascii=False)


@pytest.fixture(autouse=True)
def _log_again() -> Iterator[None]:
    yield
    configure_logging()


def echo(kind: str) -> str:
    """Return the body of an answer that repeats everything that a careless server may repeat."""
    return json.dumps({"code": 1, "errcode": 1, "echo": OWN[kind]})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Apprise's own imports
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("status", [200, 400, 503, None])
def test_whatever_the_answer_no_secret_is_logged_or_stored(tmp_path: Path, kind: str, status: int | None) -> None:
    if kind == "email":
        with mail_server() as server:
            server.to_recipient["a@bank.example"] = f"550 5.1.1 unknown, {PASSWORD}"
            said = said_of(tmp_path, settings(kind, f"http://{LOOPBACK}:{server.port}/hook"))
    else:
        with web_server(Answer(status, body=echo(kind))) as server_:
            said = said_of(tmp_path, settings(kind, server_.url))
    assert [secret for secret in OWN[kind] if secret in said] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "apprise"])
def test_no_failure_of_the_net_shows_a_secret(tmp_path: Path, kind: str) -> None:
    said = said_of(tmp_path / "nobody", settings(kind, f"http://{LOOPBACK}:{free_port()}/hook"))
    with silent_server() as port:
        said += said_of(tmp_path / "silent", settings(kind, f"http://{LOOPBACK}:{port}/hook"))
    assert [secret for secret in OWN[kind] if secret in said] == []


@pytest.mark.parametrize("kind", TYPES)
def test_settings_that_are_shown_show_no_secret(kind: str) -> None:
    shown = repr(settings(kind, "http://127.0.0.1:1/hook"))
    assert [secret for secret in OWN[kind] if secret in shown and secret != "t0ken-in-the-address"] == []


@pytest.mark.parametrize("before", [0, 280, 290, 299])
def test_not_even_half_a_secret_is_left_where_an_answer_is_cut(before: int) -> None:
    class Careless:
        async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
            return "x" * before + SIGN

        async def close(self) -> None:
            pass

    (said,) = send(RedactingChannel(Careless(), [SIGN]))
    assert "SEC" not in said
    assert len(said) <= 300


def test_a_fault_of_ours_shows_no_secret_either() -> None:
    class Faulty:
        async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
            raise ZeroDivisionError(SIGN)

        async def close(self) -> None:
            pass

    error = failure(RedactingChannel(Faulty(), [SIGN]))
    assert (error.outcome, error.detail) == (DeliveryOutcome.UNEXPECTED_ERROR, "ZeroDivisionError('***')")
    assert error.__cause__ is error.__context__ is None
