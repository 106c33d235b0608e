"""Recurring incidents: which ones are graded as one, what their figures come to, and as of when."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.builders import recorded, restored, started

from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import LevelCorrected, Recorded, RecoveryEstimated, RepairFailed
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.grading.recurring import Recurrence, recurrences, together
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import RESOLUTION

BRUSSELS = ZoneInfo("Europe/Brussels")
MAX = "worst_share"
"""The figure of which the greatest counts."""

# Alone or together: more than 100 euro, more than 10 percent, or more than two hours out.
DOCUMENT: dict[str, Any] = {
    "pack": "recurring",
    "version": "1",
    "title": {"zh-CN": "x", "en": "x"},
    "source": "x",
    "in_force": {"from": "2025-01-01"},
    "timezone": "Europe/Brussels",
    "measures": {
        "costs": {"recurring": "sum", "says": {"zh-CN": "x", "en": "x"}},
        MAX: {"says": {"zh-CN": "x", "en": "x"}},
        "leaked": {"kind": "yes_no", "says": {"zh-CN": "x", "en": "x"}},
        "noticed": {"kind": "yes_no", "says": {"zh-CN": "x", "en": "x"}},
    },
    "levels": [{"id": "major", "name": {"zh-CN": "x", "en": "x"}}],
    "rules": [
        {
            "id": "major",
            "level": "major",
            "cite": "Art. 1",
            "says": {"zh-CN": "x", "en": "x"},
            "when": {
                "any": [
                    {"measured": {"name": "costs", "more_than": 100}},
                    {"measured": {"name": MAX, "more_than": 10}},
                    {"all": [{"measured": {"name": name, "is": True}} for name in ("leaked", "noticed")]},
                    {"outage": {"for": {"more_than": "2h"}}},
                ]
            },
        }
    ],
    "recurring": {"cite": "Art. 2", "says": {"zh-CN": "x", "en": "x"}, "at_least": 2, "months": 6},
}
LONG_AFTER = datetime(2028, 1, 1, tzinfo=BRUSSELS)


@cache
def pack(timezone: str = "Europe/Brussels", at_least: int = 2) -> Pack:
    recurring = DOCUMENT["recurring"] | {"at_least": at_least}
    return parse_pack(DOCUMENT | {"timezone": timezone, "recurring": recurring})


def brussels(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BRUSSELS)


def said(when: datetime, cause: str | None = None, **measures: float | bool) -> Recorded:
    data: dict[str, Any] = {"by": "Marie", "measures": measures}
    return recorded("impact.measured", when, service="payments", data=data | ({"root_cause": cause} if cause else {}))


def incident(
    name: str, when: str | datetime, cause: str | None = "core switch", /, **measures: float | bool
) -> Incident:
    """Return an incident of 60 euro unless other figures are given: alone no level, two together one."""
    at = brussels(when) if isinstance(when, str) else when
    return fold(name, [said(at, cause, **(measures or {"costs": 60}))])


def found(*incidents: Incident, now: datetime = LONG_AFTER, by: Pack | None = None) -> Sequence[Recurrence]:
    return recurrences(incidents, by or pack(), {}, now)


def rows(*incidents: Incident, now: datetime = LONG_AFTER, by: Pack | None = None) -> list[tuple[str, ...]]:
    return [each.incidents for each in found(*incidents, now=now, by=by)]


# Within so many months, by the pack's local time


def test_two_incidents_of_one_cause_are_one_and_say_so() -> None:
    first, second = brussels("2026-03-02 09:00"), brussels("2026-03-09 10:00")
    (one,) = found(incident("A", first), incident("B", second))
    assert (one.pack, one.cite, one.root_cause, one.incidents) == ("recurring", "Art. 2", "core switch", ("A", "B"))
    assert (one.first_at, one.last_at) == (first, second)
    assert (one.reached.level, one.reached.at, one.reached.rule) == ("major", second, "major")


HALF_A_YEAR = [
    ("2026-04-02 09:00", "2026-10-02 09:00"),
    ("2026-01-15 09:00", "2026-07-15 09:00"),  # from winter to summer time
    ("2026-08-20 09:00", "2027-02-20 09:00"),  # and back: an hour more than six months by UTC
    ("2025-08-28 09:00", "2026-02-28 09:00"),
    ("2026-02-28 09:00", "2026-08-31 09:00"),  # counted back from the last: February has no 31st
]


@pytest.mark.parametrize(("first", "last"), HALF_A_YEAR)
def test_six_months_to_the_microsecond_are_within_six_months(first: str, last: str) -> None:
    assert rows(incident("A", first), incident("B", last)) == [("A", "B")]


@pytest.mark.parametrize(("first", "last"), HALF_A_YEAR)
def test_a_microsecond_more_is_too_long(first: str, last: str) -> None:
    assert rows(incident("A", first), incident("B", brussels(last) + RESOLUTION)) == []
    assert rows(incident("A", brussels(first) - RESOLUTION), incident("B", last)) == []


def test_the_time_zone_is_the_packs() -> None:
    summer = incident("A", "2026-08-20 09:00")
    winter = incident("B", "2027-02-20 09:00")  # in UTC, six months and an hour later
    assert rows(summer, winter) == [("A", "B")]
    assert rows(summer, winter, by=pack("UTC")) == []


def test_each_row_that_is_part_of_no_longer_one_counts() -> None:
    january, february = incident("Jan", "2026-01-15 09:00"), incident("Feb", "2026-02-10 09:00")
    august = incident("Aug", "2026-08-05 09:00")
    for given in permutations((january, february, august)):
        assert rows(*given) == [("Jan", "Feb"), ("Feb", "Aug")]


def test_a_row_within_six_months_is_one() -> None:
    three = [incident(name, f"2026-0{month}-15 09:00") for name, month in (("A", 1), ("B", 3), ("C", 6))]
    assert rows(*three) == [("A", "B", "C")]


def test_fewer_than_the_pack_asks_for_are_none() -> None:
    three = pack(at_least=3)
    pair = incident("A", "2026-01-15 09:00", costs=90), incident("B", "2026-02-15 09:00", costs=90)
    assert rows(*pair, by=three) == []
    assert rows(*pair, incident("C", "2026-03-15 09:00", costs=1), by=three) == [("A", "B", "C")]


def test_without_the_clause_nothing_recurs() -> None:
    none = parse_pack({key: value for key, value in DOCUMENT.items() if key != "recurring"})
    assert rows(incident("A", "2026-03-02 09:00"), incident("B", "2026-03-09 09:00"), by=none) == []


# What they come to


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({"costs": 60}, {"costs": 40}, False),  # 100 is not more than 100
        ({"costs": 60}, {"costs": 40.5}, True),
        ({MAX: 9}, {MAX: 9}, False),  # of shares the greatest counts, not the sum
        ({MAX: 9}, {"costs": 60}, False),
        ({"leaked": True}, {"noticed": True}, True),  # one yes is a yes
        ({"leaked": True, "noticed": False}, {"leaked": False, "noticed": True}, True),
        ({"leaked": True}, {"leaked": True}, False),
    ],
)
def test_figures_add_up_or_the_greatest_counts(
    one: dict[str, float | bool], other: dict[str, float | bool], together: bool
) -> None:
    pair = incident("A", "2026-03-02 09:00", **one), incident("B", "2026-03-09 09:00", **other)
    assert rows(*pair) == ([("A", "B")] if together else [])


def test_of_one_incidents_figures_the_greatest_counts_not_their_sum() -> None:
    monday, later = brussels("2026-03-02 09:00"), brussels("2026-03-09 09:00")
    growing = fold("A", [said(monday + timedelta(hours=n), "core switch", costs=20 * n) for n in range(4)])
    assert rows(growing, incident("B", later, costs=40)) == []
    assert rows(growing, incident("B", later, costs=41)) == [("A", "B")]


def test_the_level_is_reached_when_the_last_figure_that_it_needs_is_known() -> None:
    monday, later = brussels("2026-03-02 09:00"), brussels("2026-03-09 09:00")
    grown = later + timedelta(hours=5)
    pair = fold("A", [said(monday, "core switch", costs=30), said(grown, costs=80)]), incident("B", later, costs=60)
    (one,) = found(*pair)
    assert one.reached.at == grown


def test_downtime_adds_up() -> None:
    def outage(name: str, day: str, length: timedelta) -> Incident:
        at = brussels(day)
        return fold(name, [started(at, "DE-HE"), restored(at + length, "DE-HE"), said(at, "core switch")])

    hour = timedelta(hours=1)
    first, second = "2026-03-02 09:00", "2026-03-09 09:00"
    assert rows(outage("A", first, hour), outage("B", second, hour)) == []
    (one,) = found(outage("A", first, hour), outage("B", second, hour + RESOLUTION))
    assert one.reached.at == brussels(second) + hour + RESOLUTION


# Which incidents


def test_an_incident_that_is_graded_by_itself_is_left_out() -> None:
    graded = incident("G", "2026-03-05 09:00", costs=101)
    small = incident("A", "2026-03-02 09:00"), incident("B", "2026-03-09 09:00")
    assert rows(graded, small[0]) == []
    assert rows(graded, *small) == [("A", "B")]


def test_a_person_can_give_the_level_that_leaves_it_out() -> None:
    at = brussels("2026-03-02 09:00")
    word = {"level": "major", "by": "Marie", "reason": "x"}
    corrected = fold("A", [said(at, "core switch", costs=60), recorded("level.corrected", at, data=word)])
    assert rows(corrected, incident("B", "2026-03-09 09:00")) == []


def test_an_incident_without_a_root_cause_is_left_out() -> None:
    assert rows(incident("A", "2026-03-02 09:00", None), incident("B", "2026-03-09 09:00")) == []


def test_other_causes_are_other_rows() -> None:
    given = [
        incident("A", "2026-03-02 09:00", "core switch"),
        incident("B", "2026-03-03 09:00", "a fire"),
        incident("C", "2026-03-04 09:00", "core switch"),
        incident("D", "2026-03-05 09:00", "a fire"),
    ]
    assert [(each.root_cause, each.incidents) for each in found(*given)] == [
        ("core switch", ("A", "C")),
        ("a fire", ("B", "D")),
    ]


@pytest.mark.parametrize(("one", "other"), [("core switch", "Core Switch"), ("Straße", "STRASSE")])
def test_causes_are_compared_whatever_their_capitals(one: str, other: str) -> None:
    (row,) = found(incident("A", "2026-03-02 09:00", one), incident("B", "2026-03-09 09:00", other))
    assert row.root_cause == other  # as the last incident says it


def test_a_later_root_cause_replaces_an_earlier_one() -> None:
    monday = brussels("2026-03-02 09:00")
    learned = monday + timedelta(days=1)
    other = incident("B", "2026-03-09 09:00")
    was_switch = fold("A", [said(monday, "core switch", costs=60), said(learned, "a fire")])
    assert rows(was_switch, other) == []
    is_switch = fold("A", [said(monday, "a fire", costs=60), said(learned, "core switch")])
    assert rows(is_switch, other) == [("A", "B")]


# As of when


def test_as_of_before_the_last_incident_there_is_no_row_yet() -> None:
    last = brussels("2026-03-09 09:00")
    pair = incident("A", "2026-03-02 09:00"), incident("B", last)
    assert rows(*pair, now=last - RESOLUTION) == []
    assert rows(*pair, now=last) == [("A", "B")]


def test_as_of_before_the_third_incident_the_row_has_two() -> None:
    three = [incident(name, f"2026-03-{day} 09:00") for name, day in (("A", "02"), ("B", "09"), ("C", "16"))]
    assert rows(*three, now=brussels("2026-03-15 00:00")) == [("A", "B")]
    assert rows(*three) == [("A", "B", "C")]


def test_as_of_before_the_cause_is_known_an_incident_is_left_out() -> None:
    monday = brussels("2026-03-02 09:00")
    learned = monday + timedelta(days=14)
    late = fold("A", [said(monday, costs=60), said(learned, "core switch")])
    other = incident("B", "2026-03-09 09:00")
    assert rows(late, other, now=learned - RESOLUTION) == []
    assert rows(late, other, now=learned) == [("A", "B")]


def test_rows_stand_in_order_of_their_last_incident() -> None:
    given = [
        incident("late", "2026-03-20 09:00", "a fire"),
        incident("later", "2026-03-22 09:00", "a fire"),
        incident("early", "2026-03-01 09:00", "core switch"),
        incident("earlier", "2026-02-20 09:00", "core switch"),
    ]
    assert rows(*given) == [("earlier", "early"), ("late", "later")]


SAID = {"zh-CN": "文", "en": "text"}
YEARS_LATER = "2028-01-01 00:00"
SWITCH = "core switch"


def pair_pack() -> Pack:
    """Return a pack by which more than 100 euro or two hours are major, and two within six months are one."""
    costly = {"measured": {"name": "costs", "more_than": 100}}
    when = {"any": [costly, {"outage": {"for": {"more_than": "2h"}}}]}
    document: dict[str, Any] = {
        "pack": "recurring",
        "version": "1",
        "title": SAID,
        "source": "here",
        "in_force": {"from": "2025-01-01"},
        "timezone": "Europe/Brussels",
        "measures": {"costs": {"recurring": "sum", "says": SAID}},
        "levels": [{"id": "major", "name": SAID}],
        "rules": [{"id": "major", "level": "major", "cite": "Art. 1", "says": SAID, "when": when}],
        "recurring": {"cite": "Art. 2", "says": SAID, "at_least": 2, "months": 6},
    }
    return parse_pack(document)


def on(text: str) -> datetime:
    """Return an instant from Brussels' time; a day alone is nine in the morning."""
    return datetime.fromisoformat(text if " " in text else f"{text} 09:00").replace(tzinfo=BRUSSELS)


