"""The fold: what a history of events says of an incident, in whatever order the reports came."""

from datetime import timedelta
from itertools import permutations

import pytest
from support.builders import CHINA, at, closed, degraded, incident, recorded, reported, restored, started

from incident_engine.domain.events.actions import NoteAdded
from incident_engine.domain.events.model import Recorded, RecoveryEstimated
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Impairment, Incident
from incident_engine.domain.incidents.signals import in_order
from incident_engine.domain.values import NEVER

DOWN, DEGRADED = Impairment.DOWN, Impairment.DEGRADED
Spelled = list[tuple[str, str | None, Impairment]]


def intervals(found: Incident, region: str = "CN-GD", service: str = "core-banking") -> Spelled:
    """Return the impairments as (start, end, kind) in Beijing time; None while it lasts."""
    outage = next(o for o in found.outages if (o.service, o.region) == (service, region))
    return [
        (
            f"{i.start.astimezone(CHINA):%H:%M}",
            None if i.end == NEVER else f"{i.end.astimezone(CHINA):%H:%M}",
            i.impairment,
        )
        for i in outage.intervals
    ]


def test_nothing_is_known_of_an_incident_without_events() -> None:
    found = fold("INC-1", [])
    assert found == Incident("INC-1")
    assert (found.occurred_at, found.restored_at, found.is_down) == (None, None, False)


def test_an_outage_lasts_until_it_is_restored() -> None:
    open_one = incident(started("10:35"))
    assert intervals(open_one) == [("10:35", None, DOWN)]
    assert open_one.is_down
    assert open_one.restored_at is None
    ended = incident(started("10:35"), restored("11:20"))
    assert intervals(ended) == [("10:35", "11:20", DOWN)]
    assert not ended.is_down
    assert ended.restored_at == at("11:20")


def test_each_service_and_region_has_its_own_impairments() -> None:
    found = incident(started("10:35", "CN-GD", "CN-HN"), started("10:40", service="mobile"), restored("11:00", "CN-HN"))
    assert found.services == ("core-banking", "mobile")
    assert found.regions == ("CN-GD", "CN-HN")
    assert intervals(found, "CN-HN") == [("10:35", "11:00", DOWN)]
    assert intervals(found, "CN-GD") == [("10:35", None, DOWN)]
    assert intervals(found, "CN-GD", "mobile") == [("10:40", None, DOWN)]
    assert found.is_down


def test_it_occurred_when_the_first_outage_began_and_ended_with_the_last() -> None:
    found = incident(
        recorded("note.added", "10:00", service="core-banking", data={"text": "slow"}),
        started("10:35"),
        started("10:50", "CN-HN"),
        restored("11:00"),
        restored("12:00", "CN-HN"),
    )
    assert found.occurred_at == at("10:35")
    assert found.first_event_at == at("10:00")
    assert found.restored_at == at("12:00")


def test_it_is_detected_when_the_first_report_reaches_us() -> None:
    found = incident(started("10:35", received="12:10"), restored("12:05", received="12:08"))
    assert found.detected_at == at("12:08")


def test_repeated_firing_changes_nothing() -> None:
    once = incident(started("10:35"), restored("11:20"))
    again = incident(started("10:35"), started("10:40"), started("11:00"), restored("11:20"), restored("11:30"))
    assert again.outages == once.outages


def test_a_restoration_of_what_was_never_down_says_nothing() -> None:
    found = incident(restored("10:00"), started("10:35"))
    assert intervals(found) == [("10:35", None, DOWN)]
    assert incident(restored("10:00")).outages == ()


def test_flapping_gives_one_interval_for_each_time_it_was_down() -> None:
    found = incident(started("09:00"), restored("09:20"), started("10:00"), restored("10:09"), started("11:00"))
    assert intervals(found) == [("09:00", "09:20", DOWN), ("10:00", "10:09", DOWN), ("11:00", None, DOWN)]


def test_degraded_and_down_are_told_apart_and_follow_each_other_without_a_gap() -> None:
    found = incident(degraded("10:00"), started("10:30"), degraded("11:00"), restored("11:30"))
    assert intervals(found) == [("10:00", "10:30", DEGRADED), ("10:30", "11:00", DOWN), ("11:00", "11:30", DEGRADED)]


