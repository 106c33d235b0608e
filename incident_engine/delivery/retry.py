"""The result of a delivery attempt, and when it is repeated."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident_engine.config.channels import RetrySettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.store.claims import ClaimedDelivery


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The outcome of an attempt, and the delivery's new state."""

    state: DeliveryState
    outcome: DeliveryOutcome
    detail: str
    retry_at: datetime | None = None


def backoff(retry: RetrySettings, attempt: int) -> timedelta:
    """Return the wait after a failed attempt, counted from 1. It doubles up to the longest."""
    factor: int = 2 ** min(attempt - 1, 30)
    return min(retry.first * factor, retry.longest)


def result_of(error: DeliveryError, attempt: int, retry: RetrySettings, now: datetime) -> AttemptResult:
    """Return the result of a failed attempt: it is repeated after a wait, or the delivery has failed."""
    if error.permanent or attempt >= retry.attempts:
        return AttemptResult(DeliveryState.FAILED, error.outcome, error.detail)
    wait = max(backoff(retry, attempt), error.retry_after or timedelta(0))
    return AttemptResult(DeliveryState.PENDING, error.outcome, error.detail, now + wait)


def attempt_result(
    answer: str | DeliveryError,
    delivery: ClaimedDelivery,
    message: ClaimedDelivery,
    retry: RetrySettings,
    now: datetime,
) -> AttemptResult:
    """Return the result of one delivery from the answer to the message that carried it."""
    suffix = "" if message.id == delivery.id else f" (in the digest {message.id})"
    if isinstance(answer, str):
        return AttemptResult(DeliveryState.DELIVERED, DeliveryOutcome.DELIVERED, answer + suffix)
    result = result_of(answer, delivery.attempt, retry, now)
    return replace(result, detail=result.detail + suffix)
