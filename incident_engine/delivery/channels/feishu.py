"""Custom bots of Feishu (飞书) and Lark.

Source: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot (signature, 20 KB, error codes) and
https://open.feishu.cn/document/server-docs/api-call-guide/frequency-control (100 messages a minute and 5 a second;
11232; the header x-ogw-ratelimit-reset).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from incident_engine.config.channels import FeishuSettings, OutgoingSettings
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.chat_bot import ChatBot, ErrorMeaning

_LIMITED = ErrorMeaning(DeliveryOutcome.RATE_LIMITED)
_REFUSED = ErrorMeaning(DeliveryOutcome.REFUSED, permanent=True)
_BAD_REQUEST_OR_LIMIT = 9499


class FeishuChannel(ChatBot):
    """Posts cards to a bot of Feishu, signed if it has a signing secret."""

    max_length = 18_000  # of 20 KB for the whole request
    code_names = ("code", "StatusCode")
    message_name = "msg"
    wait_header = "x-ogw-ratelimit-reset"
    codes: ClassVar[Mapping[int, ErrorMeaning]] = {
        11232: _LIMITED,  # frequency limited
        99991400: _LIMITED,  # request trigger frequency limit
        19001: ErrorMeaning(
            DeliveryOutcome.AUTHENTICATION_FAILED, permanent=True
        ),  # incoming webhook access token invalid
        19002: _REFUSED,  # parameters
        19021: _REFUSED,  # signature, or a timestamp more than an hour off
        19022: _REFUSED,  # our address is not allowed
        19024: _REFUSED,  # a keyword is missing
    }

    def __init__(self, settings: FeishuSettings, outgoing: OutgoingSettings) -> None:
        super().__init__(settings, outgoing)
        self._secret = settings.secret.read() if settings.secret else None

    def meaning(self, code: int, message: str) -> ErrorMeaning:
        """Return the meaning of an error code; one code has two meanings, which its message tells apart."""
        if code == _BAD_REQUEST_OR_LIMIT:
            return _LIMITED if "too many" in message.casefold() else _REFUSED
        return super().meaning(code, message)

    def request(self, heading: str, text: str, now: datetime) -> tuple[str, dict[str, Any]]:
        """Return the address and the body with which one part is posted."""
        card: dict[str, Any] = {
            "config": {"wide_screen_mode": True},
            "elements": [{"tag": "markdown", "content": text}],
        }
        if heading:
            card["header"] = {"title": {"tag": "plain_text", "content": heading}}
        signature: dict[str, str] = {}
        if self._secret is not None:
            stamp = str(int(now.timestamp()))
            # Feishu signs an empty message with stamp and secret as the key.
            digest = hmac.new(f"{stamp}\n{self._secret}".encode(), b"", hashlib.sha256).digest()
            signature = {"timestamp": stamp, "sign": base64.b64encode(digest).decode()}
        return self._url, {**signature, "msg_type": "interactive", "card": card}
