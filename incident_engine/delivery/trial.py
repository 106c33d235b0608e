"""Tries channels beside the daemon: opens their connections, or sends one message that says it is a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from incident_engine.config.channels import ChannelSettings, OutgoingSettings
from incident_engine.config.people import ContactSettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.delivery.channels.factory import open_channels
from incident_engine.store.claims import ClaimedDelivery

TEST_CASE = "test-message"
"""Stands in place of an incident and a step; no incident has this id."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one try."""

    channel: str
    address: str | None
    outcome: DeliveryOutcome
    answer: str
    """The other side's answer, or the error; without secrets. Empty if a channel was not tried without a message."""

    @property
    def is_passed(self) -> bool:
        """Return whether the other side was reached, and took the message if there was one."""
        return self.outcome is DeliveryOutcome.DELIVERED


async def connect(settings: Mapping[str, ChannelSettings], outgoing: OutgoingSettings) -> list[Trial]:
    """Open a connection over each channel, log in where that is usual, and send no message.

    Raises StartupError if a channel cannot be set up.
    """
    trials: list[Trial] = []
    for name, channel in open_channels(settings, outgoing).items():
        try:
            trials.append(Trial(name, None, DeliveryOutcome.DELIVERED, await channel.connect()))
        except DeliveryError as error:
            trials.append(Trial(name, None, error.outcome, error.detail))
        finally:
            await channel.close()
    return trials


async def send_test(
    contact: ContactSettings,
    settings: Mapping[str, ChannelSettings],
    outgoing: OutgoingSettings,
    text: tuple[str, str],
    now: datetime,
) -> list[Trial]:
    """Send a test message, of a subject and a body, to each of a contact's addresses. Nothing is recorded.

    Raises StartupError if a channel cannot be set up.
    """
    trials: list[Trial] = []
    subject, body = text
    channels = open_channels({via.channel: settings[via.channel] for via in contact.via}, outgoing)
    try:
        for via in contact.via:
            delivery = ClaimedDelivery(
                id=f"msg_{uuid4().hex}",
                step_id=TEST_CASE,
                case_id=TEST_CASE,
                contact=contact.id,
                channel=via.channel,
                address=via.to,
                locale=contact.locale,
                subject=subject,
                body=body,
                created_at=now,
                attempt=1,
            )
            try:
                answer = await channels[via.channel].send(delivery, now)
                trials.append(Trial(via.channel, via.to, DeliveryOutcome.DELIVERED, answer))
            except DeliveryError as error:
                trials.append(Trial(via.channel, via.to, error.outcome, error.detail))
    finally:
        for channel in channels.values():
            await channel.close()
    return trials
