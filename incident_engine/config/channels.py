"""The channels of config.yaml, their rates and retries, and the addresses that outgoing requests may reach."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path as FilePath
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from incident_engine.common.errors import Path, Problem
from incident_engine.common.validation import Strict, invalid, unknown_problems
from incident_engine.config.common import AnyChannelSettings, Form, Rate
from incident_engine.config.secret import Secret
from incident_engine.config.sms import SmsSettings
from incident_engine.domain.values import Duration, Identifier


class OutboxSettings(AnyChannelSettings):
    """Messages as files."""

    form: ClassVar[Form] = "long"
    type: Literal["outbox"]
    directory: FilePath = FilePath("var/outbox")
    rate: Rate = Rate()


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_MAIL_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_DOMAIN})")
_ADDRESS_LITERAL = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]")


def is_mail_address(text: str) -> bool:
    """Return whether a text is one plain address in ASCII: a dot-atom and a domain (RFC 5321, 4.1.2)."""
    match = _MAIL_ADDRESS.fullmatch(text)
    return match is not None and len(match[1]) <= 64 and len(match[2]) <= 253


def _mail_address(text: str) -> str:
    if not is_mail_address(text):
        expected = "such as ops@bank.example; a domain in other letters in its form xn--…"
        raise invalid(f"not one plain address: {text!r}", expected)
    return text


def is_ip_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _host_name(text: str) -> str:
    literal = _ADDRESS_LITERAL.fullmatch(text)
    if literal is not None and is_ip_address(literal[1]):
        return text
    if not re.fullmatch(_DOMAIN, text) or len(text) > 253:
        raise invalid(f"not the name of a host: {text!r}", "such as alarm.bank.example or [192.0.2.1]")
    return text


class EmailSettings(AnyChannelSettings):
    """Messages by SMTP."""

    form: ClassVar[Form] = "long"
    type: Literal["email"]
    host: str
    port: int = Field(ge=1, le=65535)
    sender: Annotated[str, AfterValidator(_mail_address)]
    """One plain address in ASCII, such as ops@bank.example."""
    ehlo_name: Annotated[str, AfterValidator(_host_name)] | None = None
    """The name by which the daemon greets the mail server (RFC 5321, 4.1.1.1). Default: the domain of `sender`."""
    tls: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: Secret | None = None
    timeout: Duration = timedelta(seconds=20)
    rate: Rate = Rate()

    def address_problem(self, to: str | None) -> tuple[str, str] | None:
        """Return an error unless there is one plain address (RFC 5322, addr-spec)."""
        if is_mail_address(to or ""):
            return None
        return f"an e-mail channel needs one plain address, not {to!r}", "such as to: somebody@example.com"

    @property
    def ehlo(self) -> str:
        """Return the name for EHLO: a host often knows itself only as localhost, which mail servers refuse."""
        return self.ehlo_name or self.sender.rpartition("@")[2]


class WebhookSettings(AnyChannelSettings):
    """Messages by HTTP POST, signed per Standard Webhooks."""

    type: Literal["webhook"]
    form: Form = "long"
    """`web` for a site that shows the messages, `short` for a gateway to telephones."""
    url: str = Field(pattern=r"^https?://[^\s]+$")
    secret: Secret
    """whsec_ and base64, or base64 alone."""
    timeout: Duration = timedelta(seconds=10)
    rate: Rate = Rate()


def _address_if_given(secret: Secret) -> Secret:
    if secret.value is not None and not re.fullmatch(r"https?://[^\s/]+/\S+", secret.value):
        raise invalid("not the address of a chat bot", "https://, a host and a path, as the vendor shows it")
    return secret


ChatBotUrl = Annotated[Secret, AfterValidator(_address_if_given)]


class WecomSettings(AnyChannelSettings):
    """Messages by a group bot of WeCom (企业微信)."""

    form: ClassVar[Form] = "long"
    type: Literal["wecom"]
    url: ChatBotUrl
    """The bot's webhook address; it holds the key, so it is a secret."""
    timeout: Duration = timedelta(seconds=10)
    rate: Rate = Rate(per_minute=20)