def impact(when: datetime, cause: str | None = SWITCH, **measures: float) -> Recorded:
    data: dict[str, Any] = {"by": "Marie", "measures": measures}
    return recorded("impact.measured", when, service="payments", data=data | ({"root_cause": cause} if cause else {}))


def costing(name: str, day: str, costs: float = 60, cause: str = SWITCH) -> Incident:
    return fold(name, [impact(on(day), cause, costs=costs)])


def recurrences_of(*incidents: Incident, now: str | datetime = YEARS_LATER) -> tuple[Recurrence, ...]:
    return recurrences(incidents, pair_pack(), {}, on(now) if isinstance(now, str) else now)


def groups(*incidents: Incident, now: str | datetime = YEARS_LATER) -> list[tuple[str, ...]]:
    return [each.incidents for each in recurrences_of(*incidents, now=now)]


def test_an_incident_from_before_the_regulation_is_left_out_and_those_after_it_are_not() -> None:
    before = costing("before", "2024-12-20")
    assert groups(before, costing("A", "2025-01-10")) == []
    assert groups(before, costing("A", "2025-01-10"), costing("B", "2025-01-11")) == [("A", "B")]


def test_an_incident_that_never_began_is_left_out_though_its_cause_is_known() -> None:
    cause_alone = fold("cause alone", [impact(on("2026-03-01"))])
    assert groups(cause_alone, costing("A", "2026-03-02"), costing("B", "2026-03-03")) == [("A", "B")]


