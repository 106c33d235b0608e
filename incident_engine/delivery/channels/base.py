"""The contract of a channel, and the outcomes of attempts to deliver."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from incident_engine.store.claims import ClaimedDelivery


class DeliveryOutcome(StrEnum):
    """The outcome of an attempt to deliver."""

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
    """A failed attempt.

    `permanent` says that a repeat is of no use. `retry_after` is the wait that the other side asked for.
    """

    def __init__(
        self, outcome: DeliveryOutcome, detail: str, *, permanent: bool = False, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.permanent = permanent
        self.retry_after = retry_after


class Channel(Protocol):
    """Sends one message to one recipient. The delivery's id is the idempotency key: a repeat has the same id."""

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send a message and return the other side's answer. Raises DeliveryError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@runtime_checkable
class Connectable(Protocol):
    """A channel that can be tried without a message."""

    async def connect(self) -> str:
        """Open a connection, log in if messages need it, and return the other side's words. Raises DeliveryError."""
        ...


Channels = Mapping[str, Channel]
