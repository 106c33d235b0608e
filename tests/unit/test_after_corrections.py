"""A person's word overrules what was known; what becomes known afterwards is graded, owed and told anew."""

from typing import Any

from support.builders import (
    CHINA,
    at,
    cbrc,
    corrected,
    incident,
    recorded,
    reported,
    restored,
    rulebook,
    settings,
    started,
    verdict,
)

from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.messages.context import MessageContext
from incident_engine.domain.response.plan import plan
from incident_engine.engine.messages import bank_context

CLOSED_AT_NIGHT = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}


def harmed(when: str, kind: str = "bank", seriousness: str = "considerable") -> Recorded:
    data = {"kind": kind, "seriousness": seriousness, "cause": "data_loss", "by": "李", "reason": "台账受损"}
    return recorded("harm.assessed", when, data=data)


def level(now: str, *events: Recorded, **given: Any) -> str | None:
    return verdict(now, *events, **given).level


FALSE_ALARM = [started("09:00"), restored("09:45"), corrected("09:40", None)]


def test_an_outage_that_begins_after_a_false_alarm_is_graded_by_itself() -> None:
    history = [*FALSE_ALARM, started("11:00"), restored("13:10")]
    assert level("11:29", *history) is None
    assert level("11:30", *history) == "III"


def test_what_went_on_when_it_was_corrected_is_not_counted_anew() -> None:
    assert level("11:59", started("09:00"), corrected("09:40", None)) is None
    assert level("12:00", started("09:00"), corrected("09:40", None)) == "II"


def test_a_harm_that_is_judged_again_after_the_correction_counts_again() -> None:
    history = [harmed("09:00"), corrected("10:00", None)]
    assert level("11:59", *history) is None
    assert level("12:00", *history, harmed("12:00")) == "III"


def test_an_estimate_after_the_correction_may_raise_the_level() -> None:
    failed = recorded("repair.failed", "02:00", data={"by": "王", "reason": "备件也坏了"})
    history = [started("01:00"), failed, corrected("03:30", "III")]
    late = recorded("recovery.estimated", "04:00", data={"recovery_at": at("12:10")})
    assert level("04:00", *history, hours=CLOSED_AT_NIGHT) == "III"
    assert level("04:00", *history, late, hours=CLOSED_AT_NIGHT) == "II"


def test_an_estimate_of_another_service_says_nothing_of_what_was_not_repaired() -> None:
    failed = recorded("repair.failed", "02:00", service="core-banking", data={"by": "王", "reason": "备件也坏了"})
    mine = recorded("recovery.estimated", "01:30", service="core-banking", data={"recovery_at": at("12:10")})
    theirs = recorded("recovery.estimated", "01:40", service="mobile", data={"recovery_at": at("04:00")})
    for estimates in ([mine], [mine, theirs]):
        assert level("02:00", started("01:00"), failed, *estimates, hours=CLOSED_AT_NIGHT) == "II"


BOTH = started("09:00", "CN-GD", "CN-HN")  # II at 09:30, I at 12:00


def test_progress_is_owed_again_when_the_level_is_reached_again() -> None:
    history = [BOTH, reported("13:30", "progress-report"), corrected("14:00", "II")]
    again = verdict("16:30", *history, harmed("16:00", "economic_disorder"))
    progress = [status for status in again.obligations if status.id == "progress-report"]
    assert [(status.state, status.due_at) for status in progress] == [(ObligationState.PENDING, at("18:00"))]


def test_the_reporter_is_asked_again_when_a_level_is_reached_after_a_false_alarm() -> None:
    known = [*FALSE_ALARM, started("11:00")]
    asked = {
        step.id
        for now, events in (("09:35", known[:1]), ("11:30", known))
        for step in plan(incident(*events), [verdict(now, *events)], rulebook().playbooks, at(now))
        if step.step == "first-report" and step.due_at <= at(now)
    }
    assert len(asked) == 2


def test_a_message_about_an_obligation_speaks_of_the_level_that_was_reached_again() -> None:
    events = [*FALSE_ALARM, started("11:00")]
    found, known = verdict("11:40", *events), incident(*events)
    wanted = plan(known, [found], rulebook().playbooks, at("11:40"))
    step = next(step for step in wanted if step.step == "first-report" and step.due_at <= at("11:40"))
    situation = MessageContext(
        bank_context(settings()), settings().service_names, known, [cbrc()], [found], step, now=at("11:40")
    )
    for locale in ("zh-CN", "en"):
        assert situation.variables(locale, "王敏")["level"]["id"] == "III"


def test_a_second_harm_is_to_be_reported_by_itself() -> None:
    history = [
        harmed("09:00"),
        reported("09:10", "immediate-report"),
        harmed("12:00", "public", "particularly_serious"),
    ]
    found = [status for status in verdict("12:05", *history).obligations if status.id == "immediate-report"]
    assert [(status.state, status.due_at) for status in found] == [
        (ObligationState.MET, at("09:15")),
        (ObligationState.PENDING, at("12:15")),
    ]