def test_an_incident_that_has_not_begun_yet_is_left_out_though_its_cause_is_known() -> None:
    out = [started(on("2026-03-05"), "DE-HE"), restored(on("2026-03-05 10:00"), "DE-HE"), impact(on("2026-03-01"))]
    beginning = fold("out", out)
    first = costing("A", "2026-03-02")
    small = fold("B", [*out, impact(on("2026-03-05 09:30"), costs=60)])
    assert groups(first, beginning, costing("C", "2026-03-03"), now="2026-03-04") == [("A", "C")]
    assert groups(first, small, now=on("2026-03-05") - RESOLUTION) == []
    assert groups(first, small) == [("A", "B")]


def test_what_is_graded_by_itself_at_the_very_instant_is_left_out() -> None:
    first, graded = costing("A", "2026-03-02"), costing("G", "2026-03-03", 101)
    assert groups(first, graded, now="2026-03-03") == []


def test_a_row_that_a_following_incident_makes_longer_by_the_last_instant_is_no_row() -> None:
    three = [costing("A", "2026-04-02"), costing("B", "2026-05-04"), costing("C", "2026-10-02")]
    assert groups(*three) == [("A", "B", "C")]


def test_a_lonely_incident_does_not_end_the_search() -> None:
    lonely = [costing("A", "2026-01-15"), costing("B", "2026-08-15")]
    assert groups(*lonely, costing("C", "2027-03-15"), costing("D", "2027-04-15")) == [("C", "D")]