class DingtalkSettings(AnyChannelSettings):
    """Messages by a custom bot of DingTalk (钉钉)."""

    form: ClassVar[Form] = "long"
    type: Literal["dingtalk"]
    url: ChatBotUrl
    """The bot's webhook address; it holds the access token, so it is a secret."""
    secret: Secret | None = None
    """The signing secret (SEC…), if the bot requires signatures."""
    timeout: Duration = timedelta(seconds=10)
    rate: Rate = Rate(per_minute=20)


class FeishuSettings(AnyChannelSettings):
    """Messages by a custom bot of Feishu (飞书) or Lark."""

    form: ClassVar[Form] = "long"
    type: Literal["feishu"]
    url: ChatBotUrl
    """The bot's webhook address; it holds the key, so it is a secret."""
    secret: Secret | None = None
    """The signing secret, if the bot requires signatures."""
    timeout: Duration = timedelta(seconds=10)
    rate: Rate = Rate(per_minute=100, per_second=5)


class AppriseSettings(AnyChannelSettings):
    """Messages by Apprise. Needs `pip install incident-engine[apprise]`."""

    form: ClassVar[Form] = "long"
    type: Literal["apprise"]
    url: Secret
    """An Apprise URL; it holds passwords and keys, so it is a secret."""
    timeout: Duration = timedelta(seconds=30)
    rate: Rate = Rate()


ChannelSettings = Annotated[
    OutboxSettings
    | EmailSettings
    | WebhookSettings
    | WecomSettings
    | DingtalkSettings
    | FeishuSettings
    | SmsSettings
    | AppriseSettings,
    Field(discriminator="type"),
]


def channel_secrets(channel: ChannelSettings) -> Iterator[tuple[tuple[str, ...], Secret]]:
    """Yield every secret of a channel with its path among the channel's keys."""
    for key in type(channel).model_fields:
        value = getattr(channel, key)
        if isinstance(value, Secret):
            yield (key,), value
        elif isinstance(value, Mapping):
            yield from (((key, name), secret) for name, secret in value.items() if isinstance(secret, Secret))


class RetrySettings(Strict):
    """The repeats of a failed delivery. The wait is `first`, then doubles up to `longest`, for `attempts` in all."""

    first: Duration = timedelta(seconds=5)
    longest: Duration = timedelta(minutes=10)
    attempts: int = Field(default=20, ge=1)
    lease: Duration = timedelta(seconds=60)
    """The longest time of an attempt; after it another replica may try."""
    fallback_after: int = Field(default=3, ge=1)
    """The number of failed attempts after which the contact's next channel is used at once."""


def _network_or_name(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        if "/" in text or not text or not all(part for part in text.split(".")) or text.replace(".", "").isdigit():
            message = f"neither a network nor a host name: {text!r}"
            raise invalid(message, "such as 10.1.2.0/24, 127.0.0.1, fd00::/8 or sms.bank.example") from None
    return text


class OutgoingSettings(Strict):
    """The private addresses that outgoing HTTP requests may reach. Public addresses are always allowed."""

    allow: tuple[Annotated[str, AfterValidator(_network_or_name)], ...] = ()
    """Networks such as 10.1.2.0/24, and host names."""


class Address(Strict):
    """A channel and the contact's address on it."""

    channel: Identifier
    to: str | None = None
    after: Duration = timedelta(0)
    """The wait after the first of a contact's channels, before this one is tried unless the step was answered."""


def address_problems(path: Path, address: Address, channels: Mapping[str, ChannelSettings]) -> Iterator[Problem]:
    """Yield the problems of a contact's address at `path`."""
    yield from unknown_problems((*path, "channel"), "channel", address.channel, channels)
    channel = channels.get(address.channel)
    problem = channel.address_problem(address.to) if channel is not None else None
    if problem is not None:
        yield Problem((*path, "to"), *problem)
