"""The notices that one reader has not received yet: each finding once, and its end if its start was sent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from incident_engine.config.channels import RetrySettings
from incident_engine.config.people import ContactSettings
from incident_engine.delivery.rate_limit import RateLimit
from incident_engine.delivery.retry import backoff
from incident_engine.watchdog.findings import Change, Kind

PER_HOUR = 20
"""The most notices that one reader receives within an hour; changes that must wait go out with the next notice."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PendingNotices:
    """Collects the changes for one reader and decides when they are due. Instants are ticks, in seconds."""

    def __init__(self, contact: ContactSettings, pause: timedelta, retry: RetrySettings) -> None:
        self.contact = contact
        self._pause = pause.total_seconds()
        self._retry = retry
        self._waiting: dict[Kind, Change] = {}
        self._notified: dict[Kind, datetime | None] = {}
        """The `renewed_at` of each finding that the reader knows."""
        self._notified_at: dict[Kind, float] = {}
        self._rate_limit = RateLimit(PER_HOUR, timedelta(hours=1))
        self._failures = 0
        self._not_before = 0.0

    @property
    def is_waiting(self) -> bool:
        """Return whether a change waits to be sent."""
        return bool(self._waiting)

    def add(self, change: Change) -> None:
        """Queue a change. An end cancels a start that was not sent; a new start cancels an end that was not sent."""
        kind = change.finding.kind
        is_renewed = change.ended_at is None and self._notified.get(kind) != change.finding.renewed_at
        if is_renewed or (change.ended_at is None) != (kind in self._notified):
            self._waiting[kind] = change
        else:
            self._waiting.pop(kind, None)

    def due(self, ticks: float) -> Sequence[Change]:
        """Return the changes to send now, in one notice."""
        changes = [
            change
            for kind, change in self._waiting.items()
            # The pause keeps a finding that comes and goes from filling the reader's phone; its end is never late.
            if change.ended_at is not None or ticks - self._notified_at.get(kind, -self._pause) >= self._pause
        ]
        if not changes or ticks < self._not_before or self._rate_limit.ready_at(_instant(ticks)) > _instant(ticks):
            return []
        return changes

    def record_sent(self, changes: Sequence[Change], ticks: float) -> None:
        """Record that a notice of these changes was sent."""
        self._rate_limit.take(1)
        self._failures, self._not_before = 0, 0.0
        for change in changes:
            kind = change.finding.kind
            # A newer change of this kind may have been queued while the notice was on its way; it still has to go out.
            if self._waiting.get(kind) is change:
                del self._waiting[kind]
            if change.ended_at is None:
                self._notified[kind] = change.finding.renewed_at
                self._notified_at[kind] = ticks
            else:
                self._notified.pop(kind, None)

    def record_failed(self, ticks: float) -> float:
        """Record that no channel accepted the notice; return the seconds until the next attempt."""
        self._failures += 1
        wait = backoff(self._retry, self._failures).total_seconds()
        self._not_before = ticks + wait
        return wait


def _instant(ticks: float) -> datetime:
    # RateLimit counts in instants; any origin will do, as only differences matter.
    return _EPOCH + timedelta(seconds=ticks)
