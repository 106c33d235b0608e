"""Chat bots of vendors that answer a refusal with HTTP 200 and an error code: messages in parts, and these codes.

Only the vendor's own success code is a success; an unreadable answer is a failure.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from incident_engine.config.channels import OutgoingSettings
from incident_engine.config.secret import Secret
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.delivery.channels.http_client import HttpAnswer, HttpClient, explained, retry_after
from incident_engine.delivery.channels.plain import title_of, without_markup
from incident_engine.delivery.channels.splitting import in_json, numbered
from incident_engine.store.claims import ClaimedDelivery

_MAX_IN_PROGRESS = 1_000
_CONTENT_TYPE = {"content-type": "application/json; charset=utf-8"}
_HEADING_MARKUP = 8
"""The length of the signs around a heading, generously."""
_ADDRESS = re.compile(r"https?://[^\s/]+/\S+")


@dataclass(frozen=True, slots=True)
class ErrorMeaning:
    """The meaning of a vendor's error code."""

    outcome: DeliveryOutcome
    permanent: bool = False
    wait: timedelta | None = None
    """The wait before the next attempt, unless the answer gives one."""


class ChatBotSettings(Protocol):
    """The settings that all chat bots have."""

    @property
    def url(self) -> Secret:
        """Return the bot's address."""
        ...

    @property
    def timeout(self) -> timedelta:
        """Return the limit of time for one request."""
        ...


class Progress:
    """Counts the parts of a message that have arrived, so that a repeat goes on with the next; in memory only."""

    def __init__(self) -> None:
        self._arrived: dict[str, int] = {}

    def of(self, delivery: str) -> int:
        """Return the number of parts that have arrived."""
        return self._arrived.get(delivery, 0)

    def record(self, delivery: str, arrived: int) -> None:
        """Record the number of parts that have arrived; the oldest message is forgotten if there are too many."""
        self._arrived[delivery] = arrived
        if len(self._arrived) > _MAX_IN_PROGRESS:
            del self._arrived[next(iter(self._arrived))]

    def end(self, delivery: str) -> None:
        """Forget a message that has arrived as a whole."""
        self._arrived.pop(delivery, None)


class ChatBot(ABC):
    """Posts messages to the address of a chat bot; the bot's key is in the address."""

    max_length: ClassVar[int]
    """The longest text of one message, as `measure` counts."""
    codes: ClassVar[Mapping[int, ErrorMeaning]]
    code_names: ClassVar[tuple[str, ...]] = ("errcode",)
    message_name: ClassVar[str] = "errmsg"
    wait_header: ClassVar[str] = "retry-after"
    """The vendor's own header with the seconds to wait, which it sends instead of Retry-After."""

    def __init__(self, settings: ChatBotSettings, outgoing: OutgoingSettings) -> None:
        self._url = settings.url.read()
        if not _ADDRESS.fullmatch(self._url):
            raise ValueError("url is not the address of a chat bot: https://, a host and a path")
        self._http = HttpClient(outgoing, settings.timeout)
        self._progress = Progress()

    @staticmethod
    def measure(text: str) -> int:
        """Return the length of a text as the vendor counts it: in bytes of the JSON document."""
        return in_json(text)

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send a message, in parts if it is long; of a repeat only the parts that have not arrived."""
        subject, text = title_of(delivery.subject), without_markup(delivery.body)
        max_length = self.max_length - self.measure(subject) - _HEADING_MARKUP
        if max_length < self.max_length // 2:  # a very long heading would leave no space for the text
            text, max_length = f"{subject}\n\n{text}", self.max_length - _HEADING_MARKUP
            subject = ""
        parts = numbered(text, delivery.locale, max_length, self.measure)
        answer = ""
        for mark, part in parts[self._progress.of(delivery.id) :]:
            url, document = self.request(f"{subject}{mark}".strip(), part, now)
            content = json.dumps(document, ensure_ascii=False).encode()
            response = await self._http.send("POST", url, _CONTENT_TYPE, content)
            failure = self._failure(response, now)
            if failure is not None:
                raise failure
            answer = str(response)
            self._progress.record(delivery.id, self._progress.of(delivery.id) + 1)
        self._progress.end(delivery.id)
        return answer if len(parts) == 1 else f"{answer} ({len(parts)} parts)"

    async def connect(self) -> str:
        """Open a connection to the host, and return its address. No request is sent."""
        return await self._http.connect(self._url)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    @abstractmethod
    def request(self, heading: str, text: str, now: datetime) -> tuple[str, dict[str, Any]]:
        """Return the address and the body with which one part is posted."""

    def meaning(self, code: int, message: str) -> ErrorMeaning:
        """Return the meaning of an error code. An unknown one is a refusal, and is tried again."""
        return self.codes.get(code, ErrorMeaning(DeliveryOutcome.REFUSED))

    def _failure(self, answer: HttpAnswer, now: datetime) -> DeliveryError | None:
        data = answer.data()
        values = [data[name] for name in self.code_names if name in data] if isinstance(data, dict) else []
        codes = [value for value in values if type(value) is int]
        code = next((code for code in codes if code), 0)
        if answer.is_success and codes and len(codes) == len(values) and not code:
            return None
        # An answer of 2xx without a readable code is not the vendor's: a proxy's page, or another service.
        if answer.is_success and not code:
            return DeliveryError(DeliveryOutcome.SERVER_ERROR, f"an answer without a code that can be read: {answer}")
        failure = explained(answer, now)
        if code and answer.status < 500 and failure.outcome is not DeliveryOutcome.RATE_LIMITED:
            meaning = self.meaning(code, str(data.get(self.message_name, "")))
            wait = failure.retry_after or meaning.wait
            failure = DeliveryError(meaning.outcome, str(answer), permanent=meaning.permanent, retry_after=wait)
        header = answer.headers.get("retry-after") or answer.headers.get(self.wait_header)
        failure.retry_after = retry_after(header, now) or failure.retry_after
        return failure
