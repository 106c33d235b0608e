"""When an incident may be closed, closes by itself, opens again, and which steps survive the closing."""

from datetime import timedelta
from typing import Any

import pytest
from support.builders import at, cbrc, closed, degraded, incident, recorded, restored, started

from incident_engine.domain.events.actions import OverdueReason
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.events.types import ITSELF
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.closing_check import (
    Overdue,
    closing_problem,
    overdue_problems,
    reopens,
)
from incident_engine.domain.response.automatic_closing import closes_itself_at

OBSERVATION = timedelta(hours=2)
WINDOW = timedelta(minutes=30)


def harm(when: str) -> Recorded:
    judged = {"kind": "customers", "seriousness": "serious", "cause": "data_leak", "by": "李", "reason": "so"}
    return recorded("harm.assessed", when, data=judged)


def measured(when: str, **data: Any) -> Recorded:
    return recorded("impact.measured", when, data={"by": "李", **data})


def may_close(when: str, *events: Recorded) -> bool:
    return closing_problem(incident(*events), at(when), OBSERVATION) is None


def closes_at(*events: Recorded, now: str = "10:00") -> Any:
    known = incident(*events)
    return closes_itself_at(known, [assess(known, cbrc(), {}, at(now))], WINDOW)


def test_an_incident_may_close_once_everything_has_worked_for_the_observation() -> None:
    down, up = started("09:00"), restored("10:00")
    assert not may_close("13:00", down)
    assert not may_close("11:59", down, up)
    assert may_close("12:00", down, up)


def test_an_incident_without_an_outage_may_close_at_any_time() -> None:
    assert may_close("09:01", harm("09:00"))


def test_a_persons_closing_is_not_repeated_but_the_engines_may_be_confirmed() -> None:
    events = started("09:00"), restored("09:01")
    assert not may_close("15:00", *events, closed("14:00", by="李雷"))
    assert may_close("15:00", *events, closed("14:00", by=ITSELF))


@pytest.mark.parametrize(
    ("later", "after_a_person", "after_the_engine"),
    [
        (started("12:00"), True, True),
        (degraded("12:00"), True, True),
        (restored("12:00"), False, False),
        (harm("12:00"), True, True),
        (measured("12:00", root_cause="disk"), False, True),
        (recorded("note.added", "12:00", data={"text": "x"}), False, False),
    ],
    ids=["outage", "degraded", "restored", "harm", "figure", "note"],
)
def test_outages_and_harm_open_again_and_figures_only_what_the_engine_closed(
    later: Recorded, *, after_a_person: bool, after_the_engine: bool
) -> None:
    assert reopens(later.event, "李雷") is after_a_person
    assert reopens(later.event, ITSELF) is after_the_engine
    before = started("09:00"), restored("09:01")
    assert (incident(*before, closed("11:00", by="李雷"), later).closing is None) is after_a_person
    assert (incident(*before, closed("11:00", by=ITSELF), later).closing is None) is after_the_engine


def test_a_blip_closes_by_itself_a_window_after_it_is_over() -> None:
    assert closes_at(started("09:00"), restored("09:01"), now="09:02") == at("09:31")


def test_a_blip_waits_a_window_after_the_last_figure() -> None:
    cause = measured("09:20", root_cause="disk")
    assert closes_at(started("09:00"), restored("09:01"), cause, now="09:21") == at("09:50")


def test_an_incident_that_is_down_graded_or_closed_does_not_close_by_itself() -> None:
    assert closes_at(started("09:00"), now="09:01") is None
    assert closes_at(started("09:00"), restored("10:00")) is None  # III at 09:30
    assert closes_at(started("09:00"), restored("09:01"), closed("09:10"), now="09:20") is None


def test_each_overdue_obligation_is_named_with_a_reason_and_nothing_else() -> None:
    overdue = [Overdue("first-report", at("10:00")), Overdue("progress-report.3", at("13:00"))]
    assert [problem.sentence() for problem in overdue_problems(overdue, [])] == [
        "obligation 'first-report' was due at 2013-06-23T02:00:00+00:00, and nobody has met it; "
        'expected step.completed with "fulfils", or here {"obligation": "first-report", "reason": "…"}',
        "obligation 'progress-report.3' was due at 2013-06-23T05:00:00+00:00, and nobody has met it; "
        'expected step.completed with "fulfils", or here {"obligation": "progress-report.3", "reason": "…"}',
    ]
    first, third = (OverdueReason(obligation=name, reason="补报") for name in ("first-report", "progress-report.3"))
    assert overdue_problems(overdue, [third, first]) == []
    [missing] = overdue_problems(overdue, [first])
    assert "progress-report.3" in missing.message
    assert [problem.path for problem in overdue_problems(overdue, [first, third, third])] == [
        ("data", "overdue", 2, "obligation")
    ]
    typo = OverdueReason(obligation="frist-report", reason="补报")
    _, wrong = overdue_problems(overdue, [typo, third])
    assert (wrong.path, wrong.nearest) == (("data", "overdue", 0, "obligation"), "first-report")


def test_an_incident_with_an_overdue_obligation_does_not_close_by_itself() -> None:
    judged = harm("09:00")
    known = incident(judged)
    verdict = assess(known, cbrc(), {}, at("15:00"))
    assert any(status.state is ObligationState.OVERDUE for status in verdict.obligations)
    assert closes_itself_at(known, [verdict], WINDOW) is None