def test_a_signal_ends_only_its_own_outage() -> None:
    found = incident(
        started("10:00", signal="ping"), started("10:10", signal="login"), restored("10:20", signal="ping")
    )
    assert intervals(found) == [("10:00", None, DOWN)]
    ended = incident(
        started("10:00", signal="ping"),
        started("10:10", signal="login"),
        restored("10:20", signal="ping"),
        restored("10:40", signal="login"),
    )
    assert intervals(ended) == [("10:00", "10:40", DOWN)]


def test_a_restoration_without_a_signal_ends_them_all() -> None:
    found = incident(started("10:00", signal="ping"), started("10:10", signal="login"), restored("10:30"))
    assert intervals(found) == [("10:00", "10:30", DOWN)]


def test_a_restoration_by_an_unknown_signal_ends_nothing() -> None:
    found = incident(started("10:00", signal="ping"), restored("10:30", signal="other"))
    assert intervals(found) == [("10:00", None, DOWN)]


def test_what_one_signal_calls_down_is_down_though_another_says_degraded() -> None:
    found = incident(
        degraded("10:00", signal="latency"), started("10:10", signal="ping"), restored("10:20", signal="ping")
    )
    assert intervals(found) == [("10:00", "10:10", DEGRADED), ("10:10", "10:20", DOWN), ("10:20", None, DEGRADED)]


def test_what_ends_and_begins_at_the_same_instant_is_down_afterwards() -> None:
    events = [started("10:00"), restored("11:00"), started("11:00")]
    found = {incident(*order).outages for order in permutations(events)}
    assert len(found) == 1
    assert intervals(incident(*events)) == [("10:00", None, DOWN)]


def test_an_outage_shorter_than_its_monitor_can_tell_leaves_nothing() -> None:
    for order in permutations([started("10:00"), restored("10:00")]):
        assert incident(*order).outages == ()


@pytest.mark.parametrize(
    "ends",
    [
        [restored("10:00", "CN-HN", "CN-GD")],
        [restored("10:00", "CN-HN"), restored("10:00", "CN-GD")],
        [restored("10:00", "CN-HN", id="e1"), restored("10:00", "CN-GD", "CN-SC", id="e2")],
    ],
)
@pytest.mark.parametrize("beginnings", [[("CN-GD", "CN-HN")], [("CN-GD",), ("CN-HN",)]])
def test_an_outage_of_no_length_leaves_nothing_in_any_order_and_grouping_of_regions(
    beginnings: list[tuple[str, ...]], ends: list[Recorded]
) -> None:
    begun = [started("10:00", *regions) for regions in beginnings]
    for order in permutations([*begun, *ends]):
        assert incident(*order).outages == ()


@pytest.mark.parametrize("own", [{"source": "other"}, {"signal": "ping"}, {"source": "other", "signal": "ping"}])
def test_an_end_without_anything_to_end_leaves_what_begins_elsewhere_at_its_instant(own: dict[str, str]) -> None:
    for end in (restored("10:00"), restored("10:00", signal="login")):
        for order in permutations([end, started("10:00", **own)]):
            assert intervals(incident(*order)) == [("10:00", None, DOWN)]


def test_an_outage_of_another_region_is_not_ended_by_an_outage_of_no_length() -> None:
    found = incident(started("10:00", "CN-GD", "CN-HN"), restored("10:00", "CN-HN"))
    assert found.regions == ("CN-GD",)
    assert intervals(found) == [("10:00", None, DOWN)]


def test_a_signal_belongs_to_its_source() -> None:
    two = [started("10:00", signal="4081734"), started("10:05", signal="4081734", source="other")]
    one_recovers = restored("10:20", signal="4081734", source="other")
    for order in permutations([*two, one_recovers]):
        assert intervals(incident(*order)) == [("10:00", None, DOWN)]
    assert intervals(incident(*two, one_recovers, restored("10:40", signal="4081734"))) == [("10:00", "10:40", DOWN)]


