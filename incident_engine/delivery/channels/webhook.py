"""Messages by HTTP POST, signed per Standard Webhooks 1.0 (webhook-id, webhook-timestamp, webhook-signature)."""

import json
from datetime import UTC, datetime

from standardwebhooks import Webhook

from incident_engine.config.channels import OutgoingSettings, WebhookSettings
from incident_engine.delivery.channels.http_client import HttpClient, explained
from incident_engine.store.claims import ClaimedDelivery


class WebhookChannel:
    """Posts messages as JSON. The header `webhook-id` is the idempotency key."""

    def __init__(self, settings: WebhookSettings, outgoing: OutgoingSettings) -> None:
        self._url = settings.url
        self._signer = Webhook(settings.secret.read())
        self._http = HttpClient(outgoing, settings.timeout)

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Post one message and return the status of the answer."""
        document = {
            "type": "message",
            "timestamp": delivery.created_at.isoformat(),
            "data": {
                "incident": delivery.case_id,
                "step": delivery.step_id,
                "contact": delivery.contact,
                "to": delivery.address,
                "locale": delivery.locale,
                "subject": delivery.subject,
                "body": delivery.body,
            },
        }
        body = json.dumps(document, ensure_ascii=False)
        headers = {
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(delivery.id, now.astimezone(UTC), body),
        }
        answer = await self._http.send("POST", self._url, headers, body.encode())
        if answer.is_success:  # the body has no meaning (Standard Webhooks)
            return str(answer.status)
        raise explained(answer, now)

    async def connect(self) -> str:
        """Open a connection to the host, and return its address. No request is sent."""
        return await self._http.connect(self._url)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
