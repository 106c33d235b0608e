"""Opens the channels of config.yaml, with redaction of their secrets."""

from collections.abc import Mapping

from standardwebhooks.webhooks import EmptyWebhookSecretError

from incident_engine.common.errors import StartupError
from incident_engine.config.channels import ChannelSettings, OutgoingSettings
from incident_engine.delivery.channels.redaction import RedactingChannel, secret_texts
from incident_engine.delivery.channels.registry import channel_type


def open_channels(
    settings: Mapping[str, ChannelSettings], outgoing: OutgoingSettings | None = None
) -> dict[str, RedactingChannel]:
    """Return the channels of the settings by name. Raises StartupError if a secret cannot be read or used."""
    channels: dict[str, RedactingChannel] = {}
    for name, channel in settings.items():
        try:
            opened = channel_type(channel).open(channel, outgoing or OutgoingSettings())
            channels[name] = RedactingChannel(opened, secret_texts(channel))
        except (OSError, ValueError, EmptyWebhookSecretError) as error:
            raise StartupError(f"channels.{name}: {error}") from error
    return channels
