"""How messages go out: the channels of config.yaml, their rates, retries, and what outgoing requests may reach."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.errors import HeaderParseError
from email.headerregistry import Address as MailAddress
from pathlib import Path as FilePath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from incident_engine.common.errors import Path, Problem
from incident_engine.common.validation import Strict, invalid, unknown_problems
from incident_engine.config.common import Form, Rate
from incident_engine.config.secret import Secret
from incident_engine.config.sms import SmsSettings
from incident_engine.domain.values import Duration, Identifier


class OutboxSettings(Strict):
    """Messages as files."""

    form: ClassVar[Form] = "long"
    type: Literal["outbox"]
    directory: FilePath = FilePath("var/outbox")
    rate: Rate = Rate()


class EmailSettings(Strict):
    """Messages by SMTP."""

    form: ClassVar[Form] = "long"
    type: Literal["email"]
    host: str
    port: int = Field(ge=1, le=65535)
    sender: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")
    tls: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: Secret | None = None
    timeout: Duration = timedelta(seconds=20)
    rate: Rate = Rate()


class WebhookSettings(Strict):
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
        raise invalid("not the address of a robot", "https://, a host and a path, as the vendor shows it")
    return secret


ChatBotUrl = Annotated[Secret, AfterValidator(_address_if_given)]


class WecomSettings(Strict):
    """Messages by a group robot of WeCom (企业微信)."""

    form: ClassVar[Form] = "long"
    type: Literal["wecom"]
    url: ChatBotUrl
    """The robot's webhook address; it holds the key, so it is a secret."""
    timeout: Duration = timedelta(seconds=10)
    rate: Rate = Rate(per_minute=20)


class DingtalkSettings(Strict):
    """Messages by a custom robot of DingTalk (钉钉)."""

    form: ClassVar[Form] = "long"
    type: Literal["dingtalk"]
    url: ChatBotUrl
    """The robot's webhook address; it holds the access token, so it is a secret."""
    secret: Secret | None = None
    """The signing secret (SEC…), if the robot demands signatures."""
    timeout: Duration = timedelta(seconds=10)
    rate: Rate = Rate(per_minute=20)


class FeishuSettings(Strict):
    """Messages by a custom robot of Feishu (飞书) or Lark."""

    form: ClassVar[Form] = "long"
    type: Literal["feishu"]
    url: ChatBotUrl
    """The robot's webhook address; it holds the key, so it is a secret."""
    secret: Secret | None = None
    """The signing secret, if the robot demands signatures."""
    timeout: Duration = timedelta(seconds=10)
    rate: Rate = Rate(per_minute=100, per_second=5)


class AppriseSettings(Strict):
    """Messages by Apprise, for which `pip install incident-engine[apprise]` is needed."""

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
    """Yield every secret of a channel with its place among the channel's keys."""
    for key in type(channel).model_fields:
        part = getattr(channel, key)
        if isinstance(part, Secret):
            yield (key,), part
        elif isinstance(part, Mapping):
            yield from (((key, name), inner) for name, inner in part.items() if isinstance(inner, Secret))


class RetrySettings(Strict):
    """How a failed delivery is repeated: first after `first`, then doubling up to `longest`, so many times in all."""

    first: Duration = timedelta(seconds=5)
    longest: Duration = timedelta(minutes=10)
    attempts: int = Field(default=20, ge=1)
    lease: Duration = timedelta(seconds=60)
    """How long an attempt may take before somebody else may try."""
    fallback_after: int = Field(default=3, ge=1)
    """After so many failed attempts the contact's next channel is used at once."""


def _network_or_name(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        if "/" in text or not text or not all(part for part in text.split(".")) or text.replace(".", "").isdigit():
            said = f"neither a network nor a host name: {text!r}"
            raise invalid(said, "such as 10.1.2.0/24, 127.0.0.1, fd00::/8 or sms.bank.example") from None
    return text


class OutgoingSettings(Strict):
    """Which private addresses outgoing HTTP requests may reach; public ones they always may."""

    allow: tuple[Annotated[str, AfterValidator(_network_or_name)], ...] = ()
    """Networks such as 10.1.2.0/24, and names of hosts."""


class Address(Strict):
    """A channel, and where on it a contact is reached."""

    channel: Identifier
    to: str | None = None
    after: Duration = timedelta(0)
    """How long after the first of a contact's channels this one is tried, if nobody has answered by then."""


def address_problems(path: Path, address: Address, channels: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with a contact's address that stands at `path`."""
    yield from unknown_problems((*path, "channel"), "channel", address.channel, channels)
    channel = channels.get(address.channel)
    if channel is not None and channel.type == "email" and not _is_address(address.to or ""):
        said = f"an e-mail channel needs one plain address, not {address.to!r}"
        yield Problem((*path, "to"), said, "such as to: somebody@example.com")
    if channel is not None and channel.type == "sms" and not (address.to or "").strip():
        yield Problem((*path, "to"), "an SMS channel needs a number", 'such as to: "+8613900000000"')


def _is_address(text: str) -> bool:
    try:
        return MailAddress(addr_spec=text).domain != ""
    except (HeaderParseError, ValueError, IndexError):
        return False
