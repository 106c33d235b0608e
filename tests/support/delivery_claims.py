"""Claims of single deliveries, for tests without a dispatcher."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from incident_engine.store import deliveries as outgoing
from incident_engine.store.claims import Choice, ClaimedDelivery


def claim_each(connection: Connection, now: datetime, lease_until: datetime, limit: int) -> list[ClaimedDelivery]:
    """Claim the due deliveries, each in a batch of its own."""

    def each(due: Sequence[ClaimedDelivery], most: int) -> Choice:
        return Choice([(delivery,) for delivery in due[:most]])

    choice = outgoing.claim(connection, now, lease_until, limit, (), each)
    return [delivery for batch in choice.batches for delivery in batch]
