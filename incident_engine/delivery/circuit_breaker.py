"""A circuit breaker: an endpoint that does not answer is left alone for a while, so that it can recover."""

from datetime import datetime, timedelta

from incident_engine.common.telemetry import CircuitState
from incident_engine.delivery.channels.base import DeliveryOutcome

FAILURES = 5
"""The number of failures in a row that opens a circuit."""
SHORTEST = timedelta(seconds=30)
LONGEST = timedelta(minutes=5)
_PROBE = timedelta(seconds=5)
"""The wait of other messages while one probes whether the endpoint is back."""
TRANSIENT = frozenset(
    {
        DeliveryOutcome.CONNECTION_FAILED,
        DeliveryOutcome.TIMED_OUT,
        DeliveryOutcome.SERVER_ERROR,
        DeliveryOutcome.UNEXPECTED_ERROR,
    }
)
"""Outcomes without an answer from the endpoint. A refusal is an answer: the endpoint works."""


class CircuitBreaker:
    """Decides when messages may go. Closed: now. Open: only statutory ones. Half open: one message as a probe."""

    def __init__(self) -> None:
        self.state = CircuitState.CLOSED
        self._failures = 0
        self._wait = SHORTEST
        self._until: datetime | None = None

    def ready_at(self, now: datetime) -> datetime:
        """Return the instant from which a message may go unless it is statutory: now, or later."""
        if self._until is not None and self._until - now > LONGEST:
            self._until = now  # the clock was set back: no circuit stays open for longer than that
        return now if self._until is None else max(now, self._until)

    def probe(self, now: datetime) -> None:
        """Record that a message goes while the circuit is open. Others wait for its answer, or for a few seconds."""
        if self.state is CircuitState.OPEN and self._until is not None and self._until <= now:
            self.state = CircuitState.HALF_OPEN
            self._until = now + _PROBE

    @property
    def is_cut(self) -> bool:
        """Return whether the endpoint did not answer."""
        return self.state is not CircuitState.CLOSED

    def record(self, outcome: DeliveryOutcome, now: datetime) -> None:
        """Record the outcome of an attempt."""
        if outcome not in TRANSIENT:
            self.state, self._failures, self._wait, self._until = CircuitState.CLOSED, 0, SHORTEST, None
            return
        self._failures += 1
        if self.state is CircuitState.HALF_OPEN:
            self._wait = min(2 * self._wait, LONGEST)
        elif self.state is CircuitState.OPEN or self._failures < FAILURES:
            return
        self.state, self._until = CircuitState.OPEN, now + self._wait