def test_a_monitor_without_signals_ends_the_outages_of_all_in_its_regions() -> None:
    found = incident(
        started("10:00", signal="ping"), started("10:05", source="other"), restored("10:30", source="desk")
    )
    assert intervals(found) == [("10:00", "10:30", DOWN)]


AHEAD = started("10:00:30", signal="ping", received="10:00:00")
"""A monitor whose clock is half a minute ahead."""


@pytest.mark.parametrize("ended_at", ["09:59:31", "10:00:00", "10:00:29", "10:00:30"])
@pytest.mark.parametrize("others", [[], [started("09:00", signal="ping"), restored("09:30", signal="ping")]])
def test_an_end_received_after_its_start_ends_it_though_its_clock_is_behind(
    ended_at: str, others: list[Recorded]
) -> None:
    end = restored(ended_at, signal="ping", received="10:00:31")
    for order in permutations([*others, AHEAD, end]):
        assert not incident(*order).is_down


@pytest.mark.parametrize(
    "end",
    [
        restored("09:59:29", signal="ping", received="10:00:31"),  # further back than the clocks can differ
        restored("10:00:00", signal="ping", received="09:59:59"),  # received before: of an outage before
        restored("10:00:00", signal="login", received="10:00:31"),
        restored("10:00:00", signal="ping", source="other", received="10:00:31"),
        restored("10:00:00", "CN-HN", signal="ping", received="10:00:31"),
        restored("09:59:59", received="10:00:31"),  # without a signal: before the outage was known
    ],
)
def test_another_end_does_not_end_a_start_that_lies_ahead(end: Recorded) -> None:
    for order in permutations([AHEAD, end]):
        assert intervals(incident(*order)) == [("10:00", None, DOWN)]


def test_a_person_ends_an_outage_of_which_the_start_lies_ahead() -> None:
    assert not incident(AHEAD, restored("10:00:10", source="desk", received="10:00:10")).is_down


def test_a_late_end_of_an_outage_before_leaves_the_present_one() -> None:
    late = restored("10:20", signal="ping", received="13:00")
    found = incident(started("10:00", signal="ping"), started("12:00", signal="ping"), late)
    assert intervals(found) == [("10:00", "10:20", DOWN), ("12:00", None, DOWN)]


def test_what_breaks_again_in_the_instant_in_which_it_was_restored_is_down() -> None:
    events = [started("09:00"), restored("10:00"), started("10:00", id="again")]
    for order in permutations(events):
        assert intervals(incident(*order))[-1][1] is None


def test_down_outweighs_degraded_said_at_the_same_instant() -> None:
    events = [degraded("10:00"), started("10:00")]
    assert {incident(*order).outages for order in permutations(events)} == {incident(started("10:00")).outages}


def test_late_reports_are_folded_where_they_belong_in_time() -> None:
    in_time = [started("10:00"), restored("10:20"), started("10:40"), restored("11:00")]
    for order in permutations(in_time):
        assert incident(*order).outages == incident(*in_time).outages


def test_a_late_restoration_shortens_an_outage_that_seemed_to_last() -> None:
    found = incident(started("10:00"), started("12:00"), restored("10:20", received="13:00"))
    assert intervals(found) == [("10:00", "10:20", DOWN), ("12:00", None, DOWN)]


def test_the_same_key_counts_once_as_it_was_received_first() -> None:
    first = started("10:00", id="evt-1")
    other = started("11:00", id="evt-1", received="12:00")
    assert intervals(incident(other, first)) == [("10:00", None, DOWN)]
    assert in_order([other, first]) == [first]


def test_the_same_id_from_another_source_is_another_event() -> None:
    events = [started("10:00", id="1"), started("11:00", "CN-HN", id="1", source="other")]
    assert incident(*events).regions == ("CN-GD", "CN-HN")


