"""What people reported, by the type of the event."""

from support.builders import at, recorded

from incident_engine.domain.events.actions import LessonRecorded, NoteAdded
from incident_engine.domain.events.case_events import EventsByType
from incident_engine.domain.events.model import PlanFailed

EARLY = recorded("note.added", "10:00", data={"text": "一"}).event
LATE = recorded("note.added", "11:00", data={"text": "二"}).event
FAILED = recorded("plan.failed", "10:30", data={"by": "李", "reason": "so"}).event
REPORTED = EventsByType.of([EARLY, FAILED, LATE])


def test_events_of_a_type_keep_their_order() -> None:
    assert REPORTED.get(NoteAdded) == (EARLY, LATE)
    assert REPORTED.get(PlanFailed) == (FAILED,)
    assert REPORTED.get(LessonRecorded) == ()


def test_instants_are_ordered_over_types_and_stand_once() -> None:
    at_once = recorded("note.added", "10:30", data={"text": "三"}).event
    both = EventsByType.of([EARLY, FAILED, at_once, LATE])
    assert both.instants(["note.added", "plan.failed"]) == [at("10:00"), at("10:30"), at("11:00")]
    assert both.instants(["lesson.recorded"]) == []


def test_one_type_can_be_replaced() -> None:
    assert isinstance(LATE, NoteAdded)
    assert REPORTED.replaced(NoteAdded, [LATE]) == EventsByType.of([FAILED, LATE])
    assert REPORTED.replaced(NoteAdded, []) == EventsByType.of([FAILED])
