"""The plan: what must happen when, and what changes as facts come in."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from support.builders import CHINA, at, closed, incident, reported, restored, rulebook, started, verdict

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.playbook import Playbook, parse_playbook
from incident_engine.domain.response.reconcile import Changes, reconcile
from incident_engine.domain.response.step import Step, StepState

TICK = timedelta(microseconds=1)
GUANGDONG = started("10:35")  # III at 11:05, II at 13:35, I at 16:35; the first report is due at 11:35


def steps(now: str, *events: Recorded, playbook: Playbook | None = None, **given: Any) -> tuple[Step, ...]:
    found = verdict(now, *events, **given)
    return plan(incident(*events), [found], [playbook] if playbook else rulebook().playbooks, at(now))


def planned(found: tuple[Step, ...], *names: str) -> list[tuple[str, str, str]]:
    """Return (step, instance, Beijing time) of the named steps, or of all."""
    return [
        (step.step, step.instance, f"{step.due_at.astimezone(CHINA):%H:%M}")
        for step in found
        if not names or step.step in names
    ]


def one_step(on: dict[str, Any], settle: str = "0m") -> Playbook:
    return parse_playbook(
        {
            "playbook": "test",
            "title": {"zh-CN": "测试", "en": "Test"},
            "settle": settle,
            "steps": [{"id": "it", "on": on, "audience": "duty-team", "template": "duty-notice"}],
        }
    )


def test_the_shipped_playbook_plans_the_whole_course_of_an_outage_that_lasts() -> None:
    assert planned(steps("10:35", GUANGDONG)) == [
        ("customers-acknowledge", "20130623T023500Z", "11:05"),
        ("duty-notice", "III", "11:05"),
        ("first-report", "first-report", "11:05"),
        ("first-report-reminder", "first-report", "11:20"),
        ("first-report-overdue", "first-report", "11:35"),
        ("duty-notice", "II", "13:35"),
        ("duty-notice", "I", "16:35"),
    ]


def test_below_the_lowest_level_nothing_happens() -> None:
    assert steps("12:00", GUANGDONG, restored("11:00")) == ()
    assert plan(incident(GUANGDONG), [], rulebook().playbooks, at("12:00")) == ()


def test_each_level_is_told_once_when_it_is_reached() -> None:
    found = steps("12:00", GUANGDONG, playbook=one_step({"level_reached": ["II", "III"]}))
    assert planned(found) == [("it", "III", "11:05"), ("it", "II", "13:35")]
    assert [step.level for step in found] == ["III", "II"]


def test_a_level_that_is_skipped_is_not_told() -> None:
    both = started("10:35", "CN-GD", "CN-HN")
    assert planned(steps("12:00", both), "duty-notice") == [
        ("duty-notice", "II", "11:05"),
        ("duty-notice", "I", "13:35"),
    ]


def test_the_first_level_begins_a_step_once() -> None:
    assert planned(steps("20:00", GUANGDONG, playbook=one_step({"first_level": True}))) == [
        ("it", "20130623T023500Z", "11:05")
    ]


def test_a_later_stretch_begins_it_again_once_it_has_lasted() -> None:
    events = [GUANGDONG, restored("11:30"), started("12:00")]
    found = steps("12:04", *events, playbook=one_step({"first_level": True}, "5m"))
    assert planned(found) == [("it", "20130623T040000Z", "12:05")]  # the first stretch is over: nothing to announce


def test_a_later_blip_begins_nothing() -> None:
    events = [GUANGDONG, restored("11:30"), started("12:00"), restored("12:03")]
    assert planned(steps("12:04", *events, playbook=one_step({"first_level": True}, "5m"))) == []


def test_an_episode_before_any_level_begins_nothing() -> None:
    events = [started("09:00"), restored("09:10"), started("10:00")]  # III at 10:20
    found = steps("13:00", *events, playbook=one_step({"first_level": True}))
    assert planned(found) == [("it", "20130623T020000Z", "10:20")]


def test_the_restoration_is_told_when_it_has_settled() -> None:
    found = steps("12:00", GUANGDONG, restored("11:30"), playbook=one_step({"restored": True}, "5m"))
    assert planned(found) == [("it", "20130623T033000Z", "11:35")]  # named by its end, in UTC


def test_the_restoration_is_not_told_while_anything_is_down() -> None:
    events = [started("10:35", "CN-GD", "CN-HN"), restored("11:30", "CN-HN")]
    assert steps("12:00", *events, playbook=one_step({"restored": True})) == ()


def test_flaps_shorter_than_the_settling_time_make_one_stretch() -> None:
    events = [GUANGDONG, restored("11:30"), started("11:34")]
    acknowledged = steps("11:36", *events, playbook=one_step({"first_level": True}, "5m"))
    assert planned(acknowledged) == [("it", "20130623T023500Z", "11:05")]
    told = steps("13:00", *events, restored("12:00"), playbook=one_step({"restored": True}, "5m"))
    assert planned(told) == [("it", "20130623T040000Z", "12:05")]


def test_only_the_end_of_the_last_stretch_is_told() -> None:
    events = [GUANGDONG, restored("11:30"), started("11:35"), restored("12:00")]
    found = steps("13:00", *events, playbook=one_step({"restored": True}, "5m"))
    assert planned(found) == [("it", "20130623T040000Z", "12:05")]


def test_there_is_no_all_clear_while_anything_is_down() -> None:
    # Guangdong's restoration at 11:30 is reported when Hunan is down already.
    events = [GUANGDONG, restored("11:30", "CN-GD"), started("11:50", "CN-HN")]
    assert planned(steps("12:00", *events, playbook=one_step({"restored": True}, "5m"))) == []


def test_the_scope_grows_when_another_region_is_hit_or_it_breaks_again() -> None:
    events = [GUANGDONG, started("11:20", "CN-HN"), started("11:22", "CN-SH")]
    found = steps("11:30", *events, playbook=one_step({"scope_grew": True}, "5m"))
    assert planned(found) == [("it", "20130623T032000Z", "11:25")]  # Shanghai is part of the same growth
    again = [GUANGDONG, restored("11:30"), started("12:00")]
    assert planned(steps("12:10", *again, playbook=one_step({"scope_grew": True}, "5m"))) == [
        ("it", "20130623T040000Z", "12:05")
    ]


@pytest.mark.parametrize(
    ("trigger", "due"),
    [
        ({"when": "applies"}, at("11:05")),
        ({"when": "due"}, at("11:35")),
        ({"when": "due", "before": "15m"}, at("11:20")),
        ({"when": "due", "before": "45m"}, at("11:05")),  # it does not apply earlier
        ({"when": "overdue"}, at("11:35") + TICK),
    ],
)
def test_an_obligation_begins_a_step_at_each_of_its_moments(trigger: dict[str, str], due: datetime) -> None:
    (step,) = steps("10:40", GUANGDONG, playbook=one_step({"obligation": {"id": "first-report", **trigger}}))
    assert step.due_at == due
    assert (step.instance, step.obligation, step.deadline) == ("first-report", "first-report", at("11:35"))


def test_an_obligation_that_does_not_apply_begins_nothing() -> None:
    on = {"obligation": {"id": "first-report", "when": "applies"}}
    assert steps("12:00", GUANGDONG, restored("11:00"), playbook=one_step(on)) == ()


def test_an_unknown_obligation_begins_nothing() -> None:
    assert steps("12:00", GUANGDONG, playbook=one_step({"obligation": {"id": "other", "when": "applies"}})) == ()


def test_reminders_are_withdrawn_once_the_obligation_is_met() -> None:
    # The request itself has begun at 11:05 and is left alone by `reconcile`; nothing more is wanted.
    found = steps("11:17", GUANGDONG, reported("11:16"))
    assert planned(found, "first-report", "first-report-reminder", "first-report-overdue") == []


def test_what_is_met_at_the_very_moment_of_a_reminder_needs_none() -> None:
    assert "first-report-reminder" not in {step.step for step in steps("11:21", GUANGDONG, reported("11:20"))}


def test_what_is_over_when_its_level_is_reached_is_told_as_over() -> None:
    events = [GUANGDONG, restored("11:05")]
    assert planned(steps("12:00", *events, playbook=one_step({"first_level": True}))) == []
    assert planned(steps("12:00", *events, playbook=one_step({"restored": True}, "5m"))) == [
        ("it", "20130623T030500Z", "11:10")
    ]


def test_what_is_met_before_it_applies_asks_for_nothing() -> None:
    found = steps("11:17", GUANGDONG, reported("10:50"))
    assert planned(found, "first-report", "first-report-reminder", "first-report-overdue") == []


def test_nothing_begins_for_what_was_met_late_while_nobody_looked() -> None:
    # The daemon was down from 11:00 to 12:00; the report went in at 11:50. What had begun before stays as it is.
    found = steps("12:00", GUANGDONG, reported("11:50"))
    assert [step.step for step in found if step.obligation] == []


def test_a_level_reached_after_the_deadline_makes_it_overdue_at_once_without_a_reminder() -> None:
    late = [started("09:00"), restored("09:20"), started("10:00")]  # due at 10:00, III at 10:10
    found = steps("10:05", *late)
    assert {moment for moment in planned(found) if moment[0].startswith("first-report")} == {
        ("first-report", "first-report", "10:10"),
        ("first-report-overdue", "first-report", "10:10"),
    }


def test_after_the_closing_only_the_law_still_asks() -> None:
    found = steps("11:12", GUANGDONG, restored("11:09"), closed("11:10"))
    assert planned(found) == [
        ("duty-notice", "III", "11:05"),
        ("first-report", "first-report", "11:05"),
        ("customers-resolved", "20130623T030900Z", "11:10"),  # the closing settles it
        ("first-report-reminder", "first-report", "11:20"),
        ("first-report-overdue", "first-report", "11:35"),
    ]


def test_what_was_due_when_it_was_closed_stays() -> None:
    found = steps("11:20", GUANGDONG, restored("11:09"), closed("11:14"))
    assert ("customers-resolved", "20130623T030900Z", "11:14") in planned(found)


def test_the_same_facts_give_the_same_steps_whatever_the_order_of_reports() -> None:
    events = [GUANGDONG, started("11:20", "CN-HN"), restored("12:00"), reported("11:16")]
    assert len({steps("13:00", *order) for order in permutations(events)}) == 1


def test_a_steps_id_names_incident_playbook_step_and_instance() -> None:
    first = next(step for step in steps("12:00", GUANGDONG) if step.level == "III")
    assert first.id == "INC-1:outage-response:duty-notice:III"


def test_but_for_reminders_the_plan_does_not_depend_on_now() -> None:
    early, late = steps("10:40", GUANGDONG), steps("20:00", GUANGDONG)
    assert [step for step in early if step.step != "first-report-reminder"] == list(late)


@pytest.mark.parametrize(("now", "reminded"), [("11:35", True), ("11:36", False)])
def test_nobody_is_reminded_of_what_is_overdue(now: str, reminded: bool) -> None:
    assert ("first-report-reminder" in {step.step for step in steps(now, GUANGDONG)}) is reminded


def test_an_outage_is_acknowledged_once_though_an_earlier_blip_is_reported_late() -> None:
    told = {step.id for step in steps("11:06", GUANGDONG, playbook=one_step({"first_level": True}))}
    blip = started("09:00", received="11:07"), restored("09:10", received="11:08")
    later = {step.id for step in steps("11:09", GUANGDONG, *blip, playbook=one_step({"first_level": True}))}
    assert later == told


def test_the_restoration_is_told_again_when_a_late_report_lengthened_the_episode() -> None:
    told = {
        step.id for step in steps("11:36", GUANGDONG, restored("11:30"), playbook=one_step({"restored": True}, "5m"))
    }
    later = steps(
        "13:10",
        GUANGDONG,
        restored("11:30"),
        started("11:34", received="11:37"),  # reported when customers had read at 11:35 that all works again
        restored("13:00"),
        playbook=one_step({"restored": True}, "5m"),
    )
    assert any(step.due_at == at("13:05") and step.id not in told for step in later)


# Reconciling.


def step(name: str, due: str) -> Step:
    return Step(name, "test", name, "1", at(due), "duty-team", "duty-notice")


def test_what_is_new_is_inserted() -> None:
    assert reconcile({}, [step("a", "11:00")]) == Changes(insert=(step("a", "11:00"),))


def test_what_stays_as_it_is_changes_nothing() -> None:
    assert not reconcile({"a": (StepState.PENDING, at("11:00"))}, [step("a", "11:00")])


def test_what_is_due_at_another_instant_is_rescheduled() -> None:
    changes = reconcile({"a": (StepState.PENDING, at("11:00"))}, [step("a", "12:00")])
    assert changes == Changes(reschedule=(step("a", "12:00"),))


def test_what_is_no_longer_wanted_is_withdrawn() -> None:
    assert reconcile({"a": (StepState.PENDING, at("11:00"))}, []) == Changes(withdraw=("a",))


@pytest.mark.parametrize("state", [StepState.STARTED, StepState.COMPLETED])
def test_what_has_begun_is_left_alone(state: StepState) -> None:
    assert not reconcile({"a": (state, at("11:00"))}, [])
    assert not reconcile({"a": (state, at("11:00"))}, [step("a", "12:00")])


def test_what_was_withdrawn_and_is_wanted_again_is_put_back() -> None:
    existing = {"a": (StepState.WITHDRAWN, at("11:00"))}
    assert reconcile(existing, [step("a", "11:00")]) == Changes(reschedule=(step("a", "11:00"),))
    assert not reconcile(existing, [])


# Playbooks.


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ({}, "a step has one trigger, not 0"),
        ({"restored": True, "first_level": True}, "a step has one trigger, not 2"),
        ({"obligation": {"id": "r", "when": "applies", "before": "5m"}}, "'before' has no effect with when: applies"),
        ({"obligation": {"id": "r", "when": "sometimes"}}, "sometimes"),
        ({"level_reached": []}, "too few"),
        ({"restord": True}, "did you mean 'restored'?"),
    ],
)
def test_a_wrong_trigger_is_refused(on: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        one_step(on)
    assert said in str(caught.value)
    assert "/steps/0/on" in str(caught.value)


def test_a_step_id_is_used_once() -> None:
    document = rulebook().playbooks[0].model_dump(by_alias=True, mode="json", exclude_none=True)
    document["steps"].append(document["steps"][0])
    with pytest.raises(InvalidDocumentError, match="steps named twice: duty-notice"):
        parse_playbook(document)


def test_a_blip_after_the_all_clear_is_not_told_again() -> None:
    events = [GUANGDONG, restored("11:30"), started("12:00"), restored("12:01")]
    found = steps("12:10", *events, playbook=one_step({"restored": True}, "5m"))
    assert [step.instance for step in found] == ["20130623T033000Z"]  # the all-clear that customers have read already
