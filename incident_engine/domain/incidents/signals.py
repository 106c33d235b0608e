"""Signals: the alarms behind an impairment, the restorations that end it, and the order in which events count.

An outage event may name a signal: the alert, trigger or check behind it. A signal belongs to its source: two monitors
may use the same name. A restoration that names a signal ends only the outage of its own source's signal; one without a
signal ends them all, of every source. A service is impaired in a region while any signal is active.

An end ends earlier beginnings. A beginning at the same instant it ends only if it is of the same source and signal
and there was nothing else to end: such an outage has no length.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby, islice

from incident_engine.domain.events.model import Event, OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.incident import Impairment, Interval
from incident_engine.domain.values import NEVER

Signal = tuple[str, str]
"""The source of a signal and its name; the name is empty for events without one."""

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
    return sorted(unique.values(), key=lambda recorded: sort_key(recorded.event))


def signal_of(event: OutageEvent) -> Signal:
    """Return the signal of an outage event, with the source to which it belongs."""
    return event.source, event.data.signal or ""


def ends_listed_after_their_starts(events: Sequence[Event]) -> set[tuple[str, str]]:
    """Return the keys of the ends that stand, in a request, after a start of their signal that occurred later."""
    outages = [event for event in events if isinstance(event, OutageEvent)]
    if len(outages) == 1 or all(event.type != EventType.OUTAGE_RESTORED for event in outages):
        return set()
    latest: dict[tuple[str, Signal], datetime] = {}
    listed_last: set[tuple[str, str]] = set()
    for event in outages:
        signal = event.service, signal_of(event)
        if event.type != EventType.OUTAGE_RESTORED:
            latest[signal] = max(event.occurred_at, latest.get(signal, event.occurred_at))
        elif signal in latest and latest[signal] > event.occurred_at:
            listed_last.add((event.source, event.id))
    return listed_last


def apply_signal(active: dict[Signal, Impairment], event: OutageEvent) -> None:
    """Update the active signals of one service in one region with the next event."""
    if event.type == EventType.OUTAGE_STARTED:
        active[signal_of(event)] = Impairment.DOWN
    elif event.type == EventType.OUTAGE_DEGRADED:
        active[signal_of(event)] = Impairment.DEGRADED
    elif event.data.signal:
        active.pop(signal_of(event), None)
    else:
        active.clear()


def is_ended_by(active: Mapping[Signal, Impairment], event: OutageEvent) -> bool:
    """Return whether a restoration ends any of the active signals of a service in a region."""
    return signal_of(event) in active if event.data.signal else bool(active)


Voided = Mapping[tuple[str, str], frozenset[str]]
"""By the key of a start: the regions in which its outage was over when it began."""


def voided_starts(ordered: Sequence[Recorded]) -> Voided:
    """Return the starts, of events in order, whose outages have no length, each with the regions where that is so.

    They are those that an end of the same source and signal ends

    - at the same instant, if nothing else was there for it to end: the outage was shorter than its monitor can tell,
      and with equal instants it says nothing which came first;
    - at an earlier instant, if the start was ahead of our clock when it was received, and the end was received after
      it: the clocks of the source differ by at least that, so the order of receipt is the better one.
    """
    outages = [recorded for recorded in ordered if isinstance(recorded.event, OutageEvent)]
    ended_at = {r.event.occurred_at for r in outages if r.event.type == EventType.OUTAGE_RESTORED}
    overtaken = _overtaken_starts(outages)
    # Most histories have neither case, and need no second look at each event.
    if not overtaken and not any(
        r.event.occurred_at in ended_at and r.event.type != EventType.OUTAGE_RESTORED for r in outages
    ):
        return {}
    voided: dict[tuple[str, str], set[str]] = defaultdict(set)
    active: dict[tuple[str, str], dict[Signal, Impairment]] = defaultdict(dict)
    for at, group in groupby(outages, key=_occurred_at):
        events = [recorded.event for recorded in group if isinstance(recorded.event, OutageEvent)]
        spare = _spare_ends(events, active) if at in ended_at else Counter()
        started: Counter[tuple[object, ...]] = Counter()
        for event in events:
            key, signal = (event.source, event.id), signal_of(event)
            for region in event.regions:
                line = event.service, region
                # One end is enough for an outage and a degradation of its signal.
                kind = *line, signal, event.type
                if event.type != EventType.OUTAGE_RESTORED:
                    is_overtaken = region in overtaken.get(key, ())
                    started[kind] += not is_overtaken
                    if is_overtaken or started[kind] <= spare[*line, signal]:
                        voided[key].add(region)
                        continue
                apply_signal(active[line], event)
    return {key: frozenset(regions) for key, regions in voided.items()}


def _spare_ends(
    events: Iterable[OutageEvent], active: Mapping[tuple[str, str], Mapping[Signal, Impairment]]
) -> Counter[tuple[str, str, Signal]]:
    """Return the number of ends at one instant that end nothing of before, by service, region and signal."""
    ends = [event for event in events if event.type == EventType.OUTAGE_RESTORED]
    spare = Counter((event.service, region, signal_of(event)) for event in ends for region in event.regions)
    for service, region, signal in spare:
        before = active.get((service, region), {})
        has_outage = signal in before if signal[1] else bool(before)
        if has_outage:
            spare[service, region, signal] -= 1
    return spare


def _overtaken_starts(outages: Sequence[Recorded]) -> dict[tuple[str, str], set[str]]:
    """Return the regions of each start from ahead of our clock that was ended, by the order of receipt, before it.

    An end of the same signal may precede the receipt of the start by as much as the start was ahead of it: the clocks
    differ by that. An end without a signal must follow the receipt, by which the outage had started.
    """
    ahead = [r for r in outages if r.event.occurred_at > r.received_at and r.event.type != EventType.OUTAGE_RESTORED]
    if not ahead:
        return {}
    ends: dict[tuple[str, Signal | None], list[Recorded]] = defaultdict(list)
    for recorded in outages:
        event = recorded.event
        if isinstance(event, OutageEvent) and event.type == EventType.OUTAGE_RESTORED:
            ends[event.service, signal_of(event)].append(recorded)
            if not event.data.signal:
                ends[event.service, None].append(recorded)
    overtaken: dict[tuple[str, str], set[str]] = defaultdict(set)
    for recorded in ahead:
        start, received_at = recorded.event, recorded.received_at
        assert isinstance(start, OutageEvent)  # noqa: S101 - chosen from the outages
        earliest = received_at - (start.occurred_at - received_at)
        for candidates, since in (
            (ends[start.service, signal_of(start)], earliest),
            (ends[start.service, None], received_at),
        ):
            first = bisect_left(candidates, since, key=_occurred_at)
            last = bisect_left(candidates, start.occurred_at, key=_occurred_at)
            for end in candidates[first:last]:
                if end.received_at > received_at:
                    overtaken[recorded.key].update(set(end.event.regions) & set(start.regions))
    return overtaken


def _occurred_at(recorded: Recorded) -> datetime:
    return recorded.event.occurred_at


@dataclass(slots=True)
class ImpairmentHistory:
    """The impairments of one service in one region, kept while events are applied in order."""

    signals: dict[Signal, Impairment] = field(default_factory=dict)
    """The active signals."""
    intervals: list[Interval] = field(default_factory=list)

    def apply(self, event: OutageEvent, received_at: datetime) -> bool:
        """Apply the next event in order. Return whether the impairment is another now."""
        before = self.impairment()
        apply_signal(self.signals, event)
        after = self.impairment()
        # Most events of a storm add a signal and no interval.
        if after is before:
            return False
        self._set_state(event.occurred_at, after, (event.source, event.id), received_at)
        return True

    def impairment(self) -> Impairment | None:
        """Return the present impairment: the worst of all signals; None if the service works."""
        if Impairment.DOWN in self.signals.values():
            return Impairment.DOWN
        return Impairment.DEGRADED if self.signals else None

    def _set_state(
        self, at: datetime, impairment: Impairment | None, by: tuple[str, str], received_at: datetime
    ) -> None:
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
            self.intervals.append(Interval(at, NEVER, impairment, by, known_at=received_at))

    def absorb_signal(self, event: OutageEvent, received_at: datetime) -> bool:
        """Apply a late event that leaves the impairment as it is. Return True if it names another first event."""
        apply_signal(self.signals, event)
        if event.type == EventType.OUTAGE_RESTORED:
            return False
        last, by = self.intervals[-1], (event.source, event.id)
        # Of several events at one instant the first by key is named, whichever arrives first.
        if last.start != event.occurred_at or by >= last.started_by:
            return False
        self.intervals[-1] = replace(last, started_by=by, known_at=received_at)
        if len(self.intervals) > 1 and self.intervals[-2].ended_by == last.started_by:
            self.intervals[-2] = replace(self.intervals[-2], ended_by=by)
        return True


@dataclass(slots=True)
class SignalTimes:
    """The latest instant at which each signal of one service in one region was reported, and any of them."""

    last_at: datetime
    by_signal: dict[Signal, datetime] = field(default_factory=dict)
    cleared_at: datetime | None = None
    """The latest restoration without a signal, which ends the outages of all."""

    def track_signal(self, event: OutageEvent) -> None:
        """Record that the signal of an event was reported."""
        signal, at = signal_of(event), event.occurred_at
        latest = self.by_signal.get(signal)
        if latest is None or latest < at:
            self.by_signal[signal] = at
        self.last_at = max(self.last_at, at)
        if event.type == EventType.OUTAGE_RESTORED and not event.data.signal:
            self.cleared_at = max(self.cleared_at or at, at)

    def is_later(self, event: OutageEvent) -> bool:
        """Return whether an event is after every report of its signal, and after all that ended it with others."""
        at, latest = event.occurred_at, self.by_signal.get(signal_of(event))
        return (latest is None or latest < at) and (self.cleared_at is None or self.cleared_at < at)


def continues_outage(line: ImpairmentHistory, times: SignalTimes, event: OutageEvent) -> bool:
    """Return whether a late event cannot change that the line is down."""
    at = event.occurred_at
    last = line.intervals[-1] if line.intervals else None
    if last is None or last.end != NEVER or last.impairment is not Impairment.DOWN:
        return False
    # An event without a signal may end the outages of all others, so the order matters.
    if not event.data.signal or not times.is_later(event):
        return False
    if event.type == EventType.OUTAGE_STARTED:
        return last.start <= at
    # A late restoration or degradation changes nothing while another signal has kept the line down since before it.
    own = signal_of(event)
    return last.start < at and any(
        line.signals[other] is Impairment.DOWN and times.by_signal[other] <= at and other != own
        for other in islice(line.signals, _SEARCH_LIMIT)
    )
