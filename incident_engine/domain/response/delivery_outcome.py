"""The consequences of a delivery's outcome: for the step it belongs to, and for the contact's other channels.

A contact has channels in an order, the first at once and the others later: the fallbacks. A step is *informational*
if no person must answer it; its deliveries alone decide when it ends.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from incident_engine.domain.response.step import StepState


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HELD = "held"
    """Waits for a person's approval of its text."""


@dataclass(frozen=True, slots=True)
class StepDelivery:
    """One delivery of a step: a message to one contact over one channel."""

    id: str
    contact: str
    position: int
    """The channel's position in the order in which the contact is reached, from 0."""
    state: DeliveryState
    attempts: int
    due_at: datetime | None


_UNFINISHED = frozenset({DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.HELD})


@dataclass(frozen=True, slots=True)
class DeliveredStep:
    """A step and its deliveries."""

    state: StepState
    awaits: str | None
    fulfils: str | None
    parent_id: str | None
    deliveries: Sequence[StepDelivery]
    """All deliveries, or those of the one contact that an attempt concerns."""
    other_states: frozenset[DeliveryState] = frozenset()
    """The states of the deliveries to other contacts."""

    @property
    def is_informational(self) -> bool:
        """Return whether no person must answer the step."""
        return self.awaits is None and self.fulfils is None

    def delivery(self, delivery_id: str) -> StepDelivery:
        """Return one of the deliveries."""
        return next(delivery for delivery in self.deliveries if delivery.id == delivery_id)

    def untried(self, now: datetime) -> list[StepDelivery]:
        """Return the deliveries that are for later and were never attempted; only these may still be changed."""
        return [
            delivery
            for delivery in self.deliveries
            if delivery.state is DeliveryState.PENDING
            and delivery.attempts == 0
            and delivery.due_at is not None
            and delivery.due_at > now
        ]

    def fallback(self, failed: StepDelivery, now: datetime) -> tuple[str, ...]:
        """Return the id of the delivery over the contact's next channel, if it is for later."""
        following = (delivery for delivery in self.untried(now) if delivery.contact == failed.contact)
        return tuple(delivery.id for delivery in following if delivery.position == failed.position + 1)

    def end(self, cancelled: Collection[str] = ()) -> StepState | None:
        """Return the end of an informational step: completed if any message arrived; None while one is on its way."""
        if self.state is not StepState.STARTED or not self.is_informational:
            return None
        states = {delivery.state for delivery in self.deliveries if delivery.id not in cancelled} | self.other_states
        states.discard(DeliveryState.CANCELLED)
        if not states or states & _UNFINISHED:  # a step of which all was cancelled has not failed
            return None
        return StepState.COMPLETED if DeliveryState.DELIVERED in states else StepState.FAILED


@dataclass(frozen=True, slots=True)
class Consequences:
    """Changes that follow from the outcome of a delivery."""

    cancelled: tuple[str, ...] = ()
    """Ids of deliveries that are no longer needed."""
    due_now: tuple[str, ...] = ()
    """Ids of deliveries that are due at once instead of later."""
    step_state: StepState | None = None
    """The end of the step, completed or failed; None: the step goes on."""


def has_consequences(state: DeliveryState, attempt: int, fallback_after: int | None) -> bool:
    """Return whether an attempt after which a delivery is in `state` can change anything but that delivery.

    Attempts count from 1. After `fallback_after` failed ones the fallbacks no longer wait for the last.
    """
    return state is not DeliveryState.PENDING or (fallback_after is not None and attempt >= fallback_after)


def after_attempt(step: DeliveredStep, delivery_id: str, now: datetime) -> Consequences:
    """Return the consequences of an attempt with one of a step's deliveries, whose state is the new one."""
    attempted = step.delivery(delivery_id)
    if attempted.state is not DeliveryState.DELIVERED:
        return Consequences(due_now=step.fallback(attempted, now), step_state=step.end())
    cancelled: tuple[str, ...] = ()
    # Where an answer is awaited, a delivered message may lie unread: the fallbacks are kept until somebody answers.
    # So are those of derived steps, whose parent awaits the answer.
    if step.is_informational and step.parent_id is None:
        later = (delivery for delivery in step.untried(now) if delivery.contact == attempted.contact)
        cancelled = tuple(delivery.id for delivery in later if delivery.position > attempted.position)
    return Consequences(cancelled=cancelled, step_state=step.end(cancelled))


def after_postponement(step: DeliveredStep, delivery_id: str, now: datetime) -> Consequences:
    """Return the consequences of a delivery that must wait for long: its endpoint is as good as failed."""
    return Consequences(due_now=step.fallback(step.delivery(delivery_id), now))


def after_answer(step: DeliveredStep, now: datetime) -> Consequences:
    """Return the consequences of an answer to a step, or to its parent: no contact is reached over fallbacks."""
    cancelled = tuple(delivery.id for delivery in step.untried(now) if delivery.position > 0)
    return Consequences(cancelled=cancelled, step_state=step.end(cancelled))
