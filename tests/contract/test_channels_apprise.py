"""Apprise: in a thread, with a timeout, and only where it is installed."""

import importlib
import logging
import subprocess
import sys
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from incident_engine.common.errors import StartupError
from incident_engine.config.channels import AppriseSettings
from incident_engine.config.secret import Secret
from incident_engine.delivery.channels.apprise import AppriseChannel
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.factory import open_channels

from .channel_support import claimed, failure, send
from .servers import Answer, web_server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Apprise's own imports


def settings(url: str, timeout: float = 10) -> AppriseSettings:
    return AppriseSettings(type="apprise", url=Secret(value=url), timeout=timedelta(seconds=timeout))


def address(url: str) -> str:
    return url.replace("http://", "json://") + "?cto=2&rto=1"


def test_a_message_goes_where_apprise_says() -> None:
    with web_server() as server:
        assert send(AppriseChannel(settings(address(server.url)))) == ["sent by Apprise"]
    (posted,) = server.posted
    assert "III" in posted.body


@pytest.mark.parametrize("answer", [Answer(500, body="x"), Answer(403), Answer(429), Answer(None), Answer(wait=2)])
def test_what_apprise_could_not_send_may_be_tried_again(answer: Answer) -> None:
    with web_server(answer) as server:
        error = failure(AppriseChannel(settings(address(server.url))))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.SERVER_ERROR, False)
    assert error.detail.startswith("Apprise could not send: ")


def test_apprise_has_so_much_time_and_no_more() -> None:
    with web_server(Answer(wait=0.9)) as server:
        error = failure(AppriseChannel(settings(address(server.url), timeout=0.1)))
    assert error.outcome is DeliveryOutcome.TIMED_OUT


def test_what_apprise_says_is_for_the_record_and_not_for_the_log() -> None:
    class Root(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.name)

    heard: list[str] = []
    root = Root()
    logging.getLogger().addHandler(root)
    try:
        with web_server(Answer(500)) as server:
            error = failure(AppriseChannel(settings(address(server.url))))
    finally:
        logging.getLogger().removeHandler(root)
    assert not any(name.startswith("apprise") for name in heard)
    assert "error=500" in error.detail


def test_an_address_that_apprise_does_not_know_stops_the_start_and_is_not_shown() -> None:
    with pytest.raises(StartupError, match=r"channels\.chat: url is not an address that Apprise knows") as caught:
        open_channels({"chat": settings("nobody://secret-token")})
    assert "secret-token" not in str(caught.value)


def test_where_apprise_is_not_installed_the_start_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str, *more: Any) -> ModuleType:
        if name == "apprise":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(StartupError, match=r"pip install incident-engine\[apprise\]"):
        open_channels({"chat": settings("json://host/path")})


def test_apprise_is_not_imported_where_nobody_uses_it() -> None:
    code = "import sys; import incident_engine.delivery.channels.registry; print('apprise' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "False"


def test_what_reaches_people_is_the_whole_text() -> None:
    with web_server() as server:
        send(AppriseChannel(settings(address(server.url))), claimed(body="a **word**\n", subject="S"))
    assert "word" in server.posted[0].body
