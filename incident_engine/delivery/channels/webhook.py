"""Messages by HTTP POST, signed per Standard Webhooks 1.0 (webhook-id, webhook-timestamp, webhook-signature)."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx2
from standardwebhooks import Webhook

from incident_engine.delivery.channels.base import DeliveryError, Outcome
from incident_engine.settings import WebhookSettings
from incident_engine.store.outgoing import Claimed

_NOT_NOW = frozenset({408, 425})
_LONGEST_WAIT = timedelta(hours=1)


class WebhookChannel:
    """Posts messages as JSON. The header `webhook-id` is the idempotency key."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._url = settings.url
        self._signer = Webhook(settings.secret.read())
        self._client = httpx2.AsyncClient(
            timeout=settings.timeout.total_seconds(), follow_redirects=False, trust_env=False
        )

    async def send(self, delivery: Claimed, now: datetime) -> str:
        """Post one message and return the status of the answer."""
        body = _payload(delivery)
        headers = {
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(delivery.id, now.astimezone(UTC), body),
        }
        try:
            response = await self._client.post(self._url, content=body.encode(), headers=headers)
        except httpx2.TimeoutException as error:
            raise DeliveryError(Outcome.TIMED_OUT, repr(error)) from error
        except httpx2.HTTPError as error:
            raise DeliveryError(Outcome.CONNECTION_FAILED, repr(error)) from error
        if response.is_success:
            return str(response.status_code)
        raise _explained(response, now)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _payload(delivery: Claimed) -> str:
    return json.dumps(
        {
            "type": "message",
            "timestamp": delivery.created_at.isoformat(),
            "data": {
                "incident": delivery.incident_id,
                "step": delivery.step_id,
                "contact": delivery.contact,
                "to": delivery.address,
                "locale": delivery.locale,
                "subject": delivery.subject,
                "body": delivery.body,
            },
        },
        ensure_ascii=False,
    )


def _explained(response: httpx2.Response, now: datetime) -> DeliveryError:
    status = response.status_code
    detail = f"HTTP {status}: {response.text[:200]}"
    wait = _retry_after(response.headers.get("retry-after"), now)
    if status == 429:
        return DeliveryError(Outcome.RATE_LIMITED, detail, retry_after=wait)
    if status >= 500 or status in _NOT_NOW:
        return DeliveryError(Outcome.SERVER_ERROR, detail, retry_after=wait)
    if status in (401, 403):
        return DeliveryError(Outcome.AUTHENTICATION_FAILED, detail)
    # Only "gone" is final (Standard Webhooks): a receiver that is being deployed answers 404 or redirects for a while.
    return DeliveryError(Outcome.REFUSED, detail, permanent=status == 410)


def _retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return the wait that a Retry-After header asks for (RFC 9110, 10.2.3), an hour at most."""
    if value is None:
        return None
    if value.strip().isdigit():
        seconds = float(value)  # never too large for a float, which an int of many digits may be for a timedelta
        return timedelta(seconds=min(seconds, _LONGEST_WAIT.total_seconds()))
    try:
        asked = parsedate_to_datetime(value) - now
    except (ValueError, TypeError):
        return None
    return min(max(asked, timedelta(0)), _LONGEST_WAIT)
