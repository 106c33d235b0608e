"""Text messages by the HTTP interface of a gateway; the settings describe its requests and answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from incident_engine.config.channels import OutgoingSettings
from incident_engine.config.placeholders import fill, in_header, in_query
from incident_engine.config.sms import SmsCase, SmsSettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.delivery.channels.chat_bot import Progress
from incident_engine.delivery.channels.http_client import HttpAnswer, HttpClient, explained, retry_after
from incident_engine.delivery.channels.splitting import numbered
from incident_engine.store.claims import ClaimedDelivery

_TYPES = {
    "json": "application/json; charset=utf-8",
    "form": "application/x-www-form-urlencoded",
    "xml": "application/xml; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}


_BLANK = dict.fromkeys(("to", "text", "subject", "body", "id", "locale", "timestamp"), "")
"""Values with which the address can be filled for a connection: its host has no placeholders."""


class SmsChannel:
    """Sends text messages. {id} is the idempotency key; from the second part on it has the part's number."""

    def __init__(self, settings: SmsSettings, outgoing: OutgoingSettings) -> None:
        self._settings = settings
        self._secrets = {f"secret.{name}": secret.read() for name, secret in settings.secrets.items()}
        self._http = HttpClient(outgoing, settings.timeout)
        self._progress = Progress()

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send a message, in parts if it is long; of a repeat only the parts that have not arrived."""
        subject, body = delivery.subject.strip(), delivery.body.strip()
        # A phone shows one text: a body that begins with the subject need not repeat it.
        text = body if body.startswith(subject) else f"{subject}\n{body}".strip()
        answer = ""
        parts = numbered(text, delivery.locale, self._settings.longest, len)
        for index, (mark, part) in list(enumerate(parts))[self._progress.of(delivery.id) :]:
            answer = await self._post(delivery, index, f"{part.strip()}{mark}", now)
            self._progress.record(delivery.id, index + 1)
        self._progress.end(delivery.id)
        return answer if len(parts) == 1 else f"{answer} ({len(parts)} parts)"

    async def connect(self) -> str:
        """Open a connection to the host, and return its address. No request is sent."""
        return await self._http.connect(fill(self._settings.url, _BLANK | self._secrets, in_query))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _post(self, delivery: ClaimedDelivery, index: int, text: str, now: datetime) -> str:
        settings = self._settings
        values = self._secrets | {
            "to": delivery.address or "",
            "text": text,
            "subject": delivery.subject,
            "body": text,
            "id": f"{delivery.id}-{index + 1}" if index else delivery.id,
            "locale": delivery.locale,
            "timestamp": str(int(now.timestamp())),
        }
        body = None if settings.body is None else fill(settings.body, values, settings.encode).encode()
        headers = {name.lower(): fill(template, values, in_header) for name, template in settings.headers.items()}
        if body is not None:
            headers.setdefault("content-type", _TYPES[settings.content])
        url = fill(settings.url, values, in_query)
        answer = await self._http.send(settings.method, url, headers, body)
        failure = self._failure(answer, now)
        if failure is not None:
            raise failure
        return str(answer)

    def _failure(self, answer: HttpAnswer, now: datetime) -> DeliveryError | None:
        settings = self._settings
        path = settings.success.json_path
        value = None if path is None else _value_at(answer.data(), path.split("."))
        wait = retry_after(answer.headers.get(settings.retry_after.lower()), now)
        if _matches(settings.rate_limited, answer, value):
            return DeliveryError(DeliveryOutcome.RATE_LIMITED, str(answer), retry_after=wait)
        if _matches(settings.permanent, answer, value):
            return DeliveryError(DeliveryOutcome.REFUSED, str(answer), permanent=True)
        if answer.status in settings.success.status:
            if path is None or value in settings.success.equals:
                return None
            # Without a value the answer is not the gateway's own; a proxy in between may have given it.
            outcome = DeliveryOutcome.SERVER_ERROR if value is None else DeliveryOutcome.REFUSED
            return DeliveryError(outcome, str(answer), retry_after=wait)
        if answer.is_success:
            return DeliveryError(DeliveryOutcome.REFUSED, str(answer), retry_after=wait)
        return explained(answer, now)


def _matches(case: SmsCase, answer: HttpAnswer, value: str | None) -> bool:
    return answer.status in case.status or (value is not None and value in case.equals)


def _value_at(data: Any, path: Sequence[str]) -> str | None:
    """Return the value at a path of keys and indexes as text; None if there is none, or a list or object."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return None
    if isinstance(data, bool):
        return str(data).lower()
    return str(data) if isinstance(data, str | int | float) else None
