"""DORA, (EU) 2024/1772 Art. 8 and 9, (EU) 2025/301: every figure by hand, without the cases that stand in the pack."""

from datetime import datetime, timedelta
from itertools import combinations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.builders import RULES, degraded, recorded, restored, started, verdict

from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.interpretation import HoursClock
from incident_engine.domain.grading.obligation_status import ObligationStatus
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.grading.recurring import recurrences
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import RESOLUTION

DORA = parse_pack(load_file(RULES / "grading" / "eu-dora-2024.yaml").data)
BRUSSELS = ZoneInfo("Europe/Brussels")
LONG_AFTER = datetime(2027, 12, 1, tzinfo=BRUSSELS)
HOUR = timedelta(hours=1)

# One fact that passes each of the six thresholds, and no other: Art. 9(1), (2), (3), (4), (5)(a), (6).
SIX: dict[str, dict[str, float | bool]] = {
    "9(1)": {"clients": 100_001},
    "9(2)": {"media_coverage": True},
    "9(3)": {"duration_hours": 24.5},
    "9(4)": {"member_states": 2},
    "9(5)(a)": {"data_loss": True},
    "9(6)": {"costs_eur": 100_001},
}

PAIRS = list(combinations(SIX, 2))

# Art. 9: what is higher than the limit passes, the limit itself does not.
STRICT = [
    ("clients_share", 10),
    ("clients", 100_000),
    ("counterparts_share", 30),
    ("transactions_share", 10),
    ("transaction_amount_share", 10),
    ("duration_hours", 24),
    ("costs_eur", 100_000),
]

MEMBER_STATES = [
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE",
    "IT", "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
]  # fmt: skip


def brussels(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BRUSSELS)


MONDAY = brussels("2026-03-02 09:00")


def measured(when: datetime, **measures: float | bool) -> Recorded:
    return known(when, when, **measures)


def known(aware: datetime, when: datetime, **measures: float | bool) -> Recorded:
    data = {"by": "Marie", "measures": measures}
    return recorded("impact.measured", when, aware, service="payments", data=data)


def announced(when: datetime, start: datetime, end: datetime, *regions: str) -> Recorded:
    data = {"start": start, "end": end}
    return recorded("maintenance.announced", when, service="core-banking", regions=list(regions), data=data)


def handed_in(when: datetime, obligation: str) -> Recorded:
    return recorded("step.completed", when, service="payments", data={"by": "Marie", "fulfils": obligation})


def graded(*events: Recorded, now: datetime = LONG_AFTER) -> Assessment:
    return verdict(now, *events, pack=DORA)


def level(**measures: float | bool) -> str | None:
    return graded(measured(MONDAY, **measures)).level


def status(assessment: Assessment, obligation: str) -> ObligationStatus:
    (found,) = [each for each in assessment.obligations if each.id == obligation]
    return found


def due(assessment: Assessment, obligation: str) -> datetime:
    found = status(assessment, obligation)
    assert found.due_at is not None
    return found.due_at


def classified(at: datetime, *more: Recorded, aware: datetime = MONDAY) -> Assessment:
    """Return the verdict on an incident that we knew of, and that met its second threshold later."""
    return graded(measured(aware, critical_services=True, data_loss=True), measured(at, costs_eur=200_000), *more)


# Art. 8(1): two of six


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_any_two_thresholds_make_a_major_incident(one: str, other: str) -> None:
    assert level(critical_services=True, **SIX[one], **SIX[other]) == "major"


@pytest.mark.parametrize("one", SIX)
def test_one_threshold_alone_does_not(one: str) -> None:
    assert level(critical_services=True, **SIX[one]) is None


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_without_critical_services_two_thresholds_do_not(one: str, other: str) -> None:
    assert level(**SIX[one], **SIX[other]) is None
    assert level(critical_services=False, **SIX[one], **SIX[other]) is None


def test_two_figures_of_the_same_threshold_are_one_threshold() -> None:
    assert level(critical_services=True, clients=5_000_000, clients_share=90, relevant_client=True) is None
    assert level(critical_services=True, media_coverage=True, clients_lost=True, requirements_missed=True) is None


def test_malicious_access_is_enough_alone() -> None:
    assert level(critical_services=True, malicious_access=True) == "major"
    assert level(critical_services=True, malicious_access=False) is None


