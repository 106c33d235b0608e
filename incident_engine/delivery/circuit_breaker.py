"""A circuit breaker: a target that does not answer is left alone for a while, so that it is not hammered."""

from datetime import datetime, timedelta

from incident_engine.common.telemetry import CircuitState
from incident_engine.delivery.channels.base import DeliveryOutcome

FAILURES = 5
"""After so many failures in a row a circuit opens."""
SHORTEST = timedelta(seconds=30)
LONGEST = timedelta(minutes=5)
_PROBE = timedelta(seconds=5)
"""How long others wait while one message finds out whether the target is back."""
TRANSIENT = frozenset(
    {
        DeliveryOutcome.CONNECTION_FAILED,
        DeliveryOutcome.TIMED_OUT,
        DeliveryOutcome.SERVER_ERROR,
        DeliveryOutcome.UNEXPECTED_ERROR,
    }
)
"""Outcomes that say that nobody is there; any other is an answer."""


class CircuitBreaker:
    """Closed: everything goes. Open: nothing but statutory messages. Half open: one message goes to see."""

    def __init__(self) -> None:
        self.state = CircuitState.CLOSED
        self._failures = 0
        self._wait = SHORTEST
        self._until: datetime | None = None

    def ready_at(self, now: datetime) -> datetime:
        """Return the instant from which a message that is not statutory may go: now, or later."""
        if self._until is not None and self._until - now > LONGEST:
            self._until = now  # the clock was set back: nothing is left alone for longer than that
        return now if self._until is None else max(now, self._until)

    def probe(self, now: datetime) -> None:
        """Note that a message goes although the circuit is not closed; the next may when its answer is there."""
        if self.state is CircuitState.OPEN and self._until is not None and self._until <= now:
            self.state = CircuitState.HALF_OPEN
            self._until = now + _PROBE

    @property
    def is_cut(self) -> bool:
        """Return whether the target did not answer."""
        return self.state is not CircuitState.CLOSED

    def record(self, outcome: DeliveryOutcome, now: datetime) -> None:
        """Note how an attempt went."""
        if outcome not in TRANSIENT:
            self.state, self._failures, self._wait, self._until = CircuitState.CLOSED, 0, SHORTEST, None
            return
        self._failures += 1
        if self.state is CircuitState.HALF_OPEN:
            self._wait = min(2 * self._wait, LONGEST)
        elif self.state is CircuitState.OPEN or self._failures < FAILURES:
            return
        self.state, self._until = CircuitState.OPEN, now + self._wait
