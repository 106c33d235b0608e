"""Words of people in mail: byte for byte on the wire, and as several parsers read them."""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from email.policy import default
from typing import Any

import pytest

from incident_engine.config.channels import EmailSettings
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.email import EmailChannel

from .channel_support import claimed, failure, send
from .servers import LOOPBACK, Mail, mail_server

ATTACK = "=?utf-8?q?Check=0D=0ABcc:_evil=40attacker.example?="
HEADERS = {
    "subject", "from", "to", "date", "message-id", "auto-submitted", "mime-version", "content-type", "content-language",
}  # fmt: skip


def channel(port: int, **more: Any) -> EmailChannel:
    return EmailChannel(
        EmailSettings(type="email", host=LOOPBACK, port=port, sender="ops@bank.example", tls="none", **more)
    )


def mailed(**changes: Any) -> Mail:
    with mail_server() as server:
        send(channel(server.port), claimed(**changes))
    (mail,) = server.mails
    return mail


def head(mail: Mail) -> list[bytes]:
    return mail.content.partition(b"\r\n\r\n")[0].split(b"\r\n")


@pytest.mark.parametrize(
    "subject",
    [
        ATTACK,
        f"任务：{ATTACK} 请处理",
        "=?utf-8?b?Q2hlY2sNCkJjYzogZXZpbEBhdHRhY2tlci5leGFtcGxl?=",
        "=?utf-8?q?a?= =?utf-8?q?b?=",
        "plain words",
        "[bank] Level II (major): core banking, Guangdong " * 3 + "end",
        "【III级】 Core banking 核心账务  in Guangdong 广东 and Hunan 湖南  since 11:05 自 11:05 起 " * 3 + "完",
        "a b " * 60 + "c",
        "🚨" * 40,
        "x" * 500,
        " leading and trailing ",
        'tabs and: colons, <angles> "quotes" \\ (brackets)',
    ],
)
def test_a_subject_arrives_as_it_was_written_whatever_it_looks_like(subject: str) -> None:
    mail = mailed(subject=subject)
    names = [line.partition(b":")[0].decode().lower() for line in head(mail) if line[:1] not in b" \t"]
    assert set(names) <= HEADERS
    assert len(names) == len(set(names))
    assert all(len(line) <= 78 for line in head(mail))
    assert b"".join(head(mail)).isascii()
    legacy = message_from_bytes(mail.content)
    assert str(make_header(decode_header(legacy["Subject"]))) == subject
    modern = BytesHeaderParser(policy=default).parsebytes(mail.content)
    assert modern["Subject"].replace("\r\n", "") == subject.strip() or modern["Subject"] == subject
    assert modern["Bcc"] is None
    assert mail.recipients == ("duty@bank.example",)


@pytest.mark.parametrize("char", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x1b", "\x85", "\u2028", "\u2029", "\ud800"])
def test_a_character_that_ends_a_line_is_a_space_in_a_subject(char: str) -> None:
    mail = mailed(subject=f"Check{char}Bcc: evil@attacker.example")
    assert mail.message["Bcc"] is None
    assert mail.message["Subject"] == f"Check{' ' * len(char)}Bcc: evil@attacker.example"


def test_an_address_in_a_mail_is_a_link_to_exactly_this_address() -> None:
    link = "https://alarm.bank.example/l/_token_.with__many_-and*"
    mail = mailed(body=f"请点击 {link.rstrip('*')} 确认。\n")
    html = mail.message.get_body(("html",))
    assert html is not None
    address = link.rstrip("*")
    assert f'<a href="{address}" rel="noreferrer nofollow">{address}</a>' in html.get_content()


@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        ("to_greeting", "501 5.5.4 Invalid EHLO name"),
        ("to_greeting", "550 5.7.1 Client host rejected"),
        ("to_sender", "553 5.7.1 Sender address rejected: not owned by user"),
        ("to_sender", "530 5.7.0 Authentication required"),
        ("to_sender", "451 4.3.0 Try again later"),
    ],
)
def test_a_refusal_before_the_recipient_is_named_does_not_end_the_message(stage: str, answer: str) -> None:
    with mail_server() as server:
        setattr(server, stage, answer)
        error = failure(channel(server.port))
        setattr(server, stage, "" if stage == "to_greeting" else "250 2.1.0 Ok")
        send(channel(server.port))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.SERVER_ERROR, False)
    assert answer[:3] in error.detail
    assert len(server.mails) == 1


def test_the_mail_server_is_greeted_by_the_domain_of_the_sender_or_by_the_name_that_is_set() -> None:
    with mail_server() as server:
        send(channel(server.port))
        send(channel(server.port, ehlo_name="alarm.bank.example"))
        send(channel(server.port, ehlo_name="[192.0.2.1]"))
    assert [mail.greeting for mail in server.mails] == ["bank.example", "alarm.bank.example", "[192.0.2.1]"]