def test_malicious_access_affects_critical_services_by_itself() -> None:
    assert level(malicious_access=True) == "major"


def test_an_outage_affects_critical_services() -> None:
    down = started(MONDAY, "DE-HE"), restored(MONDAY + timedelta(minutes=1), "DE-HE")
    assert graded(*down, measured(MONDAY + HOUR, **SIX["9(1)"], **SIX["9(2)"])).level == "major"


# Art. 9: each threshold


@pytest.mark.parametrize(("name", "limit"), STRICT)
def test_the_limit_itself_is_not_higher_than_the_limit(name: str, limit: int) -> None:
    second = SIX["9(5)(a)"] | {"critical_services": True}
    assert level(**second, **{name: limit - 0.001}) is None
    assert level(**second, **{name: limit}) is None
    assert level(**second, **{name: limit + 0.001}) == "major"


def test_two_member_states_are_enough_and_one_is_not() -> None:
    second = SIX["9(5)(a)"] | {"critical_services": True}
    assert [level(**second, member_states=number) for number in (1, 2, 3)] == [None, "major", "major"]


@pytest.mark.parametrize(
    "answer",
    ["relevant_client", "media_coverage", "repeated_complaints", "requirements_missed", "clients_lost"],
)
def test_each_question_passes_its_threshold_if_it_is_answered_yes(answer: str) -> None:
    second = SIX["9(5)(a)"] | {"critical_services": True}
    assert level(**second, **{answer: True}) == "major"
    assert level(**second, **{answer: False}) is None


@pytest.mark.parametrize("kind", [started, degraded])
def test_downtime_must_be_longer_than_two_hours(kind: Any) -> None:
    def after(length: timedelta) -> Assessment:
        second = measured(MONDAY, **SIX["9(5)(a)"])
        return graded(second, kind(MONDAY, "DE-HE"), restored(MONDAY + length, "DE-HE"))

    assert after(2 * HOUR - RESOLUTION).level is None
    assert after(2 * HOUR).level is None
    longer = after(2 * HOUR + RESOLUTION)
    assert (longer.level, longer.trajectory[0].at) == ("major", MONDAY + 2 * HOUR + RESOLUTION)


def test_announced_maintenance_is_no_downtime_and_its_overrun_is() -> None:
    noon = MONDAY + 3 * HOUR

    def until(end: datetime) -> Assessment:
        window = announced(MONDAY - HOUR, MONDAY, noon)
        return graded(window, measured(MONDAY, **SIX["9(5)(a)"]), started(MONDAY, "DE-HE"), restored(end, "DE-HE"))

    assert DORA.interpretation.clock is HoursClock.UNPLANNED
    assert until(noon).level is None
    assert until(noon + 2 * HOUR).level is None
    over = until(noon + 2 * HOUR + RESOLUTION)
    assert [step.at for step in over.trajectory] == [noon + 2 * HOUR + RESOLUTION]


def test_a_member_state_is_hit_by_the_overrun_of_maintenance_and_not_by_the_maintenance() -> None:
    noon = MONDAY + 3 * HOUR

    def until(end: datetime) -> Assessment:
        window = announced(MONDAY - HOUR, MONDAY, noon, "FR")
        down = started(MONDAY + HOUR, "DE-HE", "FR"), restored(MONDAY + 2 * HOUR, "DE-HE"), restored(end, "FR")
        return graded(window, measured(MONDAY, **SIX["9(5)(a)"]), *down)

    assert until(noon).level is None
    assert [step.at for step in until(noon + RESOLUTION).trajectory] == [noon]


@pytest.mark.parametrize("state", MEMBER_STATES)
def test_an_outage_in_another_member_state_makes_two(state: str) -> None:
    home = "FR" if state == "DE" else "DE"
    down = started(MONDAY, home, state), restored(MONDAY + HOUR, home, state)
    assert graded(*down, measured(MONDAY, **SIX["9(5)(a)"])).level == "major"


@pytest.mark.parametrize("region", ["DE-BY", "CH", "GB", "NO", "CN-GD"])
def test_what_lies_in_the_same_or_no_member_state_makes_one(region: str) -> None:
    down = started(MONDAY, "DE-HE", region), restored(MONDAY + HOUR, "DE-HE", region)
    assert graded(*down, measured(MONDAY, **SIX["9(5)(a)"])).level is None


