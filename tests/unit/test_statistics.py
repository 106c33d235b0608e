"""The figures of incidents and of a period, worked out by hand."""

from dataclasses import replace
from datetime import timedelta

from support.builders import at, incident, recorded, reported, restored, started, verdict

from incident_engine.domain.events.model import Recorded
from incident_engine.domain.reports.statistics import (
    Deadlines,
    IncidentFigures,
    Messages,
    Milestone,
    Task,
    figures_of,
    totals_of,
)

M = timedelta(minutes=1)


def acknowledged(when: str) -> Recorded:
    return recorded("step.acknowledged", when, data={"by": "Li", "step": "INC-1:p:duty-notice:III"})


def figures(now: str, *events: Recorded, messages: Messages | None = None) -> IncidentFigures:
    return figures_of(incident(*events), [verdict(now, *events)], messages or Messages())


def test_everything_is_timed_from_the_occurrence() -> None:
    events = (
        started("10:35", received="10:45"),
        acknowledged("10:50"),
        acknowledged("11:10"),
        reported("11:16"),
        reported("12:00", "formal-report"),
        restored("14:45"),
    )
    found = figures("15:00", *events, messages=Messages(12, 1, at("11:05")))
    assert found.times == {
        Milestone.DETECTED: 10 * M,
        Milestone.ACKNOWLEDGED: 15 * M,
        Milestone.CUSTOMERS_NOTIFIED: 30 * M,
        Milestone.REPORTED: 41 * M,
        Milestone.RESTORED: 250 * M,
    }
    assert found.level == "II"  # one province, three hours and more
    assert found.messages == Messages(12, 1, at("11:05"))


def test_what_has_not_happened_has_no_time() -> None:
    found = figures("11:30", started("10:35"))
    assert set(found.times) == {Milestone.DETECTED}


def test_deadlines_are_met_late_or_missed() -> None:
    # III at 11:05: first report and partners by 11:35, the written report by 22:35.
    events = (started("10:35"), reported("11:40"))
    assert figures("12:00", *events).deadlines == Deadlines(met=0, late=1, missed=1)
    assert figures("12:00", *events, reported("11:50", "formal-report")).deadlines == Deadlines(1, 1, 1)
    assert figures("12:00", *events, reported("11:20", "partners-notice")).deadlines == Deadlines(1, 1, 0)


def test_each_missed_deadline_of_a_series_counts() -> None:
    # I at 16:35 (one province, six hours): progress by 18:35, 20:35, 22:35, 00:35.
    events = (
        started("10:35"),
        *(reported("11:00", name) for name in ("first-report", "formal-report", "partners-notice")),
    )
    assert figures("2013-06-23 18:00", *events).deadlines == Deadlines(met=3)
    assert figures("2013-06-23 23:00", *events).deadlines == Deadlines(met=3, missed=3)
    late = (*events, reported("23:00", "progress-report"))
    assert figures("2013-06-23 23:10", *late).deadlines == Deadlines(met=3, late=3)


def test_tasks_and_lessons_are_listed_with_owner_due_and_done() -> None:
    added = recorded(
        "step.added",
        "15:00",
        data={
            "by": "Li",
            "reason": "so",
            "title": "Replace it",
            "assignee": "Wu",
            "due_at": "2013-07-01T10:00:00+08:00",
        },
    )
    events = [
        started("10:35"),
        restored("11:35"),
        added,
        recorded("lesson.recorded", "15:01", data={"by": "Li", "text": "so"}),
    ]
    found = figures("16:00", *events)
    assert found.tasks == (Task("INC-1", "Replace it", "Wu", at("2013-07-01 10:00"), None),)
    assert [(lesson.by, lesson.text) for lesson in found.lessons] == [("Li", "so")]
    key = incident(*events).handling.additions[0].key
    done = recorded("step.completed", "2013-06-30 09:00", data={"by": "Wu", "step": f"INC-1:p:task:{key}"})
    task = figures("2013-07-05 16:00", *events, done).tasks[0]
    assert task.done_at == at("2013-06-30 09:00")
    assert not task.is_late(at("2013-07-05 16:00"))
    assert replace(task, done_at=None).is_late(at("2013-07-05 16:00"))


def test_a_period_has_medians_and_the_worst_of_graded_incidents_and_counts_of_all() -> None:
    base = figures("11:30", started("10:35"))
    assert base.level == "III"

    def one(name: str, minutes: int | None, level: str | None = "III", cause: str | None = None) -> IncidentFigures:
        times = {} if minutes is None else {Milestone.RESTORED: minutes * M}
        return replace(
            base,
            incident=name,
            level=level,
            times=times,
            root_cause=cause,
            messages=Messages(2, 1),
            deadlines=Deadlines(1, 0, 2),
        )

    totals = totals_of(
        [one("a", 40, cause="disk"), one("b", 90, "II", "disk"), one("c", 35), one("d", None), one("e", 500, None)]
    )
    assert (totals.incidents, totals.graded) == (5, 4)
    assert dict(totals.by_level) == {"III": 3, "II": 1, None: 1}
    assert dict(totals.by_service) == {"core-banking": 5}
    assert dict(totals.by_root_cause) == {"disk": 2, None: 3}
    spread = totals.times[Milestone.RESTORED]
    assert (spread.count, spread.median, spread.worst, spread.worst_incident) == (3, 40 * M, 90 * M, "b")
    assert totals.deadlines == Deadlines(5, 0, 10)
    assert (totals.messages.delivered, totals.messages.failed) == (10, 5)


def test_of_an_even_number_the_lower_of_the_two_in_the_middle_is_the_median() -> None:
    base = figures("11:30", started("10:35"))
    found = [replace(base, times={Milestone.RESTORED: minutes * M}) for minutes in (10, 20, 30, 40)]
    assert totals_of(found).times[Milestone.RESTORED].median == 20 * M


def test_a_period_without_incidents_has_no_times() -> None:
    totals = totals_of([])
    assert (totals.incidents, totals.times, totals.deadlines) == (0, {}, Deadlines())
