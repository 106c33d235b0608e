"""Signals: the alarms behind an impairment, the restorations that end it, and the order in which events count.

An outage event may name a signal: the alert, trigger or check behind it. A restoration that names a signal ends only
that signal's outage; one without a signal ends them all. A service is impaired in a region while any signal is active.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from incident_engine.domain.events.model import Event, OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.incident import Impairment, Interval
from incident_engine.domain.values import NEVER

# At one instant an end counts before a beginning: an outage that starts as another ends is still down afterwards.
_RANK = {
    EventType.OUTAGE_RESTORED: 0,
    EventType.INCIDENT_CLOSED: 1,
    EventType.OUTAGE_DEGRADED: 2,
    EventType.OUTAGE_STARTED: 3,
}
_SEARCH_LIMIT = 64
"""How many active signals are searched for one that outlasts a late restoration; a storm has thousands."""


def sort_key(event: Event) -> tuple[datetime, int, tuple[str, str]]:
    """Return the sort key of an event: its instant; at one instant an end before a beginning; then its key."""
    return event.occurred_at, _RANK.get(event.type, 4), (event.source, event.id)


def in_order(events: Iterable[Recorded]) -> list[Recorded]:
    """Return the events in order of occurrence, each idempotency key once (the first one received)."""
    unique: dict[tuple[str, str], Recorded] = {}
    for recorded in events:
        first = unique.get(recorded.key)
        if first is None or recorded.received_at < first.received_at:
            unique[recorded.key] = recorded
    ordered = sorted(unique.values(), key=lambda recorded: sort_key(recorded.event))
    active: dict[tuple[str, str], dict[str, Impairment]] = defaultdict(dict)
    for index, recorded in enumerate(ordered):
        event = recorded.event
        if not isinstance(event, OutageEvent):
            continue
        lines = [active[event.service, region] for region in event.regions]
        if event.type == EventType.OUTAGE_RESTORED and not any((event.data.signal or "") in line for line in lines):
            # The restoration ends nothing so far. If its outage began at the same instant, it was shorter than its
            # monitor can tell: it began first.
            start = _start_at_same_instant(ordered, index, event)
            if start is not None:
                ordered[index], ordered[start] = ordered[start], recorded
                event = ordered[index].event
                assert isinstance(event, OutageEvent)  # noqa: S101 - _start_at_same_instant saw to it
        for line in lines:
            apply_signal(line, event)
    return ordered


def _start_at_same_instant(ordered: Sequence[Recorded], index: int, restored: OutageEvent) -> int | None:
    """Return the index of a later beginning, at the same instant, of exactly the outage that `restored` ends."""
    restored_parts = restored.service, restored.regions, restored.data.signal or ""
    for later in range(index + 1, len(ordered)):
        event = ordered[later].event
        if event.occurred_at != restored.occurred_at:
            return None
        if (
            isinstance(event, OutageEvent)
            and event.type != EventType.OUTAGE_RESTORED
            and (event.service, event.regions, event.data.signal or "") == restored_parts
        ):
            return later
    return None


def apply_signal(active: dict[str, Impairment], event: OutageEvent) -> None:
    """Update the active signals of one service in one region with the next event."""
    signal = event.data.signal or ""
    if event.type == EventType.OUTAGE_STARTED:
        active[signal] = Impairment.DOWN
    elif event.type == EventType.OUTAGE_DEGRADED:
        active[signal] = Impairment.DEGRADED
    elif signal:
        active.pop(signal, None)
    else:
        active.clear()


@dataclass(slots=True)
class ImpairmentHistory:
    """The impairments of one service in one region, kept while events are applied in order."""

    signals: dict[str, Impairment] = field(default_factory=dict)
    """The active signals."""
    intervals: list[Interval] = field(default_factory=list)

    def apply(self, event: OutageEvent) -> None:
        """Apply the next event in order."""
        before = self.impairment()
        apply_signal(self.signals, event)
        after = self.impairment()
        # Most events of a storm add a signal and no interval.
        if after is not before:
            self._set_state(event.occurred_at, after, (event.source, event.id))

    def impairment(self) -> Impairment | None:
        """Return the present impairment: the worst of all signals; None if the service works."""
        if Impairment.DOWN in self.signals.values():
            return Impairment.DOWN
        return Impairment.DEGRADED if self.signals else None

    def _set_state(self, at: datetime, impairment: Impairment | None, by: tuple[str, str]) -> None:
        if self.intervals and self.intervals[-1].end == NEVER:
            last = self.intervals.pop()
            if last.start < at:  # an interval of no length is dropped
                self.intervals.append(replace(last, end=at, ended_by=by))
        if impairment is None:
            return
        previous = self.intervals[-1] if self.intervals else None
        # Restored and down again at one instant: no gap, so that the downtime goes on in one piece.
        if previous and previous.end == at and previous.impairment is impairment:
            self.intervals[-1] = replace(previous, end=NEVER, ended_by=None)
        else:
            self.intervals.append(Interval(at, NEVER, impairment, by))

    def absorb_signal(self, event: OutageEvent) -> bool:
        """Apply a late event that leaves the impairment as it is. Return True if it names another first event."""
        apply_signal(self.signals, event)
        if event.type == EventType.OUTAGE_RESTORED:
            return False
        last, by = self.intervals[-1], (event.source, event.id)
        # Of several events at one instant the first by key is named, whichever arrives first.
        if last.start != event.occurred_at or by >= last.started_by:
            return False
        self.intervals[-1] = replace(last, started_by=by)
        if len(self.intervals) > 1 and self.intervals[-2].ended_by == last.started_by:
            self.intervals[-2] = replace(self.intervals[-2], ended_by=by)
        return True


@dataclass(slots=True)
class SignalTimes:
    """The latest instant at which each signal of one service in one region was reported, and any of them."""

    last_at: datetime
    by_signal: dict[str, datetime] = field(default_factory=dict)

    def track_signal(self, signal: str, at: datetime) -> None:
        """Record that a signal was reported at an instant."""
        latest = self.by_signal.get(signal)
        if latest is None or latest < at:
            self.by_signal[signal] = at
        self.last_at = max(self.last_at, at)

    def is_later(self, signal: str, at: datetime) -> bool:
        """Return whether an instant is after every report of a signal."""
        latest = self.by_signal.get(signal)
        return latest is None or latest < at


def continues_outage(line: ImpairmentHistory, times: SignalTimes, event: OutageEvent) -> bool:
    """Return whether a late event cannot change that the line is down."""
    signal, at = event.data.signal or "", event.occurred_at
    last = line.intervals[-1] if line.intervals else None
    if last is None or last.end != NEVER or last.impairment is not Impairment.DOWN:
        return False
    # An event without a signal may end the outages of all others, so the order matters.
    if not signal or not times.is_later(signal, at) or not times.is_later("", at):
        return False
    if event.type == EventType.OUTAGE_STARTED:
        return last.start <= at
    # A late restoration or degradation changes nothing while another signal has kept the line down since before it.
    return last.start < at and any(
        line.signals[other] is Impairment.DOWN and times.by_signal[other] <= at and other != signal
        for other in islice(line.signals, _SEARCH_LIMIT)
    )
