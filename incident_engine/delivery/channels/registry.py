"""The channel types: one row a type."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from incident_engine.config.channels import (
    AppriseSettings,
    ChannelSettings,
    DingtalkSettings,
    EmailSettings,
    FeishuSettings,
    OutboxSettings,
    OutgoingSettings,
    WebhookSettings,
    WecomSettings,
)
from incident_engine.config.sms import SmsSettings
from incident_engine.delivery.channels.apprise import AppriseChannel
from incident_engine.delivery.channels.base import Channel
from incident_engine.delivery.channels.dingtalk import DingtalkChannel
from incident_engine.delivery.channels.email import EmailChannel
from incident_engine.delivery.channels.feishu import FeishuChannel
from incident_engine.delivery.channels.outbox import OutboxChannel
from incident_engine.delivery.channels.sms import SmsChannel
from incident_engine.delivery.channels.webhook import WebhookChannel
from incident_engine.delivery.channels.wecom import WecomChannel

_MAIL_LENGTH = 20_000
"""Mail servers take more; a longer digest is not read."""


@dataclass(frozen=True, slots=True)
class ChannelType:
    """The properties of all channels of one type."""

    settings: type[ChannelSettings]
    open: Callable[[Any, OutgoingSettings], Channel]
    max_length: Callable[[Any], int | None] = lambda _: None
    """From settings to the length of text that one message takes; None: messages are never joined
    into a digest, because a program reads one at a time, and a file holds one."""
    is_per_recipient: bool = False
    """Whether rate limit and circuit breaker hold for each recipient, and not for the channel as a whole."""


CHANNEL_TYPES = (
    ChannelType(OutboxSettings, lambda settings, _: OutboxChannel(settings), is_per_recipient=True),
    ChannelType(
        EmailSettings,
        lambda settings, _: EmailChannel(settings),
        max_length=lambda _: _MAIL_LENGTH,
        is_per_recipient=True,
    ),
    ChannelType(WebhookSettings, WebhookChannel),
    ChannelType(WecomSettings, WecomChannel, max_length=lambda _: WecomChannel.max_length),
    ChannelType(DingtalkSettings, DingtalkChannel, max_length=lambda _: DingtalkChannel.max_length),
    ChannelType(FeishuSettings, FeishuChannel, max_length=lambda _: FeishuChannel.max_length),
    ChannelType(SmsSettings, SmsChannel, max_length=lambda settings: settings.longest),
    ChannelType(AppriseSettings, lambda settings, _: AppriseChannel(settings), max_length=lambda _: _MAIL_LENGTH),
)
_TYPE_BY_SETTINGS = {row.settings: row for row in CHANNEL_TYPES}


def channel_type(settings: ChannelSettings) -> ChannelType:
    """Return the row of a channel's type."""
    return _TYPE_BY_SETTINGS[type(settings)]