def test_the_latest_estimate_counts_by_when_it_was_made() -> None:
    newer = recorded("recovery.estimated", "12:00", data={"recovery_at": at("15:00")})
    older = recorded("recovery.estimated", "11:00", "13:00", data={"recovery_at": at("14:00")})
    known = incident(started("10:00"), newer, older)
    assert known.recovery_at == at("15:00")
    assert [estimate.occurred_at for estimate in known.events(RecoveryEstimated)] == [at("11:00"), at("12:00")]


def test_notes_and_completions_stand_in_order_of_time() -> None:
    found = incident(
        recorded("note.added", "11:00", data={"text": "二"}),
        recorded("note.added", "10:00", data={"text": "一"}),
        reported("11:16"),
    )
    assert [note.data.text for note in found.events(NoteAdded)] == ["一", "二"]
    (completion,) = found.handling.completions
    assert (completion.occurred_at, completion.data.by) == (at("11:16"), "王敏")
    assert (completion.data.fulfils, completion.data.step) == ("first-report", None)


def test_an_incident_is_closed_by_a_person() -> None:
    found = incident(started("10:00"), restored("11:00"), closed("12:00", by="陈总"))
    assert found.closing is not None
    assert (found.closing.at, found.closing.by) == (at("12:00"), "陈总")


@pytest.mark.parametrize("again", [started("12:30"), degraded("12:30"), started("12:00")])
def test_what_breaks_again_after_the_closing_is_open_again(again: Recorded) -> None:
    found = incident(started("10:00"), restored("11:00"), closed("12:00"), again)
    assert found.closing is None
    assert found.is_down


def test_what_is_still_down_cannot_be_closed_even_if_it_was_reported_late() -> None:
    late = started("10:30", "CN-HN", received="13:00")
    found = incident(started("10:00"), restored("11:00"), closed("12:00"), late)
    assert found.closing is None  # it ends when the system serves normally again (Art. 42)
    assert found.is_down


def test_what_broke_and_ended_before_the_closing_but_was_reported_late_leaves_it_closed() -> None:
    late = started("10:30", "CN-HN", received="13:00"), restored("10:40", "CN-HN", received="13:00")
    assert incident(started("10:00"), restored("11:00"), closed("12:00"), *late).closing is not None


def test_a_restoration_after_the_closing_leaves_it_closed() -> None:
    assert incident(started("10:00"), closed("12:00"), restored("12:10")).closing is not None


def test_a_service_is_impaired_where_its_last_outage_lasts() -> None:
    found = incident(started("10:00", "CN-GD", "CN-HN"), restored("11:00", "CN-HN"))
    assert found.is_impaired("core-banking", ["CN-HN", "CN-GD"])
    assert not found.is_impaired("core-banking", ["CN-HN"])
    assert not found.is_impaired("mobile", ["CN-GD"])


FLAPPING = (
    started("10:00"),
    restored("10:30"),
    started("10:34"),
    restored("11:00"),
    started("11:05"),
    restored("12:00"),
)


@pytest.mark.parametrize(
    ("settle", "expected"),
    [
        (timedelta(0), [("10:00", "10:30"), ("10:34", "11:00"), ("11:05", "12:00")]),
        (timedelta(minutes=4), [("10:00", "10:30"), ("10:34", "11:00"), ("11:05", "12:00")]),  # exactly 4: it settled
        (timedelta(minutes=5), [("10:00", "11:00"), ("11:05", "12:00")]),
        (timedelta(minutes=6), [("10:00", "12:00")]),
    ],
)
def test_gaps_shorter_than_the_settling_time_do_not_part_an_episode(
    settle: timedelta, expected: list[tuple[str, str]]
) -> None:
    assert list(incident(*FLAPPING).episodes(settle)) == [(at(start), at(end)) for start, end in expected]


def test_an_episode_spans_all_services_and_regions() -> None:
    found = incident(started("10:00"), started("10:20", "CN-HN"), restored("10:30"), restored("11:00", "CN-HN"))
    assert found.episodes(timedelta(0)) == ((at("10:00"), at("11:00")),)
    lasting = incident(started("10:00"), restored("10:30"), started("12:00", service="mobile"))
    assert lasting.episodes(timedelta(0)) == ((at("10:00"), at("10:30")), (at("12:00"), NEVER))
