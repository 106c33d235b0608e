"""The registry of channel types: one row for each type that config.yaml knows."""

from typing import get_args

import pytest

from incident_engine.config.channels import ChannelSettings, EmailSettings, OutboxSettings
from incident_engine.config.sms import SmsSettings
from incident_engine.delivery.channels.registry import CHANNEL_TYPES, channel_type

SETTINGS = get_args(get_args(ChannelSettings)[0])


def test_every_type_of_settings_has_exactly_one_row() -> None:
    assert sorted(row.settings.__name__ for row in CHANNEL_TYPES) == sorted(kind.__name__ for kind in SETTINGS)


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_type_of_settings_says_which_form_of_a_message_it_takes(kind: type[ChannelSettings]) -> None:
    assert hasattr(kind, "form") or "form" in kind.model_fields


def test_a_text_message_is_as_long_as_the_settings_allow() -> None:
    settings = SmsSettings(type="sms", url="https://sms.example/{to}", body='{"text": "{text}"}', longest=70)
    assert channel_type(settings).max_length(settings) == 70


def test_recipients_of_mail_have_endpoints_of_their_own_and_members_of_a_group_chat_share_one() -> None:
    names = {row.settings.__name__ for row in CHANNEL_TYPES if row.is_per_recipient}
    assert names == {EmailSettings.__name__, OutboxSettings.__name__}
