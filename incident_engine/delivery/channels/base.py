"""What every channel does, and how it says that it could not."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from incident_engine.store.deliveries import ClaimedDelivery


class DeliveryOutcome(StrEnum):
    """How an attempt to deliver went."""

    DELIVERED = "delivered"
    CONNECTION_FAILED = "connection_failed"
    TIMED_OUT = "timed_out"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    AUTHENTICATION_FAILED = "authentication_failed"
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"
    UNEXPECTED_ERROR = "unexpected_error"


class DeliveryError(Exception):
    """An attempt failed: why, whether trying again is of any use, and how long the other side asks us to wait."""

    def __init__(
        self, outcome: DeliveryOutcome, detail: str, *, permanent: bool = False, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.permanent = permanent
        self.retry_after = retry_after


class Channel(Protocol):
    """Brings one message to one recipient. The delivery's id is the idempotency key: a repeat carries it again."""

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send; return what the other side answered. Raises DeliveryError."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


Channels = Mapping[str, Channel]