def test_of_three_the_first_and_the_last_are_named_and_the_cause_in_the_last_ones_words() -> None:
    words = ["core switch", "Core switch", "Core Switch"]
    days = ["2026-03-02", "2026-03-04", "2026-03-09"]
    three = [costing(name, day, cause=cause) for name, day, cause in zip("ABC", days, words, strict=True)]
    (row,) = recurrences_of(*three)
    assert (row.first_at, row.last_at, row.root_cause) == (on("2026-03-02"), on("2026-03-09"), "Core Switch")


def test_it_is_known_since_the_last_of_the_causes_is() -> None:
    learned, again = on("2026-03-20"), on("2026-03-25")
    first = fold("A", [impact(on("2026-03-02"), None, costs=60), impact(learned), impact(again)])
    pair = first, costing("B", "2026-03-09")
    assert [row.known_at for row in recurrences_of(*pair, now=learned)] == [learned]
    assert [row.known_at for row in recurrences_of(*pair, now=again - RESOLUTION)] == [learned]
    assert [row.known_at for row in recurrences_of(*pair, now=again)] == [again]


def test_a_figure_that_was_lowered_still_counts_by_its_greatest() -> None:
    monday = on("2026-03-02")
    lowered = fold("A", [impact(monday, costs=60), impact(monday + timedelta(hours=1), costs=20)])
    assert groups(lowered, costing("B", "2026-03-09", 50)) == [("A", "B")]