def test_it_applies_from_17_january_2025_in_brussels() -> None:
    first = brussels("2025-01-17 00:00")
    assert graded(measured(first - RESOLUTION, malicious_access=True)).level is None
    assert graded(measured(first, malicious_access=True)).level == "major"


# Art. 8(2)


def test_recurring_incidents_are_two_within_six_months() -> None:
    assert DORA.recurring is not None
    assert (DORA.recurring.at_least, DORA.recurring.months, DORA.recurring.cite) == (2, 6, "Art. 8(2)")


def costly(name: str, when: datetime, cause: str = "core switch") -> Incident:
    """Return an incident with data loss and 60 000 euro of costs: alone, one threshold."""
    data = {
        "by": "Marie",
        "measures": {"critical_services": True, "data_loss": True, "costs_eur": 60_000},
        "root_cause": cause,
    }
    return fold(name, [recorded("impact.measured", when, service="payments", data=data)])


def together(*incidents: Incident) -> list[tuple[str, ...]]:
    return [found.incidents for found in recurrences(incidents, DORA, {}, LONG_AFTER)]


def test_two_incidents_with_one_cause_that_together_pass_two_thresholds_are_one_major_incident() -> None:
    assert together(costly("A", MONDAY), costly("B", MONDAY + 24 * HOUR)) == [("A", "B")]
    assert together(costly("A", MONDAY)) == []
    assert together(costly("A", MONDAY), costly("B", MONDAY + 24 * HOUR, cause="a fire")) == []


def test_they_lie_within_six_months_of_each_other() -> None:
    first, second = brussels("2026-04-02 09:00"), brussels("2026-10-02 09:00")
    assert together(costly("A", first), costly("B", second)) == [("A", "B")]
    assert together(costly("A", first), costly("B", second + RESOLUTION)) == []


# (EU) 2025/301: initial, intermediate, final


@pytest.mark.parametrize(
    ("after", "limit"),
    [
        (1 * HOUR, 5 * HOUR),  # four hours from classification
        (20 * HOUR - RESOLUTION, 24 * HOUR - RESOLUTION),
        (20 * HOUR, 24 * HOUR),  # both at once
        (20 * HOUR + RESOLUTION, 24 * HOUR),  # a day from awareness
        (24 * HOUR, 24 * HOUR),
        (24 * HOUR + RESOLUTION, 28 * HOUR + RESOLUTION),  # classified later than a day: four hours again
        (90 * HOUR, 94 * HOUR),
    ],
)
def test_the_initial_notification_is_due_four_hours_after_classification_and_a_day_after_awareness(
    after: timedelta, limit: timedelta
) -> None:
    assert due(classified(MONDAY + after), "dora-initial-notification") == MONDAY + limit


def test_the_day_runs_from_awareness_not_from_the_occurrence() -> None:
    aware = MONDAY + 6 * HOUR
    found = graded(
        known(aware, MONDAY, critical_services=True, data_loss=True),
        measured(MONDAY + 27 * HOUR, costs_eur=200_000),
    )
    assert due(found, "dora-initial-notification") == aware + 24 * HOUR


@pytest.mark.parametrize(
    ("aware", "limit"),
    [
        (0 * HOUR, 4 * HOUR),
        (HOUR, 5 * HOUR),
        (11 * HOUR, 15 * HOUR),  # known at 20:00: due at midnight
        (48 * HOUR, 52 * HOUR),
    ],
)
def test_what_was_met_before_we_knew_is_classified_when_we_know(aware: timedelta, limit: timedelta) -> None:
    facts = {"critical_services": True, **SIX["9(5)(a)"], **SIX["9(6)"]}
    found = graded(known(MONDAY + aware, MONDAY, **facts), now=MONDAY + aware)
    initial = status(found, "dora-initial-notification")
    assert found.trajectory[0].at == MONDAY
    assert (initial.state, initial.due_at) == ("pending", MONDAY + limit)
    assert not initial.overdue_at_detection
    assert due(found, "dora-intermediate-report") == MONDAY + limit + 72 * HOUR


def test_a_credit_institutions_initial_notification_and_intermediate_report_know_no_weekend() -> None:
    saturday = brussels("2026-03-07 09:00")
    found = classified(saturday + HOUR, aware=saturday)
    assert due(found, "dora-initial-notification") == brussels("2026-03-07 14:00")
    wednesday = brussels("2026-03-04 09:00")
    found = classified(wednesday + HOUR, aware=wednesday)
    assert due(found, "dora-intermediate-report") == brussels("2026-03-07 14:00")  # a Saturday


