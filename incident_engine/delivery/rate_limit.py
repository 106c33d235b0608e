"""Rate limits by token bucket: the number of messages that may go to one endpoint now, and when the next may."""

from datetime import datetime, timedelta

from incident_engine.config.common import Rate

_ONE = 1 - 1e-4
"""Nearly one token: rounding to microseconds must not withhold it at the very instant that was promised."""


class RateLimit:
    """Gives tokens so that no span of a length ever has more messages than the limit.

    Half of the limit may go at once, the other half flows in over the span.
    """

    def __init__(self, limit: int, span: timedelta) -> None:
        # A full bucket of the whole limit would allow twice the limit within a span: at its end and as it refills.
        self._size = max(1, limit // 2)
        self._wait = span / max(1, limit - self._size)
        self._tokens = float(self._size)
        self._at: datetime | None = None

    def ready_at(self, now: datetime) -> datetime:
        """Return the instant at which a token is available: now, or later."""
        self._flow(now)
        return now if self._tokens >= _ONE else now + self._wait * (1 - self._tokens)

    def available(self, now: datetime) -> int:
        """Return the number of tokens."""
        self._flow(now)
        return max(0, int(self._tokens + 1 - _ONE))

    def take(self, tokens: int) -> None:
        """Take tokens. A message in many parts may take more than there are; then the next waits longer."""
        self._tokens -= tokens

    def _flow(self, now: datetime) -> None:
        since = now if self._at is None else self._at
        self._tokens = min(float(self._size), self._tokens + max(timedelta(0), now - since) / self._wait)
        self._at = now


class RateLimits:
    """The rate limits of one endpoint. A message needs a token of each; without limits it may always go."""

    def __init__(self, rate: Rate) -> None:
        rates = (rate.per_minute, timedelta(minutes=1)), (rate.per_second, timedelta(seconds=1))
        self._limits = [RateLimit(limit, span) for limit, span in rates if limit is not None]
        self._paused_until: datetime | None = None
        self._paused_at: datetime | None = None

    def ready_at(self, now: datetime) -> datetime:
        """Return the instant from which a message may go: now, or later."""
        self._forget_future_pause(now)
        paused = self._paused_until or now
        return max(now, paused, *(limit.ready_at(now) for limit in self._limits))

    def available(self, now: datetime) -> int | None:
        """Return the number of messages that may go now; None for any number."""
        self._forget_future_pause(now)
        if self._paused_until is not None and self._paused_until > now:
            return 0
        return min((limit.available(now) for limit in self._limits), default=None)

    def take(self, tokens: int) -> None:
        """Take tokens of every limit."""
        for limit in self._limits:
            limit.take(tokens)

    def pause(self, until: datetime, now: datetime) -> None:
        """Hold all messages until an instant, as the endpoint has just asked for (HTTP 429 and the like)."""
        self._paused_at = now
        self._paused_until = max(until, self._paused_until or until)

    def _forget_future_pause(self, now: datetime) -> None:
        """Drop a pause that began in the future: the clock was set back since, by an unknown time."""
        if self._paused_at is not None and self._paused_at > now:
            self._paused_at = self._paused_until = None
