"""Outages by source and signal agree with a model that asks, second by second, for the latest start and its end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.budget import examples
from support.builders import CHINA, at, recorded

from incident_engine.domain.events.model import OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.correlation import split
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Impairment, Incident
from incident_engine.domain.incidents.incremental import FoldEffect, IncrementalFold

THOROUGH = examples(full=600, quick=150)
START = at("10:00")
SECOND = timedelta(seconds=1)
LAST = 14
KINDS = ("outage.started", "outage.started", "outage.degraded", "outage.restored", "outage.restored")
REGIONS = (("CN-GD",), ("CN-HN",), ("CN-GD", "CN-HN"), ("CN-HN", "CN-GD"))


@dataclass(frozen=True)
class Told:
    """What a monitor tells, in seconds; `late` is negative if its clock is ahead of ours."""

    kind: str
    second: int
    late: int
    source: str
    signal: str
    regions: tuple[str, ...]


told = st.builds(
    Told,
    st.sampled_from(KINDS),
    st.integers(0, LAST - 4),
    st.sampled_from([-3, -2, -1, 0, 0, 0, 0, 1, 2, 5]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "ping", "login"]),
    st.sampled_from(REGIONS),
)
histories = st.lists(told, max_size=9)


def received(history: Sequence[Told]) -> list[Recorded]:
    """Return the events in the order in which they were received, each at an instant of its own."""
    made = []
    for index, one in enumerate(history):
        data = {"signal": one.signal} if one.signal else {}
        when = START + one.second * SECOND
        came = when + one.late * SECOND + index * timedelta(microseconds=1)
        fields = {"source": one.source, "id": f"e{index}", "regions": one.regions, "data": data}
        made.append(recorded(one.kind, when, came, **fields))
    return sorted(made, key=lambda each: each.received_at)


def event_of(each: Recorded) -> OutageEvent:
    assert isinstance(each.event, OutageEvent)
    return each.event


def is_overtaken(start: Recorded, ends: Sequence[Recorded]) -> bool:
    """Return whether a start from the future was ended, by the order of receipt, before it."""
    begun = event_of(start)
    ahead = begun.occurred_at - start.received_at
    if ahead <= timedelta(0):
        return False
    for end in ends:
        over = event_of(end)
        if end.received_at <= start.received_at or over.occurred_at >= begun.occurred_at:
            continue
        own = (over.source, over.data.signal) == (begun.source, begun.data.signal)
        if own and over.occurred_at >= start.received_at - ahead:
            return True
        if over.data.signal is None and over.occurred_at >= start.received_at:
            return True
    return False


def modelled(events: Sequence[Recorded], region: str) -> list[Impairment | None]:
    """Return how badly the service works in a region in each second, from the definition alone."""
    here = [each for each in events if region in event_of(each).regions]
    ends = [each for each in here if event_of(each).type is EventType.OUTAGE_RESTORED]
    starts = [each for each in here if each not in ends and not is_overtaken(each, ends)]
    standing: list[Recorded] = []

    def active(signal: tuple[str, str | None], second: int) -> Impairment | None:
        """Return the impairment by the latest start of a signal, unless an end followed it."""
        now = START + second * SECOND
        own = [
            event_of(each)
            for each in standing
            if (event_of(each).source, event_of(each).data.signal) == signal and event_of(each).occurred_at <= now
        ]
        if not own:
            return None
        since = max(event.occurred_at for event in own)
        for end in ends:
            over = event_of(end)
            concerns = over.data.signal is None or (over.source, over.data.signal) == signal
            if concerns and since < over.occurred_at <= now:
                return None
        latest = {event.type for event in own if event.occurred_at == since}
        return Impairment.DOWN if EventType.OUTAGE_STARTED in latest else Impairment.DEGRADED

    signals = {(event_of(each).source, event_of(each).data.signal) for each in here}
    states: list[Impairment | None] = []
    for second in range(LAST + 1):
        now = START + second * SECOND
        before = {signal for signal in signals if active(signal, second - 1) is not None}
        for signal in signals:
            idle = not before if signal[1] is None else signal not in before
            own_ends = [
                end
                for end in ends
                if event_of(end).occurred_at == now and (event_of(end).source, event_of(end).data.signal) == signal
            ]
            over = max(0, len(own_ends) - (not idle))  # one of them ends what was there before
            for kind in (EventType.OUTAGE_STARTED, EventType.OUTAGE_DEGRADED):
                begun = [
                    each
                    for each in starts
                    if event_of(each).occurred_at == now
                    and event_of(each).type is kind
                    and (event_of(each).source, event_of(each).data.signal) == signal
                ]
                standing += begun[over:]
        found = {active(signal, second) for signal in signals}
        states.append(next((state for state in (Impairment.DOWN, Impairment.DEGRADED) if state in found), None))
    return states


def folded(incident: Incident, region: str) -> list[Impairment | None]:
    """Return the same of a folded incident."""
    intervals = [interval for outage in incident.outages if outage.region == region for interval in outage.intervals]

    def state(when: datetime) -> Impairment | None:
        return next((interval.impairment for interval in intervals if interval.start <= when < interval.end), None)

    return [state(START + second * SECOND) for second in range(LAST + 1)]


def each_region(events: Sequence[Recorded]) -> Iterator[tuple[str, list[Impairment | None]]]:
    for region in ("CN-GD", "CN-HN"):
        yield region, modelled(events, region)


@THOROUGH
@given(histories, st.randoms(use_true_random=False))
def test_every_second_is_as_the_definition_says_in_any_order(history: list[Told], random: object) -> None:
    events = received(history)
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for region, expected in each_region(events):
        assert folded(fold("INC-1", shuffled), region) == expected


@THOROUGH
@given(histories)
def test_event_by_event_as_received_it_is_the_same(history: list[Told]) -> None:
    events = received(history)
    standing = IncrementalFold("INC-1", events[:1])
    for count, each in enumerate(events[1:], 2):
        if standing.apply(each) is FoldEffect.REFOLD:
            standing = IncrementalFold("INC-1", events[:count])
        assert repr(standing.incident) == repr(fold("INC-1", events[:count]))
    for region, expected in each_region(events):
        assert folded(standing.incident, region) == expected


@THOROUGH
@given(histories)
def test_a_history_that_is_split_loses_nothing(history: list[Told]) -> None:
    events = received(history)
    incidents = [fold(name, part) for name, part in split(events, {}, timedelta(hours=2), CHINA).items()]
    assert len(incidents) <= 1, "all of it is within the window"
    for region, expected in each_region(events):
        for incident in incidents:
            assert folded(incident, region) == expected