def test_the_intermediate_report_is_due_72_hours_after_the_initial_notification() -> None:
    at = MONDAY + HOUR
    assert due(classified(at), "dora-intermediate-report") == at + (4 + 72) * HOUR
    early = classified(at, handed_in(at + HOUR, "dora-initial-notification"))
    assert due(early, "dora-intermediate-report") == at + (1 + 72) * HOUR


@pytest.mark.parametrize(
    ("intermediate", "final"),
    [
        ("2026-03-04 15:30", "2026-04-07 12:00"),  # 4 April is a Saturday, the 6th Easter Monday
        ("2026-03-05 15:30", "2026-04-07 12:00"),  # Easter Sunday
        ("2026-03-06 15:30", "2026-04-07 12:00"),  # Easter Monday: a bank holiday
        ("2026-03-07 15:30", "2026-04-07 15:30"),  # a Tuesday; summer time has begun, the hour stays
        ("2026-03-09 15:30", "2026-04-09 15:30"),
        ("2026-04-30 10:00", "2026-06-01 12:00"),  # 30 May is a Saturday
    ],
)
def test_the_final_report_is_due_a_month_after_the_intermediate_or_at_noon_of_the_next_working_day(
    intermediate: str, final: str
) -> None:
    at = MONDAY + HOUR
    found = classified(
        at,
        handed_in(at + HOUR, "dora-initial-notification"),
        handed_in(brussels(intermediate), "dora-intermediate-report"),
    )
    assert due(found, "dora-final-report") == brussels(final)


@pytest.mark.parametrize(
    ("intermediates", "final"),
    [
        (["2027-03-09 15:00"], "2027-04-09 15:00"),
        (["2027-03-09 15:00", "2027-03-12 14:30"], "2027-04-12 14:30"),
        (["2027-03-12 14:30", "2027-03-09 15:00"], "2027-04-12 14:30"),  # in whatever order they are told
        (["2026-03-09 15:00", "2026-03-12 14:30"], "2026-04-13 12:00"),  # 12 April 2026 is a Sunday
    ],
)
def test_the_final_report_runs_from_the_latest_intermediate_report(intermediates: list[str], final: str) -> None:
    aware = brussels(f"{intermediates[0][:4]}-03-08 09:00")
    reports = [handed_in(brussels(each), "dora-intermediate-report") for each in intermediates]
    found = classified(aware + HOUR, handed_in(aware + 2 * HOUR, "dora-initial-notification"), *reports, aware=aware)
    assert due(found, "dora-final-report") == brussels(final)
    assert status(found, "dora-intermediate-report").met_at == min(brussels(each) for each in intermediates)


def test_an_intermediate_report_that_is_yet_to_come_moves_nothing() -> None:
    aware, now = brussels("2027-03-08 09:00"), brussels("2027-03-10 00:00")
    found = graded(
        measured(aware, critical_services=True, data_loss=True),
        measured(aware + HOUR, costs_eur=200_000),
        handed_in(brussels("2027-03-09 15:00"), "dora-intermediate-report"),
        handed_in(brussels("2027-03-12 14:30"), "dora-intermediate-report"),
        now=now,
    )
    assert due(found, "dora-final-report") == brussels("2027-04-09 15:00")


def test_a_month_after_the_31st_ends_with_the_shorter_month() -> None:
    aware = brussels("2026-03-30 09:00")
    found = classified(
        aware + HOUR,
        handed_in(aware + 2 * HOUR, "dora-initial-notification"),
        handed_in(brussels("2026-03-31 17:00"), "dora-intermediate-report"),
        aware=aware,
    )
    assert due(found, "dora-final-report") == brussels("2026-04-30 17:00")  # a Thursday


def test_below_the_level_nothing_is_to_be_reported() -> None:
    found = graded(measured(MONDAY, critical_services=True, data_loss=True))
    assert [(each.state.value, each.due_at) for each in found.obligations] == [("not_applicable", None)] * 3


@pytest.mark.parametrize("name", [name for name, given in DORA.parameters.items() if given.cite is not None])
def test_every_figure_says_that_it_comes_from_secondary_sources(name: str) -> None:
    assert "secondary sources" in (DORA.parameters[name].cite or "")
