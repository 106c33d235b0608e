"""Edges of recurrence: who is left out of a row, where one row ends in another, and what several are as one."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from support.build import recorded, restored, started

from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.grading.recurring import Recurrence, recurrences, together
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import RESOLUTION

BRUSSELS = ZoneInfo("Europe/Brussels")
SAID = {"zh-CN": "文", "en": "text"}
LONG_AFTER = "2028-01-01 00:00"
SWITCH = "core switch"


def pack() -> Pack:
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


def said(when: datetime, cause: str | None = SWITCH, **measures: float) -> Recorded:
    data: dict[str, Any] = {"by": "Marie", "measures": measures}
    return recorded("impact.measured", when, service="payments", data=data | ({"root_cause": cause} if cause else {}))


def costing(name: str, day: str, costs: float = 60, cause: str = SWITCH) -> Incident:
    return fold(name, [said(on(day), cause, costs=costs)])


def found(*incidents: Incident, now: str | datetime = LONG_AFTER) -> tuple[Recurrence, ...]:
    return recurrences(incidents, pack(), {}, on(now) if isinstance(now, str) else now)


def rows(*incidents: Incident, now: str | datetime = LONG_AFTER) -> list[tuple[str, ...]]:
    return [each.incidents for each in found(*incidents, now=now)]


def test_an_incident_from_before_the_regulation_is_left_out_and_those_after_it_are_not() -> None:
    before = costing("before", "2024-12-20")
    assert rows(before, costing("A", "2025-01-10")) == []
    assert rows(before, costing("A", "2025-01-10"), costing("B", "2025-01-11")) == [("A", "B")]


def test_an_incident_that_never_began_is_left_out_though_its_cause_is_known() -> None:
    cause_alone = fold("cause alone", [said(on("2026-03-01"))])
    assert rows(cause_alone, costing("A", "2026-03-02"), costing("B", "2026-03-03")) == [("A", "B")]


def test_an_incident_that_has_not_begun_yet_is_left_out_though_its_cause_is_known() -> None:
    out = [started(on("2026-03-05"), "DE-HE"), restored(on("2026-03-05 10:00"), "DE-HE"), said(on("2026-03-01"))]
    beginning = fold("out", out)
    first = costing("A", "2026-03-02")
    small = fold("B", [*out, said(on("2026-03-05 09:30"), costs=60)])
    assert rows(first, beginning, costing("C", "2026-03-03"), now="2026-03-04") == [("A", "C")]
    assert rows(first, small, now=on("2026-03-05") - RESOLUTION) == []
    assert rows(first, small) == [("A", "B")]


def test_what_is_graded_by_itself_at_the_very_instant_is_left_out() -> None:
    first, graded = costing("A", "2026-03-02"), costing("G", "2026-03-03", 101)
    assert rows(first, graded, now="2026-03-03") == []


def test_a_row_that_a_following_incident_makes_longer_by_the_last_instant_is_no_row() -> None:
    three = [costing("A", "2026-04-02"), costing("B", "2026-05-04"), costing("C", "2026-10-02")]
    assert rows(*three) == [("A", "B", "C")]


def test_a_lonely_incident_does_not_end_the_search() -> None:
    lonely = [costing("A", "2026-01-15"), costing("B", "2026-08-15")]
    assert rows(*lonely, costing("C", "2027-03-15"), costing("D", "2027-04-15")) == [("C", "D")]


def test_of_three_the_first_and_the_last_are_named_and_the_cause_in_the_last_ones_words() -> None:
    words = ["core switch", "Core switch", "Core Switch"]
    days = ["2026-03-02", "2026-03-04", "2026-03-09"]
    three = [costing(name, day, cause=cause) for name, day, cause in zip("ABC", days, words, strict=True)]
    (row,) = found(*three)
    assert (row.first_at, row.last_at, row.root_cause) == (on("2026-03-02"), on("2026-03-09"), "Core Switch")


def test_it_is_known_since_the_last_of_the_causes_is() -> None:
    learned, again = on("2026-03-20"), on("2026-03-25")
    first = fold("A", [said(on("2026-03-02"), None, costs=60), said(learned), said(again)])
    pair = first, costing("B", "2026-03-09")
    assert [row.known_at for row in found(*pair, now=learned)] == [learned]
    assert [row.known_at for row in found(*pair, now=again - RESOLUTION)] == [learned]
    assert [row.known_at for row in found(*pair, now=again)] == [again]


def test_a_figure_that_was_lowered_still_counts_by_its_greatest() -> None:
    monday = on("2026-03-02")
    lowered = fold("A", [said(monday, costs=60), said(monday + timedelta(hours=1), costs=20)])
    assert rows(lowered, costing("B", "2026-03-09", 50)) == [("A", "B")]


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
    one = together([first, second, third], pack())
    assert one.id == "A+B+C"
    assert [(each.service, each.region) for each in one.outages] == [("payments", "DE-HE"), ("payments", "DE-BY")]
    hesse, bavaria = one.outages
    assert [interval.start for interval in hesse.intervals] == [on(days[0]), on(days[2])]
    assert hesse.maintenance == tuple((on(day), on(f"{day} 09:10")) for day in (days[0], days[2]))
    assert [interval.start for interval in bavaria.intervals] == [on(days[1])]
    assert [harm.at for harm in one.harms] == [on(f"{day} 09:20") for day in (days[0], days[2])]
    assert [failure.reason for failure in one.repair_failures] == ["one", "two"]
    assert [estimate.said_at for estimate in one.estimates] == [on(f"{day} 09:40") for day in (days[0], days[2])]
    assert one.corrections == ()
    assert (one.first_event_at, one.detected_at) == (third.first_event_at, third.detected_at)
