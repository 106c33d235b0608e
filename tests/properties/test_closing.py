"""Closing, for any story of outages, harm, figures and closings."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.budget import examples
from support.builders import at, cbrc, closed, incident, recorded, restored, started

from incident_engine.domain.events.model import OutageEvent, Recorded
from incident_engine.domain.events.types import ITSELF
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.incidents.closing_check import closing_problem, reopens
from incident_engine.domain.incidents.incident import Closing
from incident_engine.domain.response.after_closing import not_before_closing
from incident_engine.domain.response.automatic_closing import closes_itself_at
from incident_engine.domain.response.step import Step

SETTINGS = examples(full=150, quick=50)
START = at("10:00")
STEP = Step("s", "p", "s", "1", START, "a", "t")
OBSERVATION, WINDOW = timedelta(minutes=30), timedelta(minutes=20)


def fact(kind: int, minute: int, number: int) -> Recorded:
    when, name = START + timedelta(minutes=minute), f"fact-{number}"
    match kind:
        case 0:
            return started(when, id=name, signal="a")
        case 1 | 2:
            return restored(when, id=name, signal="a")
        case 3:
            judged = {"kind": "bank", "seriousness": "considerable", "cause": "data_leak", "by": "a", "reason": "b"}
            return recorded("harm.assessed", when, id=name, data=judged)
        case 4:
            return recorded("impact.measured", when, id=name, data={"by": "a", "root_cause": "b"})
        case _:
            return closed(when, by=(ITSELF, "李雷")[number % 2], id=name)


stories = st.lists(
    st.builds(fact, st.integers(0, 5), st.integers(0, 60), st.integers(0, 10_000)),
    min_size=1,
    max_size=8,
    unique_by=lambda each: each.key,
)


@given(stories, st.integers(0, 200), st.integers(0, 200))
@SETTINGS
def test_a_closing_that_is_allowed_stays_allowed_while_nothing_happens(
    story: list[Recorded], minutes: int, later: int
) -> None:
    known = incident(*story)
    now = START + timedelta(minutes=60 + minutes)
    if closing_problem(known, now, OBSERVATION) is None:
        assert not known.is_down
        assert closing_problem(known, now + timedelta(minutes=later), OBSERVATION) is None


@given(stories)
@SETTINGS
def test_a_closed_incident_is_not_down_and_nothing_since_opens_it(story: list[Recorded]) -> None:
    known = incident(*story)
    if known.closing is not None:
        assert not known.is_down
        since = [each.event for each in story if each.event.occurred_at > known.closing.at]
        assert not any(reopens(event, known.closing.by) for event in since)


@given(stories)
@SETTINGS
def test_an_incident_that_closes_itself_stays_closed_until_something_happens(story: list[Recorded]) -> None:
    known = incident(*story)
    now = START + timedelta(minutes=60)
    closes_at = closes_itself_at(known, [assess(known, cbrc(), {}, now)], WINDOW)
    if closes_at is not None:
        assert all(isinstance(e.event, OutageEvent) or e.event.occurred_at < closes_at for e in story)
        after = incident(*story, closed(closes_at, by=ITSELF))
        assert after.closing == Closing(closes_at, ITSELF, None)
        assert closes_itself_at(after, [assess(after, cbrc(), {}, closes_at)], WINDOW) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 120), st.booleans(), st.booleans()), max_size=9))
@SETTINGS
def test_after_the_closing_only_new_steps_that_were_due_before_are_left_out(
    rows: list[tuple[int, int, bool, bool]],
) -> None:
    closing = Closing(START + timedelta(minutes=60), "李雷")
    planned = [
        replace(STEP, id=f"s{number}", due_at=START + timedelta(minutes=minute), obligation="o" if is_owed else None)
        for number, minute, is_owed, _ in rows
    ]
    existing = {f"s{number}" for number, _, _, exists in rows if exists}
    left_out = [step for step in planned if step not in not_before_closing(planned, existing, closing)]
    assert all(step.due_at <= closing.at and step.obligation is None for step in left_out)
    assert not existing & {step.id for step in left_out}
