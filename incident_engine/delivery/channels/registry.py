"""From settings to channels that are ready to send."""

from collections.abc import Iterator, Mapping

from standardwebhooks.webhooks import EmptyWebhookSecretError

from incident_engine.common.errors import StartupError
from incident_engine.config.channels import (
    AppriseSettings,
    ChannelSettings,
    DingtalkSettings,
    EmailSettings,
    FeishuSettings,
    OutboxSettings,
    OutgoingSettings,
    WecomSettings,
    channel_secrets,
)
from incident_engine.config.sms import SmsSettings
from incident_engine.delivery.channels.apprise import AppriseChannel
from incident_engine.delivery.channels.base import Channel
from incident_engine.delivery.channels.dingtalk import DingtalkChannel
from incident_engine.delivery.channels.email import EmailChannel
from incident_engine.delivery.channels.feishu import FeishuChannel
from incident_engine.delivery.channels.outbox import OutboxChannel
from incident_engine.delivery.channels.redaction import RedactingChannel, secret_parts
from incident_engine.delivery.channels.sms import SmsChannel
from incident_engine.delivery.channels.webhook import WebhookChannel
from incident_engine.delivery.channels.wecom import WecomChannel

_LONG = 8
"""Values in an address that is no secret are hidden from this length on."""


def open_channels(
    settings: Mapping[str, ChannelSettings], outgoing: OutgoingSettings | None = None
) -> dict[str, Channel]:
    """Return the channels that the settings describe. Raises StartupError if a secret cannot be read or used."""
    opened: dict[str, Channel] = {}
    for name, channel in settings.items():
        try:
            opened[name] = RedactingChannel(_open(channel, outgoing or OutgoingSettings()), _secrets(channel))
        except (OSError, ValueError, EmptyWebhookSecretError) as error:
            raise StartupError(f"channels.{name}: {error}") from error
    return opened


def _open(settings: ChannelSettings, outgoing: OutgoingSettings) -> Channel:
    match settings:
        case OutboxSettings():
            return OutboxChannel(settings)
        case EmailSettings():
            return EmailChannel(settings)
        case WecomSettings():
            return WecomChannel(settings, outgoing)
        case DingtalkSettings():
            return DingtalkChannel(settings, outgoing)
        case FeishuSettings():
            return FeishuChannel(settings, outgoing)
        case SmsSettings():
            return SmsChannel(settings, outgoing)
        case AppriseSettings():
            return AppriseChannel(settings)
    return WebhookChannel(settings, outgoing)


def _secrets(settings: ChannelSettings) -> Iterator[str]:
    """Yield everything that must not be shown: secrets, and what opens something in addresses."""
    for place, secret in channel_secrets(settings):
        text = secret.read()
        yield text
        if place == ("url",):
            yield from secret_parts(text)
    url = getattr(settings, "url", None)
    if isinstance(url, str):  # the address itself may be shown, what opens something in it may not
        yield from (part for part in secret_parts(url) if part != url and "{" not in part and len(part) >= _LONG)
