"""Each interpretation of an open point of the regulation, against a simulation of single minutes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations, product
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from support.budget import examples
from support.builders import CHINA, at, cbrc, degraded, event, restored, started, verdict

from incident_engine.domain.calendar.service_hours import ServiceHours, weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.interpretation import (
    Counting,
    Degraded,
    Flapping,
    HoursClock,
    Interpretation,
    OutsideHours,
    Services,
)

EXAMPLES = examples(full=120, quick=8)
FEW = examples(full=60, quick=5)

MINUTE = timedelta(minutes=1)
MONDAY = at("2013-06-24 00:00")
A_DAY = 24 * 60
LAST = 2 * A_DAY
"""Until then levels are compared."""
FAR = 4 * A_DAY
"""By then everything has been reached that an outage without an end can lead to."""

OPEN = {
    "core-banking": [(0, A_DAY)],
    "counter": [(9 * 60, 17 * 60)],
    "mobile": [(8 * 60, 12 * 60), (13 * 60, 20 * 60)],
}
"""The minutes of the day in which a service is open."""
HOURS: dict[str, ServiceHours] = {
    "counter": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")]),
    "mobile": weekly_hours(CHINA, [("mon-sun", "08:00-12:00"), ("mon-sun", "13:00-20:00")]),
}
PROVINCES = ("CN-GD", "CN-HN", "CN-SC")
READINGS = [
    Interpretation(
        counting=counting, flapping=flapping, degraded=bad, services=services, clock=clock, outside_hours=outside
    )
    for counting, flapping, bad, services, clock, outside in product(
        Counting, Flapping, Degraded, Services, HoursClock, OutsideHours
    )
]
# Art. 9, clause 2 of each level, the worst first: (level, provinces, minutes), either of two or the only one.
LAW = [("I", [(2, 180), (1, 360)]), ("II", [(2, 30), (1, 180)]), ("III", [(1, 30)])]


def minute(count: int) -> datetime:
    return MONDAY + count * MINUTE


@dataclass(frozen=True)
class Out:
    """One outage, in minutes; `end` is None while it lasts."""

    service: str
    region: str
    is_down: bool
    start: int
    end: int | None

    def covers(self, count: int) -> bool:
        return self.start <= count and (self.end is None or count < self.end)


@dataclass(frozen=True)
class Works:
    """Announced maintenance; without regions everywhere."""

    service: str
    regions: tuple[str, ...]
    announced: int
    start: int
    end: int


@dataclass(frozen=True)
class Failure:
    """A repair that failed, of one service or of all."""

    at: int
    service: str | None


@dataclass(frozen=True)
class Guess:
    """An estimate of the recovery."""

    said: int
    recovery: int


@dataclass(frozen=True)
class History:
    outs: tuple[Out, ...]
    works: tuple[Works, ...] = ()
    failures: tuple[Failure, ...] = ()
    guesses: tuple[Guess, ...] = ()

    def events(self) -> list[Recorded]:
        """Return the events: each outage with a signal of its own, so that none ends another."""
        told: list[Recorded] = []
        for place, out in enumerate(self.outs):
            kind, signal = started if out.is_down else degraded, f"s{place}"
            told.append(kind(minute(out.start), out.region, service=out.service, signal=signal))
            if out.end is not None:
                told.append(restored(minute(out.end), out.region, service=out.service, signal=signal))
        for place, works in enumerate(self.works):
            data = {"start": minute(works.start), "end": minute(works.end)}
            about: dict[str, Any] = {
                "id": f"works-{place}",
                "service": works.service,
                "regions": list(works.regions),
                "data": data,
            }
            told.append(_at_once("maintenance.announced", works.announced, about))
        for place, failure in enumerate(self.failures):
            about = {"id": f"failed-{place}", "service": failure.service, "data": {"by": "Wang", "reason": "no spare"}}
            told.append(_at_once("repair.failed", failure.at, about))
        for guess in self.guesses:
            about = {"id": f"guess-{guess.said}", "data": {"recovery_at": minute(guess.recovery)}}
            told.append(_at_once("recovery.estimated", guess.said, about))
        return told


def _at_once(kind: str, count: int, about: dict[str, Any]) -> Recorded:
    return Recorded(event(kind, minute(count), **about), minute(count))


# The simulation: for every minute, which service in which region is out, and whether that minute counts.

Key = tuple[str, str]
"""A service in a region."""


@dataclass
class Line:
    """One service in one region, minute by minute: how it is impaired ("" for not), whether that was planned, and
    whether it is open."""

    service: str
    region: str
    impaired: list[str]
    is_planned: list[bool]
    is_open: list[bool]


def lines_of(history: History) -> list[Line]:
    keys: list[Key] = sorted({(out.service, out.region) for out in history.outs})
    return [_line(key, history) for key in keys]


def _line(key: Key, history: History) -> Line:
    outs = [out for out in history.outs if (out.service, out.region) == key]
    impaired = []
    for count in range(FAR):
        kinds = {out.is_down for out in outs if out.covers(count)}
        impaired.append("down" if True in kinds else "degraded" if kinds else "")
    works = [w for w in history.works if w.service == key[0] and (not w.regions or key[1] in w.regions)]
    is_planned = []
    broke_at = 0
    for count in range(FAR):
        if impaired[count] and (count == 0 or not impaired[count - 1]):
            broke_at = count
        # What is announced once it is broken is no maintenance.
        is_planned.append(any(w.announced <= broke_at and w.start <= count < w.end for w in works))
    in_hours = [any(opens <= count % A_DAY < closes for opens, closes in OPEN[key[0]]) for count in range(FAR)]
    is_open = [is_in and not planned for is_in, planned in zip(in_hours, is_planned, strict=True)]
    return Line(*key, impaired, is_planned, is_open)


Series = tuple[list[bool], list[bool]]
"""Minute by minute: whether it is out, and whether that counts."""


def series(line: Line, interpretation: Interpretation) -> Series:
    kinds = ("down",) if interpretation.degraded is Degraded.DOWN_ONLY else ("down", "degraded")
    out = [each in kinds for each in line.impaired]
    counted = {
        HoursClock.SERVICE_HOURS: line.is_open,
        HoursClock.UNPLANNED: [not is_planned for is_planned in line.is_planned],
        HoursClock.WALL_CLOCK: [True] * FAR,
    }
    return out, [is_out and counts for is_out, counts in zip(out, counted[interpretation.clock], strict=True)]


def either(of: Sequence[Series]) -> Series:
    return [any(each) for each in zip(*(one[0] for one in of), strict=True)], [
        any(each) for each in zip(*(one[1] for one in of), strict=True)
    ]


def both(of: Sequence[Series]) -> Series:
    return [all(each) for each in zip(*(one[0] for one in of), strict=True)], [
        all(each) for each in zip(*(one[1] for one in of), strict=True)
    ]


def grown(one: Series, interpretation: Interpretation) -> list[int]:
    """Return, for the beginning of each minute, how many minutes it has come to."""
    total = run = 0
    found = [0]
    for is_out, counts in zip(*one, strict=True):
        run = run + counts if is_out else 0
        total = max(total, run) if interpretation.flapping is Flapping.LONGEST_RUN else total + counts
        found.append(total)
    return found


def totals(lines: Sequence[Line], interpretation: Interpretation) -> dict[int, list[int]]:
    """Return, for one and for two regions, how many minutes they have been out at the beginning of each minute."""
    choices: list[list[Series]] = []
    for region in sorted({line.region for line in lines}):
        of = [series(line, interpretation) for line in lines if line.region == region]
        choices.append([either(of)] if interpretation.services is Services.UNION else of)
    by_region = [_most([grown(one, interpretation) for one in of]) for of in choices]
    two: list[list[int]] = []
    if interpretation.counting is Counting.CONCURRENT:
        for first, second in combinations(choices, 2):
            two += [grown(both(pair), interpretation) for pair in product(first, second)]
    else:
        two = [[min(pair) for pair in zip(*pairs, strict=True)] for pairs in combinations(by_region, 2)]
    return {1: _most(by_region), 2: _most(two)}


def _most(of: Sequence[list[int]]) -> list[int]:
    return [max(each) for each in zip(*of, strict=True)] if of else [0] * (FAR + 1)


def first_minutes(lines: Sequence[Line], interpretation: Interpretation) -> dict[str, int]:
    """Return the minute from which each level holds by clause 2, worked out one minute after the other."""
    by_count = totals(lines, interpretation)
    found: dict[str, int] = {}
    for level, limits in LAW:
        holds = (count for count in range(FAR + 1) if any(by_count[number][count] >= least for number, least in limits))
        found[level] = next(holds, FAR + 1)
    return found


def moments(history: History, lines: Sequence[Line], interpretation: Interpretation) -> Iterator[int]:
    """Yield the minutes in which an unrepaired failure met closed doors."""
    for failure in history.failures:
        said = [failure.at, *(guess.said for guess in history.guesses if guess.said > failure.at)]
        for line in lines:
            if failure.service not in (None, line.service):
                continue
            is_out, _ = series(line, interpretation)
            for count in said:
                if not is_out[failure.at] or begun(is_out, count) != begun(is_out, failure.at):
                    continue  # another outage than the one that was not repaired
                while count < FAR and is_out[count] and line.is_open[count]:
                    count += 1  # noqa: PLW2901 - it goes on until the doors close
                if count < FAR and is_out[count]:
                    yield count


def begun(is_out: Sequence[bool], count: int) -> int | None:
    """Return when what is out at a minute began to be."""
    if not is_out[count]:
        return None
    while count > 0 and is_out[count - 1]:
        count -= 1
    return count


def to_be_expected(history: History, lines: Sequence[Line], count: int) -> History:
    """Return what was to be expected at a minute: what was out then and not repaired stays out until the recovery."""
    unrepaired = set()
    for line in lines:
        since = begun([bool(kind) for kind in line.impaired], count)
        for failure in history.failures:
            if since is not None and failure.service in (None, line.service) and since <= failure.at <= count:
                unrepaired.add((line.service, line.region))
    said = [guess for guess in history.guesses if guess.said <= count]
    latest = max(said, key=lambda guess: guess.said, default=None)
    recovery = latest.recovery if latest and latest.recovery > count else None
    kept: list[Out] = []
    for out in history.outs:
        if out.start <= count:
            ends_later = out.end is None or out.end > count
            end = recovery if (out.service, out.region) in unrepaired else count
            kept.append(Out(out.service, out.region, out.is_down, out.start, end if ends_later else out.end))
    return History(tuple(kept), history.works)


def simulated(history: History, interpretation: Interpretation) -> list[str | None]:
    """Return the level at the beginning of each minute."""
    lines = lines_of(history)
    from_minute = first_minutes(lines, interpretation)
    if interpretation.outside_hours is OutsideHours.FORECAST:
        for count in sorted(set(moments(history, lines, interpretation))):
            expected = first_minutes(lines_of(to_be_expected(history, lines, count)), interpretation)
            for level, reached in expected.items():
                if reached <= FAR:
                    from_minute[level] = min(from_minute[level], count)
    return [next((level for level, _ in LAW if from_minute[level] <= count), None) for count in range(LAST + 1)]


# What is drawn.


def make_out(service: str, region: str, is_down: bool, start: int, length: int | None) -> Out:
    return Out(service, region, is_down, start, None if length is None else start + length)


services = st.sampled_from(sorted(OPEN))
outs = st.builds(
    make_out,
    services,
    st.sampled_from(PROVINCES),
    st.booleans(),
    st.integers(0, A_DAY),
    st.one_of(st.none(), st.integers(1, 600)),
)
several_outs = st.lists(outs, min_size=1, max_size=5).map(tuple)
interpretations = st.sampled_from(READINGS)


@st.composite
def histories(draw: st.DrawFn, *, with_works: bool = True, with_failures: bool = True) -> History:
    """Draw outages, with maintenance, failed repairs and estimates close to them."""
    found = draw(several_outs)
    near = st.sampled_from(found)
    works, failures, guesses = [], [], {}
    for out in draw(st.lists(near, max_size=2)) if with_works else ():
        start = max(out.start + draw(st.integers(-120, 240)), 0)
        announced = max(start - draw(st.integers(0, 240)), 0)
        regions = draw(st.sampled_from([(), (out.region,), ("CN-HN", "CN-SC")]))
        works.append(Works(out.service, regions, announced, start, start + draw(st.integers(1, 600))))
    for out in draw(st.lists(near, max_size=2)) if with_failures else ():
        failures.append(Failure(out.start + draw(st.integers(0, 300)), draw(st.sampled_from([None, out.service]))))
        said = out.start + draw(st.integers(0, 300))
        guesses[said] = Guess(said, said + draw(st.integers(1, 900)))
    return History(found, tuple(works), tuple(failures), tuple(guesses.values()))


def graded(history: History, interpretation: Interpretation, now: int = LAST) -> Assessment:
    pack = cbrc().model_copy(update={"interpretation": interpretation})
    return verdict(minute(now), *history.events(), hours=HOURS, pack=pack)


def rank(level: str | None) -> int:
    return cbrc().severity[level] if level else 0


def test_there_are_ninety_six_readings() -> None:
    assert len({tuple(interpretation.model_dump().values()) for interpretation in READINGS}) == 96


def compare(history: History, interpretation: Interpretation) -> None:
    found = graded(history, interpretation)
    assert [found.level_at(minute(count)) for count in range(LAST + 1)] == simulated(history, interpretation)


@EXAMPLES
@given(histories(with_failures=False), interpretations)
def test_by_every_reading_the_level_is_that_of_a_simulation_minute_by_minute(
    history: History, interpretation: Interpretation
) -> None:
    compare(history, interpretation)


@EXAMPLES
@given(histories(with_works=False), interpretations)
def test_what_may_come_of_failed_repairs_is_that_of_a_simulation_minute_by_minute(
    history: History, interpretation: Interpretation
) -> None:
    compare(history, interpretation)


@EXAMPLES
@given(histories(), interpretations)
@example(
    History(
        (Out("core-banking", "CN-GD", True, 120, 240),),
        (Works("core-banking", (), 60, 120, 480),),
        (Failure(180, None),),
        (Guess(150, 420),),
    ),
    Interpretation(),
)
def test_what_may_come_of_repairs_that_failed_in_maintenance_is_that_of_a_simulation(
    history: History, interpretation: Interpretation
) -> None:
    compare(history, interpretation)


@FEW
@given(histories(with_works=False), interpretations)
def test_evidence_names_exactly_the_readings_that_give_another_level(
    history: History, interpretation: Interpretation
) -> None:
    now = A_DAY
    here = simulated(history, interpretation)[now]
    others = {
        (name, str(value)): simulated(history, other)[now] for name, value, other in interpretation.alternatives()
    }
    found = graded(history, interpretation, now).evidence.interpretations
    assert {(other.point, other.value): other.level for other in found} == {
        key: level for key, level in others.items() if level != here
    }


@FEW
@given(histories(), interpretations)
def test_own_totals_are_never_below_the_concurrent_ones(history: History, interpretation: Interpretation) -> None:
    own, concurrent = (
        graded(history, interpretation.model_copy(update={"counting": counting}))
        for counting in (Counting.OWN, Counting.CONCURRENT)
    )
    for step in (*concurrent.trajectory, *concurrent.forecast):
        assert rank(own.level_at(step.at)) >= rank(step.level)


@FEW
@given(histories(with_failures=False), interpretations, outs)
def test_another_outage_never_lowers_the_level_by_any_reading(
    history: History, interpretation: Interpretation, more: Out
) -> None:
    without, with_more = (
        graded(history, interpretation),
        graded(replace(history, outs=(*history.outs, more)), interpretation),
    )
    for step in (*without.trajectory, *without.forecast):
        assert rank(with_more.level_at(step.at)) >= rank(step.level)


@FEW
@given(histories(with_works=False), interpretations, outs)
def test_another_outage_never_lowers_what_may_come(history: History, interpretation: Interpretation, more: Out) -> None:
    without, with_more = (
        graded(history, interpretation),
        graded(replace(history, outs=(*history.outs, more)), interpretation),
    )
    for step in (*without.trajectory, *without.forecast):
        assert rank(with_more.level_at(step.at)) >= rank(step.level)


@FEW
@given(histories(), interpretations, st.integers(0, LAST), st.integers(0, LAST))
def test_later_the_level_is_never_lower(history: History, interpretation: Interpretation, one: int, other: int) -> None:
    earlier, later = (graded(history, interpretation, now) for now in sorted((one, other)))
    assert rank(later.level) >= rank(earlier.level)
    assert later.trajectory[: len(earlier.trajectory)] == earlier.trajectory