# As one


def outage(day: str, region: str, *more: Recorded) -> list[Recorded]:
    """Return an outage from nine to ten of which the first ten minutes were announced."""
    window = {"start": on(day), "end": on(f"{day} 09:10")}
    announced = recorded("maintenance.announced", on(f"{day} 08:00"), service="payments", data=window)
    begun = started(on(day), region, service="payments")
    return [announced, begun, restored(on(f"{day} 10:00"), region, service="payments"), *more]


def harmed(day: str) -> Recorded:
    data = {"kind": "bank", "seriousness": "serious", "cause": "data_loss", "by": "Marie", "reason": "ledger"}
    return recorded("harm.assessed", on(f"{day} 09:20"), data=data)


def failed(day: str, reason: str) -> Recorded:
    return recorded("repair.failed", on(f"{day} 09:30"), data={"by": "Marie", "reason": reason})


def estimated(day: str) -> Recorded:
    return recorded("recovery.estimated", on(f"{day} 09:40"), data={"recovery_at": on(f"{day} 12:00")})


def test_several_incidents_as_one_have_all_that_happened_but_no_correction() -> None:
    days = ["2026-03-02", "2026-03-04", "2026-03-09"]
    word = {"level": None, "by": "Marie", "reason": "too small"}
    corrected = recorded("level.corrected", on("2026-03-09 11:00"), data=word)
    first = fold("A", outage(days[0], "DE-HE", harmed(days[0]), failed(days[0], "one"), estimated(days[0])))
    second = fold("B", outage(days[1], "DE-BY", failed(days[1], "two")))
    third = fold("C", outage(days[2], "DE-HE", harmed(days[2]), estimated(days[2]), corrected))
    one = together([first, second, third], pair_pack())
    assert one.id == "A+B+C"
    assert [(each.service, each.region) for each in one.outages] == [("payments", "DE-HE"), ("payments", "DE-BY")]
    hesse, bavaria = one.outages
    assert [interval.start for interval in hesse.intervals] == [on(days[0]), on(days[2])]
    assert hesse.maintenance == tuple((on(day), on(f"{day} 09:10")) for day in (days[0], days[2]))
    assert [interval.start for interval in bavaria.intervals] == [on(days[1])]
    assert [harm.occurred_at for harm in one.events(HarmAssessed)] == [on(f"{day} 09:20") for day in (days[0], days[2])]
    assert [failure.data.reason for failure in one.events(RepairFailed)] == ["one", "two"]
    estimates = [estimate.occurred_at for estimate in one.events(RecoveryEstimated)]
    assert estimates == [on(f"{day} 09:40") for day in (days[0], days[2])]
    assert one.events(LevelCorrected) == ()
    assert (one.first_event_at, one.detected_at) == (third.first_event_at, third.detected_at)
