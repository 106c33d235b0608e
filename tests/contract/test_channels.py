"""Each channel against a server that answers as the real one does: what counts as delivered, and what as a failure."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from incident_engine.common.errors import StartupError
from incident_engine.config.channels import EmailSettings, OutboxSettings, OutgoingSettings, WebhookSettings
from incident_engine.config.secret import Secret
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.email import EmailChannel
from incident_engine.delivery.channels.factory import open_channels
from incident_engine.delivery.channels.outbox import OutboxChannel
from incident_engine.delivery.channels.webhook import WebhookChannel

from .channel_support import CREATED, SECRET, claimed, failure, send
from .servers import LOOPBACK, Answer, free_port, mail_server, silent_server, web_server

# E-mail


def email(port: int, timeout: float = 20, **more: Any) -> EmailChannel:
    return EmailChannel(
        EmailSettings(
            type="email",
            host=LOOPBACK,
            port=port,
            sender="ops@bank.example",
            tls=more.pop("tls", "none"),
            timeout=timedelta(seconds=timeout),
            **more,
        )
    )


def test_an_email_reaches_its_one_recipient_with_the_headers_that_a_notice_needs() -> None:
    with mail_server() as server:
        answer = send(email(server.port))
    assert answer == ["2.0.0 Ok: queued as 4ABC"]
    (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("ops@bank.example", ("duty@bank.example",))
    headers = mail.message
    assert headers["Subject"] == "【III级】核心账务，广东"
    assert (headers["From"], headers["To"]) == ("ops@bank.example", "duty@bank.example")
    assert headers["Message-ID"] == "<msg_0123456789abcdef0123456789abcdef@bank.example>"
    assert headers["Date"].datetime == CREATED
    assert (headers["Content-Language"], headers["Auto-Submitted"]) == ("zh-CN", "auto-generated")


def test_an_email_carries_its_text_plain_and_as_html() -> None:
    with mail_server() as server:
        send(email(server.port))
    message = server.mails[0].message
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n") == "中断已达到 **III级（较大）**。\n\n- 条款：Art. 9(3)2\n"
    assert '<html lang="zh-CN">' in html.get_content()
    assert "<strong>III级（较大）</strong>" in html.get_content()
    assert "<li>条款：Art. 9(3)2</li>" in html.get_content()


def test_html_in_a_message_is_text_for_the_reader_of_an_email() -> None:
    with mail_server() as server:
        send(email(server.port), claimed(body="<script>alert(1)</script>\n"))
    html = server.mails[0].message.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()


def test_a_repeated_email_carries_the_same_message_id_and_date() -> None:
    with mail_server() as server:
        send(email(server.port), times=2)
    first, second = server.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.message["Date"] == second.message["Date"]


@pytest.mark.parametrize(
    ("answer", "outcome", "permanent"),
    [
        ("450 4.2.1 Mailbox busy, try again", DeliveryOutcome.SERVER_ERROR, False),
        ("451 4.7.1 Greylisted, try again in 5 minutes", DeliveryOutcome.SERVER_ERROR, False),
        ("452 4.2.2 Mailbox full", DeliveryOutcome.SERVER_ERROR, False),
        ("550 5.1.1 No such user here", DeliveryOutcome.REFUSED, True),
        ("553 5.1.3 Bad address", DeliveryOutcome.REFUSED, True),
    ],
)
def test_a_recipient_that_the_mail_server_refuses_is_refused_by_its_own_code(
    answer: str, outcome: DeliveryOutcome, permanent: bool
) -> None:
    with mail_server() as server:
        server.to_recipient["duty@bank.example"] = answer
        error = failure(email(server.port))
        send(email(server.port), claimed(address="other@bank.example"))
    assert (error.outcome, error.permanent, error.detail) == (outcome, permanent, answer)
    assert [mail.recipients for mail in server.mails] == [("other@bank.example",)]


@pytest.mark.parametrize(
    ("answer", "outcome", "permanent"),
    [
        ("451 4.3.0 Queue file write error", DeliveryOutcome.SERVER_ERROR, False),
        ("421 4.3.2 Service shutting down", DeliveryOutcome.SERVER_ERROR, False),
        ("554 5.7.1 Message refused", DeliveryOutcome.REFUSED, True),
    ],
)
def test_a_message_that_the_mail_server_refuses_after_its_content_is_judged_by_the_code(
    answer: str, outcome: DeliveryOutcome, permanent: bool
) -> None:
    with mail_server() as server:
        server.to_content = answer
        error = failure(email(server.port))
    assert (error.outcome, error.permanent, error.detail) == (outcome, permanent, answer)


def test_a_log_in_that_fails_may_be_tried_again_and_the_right_one_sends() -> None:
    with mail_server() as server:
        error = failure(email(server.port, username="ops", password=Secret(value="wrong")))
        send(email(server.port, username="ops", password=Secret(value="right")))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.AUTHENTICATION_FAILED, False)
    assert [mail.logged_in for mail in server.mails] == [True]


def test_a_mail_server_that_offers_no_starttls_gets_no_message_in_clear() -> None:
    with mail_server() as server:
        error = failure(email(server.port, tls="starttls"))
    assert not error.permanent
    assert server.mails == []


def test_a_mail_server_that_is_not_there_is_a_failed_connection() -> None:
    error = failure(email(free_port()))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.CONNECTION_FAILED, False)


def test_a_mail_server_that_never_speaks_is_a_timeout() -> None:
    with silent_server() as port:
        error = failure(email(port, timeout=0.2))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.TIMED_OUT, False)


def test_a_mail_server_that_is_slow_to_take_the_content_is_a_timeout() -> None:
    with mail_server() as server:
        server.wait = 2
        error = failure(email(server.port, timeout=0.3))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.TIMED_OUT, False)


# Webhook


def webhook(url: str, timeout: float = 10) -> WebhookChannel:
    settings = WebhookSettings(type="webhook", url=url, secret=Secret(value=SECRET), timeout=timedelta(seconds=timeout))
    return WebhookChannel(settings, OutgoingSettings(allow=(LOOPBACK,)))


def test_a_webhook_posts_the_message_as_json_with_the_delivery_as_its_id() -> None:
    now = datetime.now(UTC)
    with web_server(Answer(204)) as server:
        assert send(webhook(server.url), now=now) == ["204"]
    (posted,) = server.posted
    assert posted.path == "/hook"
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["webhook-id"] == "msg_0123456789abcdef0123456789abcdef"
    assert posted.headers["webhook-timestamp"] == str(int(now.timestamp()))
    assert json.loads(posted.body) == {
        "type": "message",
        "timestamp": "2013-06-23T03:05:00+00:00",
        "data": {
            "incident": "outage-1",
            "step": "outage-1:outage-response:duty-notice:III",
            "contact": "duty-officer",
            "to": "duty@bank.example",
            "locale": "zh-CN",
            "subject": "【III级】核心账务，广东",
            "body": "中断已达到 **III级（较大）**。\n\n- 条款：Art. 9(3)2\n",
        },
    }


def test_a_webhook_is_signed_as_the_reference_implementation_verifies_it() -> None:
    with web_server() as server:
        send(webhook(server.url), now=datetime.now(UTC))
    (posted,) = server.posted
    assert Webhook(SECRET).verify(posted.body, posted.headers)["type"] == "message"
    forged = posted.body.replace("III", "I")
    with pytest.raises(Exception, match="No matching signature found"):
        Webhook(SECRET).verify(forged, posted.headers)


def test_a_repeated_webhook_carries_the_same_id_and_body() -> None:
    with web_server() as server:
        send(webhook(server.url), times=2)
    first, second = server.posted
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


@pytest.mark.parametrize(
    ("status", "outcome", "permanent"),
    [
        (400, DeliveryOutcome.REFUSED, False),  # a receiver that is being put right
        (404, DeliveryOutcome.REFUSED, False),  # a receiver that is being put right
        (410, DeliveryOutcome.REFUSED, True),
        (422, DeliveryOutcome.REFUSED, False),  # a receiver that is being put right
        (401, DeliveryOutcome.AUTHENTICATION_FAILED, False),  # a key that somebody is about to put right
        (403, DeliveryOutcome.AUTHENTICATION_FAILED, False),
        (408, DeliveryOutcome.SERVER_ERROR, False),
        (425, DeliveryOutcome.SERVER_ERROR, False),
        (429, DeliveryOutcome.RATE_LIMITED, False),
        (500, DeliveryOutcome.SERVER_ERROR, False),
        (502, DeliveryOutcome.SERVER_ERROR, False),
        (503, DeliveryOutcome.SERVER_ERROR, False),
    ],
)
def test_a_webhook_is_judged_by_the_status_of_the_answer(
    status: int, outcome: DeliveryOutcome, permanent: bool
) -> None:
    with web_server(Answer(status, body="because")) as server:
        error = failure(webhook(server.url))
    assert (error.outcome, error.permanent) == (outcome, permanent)
    assert error.detail == f"HTTP {status}: because"
    assert error.retry_after is None


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_status_of_success_is_a_delivery(status: int) -> None:
    with web_server(Answer(status)) as server:
        assert send(webhook(server.url)) == [str(status)]


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("0", timedelta(0)),
        (format_datetime(CREATED + timedelta(minutes=3), usegmt=True), timedelta(minutes=3)),
        (format_datetime(CREATED - timedelta(minutes=3), usegmt=True), timedelta(0)),
        ("86400", timedelta(hours=1)),  # longer than any report may wait
        (format_datetime(CREATED + timedelta(days=3), usegmt=True), timedelta(hours=1)),
        ("soon", None),
        ("-5", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_webhook_waits_as_long_as_it_is_asked_to_and_an_hour_at_most(
    status: int, value: str, wait: timedelta | None
) -> None:
    with web_server(Answer(status, {"Retry-After": value})) as server:
        assert failure(webhook(server.url)).retry_after == wait


def test_a_webhook_that_is_asked_to_wait_for_ever_waits_an_hour() -> None:
    with web_server(Answer(429, {"Retry-After": "99999999999999999999"})) as server:
        assert failure(webhook(server.url)).retry_after == timedelta(hours=1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_is_no_delivery(status: int) -> None:
    with web_server() as elsewhere, web_server(Answer(status, {"Location": elsewhere.url})) as server:
        error = failure(webhook(server.url))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.REFUSED, False)
    assert elsewhere.posted == []


def test_a_web_server_that_does_not_answer_in_time_is_a_timeout() -> None:
    with web_server(Answer(wait=30)) as server:
        error = failure(webhook(server.url, timeout=0.3))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.TIMED_OUT, False)


def test_a_web_server_that_cuts_the_connection_is_a_failed_connection() -> None:
    with web_server(Answer(None)) as server:
        error = failure(webhook(server.url))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.CONNECTION_FAILED, False)
    assert len(server.posted) == 1


def test_a_web_server_that_is_not_there_is_a_failed_connection() -> None:
    error = failure(webhook(f"http://{LOOPBACK}:{free_port()}/hook"))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.CONNECTION_FAILED, False)


def test_a_proxy_of_the_environment_does_not_see_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{LOOPBACK}:{free_port()}")
    with web_server() as server:
        assert send(webhook(server.url)) == ["200"]


# Outbox


def outbox(folder: Path) -> OutboxChannel:
    return OutboxChannel(OutboxSettings(type="outbox", directory=folder))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_message_becomes_a_file_in_the_folder_of_its_incident(tmp_path: Path) -> None:
    (name,) = send(outbox(tmp_path))
    (file,) = files(tmp_path)
    assert name == str(file)
    assert file == tmp_path / "outage-1" / "20130623T030500Z-outage-response.duty-notice.III-duty-officer-89abcdef.md"
    assert file.read_text(encoding="utf-8") == (
        "to: duty-officer duty@bank.example\n"
        "subject: 【III级】核心账务，广东\n"
        "locale: zh-CN\n"
        "incident: outage-1\n"
        "step: outage-1:outage-response:duty-notice:III\n"
        "id: msg_0123456789abcdef0123456789abcdef\n"
        "created_at: 2013-06-23T03:05:00+00:00\n"
        "\n"
        "# 【III级】核心账务，广东\n"
        "\n"
        "中断已达到 **III级（较大）**。\n"
        "\n"
        "- 条款：Art. 9(3)2\n"
    )


def test_a_repeated_message_is_the_same_file(tmp_path: Path) -> None:
    first, second = send(outbox(tmp_path), times=2)
    assert first == second
    assert len(files(tmp_path)) == 1


def test_messages_to_several_contacts_are_several_files(tmp_path: Path) -> None:
    for place, contact in enumerate(("duty-officer", "duty-engineer")):
        send(outbox(tmp_path), claimed(contact=contact, id=f"msg_{place:032}"))
    assert len(files(tmp_path)) == 2


def test_a_file_is_whole_or_not_there_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", cut)
    error = failure(outbox(tmp_path))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.SERVER_ERROR, False)
    assert "No space left on device" in error.detail
    assert [file for file in files(tmp_path) if file.suffix == ".md"] == []


def test_an_outbox_that_cannot_be_written_is_a_failure_that_may_pass(tmp_path: Path) -> None:
    occupied = tmp_path / "outbox"
    occupied.write_text("a file where the folder should be")
    error = failure(outbox(occupied))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.SERVER_ERROR, False)
    assert str(occupied) in error.detail


# Opening


def test_a_channel_whose_secret_cannot_be_read_keeps_the_daemon_from_starting(tmp_path: Path) -> None:
    missing = WebhookSettings(type="webhook", url="http://127.0.0.1/", secret=Secret(file=tmp_path / "none"))
    with pytest.raises(StartupError, match=r"channels\.desk: .*No such file or directory"):
        open_channels({"desk": missing})


def test_a_channel_whose_secret_is_no_secret_keeps_the_daemon_from_starting() -> None:
    odd = WebhookSettings(type="webhook", url="http://127.0.0.1/", secret=Secret(value="not base64!"))
    with pytest.raises(StartupError, match=r"channels\.desk: "):
        open_channels({"desk": odd})


def test_a_channel_that_was_never_used_can_be_closed(tmp_path: Path) -> None:
    for channel in (outbox(tmp_path), webhook("http://127.0.0.1/"), email(25)):
        asyncio.run(channel.close())
