"""Custom bots of DingTalk (钉钉).

Source: https://open.dingtalk.com/document/robots/custom-robot-access (message types, 20000 bytes, 20 messages a minute,
error codes) and https://open.dingtalk.com/document/robots/customize-robot-security-settings (signature).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote_plus

from incident_engine.config.channels import DingtalkSettings, OutgoingSettings
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.chat_bot import ChatBot, ErrorMeaning

_LIMITED = ErrorMeaning(DeliveryOutcome.RATE_LIMITED, wait=timedelta(minutes=1))
_UNKNOWN_BOT = ErrorMeaning(DeliveryOutcome.AUTHENTICATION_FAILED, permanent=True)
_REFUSED = ErrorMeaning(DeliveryOutcome.REFUSED, permanent=True)


class DingtalkChannel(ChatBot):
    """Posts Markdown to a bot of DingTalk, signed if it has a signing secret."""

    max_length = 12_000  # of 20000 bytes in all: the heading, at most half of this, is the title as well
    codes: ClassVar[Mapping[int, ErrorMeaning]] = {
        -1: ErrorMeaning(DeliveryOutcome.SERVER_ERROR),  # the system is busy
        130101: _LIMITED,  # send too fast
        410100: _LIMITED,
        300001: _UNKNOWN_BOT,
        300005: _UNKNOWN_BOT,  # token is not exist
        400101: _UNKNOWN_BOT,
        400102: _UNKNOWN_BOT,  # the bot was stopped
        400106: _UNKNOWN_BOT,
        310000: _REFUSED,  # keyword, signature or address; the message says which
        400013: _REFUSED,  # the group is gone
        430101: _REFUSED,  # unsafe link
        430102: _REFUSED,  # unfit text
        430103: _REFUSED,
        430104: _REFUSED,
        460101: _REFUSED,  # too long
    }

    def __init__(self, settings: DingtalkSettings, outgoing: OutgoingSettings) -> None:
        super().__init__(settings, outgoing)
        self._secret = settings.secret.read() if settings.secret else None

    def request(self, heading: str, text: str, now: datetime) -> tuple[str, dict[str, Any]]:
        """Return the address and the body with which one part is posted."""
        content = f"### {heading}\n\n{text}" if heading else text
        title = heading or text.partition("\n")[0][:60]
        url = self._url
        if self._secret is not None:
            stamp = int(now.timestamp() * 1000)
            digest = hmac.new(self._secret.encode(), f"{stamp}\n{self._secret}".encode(), hashlib.sha256).digest()
            joint = "&" if "?" in url else "?"
            url = f"{url}{joint}timestamp={stamp}&sign={quote_plus(base64.b64encode(digest))}"
        return url, {"msgtype": "markdown", "markdown": {"title": title, "text": content}}
