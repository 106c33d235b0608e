"""What must hold for every history of events, not only for the examples."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from support.budget import examples
from support.builders import (
    CHINA,
    RULES,
    at,
    cbrc,
    closed,
    degraded,
    recorded,
    reported,
    restored,
    rulebook,
    started,
    steps_of,
    verdict,
)
from support.fixtures import house
from support.reproduction import reproduced

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.calendar.service_hours import (
    ALWAYS,
    Interrupted,
    Segment,
    ServiceHours,
    WeeklyHours,
    elapsed,
    reach,
    union,
    weekly_hours,
)
from incident_engine.domain.events.model import LevelCorrected, Recorded, wire
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment_document import assessment_document
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.reconcile import Changes, reconcile
from incident_engine.domain.response.step import Step, StepState
from incident_engine.domain.values import NEVER

FAST = examples(full=150, quick=30)
STORED = examples(full=20, quick=4)
SLOW = examples(full=100, quick=15)

MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)
MONDAY = at("2013-06-24 00:00")
COUNTER_OPEN = range(9 * 60, 17 * 60)
"""The minutes of the day at which the counter is open."""
HOURS: dict[str, ServiceHours] = {"counter": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}
SERVICES = ("core-banking", "counter")
PROVINCES = ("CN-GD", "CN-HN", "CN-SC")
DAY = 24 * 60
PACKS = [parse_pack(load_file(path).data) for path in sorted((RULES / "grading").glob("*.yaml"))]


def minute(count: int) -> datetime:
    return MONDAY + count * MINUTE


@dataclass(frozen=True)
class Out:
    """One outage, in minutes of the day; `end` is None while it lasts."""

    service: str
    region: str
    start: int
    end: int | None


def make_out(service: str, region: str, start: int, length: int | None) -> Out:
    return Out(service, region, start, None if length is None else start + length)


outs = st.builds(
    make_out,
    st.sampled_from(SERVICES),
    st.sampled_from(PROVINCES),
    st.integers(0, DAY - 1),
    st.one_of(st.none(), st.integers(1, 500)),
)
histories = st.lists(outs, max_size=6)


def told(history: list[Out]) -> list[Recorded]:
    """Return the events of outages: each with a signal of its own, so that none ends another."""
    events: list[Recorded] = []
    for place, out in enumerate(history):
        signal = f"s{place}"
        events.append(started(minute(out.start), out.region, signal=signal, service=out.service))
        if out.end is not None:
            events.append(restored(minute(out.end), out.region, signal=signal, service=out.service))
    return events


def rank(level: str | None) -> int:
    return cbrc().severity[level] if level else 0


def simulated(history: list[Out], until: int) -> list[str | None]:
    """Return the level at the beginning of each minute, counted minute by minute as Art. 9 says."""
    totals = dict.fromkeys(PROVINCES, 0)
    levels: list[str | None] = []
    for now in range(until):
        two = sorted(totals.values())[-2]
        one = max(totals.values())
        if two >= 180 or one >= 360:
            levels.append("I")
        elif two >= 30 or one >= 180:
            levels.append("II")
        else:
            levels.append("III" if one >= 30 else None)
        for province in PROVINCES:
            totals[province] += any(
                out.region == province
                and out.start <= now
                and (out.end is None or now < out.end)
                and (out.service != "counter" or now % DAY in COUNTER_OPEN)
                for out in history
            )
    return levels


@SLOW
@given(histories, st.integers(0, 2 * DAY))
def test_the_level_is_that_of_a_simulation_minute_by_minute(history: list[Out], now: int) -> None:
    found = verdict(minute(now), *told(history), hours=HOURS)
    expected = simulated(history, 2 * DAY + 1)
    assert [found.level_at(minute(count)) for count in range(2 * DAY + 1)] == expected
    assert found.level == expected[now]


@FAST
@given(histories, st.integers(0, 2 * DAY), st.integers(0, 2 * DAY))
def test_the_level_at_an_instant_agrees_with_the_trajectory_and_with_a_verdict_given_then(
    history: list[Out], now: int, then: int
) -> None:
    events = told(history)
    found, other = verdict(minute(now), *events, hours=HOURS), verdict(minute(then), *events, hours=HOURS)
    assert found.level_at(minute(then)) == other.level
    assert (*found.trajectory, *found.forecast) == (*other.trajectory, *other.forecast)
    for step in (*found.trajectory, *found.forecast):
        assert found.level_at(step.at) == step.level
        assert rank(found.level_at(step.at - TICK)) < rank(step.level)


@FAST
@given(histories, outs)
def test_another_outage_never_lowers_the_level(history: list[Out], more: Out) -> None:
    without = verdict(NEVER - MINUTE, *told(history))
    with_more = verdict(NEVER - MINUTE, *told([*history, more]))
    for step in without.trajectory:
        assert rank(with_more.level_at(step.at)) >= rank(step.level)


@FAST
@given(st.lists(outs, min_size=1, max_size=5), st.data())
def test_a_longer_outage_never_lowers_the_level(history: list[Out], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(history) - 1))
    out = history[place]
    end = data.draw(st.one_of(st.none(), st.integers(1, 500).map(lambda more: (out.end or 0) + more)))
    start = data.draw(st.integers(0, out.start))
    longer = [
        *history[:place],
        Out(out.service, out.region, start, None if out.end is None else end),
        *history[place + 1 :],
    ]
    before, after = (verdict(minute(3 * DAY), *told(each), hours=HOURS) for each in (history, longer))
    for step in (*before.trajectory, *before.forecast):
        assert rank(after.level_at(step.at)) >= rank(step.level)


# Any events at all.


def make_event(kind: int, when: int, region: str, service: str, signal: str | None) -> Recorded:
    instant = minute(when)
    match kind:
        case 0 | 1 | 2 | 3:
            return started(instant, region, service=service, signal=signal)
        case 4:
            return degraded(instant, region, service=service, signal=signal)
        case 5 | 6:
            return restored(instant, region, service=service, signal=signal)
        case 7:
            return reported(instant)
        case 8:
            return closed(instant)
        case 9:
            return recorded("recovery.estimated", instant, data={"recovery_at": minute(when + 90)})
        case 10:
            return recorded("note.added", instant, data={"text": "x"})
    return make_judgement(kind, when, region, service)


def make_judgement(kind: int, when: int, region: str, service: str) -> Recorded:
    """Return what a person judges, measures, announces or decides."""
    instant, said = minute(when), {"by": "李", "reason": "x"}
    match kind:
        case 11:
            return recorded("repair.failed", instant, service=service if when % 2 else None, data=said)
        case 12:
            return recorded("plan.failed", instant, data=said)
        case 13:
            harms = ["economic_disorder", "financial_stability", "public", "bank", "customers"]
            seriousness = ["considerable", "serious", "particularly_serious"][when % 3]
            judged = {"kind": harms[when % 5], "seriousness": seriousness, "cause": "data_loss"}
            return recorded("harm.assessed", instant, data=judged | said)
        case 14:
            return recorded("impact.measured", instant, data={"by": "李", "measures": {"loss": when, "media": True}})
        case 15:
            window = {"start": minute(when + 10), "end": minute(when + 90)}
            regions = [] if when % 2 else [region]
            return recorded("maintenance.announced", instant, service=service, regions=regions, data=window)
    return recorded("level.corrected", instant, data={"level": (None, "III", "II", "I")[when % 4]} | said)


def histories_of(kinds: int) -> st.SearchStrategy[list[Recorded]]:
    return st.lists(
        st.builds(
            make_event,
            st.integers(0, kinds - 1),
            st.integers(0, 600),
            st.sampled_from([*PROVINCES, "DE-HE"]),
            st.sampled_from([*SERVICES, "mobile"]),
            st.sampled_from([None, "ping", "login"]),
        ),
        max_size=12,
    )


anything = histories_of(17)
uncorrected = histories_of(16)


def received_one_by_one(events: list[Recorded]) -> list[Recorded]:
    """Return the same events, received in the order of the list."""
    return [Recorded(each.event, minute(1000 + place)) for place, each in enumerate(events)]


@FAST
@given(anything, st.data())
def test_events_in_any_order_and_sent_again_give_the_same_incident(events: list[Recorded], data: st.DataObject) -> None:
    known = received_one_by_one(events)
    again = [Recorded(each.event, each.received_at + MINUTE * 500) for each in known]
    repeated = data.draw(st.lists(st.sampled_from(again), max_size=5)) if again else []
    shuffled = data.draw(st.permutations([*known, *repeated]))
    assert fold("INC-1", shuffled) == fold("INC-1", known)


@FAST
@given(anything)
def test_impairments_stand_in_order_without_overlap_and_without_needless_seams(events: list[Recorded]) -> None:
    for outage in fold("INC-1", events).outages:
        for interval in outage.intervals:
            assert interval.start < interval.end
        for earlier, later in pairwise(outage.intervals):
            assert earlier.end <= later.start
            assert earlier.end < later.start or earlier.impairment is not later.impairment


@FAST
@given(anything, st.integers(-100, 2000), st.booleans())
def test_a_verdict_and_a_plan_can_be_given_on_every_history(events: list[Recorded], now: int, weekly: bool) -> None:
    incident = fold("INC-1", events)
    found = assess(incident, cbrc(), HOURS if weekly else {}, minute(now))
    assert assessment_document(found, CHINA)["level"] == found.level
    wanted = plan(incident, [found], rulebook().playbooks, minute(now))
    assert len({step.id for step in wanted}) == len(wanted)
    assert all(step.due_at < NEVER for step in wanted)


@FAST
@given(anything, st.integers(-100, 2000), st.sampled_from(PACKS))
def test_every_shipped_pack_gives_a_verdict_on_every_history(events: list[Recorded], now: int, pack: Pack) -> None:
    document = assessment_document(assess(fold("INC-1", events), pack, HOURS, minute(now)), CHINA)
    assert document["pack"] == pack.pack
    assert json.loads(json.dumps(document)) == document


@FAST
@given(uncorrected)
def test_a_level_once_given_never_falls_in_whatever_order_reports_arrive(events: list[Recorded]) -> None:
    arrived = received_one_by_one(events)
    held: tuple[LevelChange, ...] = ()
    level = 0
    for count, latest in enumerate(arrived, 1):
        found = assess(fold("INC-1", arrived[:count]), cbrc(), HOURS, latest.received_at, held)
        assert rank(found.level) >= level
        held, level = found.trajectory, rank(found.level)


@FAST
@given(anything)
def test_a_level_falls_by_a_persons_word_alone(events: list[Recorded]) -> None:
    arrived = received_one_by_one(events)
    held: tuple[LevelChange, ...] = ()
    before: str | None = None
    for count, latest in enumerate(arrived, 1):
        found = assess(fold("INC-1", arrived[:count]), cbrc(), HOURS, latest.received_at, held)
        if rank(found.level) < rank(before):
            assert any(step.correction is not None for step in found.trajectory)
        if not any(isinstance(each.event, LevelCorrected) for each in arrived[:count]):
            assert rank(found.level) >= rank(before)
        for earlier, later in pairwise(found.trajectory):
            assert later.correction is not None or rank(later.level) > rank(earlier.level)
        held, before = tuple(step for step in found.trajectory if step.correction is None), found.level


@FAST
@given(anything, st.integers(-100, 2000))
def test_each_obligation_stands_in_one_state_under_a_name_of_its_own(events: list[Recorded], now: int) -> None:
    found = assess(fold("INC-1", events), cbrc(), HOURS, minute(now))
    assert {status.id for status in found.obligations} == {demand.id for demand in cbrc().obligations}
    assert len({status.key for status in found.obligations}) == len(found.obligations)
    for status in found.obligations:
        match status.state:
            case ObligationState.MET:
                assert status.met_at is not None
                assert status.met_at <= minute(now)
            case ObligationState.PENDING | ObligationState.OVERDUE:
                assert status.due_at is not None
                assert (minute(now) > status.due_at) is (status.state is ObligationState.OVERDUE)
                assert status.applies_at is not None
                assert status.applies_at <= minute(now)
            case ObligationState.NOT_APPLICABLE:
                assert status.due_at is None or status.applies_at is None or status.applies_at > minute(now)


@FAST
@given(anything, st.integers(600, 1400), st.data())  # by then all that is reported has happened
def test_the_same_facts_give_the_same_plan_with_the_same_ids(
    events: list[Recorded], now: int, data: st.DataObject
) -> None:
    def steps_from(history: list[Recorded], when: int) -> tuple[Step, ...]:
        incident = fold("INC-1", history)
        return plan(incident, [assess(incident, cbrc(), HOURS, minute(when))], rulebook().playbooks, minute(when))

    known = received_one_by_one(events)
    first = steps_from(known, now)
    assert steps_from(data.draw(st.permutations(known)), now) == first
    reminders = {step for step in first if step.step == "first-report-reminder"}
    # Time alone changes nothing in the plan but that nobody is reminded of what is overdue.
    assert set(first) - set(steps_from(known, now + 60)) <= reminders
    assert set(steps_from(known, now + 60)) <= set(first)
    for step in first:
        assert step.id == f"INC-1:{step.playbook}:{step.step}:{step.instance}"


@STORED
@given(anything, st.lists(st.integers(0, 90), min_size=12, max_size=12))
def test_every_verdict_that_is_stored_of_any_history_can_be_reproduced(
    events: list[Recorded], waits: list[int]
) -> None:
    with TemporaryDirectory() as folder, house(Path(folder)) as engine:
        now = minute(0)
        engine.report(now, wire(started(now).event) | {"incident": "INC-1"})
        for place, (recorded_, wait) in enumerate(zip(events, waits, strict=False)):
            document = wire(recorded_.event) | {"id": f"e{place}"}
            about = {} if document["type"] == "maintenance.announced" else {"incident": "INC-1"}
            now = max(now, recorded_.event.occurred_at) + wait * MINUTE
            with suppress(InvalidDocumentError):  # such as closing what is still down
                engine.report(now, document | about)
            engine.fire(now + wait * MINUTE)
            now += wait * MINUTE
        assert reproduced(engine) >= 1


# Reconciling.

names = st.sampled_from([f"step-{number}" for number in range(6)])
instants = st.integers(0, 300).map(minute)
Stored = dict[str, tuple[StepState, datetime]]
stored = st.dictionaries(names, st.tuples(st.sampled_from(StepState), instants))
wishes = st.dictionaries(names, instants).map(
    lambda chosen: [Step(name, "p", name, "1", due, "duty-team", "t") for name, due in chosen.items()]
)


def applied(existing: Stored, changes: Changes) -> Stored:
    result = dict(existing)
    for step in (*changes.insert, *changes.reschedule):
        result[step.id] = (StepState.PENDING, step.due_at)
    for name in changes.withdraw:
        result[name] = (StepState.WITHDRAWN, result[name][1])
    return result


@FAST
@given(stored, wishes)
def test_reconciling_twice_changes_nothing_more(existing: Stored, wanted: list[Step]) -> None:
    after = applied(existing, reconcile(existing, wanted))
    assert not reconcile(after, wanted)


@FAST
@given(stored, wishes)
def test_reconciling_leaves_the_wanted_steps_and_what_has_begun(existing: Stored, wanted: list[Step]) -> None:
    begun = {
        name: entry
        for name, entry in existing.items()
        if entry[0] in (StepState.STARTED, StepState.FAILED, StepState.COMPLETED, StepState.SKIPPED)
    }
    after = applied(existing, reconcile(existing, wanted))
    assert {name: after[name] for name in begun} == begun
    pending = {name: due for name, (state, due) in after.items() if state is StepState.PENDING}
    waiting = {name for name, (state, _) in after.items() if state is StepState.AWAITING}
    assert waiting <= {step.id for step in wanted}, "words about what is no longer wanted wait for nobody"
    assert pending == {step.id: step.due_at for step in wanted if step.id not in begun | dict.fromkeys(waiting)}


# Service hours: elapsed and reach are inverse.

ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "UTC")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def clock(count: int) -> str:
    return f"{count // 60:02}:{count % 60:02}"


def make_week(zone: str, days: dict[str, list[int]]) -> WeeklyHours:
    windows = []
    for day, marks in days.items():
        edges = sorted(marks)[: len(marks) // 2 * 2]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        windows += [(day, f"{clock(opens)}-{clock(closes)}") for opens, closes in pairs]
    return weekly_hours(ZoneInfo(zone), windows)


weeks = st.builds(
    make_week,
    st.sampled_from(ZONES),
    st.dictionaries(
        st.sampled_from(WEEKDAYS), st.lists(st.integers(0, 1440), min_size=2, max_size=6, unique=True), min_size=1
    ),
)
starts = st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)).map(lambda naive: naive.replace(tzinfo=CHINA))  # noqa: DTZ001
lengths = st.timedeltas(TICK, timedelta(days=10))


@FAST
@given(weeks, starts, st.one_of(st.none(), st.timedeltas(TICK, timedelta(days=60))), lengths)
def test_reach_is_the_earliest_instant_at_which_so_much_has_elapsed(
    hours: WeeklyHours, start: datetime, lasts: timedelta | None, length: timedelta
) -> None:
    def open_time() -> Iterator[Segment]:
        return hours.segments(start, NEVER if lasts is None else start + lasts)

    reached = reach(open_time(), length)
    if reached == NEVER:
        assert lasts is not None
        assert elapsed(open_time(), start + lasts) < length
    else:
        assert elapsed(open_time(), reached) == length
        assert elapsed(open_time(), reached - TICK) == length - TICK


def make_maintenance(start: datetime, marks: list[timedelta]) -> tuple[Segment, ...]:
    edges = sorted(start + mark for mark in marks)[: len(marks) // 2 * 2]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


@FAST
@given(
    st.one_of(weeks, st.just(ALWAYS)),
    starts,
    st.lists(st.timedeltas(timedelta(days=-2), timedelta(days=20)), max_size=6, unique=True),
    st.timedeltas(timedelta(0), timedelta(days=30)),
    lengths,
)
def test_reach_and_elapsed_are_inverse_with_maintenance_left_out(
    hours: ServiceHours, start: datetime, marks: list[timedelta], lasts: timedelta, length: timedelta
) -> None:
    left = Interrupted(hours, make_maintenance(start, marks))
    reached = left.reach(start, length)
    assert left.elapsed(start, reached) == length
    assert left.elapsed(start, reached - TICK) == length - TICK
    end = start + lasts
    by_segments = sum((to - from_ for from_, to in left.segments(start, end)), timedelta(0))
    assert left.elapsed(start, end) == by_segments <= hours.elapsed(start, end)


@FAST
@given(weeks, starts, st.timedeltas(timedelta(0), timedelta(days=30)), st.timedeltas(timedelta(0), timedelta(days=30)))
def test_open_time_adds_up_and_never_exceeds_the_wall_clock(
    hours: WeeklyHours, start: datetime, first: timedelta, second: timedelta
) -> None:
    middle, end = start + first, start + first + second
    parts = elapsed(hours.segments(start, middle), middle) + elapsed(hours.segments(middle, end), end)
    assert elapsed(hours.segments(start, end), end) == parts <= first + second


@FAST
@given(st.lists(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50)), max_size=4), max_size=4))
def test_the_union_covers_what_its_streams_cover_and_counts_nothing_twice(streams: list[list[tuple[int, int]]]) -> None:
    ordered = [sorted((minute(start), minute(start + length)) for start, length in stream) for stream in streams]
    covered = {
        count
        for stream in streams
        for start, length in stream
        for count in range(start, start + length)
    }  # fmt: skip
    merged = list(union(iter(stream) for stream in ordered))
    assert elapsed(iter(merged), NEVER) == len(covered) * MINUTE
    assert all(earlier[1] < later[0] for earlier, later in pairwise(merged))


def test_the_simulation_itself_knows_the_example_of_two_provinces() -> None:
    history = [Out("core-banking", "CN-GD", 540, 720), Out("core-banking", "CN-HN", 540, 720)]
    levels = simulated(history, DAY)
    assert (levels[569], levels[570], levels[719], levels[720]) == (None, "II", "II", "I")
    assert [step[0] for step in steps_of(verdict(minute(DAY), *told(history)).trajectory)] == ["II", "I"]
