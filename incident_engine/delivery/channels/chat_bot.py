"""What the robots of group chats have in common: parts, the code in the body, and which codes mean what.

A robot answers HTTP 200 also when it refuses. Only its own code of success is a success; an answer that cannot be read
is a failure.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from incident_engine.config.channels import DingtalkSettings, FeishuSettings, OutgoingSettings, WecomSettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.delivery.channels.http_client import HttpAnswer, HttpClient, explained, retry_after
from incident_engine.delivery.channels.splitting import in_json, numbered
from incident_engine.store.deliveries import ClaimedDelivery

_REMEMBERED = 1_000
_FEISHU_WAIT = "x-ogw-ratelimit-reset"
"""The header in which Feishu says how many seconds to wait."""
_TAG = re.compile(r"<(?=[@/A-Za-z])")
_ADDRESS = re.compile(r"https?://[^\s/]+/\S+")


@dataclass(frozen=True, slots=True)
class ErrorMeaning:
    """What an error code means, and how long to wait if the other side does not say."""

    outcome: DeliveryOutcome
    permanent: bool = False
    wait: timedelta | None = None


class Progress:
    """How many parts of a message have arrived, so that a repeat goes on with the next; kept in memory only."""

    def __init__(self) -> None:
        self._arrived: dict[str, int] = {}

    def of(self, delivery: str) -> int:
        """Return how many parts have arrived."""
        return self._arrived.get(delivery, 0)

    def record(self, delivery: str, arrived: int) -> None:
        """Remember how many parts have arrived; of the oldest messages it is forgotten."""
        self._arrived[delivery] = arrived
        if len(self._arrived) > _REMEMBERED:
            del self._arrived[next(iter(self._arrived))]

    def end(self, delivery: str) -> None:
        """Forget a message that has arrived as a whole."""
        self._arrived.pop(delivery, None)


class ChatBot(ABC):
    """Posts messages to the address of a robot, whose key is in the address."""

    room: ClassVar[int]
    """How long the text of one message may be, as `measure` counts."""
    codes: ClassVar[Mapping[int, ErrorMeaning]]
    code_names: ClassVar[tuple[str, ...]] = ("errcode",)
    words_name: ClassVar[str] = "errmsg"

    def __init__(self, settings: WecomSettings | DingtalkSettings | FeishuSettings, outgoing: OutgoingSettings) -> None:
        self._url = settings.url.read()
        if not _ADDRESS.fullmatch(self._url):
            raise ValueError("url is not the address of a robot: https://, a host and a path")
        self._http = HttpClient(outgoing, settings.timeout)
        self._progress = Progress()

    @staticmethod
    def measure(text: str) -> int:
        """Return the length of a text as the vendor counts it: in bytes of the JSON document."""
        return in_json(text)

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send a message, in parts if it is long; of a repeat only the parts that have not arrived."""
        subject, text = _plain(delivery.subject), _plain(delivery.body)
        room = self.room - self.measure(subject) - 8  # the heading's own signs
        if room < self.room // 2:  # a heading that takes most of the room goes into the text
            text, room = f"{subject}\n\n{text}", self.room - 8
            subject = ""
        parts = numbered(text, delivery.locale, room, self.measure)
        answer = ""
        for mark, part in parts[self._progress.of(delivery.id) :]:
            answer = await self._post(f"{subject}{mark}".strip(), part, now)
            self._progress.record(delivery.id, self._progress.of(delivery.id) + 1)
        self._progress.end(delivery.id)
        return answer if len(parts) == 1 else f"{answer} ({len(parts)} parts)"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _post(self, heading: str, text: str, now: datetime) -> str:
        url, document = self.request(heading, text, now)
        content = json.dumps(document, ensure_ascii=False).encode()
        headers = {"content-type": "application/json; charset=utf-8"}
        answer = await self._http.send("POST", url, headers, content)
        failure = self._failure(answer, now)
        if failure is not None:
            raise failure
        return str(answer)

    @abstractmethod
    def request(self, heading: str, text: str, now: datetime) -> tuple[str, dict[str, Any]]:
        """Return where to post one part and what."""

    def meaning(self, code: int, words: str) -> ErrorMeaning:
        """Return what an error code means. One that is not known is refused, but tried again."""
        return self.codes.get(code, ErrorMeaning(DeliveryOutcome.REFUSED))

    def _failure(self, answer: HttpAnswer, now: datetime) -> DeliveryError | None:
        data = answer.data()
        given = [data[name] for name in self.code_names if name in data] if isinstance(data, dict) else []
        codes = [code for code in given if type(code) is int]
        code = next((code for code in codes if code), 0)
        if answer.is_success and codes and len(codes) == len(given) and not code:
            return None
        if answer.is_success and not code:
            return DeliveryError(DeliveryOutcome.SERVER_ERROR, f"an answer without a code that can be read: {answer}")
        failure = explained(answer, now)
        if code and answer.status < 500 and failure.outcome is not DeliveryOutcome.RATE_LIMITED:
            found = self.meaning(code, str(data.get(self.words_name, "")))
            wait = failure.retry_after or found.wait
            failure = DeliveryError(found.outcome, str(answer), permanent=found.permanent, retry_after=wait)
        asked = answer.headers.get("retry-after") or answer.headers.get(_FEISHU_WAIT)
        failure.retry_after = retry_after(asked, now) or failure.retry_after
        return failure


def _plain(text: str) -> str:
    """Return a text in which nothing mentions people, is a tag, shows a picture or hides where a link leads."""
    return _TAG.sub("＜", text).replace("](", "] (")
