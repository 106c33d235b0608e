"""Properties of the plan: no step lost, none twice, the same ids, no deadline that moves back as things get worse."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.budget import examples
from support.builders import RULES, at, cbrc, incident, recorded, restored, started

from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.events.model import LevelCorrected, Recorded
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.escalation import answered_at
from incident_engine.domain.response.incident_view import PlanSettings
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.playbook import Playbook, parse_playbook
from incident_engine.domain.response.reconcile import reconcile
from incident_engine.domain.response.step import Step, StepState

NAMES = ("emergency-response", "regulator-reports", "customer-communication", "partners", "outage-response")
PLAYBOOKS: tuple[Playbook, ...] = tuple(
    parse_playbook(load_file(RULES / "playbooks" / f"{name}.yaml").data) for name in NAMES
)
BASIS = PlanSettings(UTC, None, timedelta(minutes=30))
START = at("09:00")
MINUTE = timedelta(minutes=1)
SLOW = examples(full=60, quick=5)
REGIONS = ("CN-GD", "CN-HN", "CN-BJ")


def instant(minutes: int) -> datetime:
    return START + minutes * MINUTE


@st.composite
def stories(draw: st.DrawFn) -> list[Recorded]:
    """Draw what happens in ten hours: outages that come and go, estimates, harm, failures, corrections, the closing."""
    events: list[Recorded] = []
    for place in range(draw(st.integers(1, 4))):
        begin, length = draw(st.integers(0, 300)), draw(st.one_of(st.none(), st.integers(1, 400)))
        region, signal = draw(st.sampled_from(REGIONS)), f"s{place}"
        late = draw(st.sampled_from((0, 0, 0, 45)))
        events.append(started(instant(begin), region, signal=signal, received=instant(begin + late)))
        if length is not None:
            events.append(restored(instant(begin + length), region, signal=signal))
    for _ in range(draw(st.integers(0, 4))):
        minutes = draw(st.integers(0, 500))
        kind = draw(st.sampled_from(("estimate", "harm", "plan", "report", "correct", "task", "lesson")))
        events.append(said(kind, minutes, draw(st.integers(1, 200))))
    return events


def said(kind: str, minutes: int, more: int) -> Recorded:
    when = instant(minutes)
    by: dict[str, object] = {"by": "王敏"}
    match kind:
        case "estimate":
            data: dict[str, object] = by | {"recovery_at": instant(minutes + more)}
            return recorded("recovery.estimated", when, data=data)
        case "harm":
            data = by | {"kind": "customers", "seriousness": "serious", "cause": "data_leak", "reason": "so"}
            return recorded("harm.assessed", when, data=data)
        case "plan":
            return recorded("plan.failed", when, data=by | {"reason": "so"})
        case "report":
            return recorded("step.completed", when, data=by | {"fulfils": "first-report"})
        case "correct":
            level = (None, "III", "II")[more % 3]
            return recorded("level.corrected", when, data=by | {"level": level, "reason": "so", "pack": "cn-cbrc-2008"})
        case "task":
            data = by | {"title": "look", "reason": "so", "due_at": instant(minutes + more)}
            return recorded("step.added", when, data=data)
        case _:
            return recorded("lesson.recorded", when, data=by | {"text": "so"})


@dataclass
class House:
    """What a daemon does with the plan, without a daemon: it looks, writes the difference and begins what is due."""

    events: Sequence[Recorded]
    steps: dict[str, tuple[StepState, datetime]] = field(default_factory=dict)
    begun: list[tuple[str, datetime]] = field(default_factory=list)
    known: Incident | None = None
    found: tuple[Assessment, ...] = ()

    def look(self, now: datetime) -> tuple[Step, ...]:
        received = [event for event in self.events if event.received_at <= now]
        self.known = incident(*received)
        held = self.found[0].trajectory if self.found else ()
        self.found = (assess(self.known, cbrc(), {}, now, held),)
        return plan(self.known, self.found, PLAYBOOKS, now, BASIS, dict(self.begun))

    def wake(self, now: datetime) -> tuple[Step, ...]:
        wanted = self.look(now)
        changes = reconcile(self.steps, wanted)
        for step in (*changes.insert, *changes.reschedule):
            self.steps[step.id] = StepState.PENDING, step.due_at
        for name in changes.withdraw:
            self.steps[name] = StepState.WITHDRAWN, self.steps[name][1]
        assert not reconcile(self.steps, wanted), "a second time there is nothing to change"
        for step in wanted:
            if self.steps[step.id][0] is StepState.PENDING and step.due_at <= now:
                self.steps[step.id] = StepState.STARTED, step.due_at
                self.begun.append((step.id, now))
        return wanted

    def next_wake(self, now: datetime) -> datetime | None:
        instants = [event.received_at for event in self.events if event.received_at > now]
        instants += [due_at for state, due_at in self.steps.values() if state is StepState.PENDING]
        instants += [each.next.at for each in self.found if each.next is not None]
        return min(instants, default=None)

    def live(self, until: datetime) -> None:
        """Wake at every instant at which the daemon would."""
        now: datetime | None = START
        while now is not None and now <= until:
            self.wake(now)
            now = self.next_wake(now)


@given(stories(), st.randoms(use_true_random=False))
@SLOW
def test_the_same_facts_give_the_same_steps_whatever_the_order_of_reports(
    story: list[Recorded],
    order: Random,
) -> None:
    shuffled = list(story)
    order.shuffle(shuffled)
    now = instant(600)
    one, other = House(story).look(now), House(shuffled).look(now)
    assert one == other
    assert len({step.id for step in one}) == len(one)


@given(stories())
@examples(full=25, quick=3)
def test_whoever_wakes_when_something_is_due_loses_no_step_and_begins_none_twice(story: list[Recorded]) -> None:
    house = House(story)
    house.live(instant(900))
    names = [name for name, _ in house.begun]
    assert len(names) == len(set(names))
    for step in house.wake(instant(900)):
        if step.due_at <= instant(900):
            assert house.steps[step.id][0] is StepState.STARTED


@given(stories(), st.integers(60, 600))
@SLOW
def test_who_slept_tells_each_series_once_and_not_ten_times(story: list[Recorded], asleep: int) -> None:
    house = House(story)
    house.wake(START)
    house.begun.clear()
    house.wake(instant(asleep))
    told = [name for name, _ in house.begun if ":customers-progress:" in name]
    stretches = {name.rsplit(":", 1)[1].partition(".")[0] for name in told}
    assert len(told) == len(stretches)
    again = [name.partition("~")[0] + name.rpartition(".")[2] for name, _ in house.begun if "~" in name]
    assert len(again) == len(set(again)), "of the rounds of one tier only the latest is told"


@given(stories(), st.integers(0, 500))
@SLOW
def test_no_deadline_moves_back_when_more_is_hit(story: list[Recorded], minutes: int) -> None:
    now = instant(minutes)
    worse = [*story, *(started(instant(0), region, signal="more") for region in ("CN-SH", "CN-ZJ"))]
    known = incident(*story)
    if known.occurred_at is None or known.occurred_at > instant(0) or known.events(LevelCorrected) or known.closing:
        return  # the occurrence itself must not move, nor a person's word come between
    lesser = {step.id: step for step in House(story).look(now)}
    greater = {step.id: step for step in House(worse).look(now)}
    for name in lesser.keys() & greater.keys():
        before, after = lesser[name].deadline, greater[name].deadline
        if lesser[name].obligation is not None and before is not None and after is not None:
            assert after <= before
    promised = [s.due_at for s in lesser.values() if s.step == "customers-progress" and s.due_at > now]
    # An update that is due at this very instant keeps the promise, too.
    kept = [s.due_at for s in greater.values() if s.step == "customers-progress" and s.due_at >= now]
    if promised and kept:
        assert min(kept) <= min(promised)


@given(stories(), st.integers(0, 600), st.integers(0, 600))
@SLOW
def test_nobody_is_called_after_somebody_has_answered(story: list[Recorded], answered: int, later: int) -> None:
    house = House(story)
    wanted = house.look(instant(answered))
    pages = [step for step in wanted if step.awaits == "acknowledgement" and step.due_at <= instant(answered)]
    if not pages:
        return
    page = pages[0]
    deed = recorded("step.acknowledged", instant(answered), data={"by": "李雷", "step": page.id})
    after = House([*story, deed])
    now = instant(answered + later)
    told = [step for step in after.look(now) if step.parent_id == page.id]
    assert answered_at(page, (after.known or incident()).handling) <= instant(answered)
    assert all(step.due_at < instant(answered) for step in told)


@pytest.mark.parametrize("name", NAMES)
def test_a_quiet_house_asks_for_nothing(name: str) -> None:
    playbook = next(each for each in PLAYBOOKS if each.playbook == name)
    known = incident(recorded("note.added", instant(0), data={"text": "nothing"}))
    assert plan(known, [assess(known, cbrc(), {}, instant(60))], [playbook], instant(60), BASIS) == ()
