"""The handling of a case: what people did with its steps, without any incident around it."""

from typing import Any

from support.builders import at, recorded

from incident_engine.domain.events.actions import StepAcknowledged, StepAdded
from incident_engine.domain.events.case_events import EventsByType
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.handling import Handling

PAGE = "C-1:complaints:page:1"


def handling(*events: Recorded) -> Handling:
    return Handling(EventsByType.of(each.event for each in events))


def did(action: str, when: str, step: str = PAGE, by: str = "王敏", **more: Any) -> Recorded:
    return recorded(f"step.{action}", when, data={"by": by, "step": step, **more})


def test_of_several_assignments_the_latest_counts() -> None:
    known = handling(did("assigned", "10:00", to="李雷", reason="a"), did("assigned", "11:00", to="韩梅", reason="b"))
    latest = known.assignment_of(PAGE)
    assert latest is not None
    assert latest.data.to == "韩梅"


def test_of_several_approvals_and_skips_the_first_counts() -> None:
    known = handling(
        did("approved", "10:00", by="甲"),
        did("approved", "11:00", by="乙"),
        did("skipped", "10:30", by="丙", reason="a"),
        did("skipped", "11:30", by="丁", reason="b"),
    )
    approval, skip = known.approval_of(PAGE), known.skip_of(PAGE)
    assert approval is not None
    assert skip is not None
    assert (approval.data.by, skip.data.by) == ("甲", "丙")


def test_an_acknowledgement_answers_only_where_it_is_enough() -> None:
    known = handling(did("acknowledged", "10:00", PAGE + "~1.1"), did("completed", "11:00"))
    first, done = known.answer_to(PAGE, by_acknowledgement=True), known.answer_to(PAGE, by_acknowledgement=False)
    assert isinstance(first, StepAcknowledged)
    assert done is not None
    assert done.occurred_at == at("11:00")
    assert known.answer_to("C-1:complaints:page:2", by_acknowledgement=True) is None


def test_a_completion_of_an_obligation_is_of_no_step() -> None:
    report = recorded("step.completed", "10:00", data={"by": "王敏", "fulfils": "first-report"})
    known = handling(report)
    assert [done.occurred_at for done in known.completions_of("first-report")] == [at("10:00")]
    assert known.completions_of("final-report") == []
    assert known.answer_to(PAGE, by_acknowledgement=True) is None


def test_a_task_is_found_by_its_key_in_the_id_of_its_step() -> None:
    task = recorded("step.added", "09:00", data={"by": "王敏", "title": "换电源", "reason": "so"})
    early = recorded("step.added", "09:00", data={"by": "王敏", "step": "page", "reason": "so"})
    assert isinstance(task.event, StepAdded)
    done = did("completed", "12:00", f"C-1:complaints:task:{task.event.key}")
    known = handling(early, task, done)
    assert known.tasks == (task.event,)
    assert known.additions == (early.event, task.event)
    completion = known.completion_of_task(task.event)
    assert completion is not None
    assert completion.occurred_at == at("12:00")
    assert handling(task).completion_of_task(task.event) is None


def test_of_each_field_of_a_report_the_latest_entry_since_an_instant_counts() -> None:
    def entry(when: str, **fields: str) -> Recorded:
        return recorded("report.written", when, data={"by": when, "report": "first", "fields": fields})

    other = recorded("report.written", "09:00", data={"by": "x", "report": "final", "fields": {"cause": "z"}})
    known = handling(other, entry("10:00", cause="a", scope="b"), entry("11:00", cause="c"))
    assert known.entries_in("first") == {"cause": ("c", "11:00"), "scope": ("b", "10:00")}
    assert known.entries_in("first", at("10:00")) == {"cause": ("c", "11:00")}
    assert known.reports == ("final", "first")
