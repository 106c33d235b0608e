"""Token buckets: how many messages may go to one target now, and when the next may."""

from datetime import datetime, timedelta

from incident_engine.config.common import Rate

_ONE = 1 - 1e-4
"""A token, nearly: rounding to microseconds must not keep it back at the very instant that was promised."""


class RateLimit:
    """Tokens for a limit of so many messages within a span, which hold in every span of that length.

    Half of the limit may go at once, the other half flows in over the span: together never more than the limit.
    """

    def __init__(self, limit: int, span: timedelta) -> None:
        self._size = max(1, limit // 2)
        self._wait = span / max(1, limit - self._size)
        self._tokens = float(self._size)
        self._at: datetime | None = None

    def ready_at(self, now: datetime) -> datetime:
        """Return the instant at which a token is there: now, or later."""
        self._flow(now)
        return now if self._tokens >= _ONE else now + self._wait * (1 - self._tokens)

    def available(self, now: datetime) -> int:
        """Return how many tokens are there."""
        self._flow(now)
        return max(0, int(self._tokens + 1 - _ONE))

    def take(self, tokens: int) -> None:
        """Take tokens; a message in many parts may take more than there are, and others wait the longer."""
        self._tokens -= tokens

    def _flow(self, now: datetime) -> None:
        since = now if self._at is None else self._at
        self._tokens = min(float(self._size), self._tokens + max(timedelta(0), now - since) / self._wait)
        self._at = now


class RateLimits:
    """The buckets of one target; a message needs a token of each. Without limits there are always tokens."""

    def __init__(self, rate: Rate) -> None:
        limits = (rate.per_minute, timedelta(minutes=1)), (rate.per_second, timedelta(seconds=1))
        self._buckets = [RateLimit(limit, span) for limit, span in limits if limit is not None]
        self._paused_until: datetime | None = None
        self._paused_at: datetime | None = None

    def ready_at(self, now: datetime) -> datetime:
        """Return the instant from which a message may go: now, or later."""
        self._forget_the_future(now)
        paused = self._paused_until or now
        return max(now, paused, *(bucket.ready_at(now) for bucket in self._buckets))

    def available(self, now: datetime) -> int | None:
        """Return how many messages may go now; None for any number."""
        self._forget_the_future(now)
        if self._paused_until is not None and self._paused_until > now:
            return 0
        return min((bucket.available(now) for bucket in self._buckets), default=None)

    def take(self, tokens: int) -> None:
        """Take tokens of every bucket."""
        for bucket in self._buckets:
            bucket.take(tokens)

    def pause(self, until: datetime, now: datetime) -> None:
        """Let nothing go before an instant: the target said, now, that there was too much."""
        self._paused_at = now
        self._paused_until = max(until, self._paused_until or until)

    def _forget_the_future(self, now: datetime) -> None:
        """Drop a pause that began in what is now the future: the clock was set back, and nobody knows by how much."""
        if self._paused_at is not None and self._paused_at > now:
            self._paused_at = self._paused_until = None
