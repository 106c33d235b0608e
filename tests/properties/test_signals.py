"""Outages by source and signal agree with a model that asks at each instant for the latest start and its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.budget import examples
from support.builders import CHINA, at, recorded
from support.outage_model import folded, modelled

from incident_engine.domain.events.model import Recorded
from incident_engine.domain.incidents.correlation import split
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.incidents.incremental import FoldEffect, IncrementalFold

THOROUGH = examples(full=600, quick=150)
START = at("10:00")
SECOND = timedelta(seconds=1)
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
    st.integers(0, 10),
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


def agrees(incident: Incident, events: Sequence[Recorded]) -> bool:
    """Return whether an incident is as the model says, in every region."""
    for region in ("CN-GD", "CN-HN"):
        expected = modelled(events, "core-banking", region)
        if folded(incident, "core-banking", region, [instant for instant, _ in expected]) != expected:
            return False
    return True


@THOROUGH
@given(histories, st.randoms(use_true_random=False))
def test_every_instant_is_as_the_definition_says_in_any_order(history: list[Told], random: Random) -> None:
    events = received(history)
    shuffled = list(events)
    random.shuffle(shuffled)
    assert agrees(fold("INC-1", shuffled), events)


@THOROUGH
@given(histories)
def test_event_by_event_as_received_it_is_the_same(history: list[Told]) -> None:
    events = received(history)
    standing = IncrementalFold("INC-1", events[:1])
    for count, each in enumerate(events[1:], 2):
        if standing.apply(each) is FoldEffect.REFOLD:
            standing = IncrementalFold("INC-1", events[:count])
        assert repr(standing.incident) == repr(fold("INC-1", events[:count]))
    assert agrees(standing.incident, events)


@THOROUGH
@given(histories)
def test_a_history_that_is_split_loses_nothing(history: list[Told]) -> None:
    events = received(history)
    incidents = [fold(name, part) for name, part in split(events, {}, timedelta(hours=2), CHINA).items()]
    assert len(incidents) <= 1, "all of it is within the window"
    assert all(agrees(incident, events) for incident in incidents)
