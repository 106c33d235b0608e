"""A delivery as channels get it, and how to send it over one."""

import asyncio
import base64
from datetime import datetime
from typing import Any

import pytest
from support.builders import at

from incident_engine.config.channels import OutgoingSettings
from incident_engine.delivery.channels.base import Channel, DeliveryError
from incident_engine.store.claims import ClaimedDelivery

from .servers import LOOPBACK

CREATED = at("11:05")
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two characters").decode()
LOCAL = OutgoingSettings(allow=(LOOPBACK,))


def claimed(**changes: Any) -> ClaimedDelivery:
    """Return a delivery as the dispatcher claims it."""
    values: dict[str, Any] = {
        "id": "msg_0123456789abcdef0123456789abcdef",
        "step_id": "outage-1:outage-response:duty-notice:III",
        "case_id": "outage-1",
        "contact": "duty-officer",
        "channel": "any",
        "address": "duty@bank.example",
        "locale": "zh-CN",
        "subject": "【III级】核心账务，广东",
        "body": "中断已达到 **III级（较大）**。\n\n- 条款：Art. 9(3)2\n",
        "created_at": CREATED,
        "attempt": 1,
    }
    return ClaimedDelivery(**{**values, **changes})


def send(
    channel: Channel, delivery: ClaimedDelivery | None = None, now: datetime = CREATED, times: int = 1
) -> list[str]:
    """Send a message so many times and return the answers."""

    async def run() -> list[str]:
        try:
            return [await channel.send(delivery or claimed(), now) for _ in range(times)]
        finally:
            await channel.close()

    return asyncio.run(run())


def failure(channel: Channel, delivery: ClaimedDelivery | None = None, now: datetime = CREATED) -> DeliveryError:
    """Return the error with which sending fails."""
    with pytest.raises(DeliveryError) as caught:
        send(channel, delivery, now)
    return caught.value
