"""Group bots of WeCom (企业微信).

Source: https://developer.work.weixin.qq.com/document/path/91770 (message types, 4096 bytes of Markdown, 20 messages a
minute) and https://developer.work.weixin.qq.com/document/path/90313 (error codes).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.chat_bot import ChatBot, ErrorMeaning
from incident_engine.delivery.channels.splitting import utf8

_MINUTE = timedelta(minutes=1)


class WecomChannel(ChatBot):
    """Posts Markdown to a bot of WeCom."""

    max_length = 4096
    codes: ClassVar[Mapping[int, ErrorMeaning]] = {
        -1: ErrorMeaning(DeliveryOutcome.SERVER_ERROR),  # the system is busy
        45009: ErrorMeaning(DeliveryOutcome.RATE_LIMITED, wait=_MINUTE),  # api freq out of limit
        45033: ErrorMeaning(DeliveryOutcome.RATE_LIMITED),  # too many calls at once
        93000: ErrorMeaning(
            DeliveryOutcome.AUTHENTICATION_FAILED, permanent=True
        ),  # invalid webhook url: the bot is gone
        40008: ErrorMeaning(DeliveryOutcome.REFUSED, permanent=True),  # invalid message type
        40058: ErrorMeaning(DeliveryOutcome.REFUSED, permanent=True),  # invalid parameter, too long
    }

    @staticmethod
    def measure(text: str) -> int:
        """Return the length of a text as WeCom counts it: in bytes of UTF-8."""
        return utf8(text)

    def request(self, heading: str, text: str, now: datetime) -> tuple[str, dict[str, Any]]:
        """Return the address and the body with which one part is posted."""
        content = f"### {heading}\n\n{text}" if heading else text
        return self._url, {"msgtype": "markdown", "markdown": {"content": content}}
