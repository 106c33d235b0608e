"""When a playbook's steps begin, for whom, and what is derived of them: each trigger and each key by an example."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.builders import CHINA, at, cbrc, closed, corrected, incident, recorded, reported, restored, started

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.response.incident_view import PlanSettings
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.playbook import parse_playbook
from incident_engine.domain.response.reconcile import reconcile, why_withdrawn
from incident_engine.domain.response.step import Step, StepState, Withdrawal

BASIS = PlanSettings(CHINA, Calendar("CN"), timedelta(minutes=30), confirm_after=timedelta(hours=2))


def planned(step: dict[str, Any], now: str, *events: Recorded, begun: dict[str, str] | None = None) -> tuple[Step, ...]:
    """Return the plan of a playbook with one step (settling for five minutes), as of Beijing time."""
    said = {"id": "s", "audience": "a", "template": "t"} | step
    steps = [said, {"id": "told-before", "on": {"first_level": True}, "audience": "told", "template": "t"}]
    document = {"playbook": "p", "title": {"zh-CN": "一", "en": "p"}, "settle": "5m", "steps": steps}
    known = incident(*events)
    found = [assess(known, cbrc(), {}, at(now))]
    since = {f"INC-1:p:{name}": at(when) for name, when in (begun or {}).items()}
    steps_of = plan(known, found, [parse_playbook(document)], at(now), BASIS, since)
    return tuple(each for each in steps_of if each.step == "s")


def times(steps: tuple[Step, ...]) -> dict[str, str]:
    """Return when each step is due, by its instance: the time, with the day if it is another one."""
    return {each.instance: spelled(each.due_at) for each in steps}


def spelled(instant: datetime) -> str:
    local = instant.astimezone(CHINA)
    return f"{local:%H:%M}" if local.date().isoformat() == "2013-06-23" else f"{local:%m-%d %H:%M}"


DOWN = started("10:00")
ALSO = started("10:30", "CN-HN", signal="second")
FIRST = "20130623T020000Z"
"""The instance of the stretch that began at 10:00."""


def test_level_rose_leaves_out_the_first_level() -> None:
    found = planned({"on": {"level_rose": True}}, "10:31", DOWN, ALSO)
    assert times(found) == {"II": "11:00", "I": "13:30"}


def test_an_offset_runs_from_the_trigger_and_by_the_level_then() -> None:
    step = {"on": {"level_reached": ["III", "II"]}, "offset": {"III": "20m", "II": "5m", "I": "1m"}}
    assert times(planned(step, "10:31", DOWN, ALSO)) == {"III": "10:50", "II": "11:05"}


def test_a_rhythm_quickens_with_the_level_and_nothing_moves_back() -> None:
    every = {"III": "120m", "II": "60m", "I": "30m"}
    step = {"on": {"first_level": True}, "offset": every, "repeat": {"every": every, "until": "restored"}}
    assert times(planned(step, "10:31", DOWN)) == {FIRST: "12:30"}
    # With a second province level II comes at 11:00, so the promise of 12:30 is kept early, at 12:00.
    assert times(planned(step, "10:31", DOWN, ALSO)) == {FIRST: "12:00"}
    assert times(planned(step, "12:10", DOWN, ALSO)) == {FIRST: "12:00", f"{FIRST}.2": "13:00"}
    # Level I comes at 13:30; the next word was promised for 14:00, half an hour after the rise: so it stays.
    assert times(planned(step, "13:10", DOWN, ALSO)) == {f"{FIRST}.2": "13:00", f"{FIRST}.3": "14:00"}
    assert times(planned(step, "14:10", DOWN, ALSO)) == {f"{FIRST}.3": "14:00", f"{FIRST}.4": "14:30"}


def test_of_words_that_were_missed_only_the_latest_is_wanted() -> None:
    step = {"on": {"first_level": True}, "repeat": {"every": "30m", "until": "restored"}}
    assert times(planned(step, "15:10", DOWN)) == {f"{FIRST}.10": "15:00", f"{FIRST}.11": "15:30"}


def test_a_rhythm_ends_with_the_restoration() -> None:
    step = {"on": {"first_level": True}, "repeat": {"every": "30m", "until": "restored"}}
    assert planned(step, "11:50", DOWN, restored("11:45")) == ()


def test_a_message_knows_when_the_next_one_comes() -> None:
    step = {"on": {"first_level": True}, "offset": "30m", "repeat": {"every": "30m", "until": "restored"}}
    found = planned(step, "11:10", DOWN)
    assert [(spelled(each.due_at), each.next_update_at and spelled(each.next_update_at)) for each in found] == [
        ("11:00", "11:30"),
        ("11:30", None),
    ]


def test_a_rhythm_falls_on_full_minutes_so_that_a_promise_in_minutes_is_kept() -> None:
    step = {"on": {"first_level": True}, "offset": "30m", "repeat": {"every": "30m", "until": "restored"}}
    # Level III comes at 10:30:52; the first update would be due at 11:00:52, and is promised for 11:00.
    found = planned(step, "11:10", started("10:00:52"))
    assert [f"{each.due_at.astimezone(CHINA):%H:%M:%S}" for each in found] == ["11:00:00", "11:30:00"]
    assert found[0].next_update_at == found[1].due_at


@pytest.mark.parametrize(
    ("now", "estimates", "passed", "moved"),
    [
        ("10:40", [("10:10", "12:00")], {"20130623T040000Z": "12:00"}, {}),
        (
            "10:40",
            [("10:10", "12:00"), ("10:35", "13:00")],
            {"20130623T050000Z": "13:00"},
            {"20130623T023500Z": "10:35"},
        ),
        ("10:40", [("10:10", "12:00"), ("10:35", "11:00")], {"20130623T030000Z": "11:00"}, {}),
        (
            "12:20",
            [("10:10", "12:00"), ("12:10", "13:00")],
            {"20130623T040000Z": "12:00", "20130623T050000Z": "13:00"},
            {"20130623T041000Z": "12:10"},
        ),
    ],
)
def test_an_estimate_passes_or_moves(
    now: str, estimates: list[tuple[str, str]], passed: dict[str, str], moved: dict[str, str]
) -> None:
    said = [recorded("recovery.estimated", when, data={"recovery_at": at(until)}) for when, until in estimates]
    assert times(planned({"on": {"estimate": "passed"}}, now, DOWN, *said)) == passed
    assert times(planned({"on": {"estimate": "moved"}}, now, DOWN, *said)) == moved


def test_an_estimate_that_was_kept_is_not_spoken_of() -> None:
    said = recorded("recovery.estimated", "10:10", data={"recovery_at": at("12:00")})
    assert planned({"on": {"estimate": "passed"}}, "12:30", DOWN, restored("11:50"), said) == ()


def test_an_event_begins_a_step_whatever_the_level() -> None:
    failed = recorded("plan.failed", "10:05", data={"by": "x", "reason": "y"})
    note = recorded("note.added", "10:06", data={"text": "z"})
    found = planned({"on": {"event": ["plan.failed", "note.added"]}}, "10:10", DOWN, failed, note)
    assert times(found) == {"20130623T020500Z": "10:05", "20130623T020600Z": "10:06"}


def test_the_closing_is_asked_for_once_it_was_observed_and_not_when_somebody_closed_it() -> None:
    step = {"on": {"observed": True}, "awaits": "completion"}
    assert times(planned(step, "11:10", DOWN, restored("11:00"))) == {"20130623T030000Z": "11:30"}
    assert planned(step, "11:40", DOWN, restored("11:00"), closed("11:29")) == ()


def test_what_follows_the_closing_has_its_deadline_in_working_days() -> None:
    step = {
        "on": {"closed": True},
        "awaits": "completion",
        "deadline": {"after": "start", "working_days": {"I": 1, "II": 2, "III": 5}},
    }
    [found] = planned(step, "12:00", DOWN, restored("11:00"), closed("12:00"))
    assert found.deadline is not None
    # 2013-06-23 is a Sunday: five working days are over at the end of Friday the 28th.
    assert spelled(found.deadline) == "06-29 00:00"


def test_an_offset_in_working_days_is_the_morning_of_that_day() -> None:
    step = {"on": {"restored": True}, "offset_working_days": 3}
    assert times(planned(step, "12:00", DOWN, restored("11:00"))) == {"20130623T030000Z": "06-26 09:00"}


def test_a_step_names_the_years_whose_working_days_are_a_guess() -> None:
    deadline = {"on": {"closed": True}, "awaits": "completion", "deadline": {"after": "start", "working_days": 5}}
    offset = {"on": {"closed": True}, "offset_working_days": 5}
    for template in (deadline, offset):
        for day, years in (("2026-12-29", (2027,)), ("2026-12-01", ())):
            events = started(f"{day} 08:00"), restored(f"{day} 09:00"), closed(f"{day} 10:00")
            [step] = planned(template, f"{day} 10:00", *events)
            assert step.guessed_years == years, (template, day)


def test_a_deadline_from_the_occurrence_goes_by_the_level() -> None:
    step = {"on": {"level_reached": ["III", "II"]}, "awaits": "completion", "audience": "a"}
    within = {"deadline": {"after": "occurrence", "within": {"I": "15m", "II": "30m", "III": "60m"}}}
    found = planned(step | within, "10:31", DOWN, ALSO)
    assert {each.level: each.deadline and spelled(each.deadline) for each in found} == {"III": "11:00", "II": "10:30"}


PAGE = {
    "on": {"level_reached": ["III", "II", "I"]},
    "awaits": "acknowledgement",
    "escalation": [{"after": "5m", "to": "b"}, {"after": "10m", "to": "c"}],
    "repeat_every": "15m",
}


def test_tiers_are_told_one_after_the_other_and_then_it_starts_over() -> None:
    found = planned(PAGE, "10:47", DOWN, begun={"s:III": "10:30"})
    told = {each.instance: (spelled(each.due_at), each.audience) for each in found if each.level == "III"}
    assert told == {
        "III": ("10:30", "a"),
        "III~1.1": ("10:35", "b"),
        "III~1.2": ("10:40", "c"),
        "III~2.0": ("10:45", "a"),
        "III~2.1": ("10:50", "b"),
        "III~2.2": ("10:55", "c"),
        "III~3.0": ("11:00", "a"),
    }


def test_who_was_asked_late_has_as_much_time_to_answer() -> None:
    found = planned(PAGE, "11:40", DOWN, begun={"s:III": "11:40"})
    assert times(found)["III~1.1"] == "11:45"
    assert [each.escalation.since for each in found if each.escalation and each.instance == "III~1.1"] == [at("11:40")]
    first = planned(PAGE, "11:40", DOWN)
    assert times(first)["III~1.1"] == "11:45", "not begun yet: asked now"


def test_the_page_for_one_level_ends_with_the_page_for_the_next() -> None:
    found = planned(PAGE, "11:10", DOWN, ALSO, begun={"s:III": "10:30", "s:II": "11:00"})
    assert max(at_ for name, at_ in times(found).items() if name.startswith("III")) < "11:00"
    assert "II~1.1" in times(found)


def test_an_acknowledgement_ends_it_whichever_tier_is_named() -> None:
    seen = recorded("step.acknowledged", "10:36", data={"by": "x", "step": "INC-1:p:s:III~1.1"})
    found = planned(PAGE, "10:50", DOWN, seen, begun={"s:III": "10:30"})
    assert times(tuple(each for each in found if each.level == "III")) == {"III": "10:30"}


def test_until_restored_nobody_is_told_any_more_and_nothing_begins() -> None:
    ended = restored("11:00")
    quiet = planned(PAGE | {"until": "restored"}, "11:10", DOWN, ended, begun={"s:III": "10:30"})
    assert times(quiet) == {"III": "10:30"}
    assert planned(PAGE | {"until": "restored"}, "11:10", DOWN, ended) == ()
    again = started("11:12", signal="again")
    assert "III~4.0" in times(
        planned(PAGE | {"until": "restored"}, "11:13", DOWN, ended, again, begun={"s:III": "10:30"})
    )


def test_a_gap_shorter_than_the_settling_time_is_no_end() -> None:
    quiet = planned(PAGE | {"until": "restored"}, "11:04", DOWN, restored("11:00"), begun={"s:III": "10:30"})
    assert len(quiet) > 1


def test_what_follows_another_step_needs_that_one_to_have_begun() -> None:
    step = {"on": {"restored": True}, "requires": "told-before"}
    assert planned(step, "11:10", DOWN, restored("11:00")) == ()
    begun = {f"told-before:{FIRST}": "10:30"}
    assert times(planned(step, "11:10", DOWN, restored("11:00"), begun=begun)) == {"20130623T030000Z": "11:05"}


APPROVED = {"on": {"level_reached": ["III"]}, "approval": {"by": "boss"}, "escalation": [{"after": "5m", "to": "c"}]}


def test_words_that_need_an_approval_are_asked_for_at_once_and_until_it_is_given() -> None:
    found = planned(APPROVED, "10:31", DOWN)
    assert [(each.instance, each.audience, each.approval, each.template) for each in found] == [
        ("III", "a", "boss", "t"),
        ("III~ask", "boss", None, "approval-request"),
        ("III~1.1", "c", None, "approval-request"),
    ]
    given = recorded("step.approved", "10:33", data={"by": "x", "step": "INC-1:p:s:III"})
    begun = {"s:III~ask": "10:30"}
    assert times(planned(APPROVED, "10:40", DOWN, given, begun=begun)) == {"III": "10:30", "III~ask": "10:30"}


def test_preapproved_words_ask_nobody() -> None:
    step = {"on": {"level_reached": ["III"]}, "approval": {"by": "boss", "preapproved": True}}
    [found] = planned(step, "10:31", DOWN)
    assert found.approval is None


REPORT = {
    "on": {"obligation": {"id": "first-report", "when": "applies"}},
    "fulfils": "first-report",
    "escalation": [{"before_deadline": "15m", "to": "a"}, {"after_deadline": "0s", "to": "c"}],
    "repeat_every": "30m",
}


def test_a_report_is_reminded_of_before_its_deadline_and_told_upwards_after_it() -> None:
    found = planned(REPORT, "10:31", DOWN, begun={"s:first-report": "10:30"})
    assert times(found) == {
        "first-report": "10:30",
        "first-report~1.1": "10:45",
        "first-report~1.2": "11:00",
        "first-report~2.0": "11:30",
    }
    late = planned(REPORT, "12:05", DOWN, begun={"s:first-report": "10:30"})
    assert times(late) == {
        "first-report": "10:30",
        "first-report~3.0": "12:00",
        "first-report~4.0": "12:30",
        "first-report~3.2": "12:00",
        "first-report~4.2": "12:30",
    }


def test_what_is_met_asks_for_nothing() -> None:
    assert planned(REPORT, "10:50", DOWN, reported("10:40")) == ()


def test_a_reminder_that_would_come_with_the_request_itself_is_left_out() -> None:
    assert "first-report~1.1" not in times(planned(REPORT, "10:50", started("10:00", received="10:50")))


def test_a_report_that_was_skipped_is_not_asked_for_and_still_told_upwards_when_it_is_overdue() -> None:
    skipped = recorded("step.skipped", "10:35", data={"by": "x", "step": "INC-1:p:s:first-report", "reason": "y"})
    found = planned(REPORT, "11:05", DOWN, skipped, begun={"s:first-report": "10:30"})
    assert {name for name, at_ in times(found).items() if at_ <= "11:05"} == {"first-report~1.2"}


def test_a_hand_over_tells_the_new_owner_and_the_reminders_follow() -> None:
    given = {"by": "x", "step": "INC-1:p:s:first-report", "to": "b", "reason": "y"}
    handed = recorded("step.assigned", "10:40", data=given)
    found = planned(REPORT, "10:41", DOWN, handed, begun={"s:first-report": "10:30"})
    told = {each.instance: (spelled(each.due_at), each.audience, each.template) for each in found}
    assert told["first-report~to.20130623T024000Z"] == ("10:40", "b", "handover")
    assert told["first-report~1.1"] == ("10:45", "b", "t")
    assert told["first-report~1.2"] == ("11:00", "c", "t")


def test_a_task_goes_to_whom_it_is_given_by_its_date() -> None:
    data = {"by": "x", "reason": "y", "title": "look", "assignee": "b", "due_at": at("2013-06-25 18:00")}
    step = {
        "on": {"task_added": True},
        "awaits": "completion",
        "escalation": [{"before_deadline": "1d", "to": "a"}, {"after_deadline": "0s", "to": "c"}],
    }
    task = recorded("step.added", "11:00", data=data)
    found = planned(step, "11:01", DOWN, task)
    told = [(spelled(each.due_at), each.audience) for each in found]
    assert told == [("11:00", "b"), ("06-24 18:00", "b"), ("06-25 18:00", "c")]
    without = recorded("step.added", "11:00", data={"by": "x", "reason": "y", "title": "look"})
    assert [(spelled(each.due_at), each.audience) for each in planned(step, "11:01", DOWN, without)] == [("11:00", "a")]


def test_a_step_wanted_before_its_time_comes_then_and_not_again() -> None:
    asked = recorded("step.added", "10:10", data={"by": "x", "reason": "y", "step": "s"})
    step = {"on": {"first_level": True}}
    assert times(planned(step, "10:11", DOWN, asked)) == {FIRST: "10:10"}
    assert times(planned(step, "10:40", DOWN, asked)) == {FIRST: "10:10"}


SKIPPED = recorded("step.skipped", "10:40", data={"by": "x", "step": "INC-1:p:s:III", "reason": "y"})


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([DOWN, restored("11:00")], Withdrawal.RESTORED),
        ([DOWN, restored("11:00"), closed("11:10")], Withdrawal.CLOSED),
        ([DOWN], Withdrawal.FACTS_CHANGED),
        (
            [DOWN, recorded("step.skipped", "10:40", data={"by": "x", "step": "INC-1:p:s:III", "reason": "y"})],
            Withdrawal.SKIPPED,
        ),
    ],
)
def test_what_is_withdrawn_says_why(events: list[Recorded], said: Withdrawal) -> None:
    step = Step("INC-1:p:s:III", "p", "s", "III", at("12:00"), "a", "t")
    assert why_withdrawn(step, incident(*events), ()) is said


OPENED = {"on": {"opened": True}}
AHEAD = {"on": {"next_level": {"before": "10m"}}}


def test_the_beginning_of_an_incident_is_announced_before_it_has_a_level() -> None:
    assert times(planned(OPENED, "10:00", DOWN)) == {"opened": "10:00"}
    assert times(planned(OPENED, "10:29", DOWN)) == {"opened": "10:00"}
    assert planned(OPENED, "10:30", DOWN) == ()  # level III: its page says more


def test_an_incident_is_announced_once_however_its_beginning_moves() -> None:
    # The same instance: what went out does not go out again.
    late = [DOWN, started("09:50", "CN-HN", signal="second", received="10:10")]
    assert times(planned(OPENED, "10:10", *late)) == {"opened": "09:50"}
    again = [DOWN, restored("10:10"), started("10:20")]
    assert list(times(planned(OPENED, "10:21", *again))) == ["opened"]


def test_a_blip_that_is_over_is_not_announced_but_the_next_outage_is() -> None:
    blip = [DOWN, restored("10:04")]
    assert planned(OPENED, "10:04", *blip) == ()
    assert times(planned(OPENED, "10:20", *blip, started("10:20"))) == {"opened": "10:20"}
    # Gaps shorter than the five minutes for settling belong to the episode.
    assert times(planned(OPENED, "10:08", *blip, started("10:08"))) == {"opened": "10:00"}


@pytest.mark.parametrize(("ends", "expected"), [("10:15", {"opened": "10:15"}), ("14:00", {"opened": "14:00"})])
def test_announced_maintenance_is_announced_as_an_incident_when_it_overruns(
    ends: str, expected: dict[str, str]
) -> None:
    window = {"start": at("09:00"), "end": at(ends)}
    maintenance = recorded("maintenance.announced", "08:00", service="core-banking", data=window)
    assert times(planned(OPENED, "10:00", maintenance, DOWN)) == expected
    assert planned(OPENED, "10:14", maintenance, DOWN, restored("10:14")) == ()


def test_harm_without_a_level_is_announced_and_a_figure_is_not() -> None:
    # Art. 9, clause 1 asks for particularly serious harm to the public, or for serious harm to customers.
    judged = {"seriousness": "serious", "cause": "data_leak", "by": "A", "reason": "so"}
    for kind, expected in {"public": {"opened": "10:00"}, "customers": {}}.items():
        harm = recorded("harm.assessed", "10:00", service="core-banking", data=judged | {"kind": kind})
        assert times(planned(OPENED, "10:05", harm)) == expected
    figure = recorded("impact.measured", "10:00", service="core-banking", data={"by": "A", "measures": {"loss": 3}})
    assert planned(OPENED, "10:05", figure) == ()


def test_each_level_to_come_is_announced_ahead() -> None:
    assert times(planned(AHEAD, "10:00", DOWN)) == {"III": "10:20", "II": "12:50", "I": "15:50"}
    assert times(planned(AHEAD, "10:30", DOWN)) == {"II": "12:50", "I": "15:50"}  # III has been reached
    assert times(planned(AHEAD, "10:31", DOWN, ALSO)) == {"II": "10:50", "I": "13:20"}


def test_a_level_that_comes_sooner_than_its_notice_is_announced_at_once() -> None:
    late = started("10:00", received="10:25")
    assert times(planned(AHEAD, "10:25", late))["III"] == "10:20"


def test_what_will_not_happen_any_more_is_not_announced() -> None:
    assert planned(AHEAD, "10:15", DOWN, restored("10:15")) == ()
    (step, *_) = planned(AHEAD, "10:00", DOWN)
    after = incident(DOWN, restored("10:15"))
    assert reconcile({step.id: (StepState.PENDING, step.due_at)}, ()).withdraw == (step.id,)
    assert why_withdrawn(step, after, ()) is Withdrawal.RESTORED


def test_after_a_correction_what_is_still_to_come_is_announced() -> None:
    lifted = corrected("10:40", None)
    assert times(planned(AHEAD, "10:41", DOWN, lifted)) == {"II": "12:50", "I": "15:50"}


def test_words_before_the_level_can_repeat_until_it_is_reached() -> None:
    step = OPENED | {"repeat": {"every": "10m", "until": "restored"}}
    assert times(planned(step, "10:12", DOWN)) == {"opened.2": "10:10", "opened.3": "10:20"}
    assert planned(step, "10:30", DOWN) == ()


def test_a_length_of_time_before_the_next_level_is_more_than_nothing() -> None:
    with pytest.raises(InvalidDocumentError, match="a step at the level itself has another trigger"):
        planned({"on": {"next_level": {"before": "0m"}}}, "10:00", DOWN)


def late_plan(
    now: str, *events: Recorded, begun: dict[str, str] | None = None, asks: bool = True
) -> dict[str, dict[str, str]]:
    """Return the instants of each step of a playbook with words inside and outside the bank."""
    steps: list[dict[str, Any]] = [
        {"id": "duty", "on": {"level_reached": ["III", "II", "I"]}, "audience": "duty", "template": "t"},
        {"id": "first", "on": {"first_level": True}, "audience": "customers", "template": "t", "outside": True},
        {
            "id": "update",
            "on": {"first_level": True},
            "offset": "30m",
            "repeat": {"every": "30m", "until": "restored"},
            "audience": "customers",
            "template": "t",
            "outside": True,
        },
    ]
    if asks:
        question = {"audience": "duty", "template": "t", "awaits": "completion"}
        steps.append({"id": "late", "on": {"reported_late": True}, **question})
    document = {"playbook": "p", "title": {"zh-CN": "一", "en": "p"}, "settle": "5m", "steps": steps}
    known = incident(*events)
    found = [assess(known, cbrc(), {}, at(now))]
    since = {f"INC-1:p:{name}": at(when) for name, when in (begun or {}).items()}
    all_steps = plan(known, found, [parse_playbook(document)], at(now), BASIS, since)
    return {name: times(tuple(step for step in all_steps if step.step == name)) for name in [s["id"] for s in steps]}


LATE = started("10:00", received="13:05")
ASKED = "20130623T050500Z"
CONFIRMED = recorded("step.completed", "13:20", data={"by": "Li", "step": f"INC-1:p:late:{ASKED}"})


def test_an_outage_reported_late_is_asked_about_and_nothing_goes_outside_before_the_answer() -> None:
    steps = late_plan("13:10", LATE)
    assert steps["late"] == {ASKED: "13:05"}
    assert steps["duty"] == {"III": "10:30", "II": "13:00", "I": "16:00"}  # the level is as the law says
    assert (steps["first"], steps["update"]) == ({}, {})


def test_the_confirmation_lets_the_words_out_and_missed_updates_are_in_the_first() -> None:
    steps = late_plan("13:20", LATE, CONFIRMED)
    assert steps["first"] == {FIRST: "10:30"}
    assert steps["update"] == {f"{FIRST}.6": "13:30"}  # 11:00 was the first
    assert list(late_plan("13:21", LATE, CONFIRMED, begun={f"first:{FIRST}": "13:20"})["update"].values()) == ["13:30"]


def test_an_update_that_was_missed_after_the_first_word_is_sent() -> None:
    on_time = {f"first:{FIRST}": "10:30"}
    assert late_plan("13:10", DOWN, begun=on_time)["update"] == {f"{FIRST}.5": "13:00", f"{FIRST}.6": "13:30"}


@pytest.mark.parametrize(("received", "is_late"), [("12:00", False), ("12:01", True)])
def test_two_hours_are_not_late_and_a_minute_more_is(received: str, *, is_late: bool) -> None:
    assert bool(late_plan(received, started("10:00", received=received))["late"]) is is_late
    assert bool(late_plan(received, started("10:00", received=received))["first"]) is not is_late


def test_an_outage_that_is_ended_at_its_own_start_does_not_count_and_holds_nothing() -> None:
    wrong = started("05:00", signal="a", received="13:05")
    annulled = restored("05:00", signal="a", received="13:10")
    right = started("13:00", signal="a", received="13:10")
    assert late_plan("13:06", wrong)["first"] == {}
    steps = late_plan("13:10", wrong, annulled, right)
    assert steps["late"] == {}
    assert steps["first"] == {"20130623T050000Z": "13:30"}
    assert steps["duty"] == {"III": "13:30", "II": "16:00", "I": "19:00"}


def test_one_answer_stands_for_all_that_was_known_and_what_is_late_afterwards_is_asked_again() -> None:
    storm = [LATE, *(started("10:00", f"CN-{name}", received="13:06") for name in ("HN", "HB", "JX"))]
    assert late_plan("13:10", *storm)["late"] == {ASKED: "13:05"}
    later = started("10:10", "CN-SC", received="13:40")
    steps = late_plan("13:40", LATE, CONFIRMED, later, begun={f"first:{FIRST}": "13:20"})
    assert steps["late"] == {ASKED: "13:05", "20130623T054000Z": "13:40"}
    assert steps["update"] == {}  # held again


def test_without_a_step_that_asks_nothing_waits_for_an_answer() -> None:
    assert late_plan("13:10", LATE, asks=False)["first"] == {FIRST: "10:30"}


def test_a_person_who_adds_a_step_has_seen_its_words() -> None:
    added = recorded("step.added", "13:10", data={"by": "x", "reason": "y", "step": "first"})
    assert late_plan("13:10", LATE, added)["first"] == {FIRST: "13:10"}


def test_a_level_reached_after_a_correction_to_none_is_announced() -> None:
    lifted = corrected("10:40", None)
    step = {"on": {"first_level": True}}
    assert times(planned(step, "10:41", DOWN, lifted)) == {FIRST: "13:00"}  # level II, by the clock
