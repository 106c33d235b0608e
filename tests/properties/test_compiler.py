"""The compiled form of a pack means what its conditions mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.budget import examples

from incident_engine.domain.grading.compiler import FOREVER, counted_intervals, instant_of, microseconds, program_of
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.level_history import level_history
from incident_engine.domain.grading.pack_levels import level_changes
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.incidents.incident import Impairment, Incident, Interval, Outage
from incident_engine.domain.values import NEVER

DAY = datetime(2026, 3, 2, tzinfo=UTC)
REGIONS = ("CN-BJ", "CN-GD", "CN-HN", "CN-SC", "CN-SH")
TEXT = {"zh-CN": "文", "en": "text"}

lengths = st.sampled_from(["1m", "5m", "10m", "30m"])
bounds = st.sampled_from(["at_least", "more_than"])
limits = st.builds(
    lambda count, bound, length: {"regions_down": {"at_least": count, "for": {bound: length}}},
    st.integers(1, 4),
    bounds,
    lengths,
)


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        parts.map(lambda of: {"any": of}),
        parts.map(lambda of: {"all": of}),
        parts.flatmap(lambda of: st.integers(1, len(of)).map(lambda n: {"n_of": {"at_least": n, "of": of}})),
    )


conditions = st.recursive(limits, _combined, max_leaves=6)


def pack_of(when: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        "pack": "some",
        "version": "1",
        "title": TEXT,
        "source": "here",
        "in_force": {"from": "2020-01-01"},
        "country": "CN",
        "levels": [{"id": level, "name": TEXT} for level in ("A", "B", "C")],
        "rules": [
            {"id": f"r{place}", "level": level, "cite": f"Art. {place}", "says": TEXT, "when": condition}
            for place, (level, condition) in enumerate(when)
        ],
    }


packs = st.lists(st.tuples(st.sampled_from(["A", "B", "C"]), conditions), min_size=1, max_size=5).map(
    lambda rules: parse_pack(pack_of(rules))
)

steps = st.integers(1, 40)


@st.composite
def outages(draw: st.DrawFn, region: str) -> Outage:
    at, intervals = DAY + timedelta(minutes=draw(st.integers(0, 60))), []
    for _ in range(draw(st.integers(1, 4))):
        end = at + timedelta(minutes=draw(steps), microseconds=draw(st.sampled_from([0, 0, 1, -1])))
        intervals.append(Interval(at, end, Impairment.DOWN))
        at = end + timedelta(minutes=draw(steps))
    if draw(st.booleans()):
        intervals.append(Interval(at, NEVER, Impairment.DOWN))
    return Outage(draw(st.sampled_from(["core", "mobile"])), region, tuple(intervals))


incidents = st.lists(st.sampled_from(REGIONS), unique=True).flatmap(
    lambda regions: st.tuples(*(outages(region) for region in regions)).map(lambda found: Incident("INC-1", found))
)


@settings(examples(full=300, quick=75), derandomize=False)
@given(packs, incidents)
def test_the_compiled_and_the_interpreted_form_agree(pack: Any, incident: Incident) -> None:
    downtime = Downtime(incident, {}, pack.region_prefix, pack.interpretation)
    program = program_of(pack)
    assert program is not None
    spans = counted_intervals(downtime, FOREVER)
    interpreted = {rule.id: reach(rule.when, downtime, pack.conditions) for rule in pack.rules}
    compiled = dict(zip(program.rules, map(instant_of, program.instants(spans)), strict=True))
    assert compiled == interpreted
    # What lies beyond the longest limit changes nothing.
    assert program.instants(counted_intervals(downtime, program.longest)) == program.instants(spans)
    changes = level_history(pack.severity, level_changes(pack, interpreted))
    assert [(instant_of(rise.at), rise.level, rise.rule) for rise in program.history(spans)] == [
        (step.at, step.level, step.rule) for step in changes
    ]


@settings(examples(full=150, quick=40), derandomize=False)
@given(packs, incidents, st.integers(0, 400))
def test_the_trace_holds_what_the_level_rests_on(pack: Any, incident: Incident, minute: int) -> None:
    downtime = Downtime(incident, {}, pack.region_prefix, pack.interpretation)
    program = program_of(pack)
    assert program is not None
    now = DAY + timedelta(minutes=minute)
    spans = counted_intervals(downtime, FOREVER)
    trace = program.trace(spans, microseconds(now))
    assert trace.history == program.history(spans)
    assert trace.level == next((rise.level for rise in reversed(trace.history) if instant_of(rise.at) <= now), None)
    assert [rule.rule for rule in trace.rules] == [
        rule.id for rule in pack.rules if reach(rule.when, downtime, pack.conditions) <= now
    ]
    totals = [timedelta(microseconds=region.total) for region in trace.regions]
    assert totals == [downtime.elapsed(region, None, now) for region in downtime.regions]
    for rule in trace.rules:
        for limit in rule.limits:
            length = timedelta(microseconds=limit.length)
            assert instant_of(limit.at) == downtime.reach(limit.regions, length, None)
            assert [(instant_of(at), downtime.regions[place]) for at, place in limit.met] == sorted(
                (at, region) for region in downtime.regions if (at := downtime.reach_in(region, length, None)) < NEVER
            )
