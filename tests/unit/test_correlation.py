"""Which incident an event belongs to: the one it names, else the open one of its service group within a window."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from support.builders import at, closed, event, recorded, reported, restored, started

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.incidents.correlation import IncidentWindow, group_of, matching, new_incident_id, split

WINDOW = timedelta(hours=2)
GROUPS = {"core-banking": "banking", "mobile": "banking", "payments": "payments"}


def histories(*events: Recorded, window: timedelta = WINDOW) -> list[Sequence[Recorded]]:
    return list(split(events, GROUPS, window).values())


def names(spans: list[IncidentWindow], when: str) -> list[str]:
    return [span.case_id for span in matching(spans, at(when), WINDOW)]


OVER = IncidentWindow("over", "banking", at("10:00"), at("11:00"))
LASTING = IncidentWindow("lasting", "banking", at("10:00"), None)


@pytest.mark.parametrize(
    ("when", "taken"),
    [
        ("07:59", False),  # just before the window
        ("08:00", True),  # the window before the beginning, to the minute
        ("10:30", True),
        ("13:00", True),  # the window after the end, to the minute
        ("13:01", False),  # just over
    ],
)
def test_an_incident_takes_what_occurred_within_the_window_edges_included(when: str, taken: bool) -> None:
    assert OVER.accepts(at(when), WINDOW) is taken


def test_the_edge_of_the_window_is_sharp_to_the_microsecond() -> None:
    tick = timedelta(microseconds=1)
    assert not OVER.accepts(at("13:00") + tick, WINDOW)
    assert not OVER.accepts(at("08:00") - tick, WINDOW)


def test_an_incident_that_lasts_takes_everything_after_its_beginning() -> None:
    assert LASTING.accepts(at("2013-06-30 10:00"), WINDOW)
    assert not LASTING.accepts(at("07:59"), WINDOW)


def test_a_closed_incident_takes_nothing() -> None:
    assert not IncidentWindow("c", "banking", at("10:00"), at("11:00"), closed=True).accepts(at("10:30"), WINDOW)


def test_of_several_that_fit_the_latest_comes_first() -> None:
    later = IncidentWindow("later", "banking", at("11:30"), at("12:00"))
    assert names([OVER, later], "12:30") == ["later", "over"]
    assert names([later, OVER], "12:30") == ["later", "over"]
    assert names([later, OVER], "13:30") == ["later"]
    assert names([], "12:30") == []


def test_services_of_one_group_share_their_incidents() -> None:
    assert len(histories(started("10:00"), started("10:30", service="mobile"))) == 1


def test_services_of_other_groups_do_not() -> None:
    assert len(histories(started("10:00"), started("10:30", service="payments"))) == 2


def test_a_service_without_a_group_is_its_own() -> None:
    assert group_of("atm", GROUPS) == "atm"
    assert group_of("mobile", GROUPS) == "banking"
    assert group_of(None, GROUPS) == "unassigned"


@pytest.mark.parametrize(("again", "incidents"), [("13:00", 1), ("13:01", 2)])
def test_a_new_outage_joins_up_to_the_window_after_the_restoration(again: str, incidents: int) -> None:
    assert len(histories(started("10:00"), restored("11:00"), started(again))) == incidents


def test_anything_joins_while_something_is_still_down() -> None:
    assert len(histories(started("10:00"), started("2013-06-24 10:00", "CN-HN"))) == 1


def test_partial_recovery_keeps_the_incident_open() -> None:
    events = [started("10:00", "CN-GD", "CN-HN"), restored("11:00", "CN-HN"), started("20:00", "CN-SC")]
    assert len(histories(*events)) == 1


def test_one_signal_that_still_fires_keeps_the_incident_open() -> None:
    events = [
        started("10:00", signal="ping"),
        started("10:00", signal="login"),
        restored("10:30", signal="ping"),
        started("20:00", "CN-HN"),
    ]
    assert len(histories(*events)) == 1


def test_after_the_closing_a_new_outage_is_a_new_incident() -> None:
    events = [started("10:00"), restored("11:00"), closed("11:10", service="core-banking"), started("11:20")]
    assert len(histories(*events)) == 2


def test_an_explicit_key_decides_against_time_and_group() -> None:
    events = [
        started("10:00", incident="INC-1"),
        restored("11:00", incident="INC-1"),
        started("20:00", service="payments", incident="INC-1"),
        started("10:30", incident="INC-2"),
    ]
    assert {name: len(found) for name, found in split(events, GROUPS, WINDOW).items()} == {"INC-1": 3, "INC-2": 1}


def test_what_people_do_joins_the_open_incident_of_the_service() -> None:
    events = [started("10:00"), reported("10:40", service="core-banking")]
    assert [len(found) for found in histories(*events)] == [2]


def test_an_incident_that_broke_again_after_its_closing_takes_outages_again() -> None:
    events = [
        started("10:00", incident="INC-1"),
        restored("11:00", incident="INC-1"),
        closed("11:10", incident="INC-1"),
        started("11:20", incident="INC-1"),
        started("11:30", "CN-HN"),
    ]
    assert len(histories(*events)) == 1


def test_what_people_say_of_no_incident_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="belongs to no incident of this history"):
        histories(started("10:00"), reported("10:40", service="payments"))
    with pytest.raises(InvalidDocumentError, match="INC-9"):
        histories(started("10:00"), reported("10:40", incident="INC-9"))


def test_a_restoration_goes_to_the_incident_whose_outage_it_ends() -> None:
    events = [
        started("10:00", incident="INC-1"),
        started("10:30", "CN-HN", incident="INC-2"),
        restored("11:00", "CN-GD"),
    ]
    found = split(events, GROUPS, WINDOW)
    assert [each.event.type.value for each in found["INC-1"]] == ["outage.started", "outage.restored"]


def test_late_reports_change_nothing_in_how_a_history_is_split() -> None:
    events = [started("10:00"), restored("11:00"), started("12:30"), restored("12:40"), started("20:00")]
    parts = [[r.key for r in part] for part in histories(*events)]
    assert [len(part) for part in parts] == [4, 1]
    assert [[r.key for r in part] for part in histories(*reversed(events))] == parts


@pytest.mark.parametrize(
    "word",
    [
        recorded("note.added", "12:50", service="core-banking", data={"text": "looked after"}),
        reported("12:50", service="core-banking"),
    ],
    ids=["note", "completion"],
)
def test_the_window_runs_from_the_restoration_whatever_people_say_afterwards(word: Recorded) -> None:
    events = [started("10:00"), restored("11:00"), word, started("14:00")]  # three hours after the restoration
    assert len(histories(*events)) == 2


def test_a_new_incident_has_the_key_that_its_first_event_names() -> None:
    assert new_incident_id(event("outage.started", "10:00", incident="INC-7"), "banking") == "INC-7"


def test_a_new_incident_without_a_key_is_named_by_date_group_and_digest() -> None:
    first = event("outage.started", "10:00", id="a")
    assert new_incident_id(first, "banking").startswith("20130623-banking-")
    assert new_incident_id(first, "banking") == new_incident_id(first, "banking")
    assert new_incident_id(first, "banking") != new_incident_id(event("outage.started", "10:00", id="b"), "banking")


def test_an_end_goes_to_the_incident_in_which_its_own_signal_is_down() -> None:
    parts = split(
        [
            started("10:00", signal="4081734", incident="INC-1"),
            started("10:10", signal="4081734", source="other", incident="INC-2"),
            restored("10:20", signal="4081734"),
        ],
        GROUPS,
        WINDOW,
    )
    assert {name: len(events) for name, events in parts.items()} == {"INC-1": 2, "INC-2": 1}


def test_an_outage_of_no_length_does_not_keep_its_incident_open() -> None:
    # Two hours after it, something else begins: an incident of its own.
    events = [started("10:00", "CN-GD", "CN-HN"), restored("10:00", "CN-HN", "CN-GD"), started("12:01")]
    assert [len(history) for history in histories(*events)] == [2, 1]
