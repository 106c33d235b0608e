"""Claimed deliveries: their content, their order, and the choice among those that are due."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum


class Priority(IntEnum):
    """The order of sending: notices that the law requires, then pages to be acknowledged, then all others."""

    STATUTORY = 0
    URGENT = 1
    OTHER = 2


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that this process may attempt until its lease ends."""

    id: str
    step_id: str
    case_id: str
    contact: str
    channel: str
    address: str | None
    locale: str
    subject: str
    body: str
    created_at: datetime
    attempt: int
    priority: int = Priority.OTHER
    position: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """The due deliveries to send now, and those that must wait."""

    batches: Sequence[tuple[ClaimedDelivery, ...]]
    """Deliveries to send now; each batch goes out as one message."""
    later: Mapping[str, datetime] = field(default_factory=dict)
    """The new instants of postponed deliveries, by id."""
    unreachable: Collection[str] = ()
    """Ids of postponed deliveries whose endpoint does not answer, or whose wait is long."""


Choose = Callable[[Sequence[ClaimedDelivery], int], Choice]
"""Chooses from due deliveries in their order; the number is the limit of messages."""
