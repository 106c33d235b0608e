"""Keeping an incident folded event by event gives what folding all its events at once gives."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from support.budget import examples
from support.builders import at, closed, degraded, recorded, restored, started

from incident_engine.domain.events.model import MaintenanceAnnounced, Recorded
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Impairment, Incident
from incident_engine.domain.incidents.incremental import FoldEffect, IncrementalFold
from incident_engine.domain.values import NEVER

THOROUGH = examples(full=400, quick=100)
MAKERS = (started, started, started, restored, restored, degraded)
START = at("10:00")


def outage(kind: int, minute: int, place: int, signal: str, number: int) -> Recorded:
    when = START.replace(minute=minute)
    return MAKERS[kind](when, ("CN-GD", "CN-HN")[place], signal=signal, id=f"evt-{number % 7}-{minute}-{kind}-{number}")


def word(kind: int, minute: int, number: int) -> Recorded:
    when = START.replace(minute=minute)
    given = {"service": "core-banking", "id": f"word-{number}"}
    if kind == 0:
        return recorded("note.added", when, data={"by": "a", "text": "b"}, **given)
    if kind == 1:
        return closed(when, **given)
    if kind == 2:
        judged = {"kind": "customers", "seriousness": "serious", "cause": "data_leak", "by": "a", "reason": "b"}
        return recorded("harm.assessed", when, data=judged, **given)
    if kind == 3:
        figures = {"by": "a", "measures": {"customers": number}, "root_cause": "b"}
        return recorded("impact.measured", when, data=figures, **given)
    window = {"start": when, "end": when.replace(hour=12)}
    return recorded("maintenance.announced", when, service="core-banking", id=f"word-{number}", data=window)


outages = st.builds(
    outage,
    st.integers(0, 5),
    st.integers(0, 6),
    st.integers(0, 1),
    st.sampled_from(["", "a", "b", "c"]),
    st.integers(0, 10_000),
)
anything = st.one_of(
    outages, outages, outages, st.builds(word, st.integers(0, 4), st.integers(0, 6), st.integers(0, 10_000))
)


def said(incident: Incident) -> str:
    """Return all of an incident, also what does not count when two are compared: who said so."""
    return repr(incident)


def impaired(incident: Incident) -> dict[tuple[str, str], Impairment]:
    latest = ((o.service, o.region, o.intervals[-1]) for o in incident.outages)
    return {(service, region): last.impairment for service, region, last in latest if last.end == NEVER}


@THOROUGH
@given(st.lists(anything, max_size=25, unique_by=lambda each: each.key), st.integers(0, 5))
def test_event_by_event_is_the_same_as_all_at_once(events: list[Recorded], known: int) -> None:
    received = [Recorded(each.event, at("12:00").replace(second=place)) for place, each in enumerate(events)]
    standing = IncrementalFold("INC-1", received[:known])
    for place, each in enumerate(received[known:], known + 1):
        before = standing.incident
        effect = standing.apply(each)
        if effect is FoldEffect.REFOLD:
            assert standing.incident is before, "nothing was taken"
            standing = IncrementalFold("INC-1", received[:place])
        whole = fold("INC-1", received[:place])
        assert said(standing.incident) == said(whole)
        assert dict(standing.impaired) == impaired(whole)
        assert standing.is_closed == (whole.closing is not None)
        if effect is FoldEffect.UNCHANGED:
            assert whole == before


def test_a_storm_of_one_outage_is_taken_in_any_order_without_looking_back() -> None:
    whole = [started(START.replace(minute=n % 50 + 5), signal=f"s{n}", id=f"evt-{n}") for n in range(500)]
    late = [restored(START.replace(minute=58), signal=f"s{n}", id=f"end-{n}") for n in reversed(range(400))]
    standing = IncrementalFold("INC-1", [started(START, signal="first")])
    effects = Counter(standing.apply(each) for each in [*reversed(whole), *late])
    assert effects == {FoldEffect.UNCHANGED: 900}
    assert said(standing.incident) == said(fold("INC-1", [started(START, signal="first"), *whole, *late]))
    assert standing.weight == 901


def test_of_several_signals_at_one_instant_the_first_by_name_began_it() -> None:
    standing = IncrementalFold("INC-1", [started(START, signal="b", id="evt-2")])
    assert standing.apply(started(START, signal="a", id="evt-1")) is FoldEffect.UNCHANGED
    assert standing.incident.outages[0].intervals[0].started_by == ("monitor", "evt-1")


def test_maintenance_is_left_to_those_who_can_look_it_up() -> None:
    standing = IncrementalFold("INC-1", [started(START)])
    window = {"start": at("11:00"), "end": at("12:00")}
    announced = recorded("maintenance.announced", START, service="core-banking", data=window)
    assert isinstance(announced.event, MaintenanceAnnounced)
    assert standing.apply(announced) is FoldEffect.REFOLD
    assert standing.apply(started(at("10:05"), service="mobile-banking")) is FoldEffect.REFOLD


def test_what_names_no_signal_ends_all_also_what_is_told_late() -> None:
    minute = [at(f"10:{place:02}") for place in range(0, 60, 10)]
    known = [
        started(minute[0], signal="a"),
        restored(minute[3]),
        started(minute[3], signal="b"),
    ]
    late, last = started(minute[2], signal="s"), restored(minute[5], signal="b")
    standing = IncrementalFold("INC-1", known)
    assert standing.apply(late) is FoldEffect.REFOLD
    standing = IncrementalFold("INC-1", [*known, late])
    standing.apply(last)
    assert said(standing.incident) == said(fold("INC-1", [*known, late, last]))
    assert not standing.incident.is_down
