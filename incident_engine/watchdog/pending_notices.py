"""What one reader is still to be told, and when: each finding once, its end if its beginning was told, and no more."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from incident_engine.config.channels import RetrySettings
from incident_engine.config.people import ContactSettings
from incident_engine.delivery.dispatcher import backoff
from incident_engine.delivery.rate_limit import RateLimit
from incident_engine.watchdog.findings import Change, Kind

PER_HOUR = 20
"""How many notices one reader gets within an hour at most; what must wait goes out together with the next."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PendingNotices:
    """One reader's. Instants are ticks, in seconds."""

    def __init__(self, contact: ContactSettings, pause: timedelta, retry: RetrySettings) -> None:
        self.contact = contact
        self._pause = pause.total_seconds()
        self._retry = retry
        self._waiting: dict[Kind, Change] = {}
        self._told: set[Kind] = set()
        self._told_at: dict[Kind, float] = {}
        self._bucket = RateLimit(PER_HOUR, timedelta(hours=1))
        self._failures = 0
        self._not_before = 0.0

    @property
    def is_waiting(self) -> bool:
        """Return whether there is anything that was not told yet."""
        return bool(self._waiting)

    def add(self, change: Change) -> None:
        """Note what changed: an end is told to whoever heard the beginning, a return before that is no news."""
        kind = change.finding.kind
        if (change.ended_at is None) != (kind in self._told):
            self._waiting[kind] = change
        else:
            self._waiting.pop(kind, None)

    def due(self, ticks: float) -> Sequence[Change]:
        """Return what to tell now, in one notice."""
        ready = [
            change
            for kind, change in self._waiting.items()
            if change.ended_at is not None or ticks - self._told_at.get(kind, -self._pause) >= self._pause
        ]
        if not ready or ticks < self._not_before or self._bucket.ready_at(_instant(ticks)) > _instant(ticks):
            return []
        return ready

    def sent(self, changes: Sequence[Change], ticks: float) -> None:
        """Note that these were told."""
        self._bucket.take(1)
        self._failures, self._not_before = 0, 0.0
        for change in changes:
            kind = change.finding.kind
            if self._waiting.get(kind) is change:
                del self._waiting[kind]
            if change.ended_at is None:
                self._told.add(kind)
                self._told_at[kind] = ticks
            else:
                self._told.discard(kind)

    def failed(self, ticks: float) -> float:
        """Note that they could not be told; return after how many seconds to try again."""
        self._failures += 1
        wait = backoff(self._retry, self._failures).total_seconds()
        self._not_before = ticks + wait
        return wait


def _instant(ticks: float) -> datetime:
    return _EPOCH + timedelta(seconds=ticks)
