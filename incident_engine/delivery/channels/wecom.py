"""Group robots of WeCom (企业微信).

Source: https://developer.work.weixin.qq.com/document/path/91770 (message types, 4096 bytes of Markdown, 20 messages a
minute) and https://developer.work.weixin.qq.com/document/path/90313 (error codes).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from incident_engine.delivery.channels.base import Outcome
from incident_engine.delivery.channels.chat_bot import Meaning, Robot
from incident_engine.delivery.channels.splitting import utf8

_MINUTE = timedelta(minutes=1)


class WecomChannel(Robot):
    """Posts Markdown to a robot of WeCom."""

    room = 4096
    codes: ClassVar[Mapping[int, Meaning]] = {
        -1: Meaning(Outcome.SERVER_ERROR),  # the system is busy
        45009: Meaning(Outcome.RATE_LIMITED, wait=_MINUTE),  # api freq out of limit
        45033: Meaning(Outcome.RATE_LIMITED),  # too many calls at once
        93000: Meaning(Outcome.AUTHENTICATION_FAILED, permanent=True),  # invalid webhook url: the robot is gone
        40008: Meaning(Outcome.REFUSED, permanent=True),  # invalid message type
        40058: Meaning(Outcome.REFUSED, permanent=True),  # invalid parameter, too long
    }

    @staticmethod
    def measure(text: str) -> int:
        """Return the length of a text as WeCom counts it: in bytes of UTF-8."""
        return utf8(text)

    def request(self, heading: str, text: str, now: datetime) -> tuple[str, dict[str, Any]]:
        """Return where to post one part and what."""
        content = f"### {heading}\n\n{text}" if heading else text
        return self._url, {"msgtype": "markdown", "markdown": {"content": content}}
