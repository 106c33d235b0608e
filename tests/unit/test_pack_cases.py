"""A pack's cases: how each is read and refused, how it is run, and what is said if it comes to something else."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.builders import CHINA

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.domain.calendar.service_hours import ALWAYS
from incident_engine.domain.events.model import wire
from incident_engine.domain.grading.interpretation import Counting
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case_runner import day_of, failing_cases, out_of_force, run_case
from incident_engine.domain.grading.pack_parser import parse_pack

SAID = {"zh-CN": "文", "en": "text"}
DAY = datetime(2020, 1, 1, tzinfo=CHINA)
NO_TIME = "HH:MM, HH:MM:SS or HH:MM:SS.ffffff; hours may exceed 24 for the days that follow"
NO_EVENT = "an event in the native format, see docs/events.md"


def rule(name: str, level: str, when: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "level": level, "cite": "Art. 1", "says": SAID, "when": when}


def demand(name: str, **given: Any) -> dict[str, Any]:
    due = {"after": "applies", "within": "1h"}
    return {"id": name, "cite": "Art. 2", "says": SAID, "to": "regulator", "levels": ["I", "II"], "due": due} | given


def down(count: int, length: str) -> dict[str, Any]:
    return {"regions_down": {"at_least": count, "for": {"at_least": length}}}


def document(*cases: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Return a pack: II after half an hour, or if that is to come; I after three hours, in two regions, or by loss."""
    progress = demand("progress", every="2h", until="restored")
    costly = {"measured": {"name": "loss", "more_than": 5}}
    return {
        "pack": "some",
        "version": "1",
        "title": SAID,
        "source": "here",
        "in_force": {"from": "2020-01-01"},
        "timezone": "Asia/Shanghai",
        "measures": {"loss": {"says": SAID}},
        "levels": [{"id": level, "name": SAID} for level in ("I", "II")],
        "rules": [
            rule("long", "I", {"any": [down(1, "3h"), down(2, "1h"), costly]}),
            rule("short", "II", down(1, "30m")),
            rule("to-come", "II", {"forecast": {"rule": "short"}}),
        ],
        "obligations": [demand("report"), progress],
        "cases": [{"name": "nothing", "expect": []}, *cases],
    } | given


def pack(*cases: dict[str, Any], **given: Any) -> Pack:
    return parse_pack(document(*cases, **given))


def failing(given: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what is wrong with the second case of a pack: (pointer, message, expected)."""
    return [
        (found.pointer, found.message, found.expected)
        for found in failing_cases(pack({"name": "some", "expect": []} | given))
    ]


def refused(**given: Any) -> tuple[str, str, str]:
    """Return the one problem for which a case is refused."""
    with pytest.raises(InvalidDocumentError) as caught:
        pack({"name": "some", "expect": []} | given)
    (found,) = caught.value.problems
    return found.pointer, found.message, found.expected


II_AT_HALF_PAST = [{"at": "09:30", "level": "II", "rule": "short"}]
OUT = {"CN-GD": ["09:00", "10:00"]}


# How it is read


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("00:00", timedelta(0)),
        ("09:30", timedelta(hours=9, minutes=30)),
        ("100:59", timedelta(hours=100, minutes=59)),
        ("09:30:01", timedelta(hours=9, minutes=30, seconds=1)),
        ("09:30:59.000001", timedelta(hours=9, minutes=30, seconds=59, microseconds=1)),
    ],
)
def test_a_time_of_a_case_counts_from_midnight(text: str, length: timedelta) -> None:
    (_, found) = pack({"name": "some", "expect": [{"at": text, "level": "II"}]}).cases
    assert found.expect[0].at == length


@pytest.mark.parametrize("text", ["9:30", "09:60", "09:30:60", "09:30:00.1", "1000:00", "09:30 ", 930, None])
def test_what_is_no_time_is_refused_with_what_is_one(text: object) -> None:
    expected = ("/cases/1/expect/0/at", f"not a time: {text!r}", NO_TIME)
    assert refused(expect=[{"at": text, "level": "II"}]) == expected


def test_figures_are_given_by_a_time_and_outages_by_a_region() -> None:
    assert refused(measured={"09:00": {"loss": 1}, "9:00": {"loss": 1}}) == (
        "/cases/1",
        "not a time: '9:00'",
        NO_TIME,
    )
    for key in ("down", "degraded"):
        pointer, message, _ = refused(**{key: OUT | {"CN-XX": ["09:00"]}})
        assert (pointer, message) == ("/cases/1", "unknown region 'CN-XX'")


@pytest.mark.parametrize("span", [["09:00", "08:59"], ["09:00", "09:00"]])
def test_an_outage_ends_after_it_begins(span: list[str]) -> None:
    expected = "an end after the beginning; hours may exceed 24 for the next day"
    assert refused(down={"CN-GD": span}) == ("/cases/1/down/CN-GD/0", "ends before it begins", expected)


def test_an_outage_is_one_span_or_several_each_of_one_time_or_two() -> None:
    several = {"CN-GD": [["09:00", "10:00"], ["11:00"]], "CN-HN": ["12:00"], "CN-SC": []}
    (_, found) = pack({"name": "some", "expect": [], "down": several}).cases
    hour = timedelta(hours=1)
    assert found.down == {"CN-GD": [(9 * hour, 10 * hour), (11 * hour,)], "CN-HN": [(12 * hour,)], "CN-SC": []}
    assert refused(down={"CN-GD": "09:00"})[:2] == ("/cases/1/down/CN-GD", "not a list: '09:00'")
    assert refused(down={"CN-GD": ["09:00", "10:00", "11:00"]})[0] == "/cases/1/down/CN-GD/0"


def test_windows_are_refused_one_by_one_and_together() -> None:
    said = "not a window of hours: '9-17'; expected HH:MM-HH:MM such as 09:00-17:00"
    assert refused(hours=["09:00-12:00", "9-17"])[0::2] == ("/cases/1/hours/1", "a window such as 09:00-17:00")
    assert refused(hours=["9-17"])[1].startswith(said.partition(";")[0])
    pointer, message, expected = refused(hours=["09:00-12:00", "11:00-13:00"])
    assert (pointer, expected) == ("/cases/1", "windows that do not overlap, such as 09:00-17:00")
    assert message.startswith("hours: ")


def test_the_hours_of_a_case_are_those_of_every_day_and_without_any_it_is_always_open() -> None:
    always, noon = pack({"name": "some", "expect": [], "hours": ["09:00-12:00", "13:00-17:00"]}).cases
    zone = ZoneInfo("Asia/Shanghai")
    assert always.service_hours(zone) is ALWAYS
    week = timedelta(days=7)
    assert noon.service_hours(zone).elapsed(DAY, DAY + week) == 7 * timedelta(hours=7)
    assert noon.service_hours(zone).reach(DAY, timedelta(hours=1)) == DAY + timedelta(hours=10)


def event(**given: Any) -> dict[str, Any]:
    return {"at": "09:05", "type": "note.added", "data": {"text": "x"}} | given


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"id": "1"}, "id"),
        ({"source": "x", "id": "1"}, "id and source"),
        ({"occurred_at": "2020-01-01T00:00:00Z", "source": "x", "id": "1"}, "id and occurred_at and source"),
    ],
)
def test_what_a_case_gives_its_events_they_must_not_give_themselves(given: dict[str, Any], named: str) -> None:
    said = f"a case gives its events their {named}"
    assert refused(events=[event(), event(**given)]) == ("/cases/1/events/1", said, "at: HH:MM alone")


def test_an_event_that_is_none_says_what_is_wrong_with_it() -> None:
    assert refused(events=[event(data={})]) == (
        "/cases/1/events/0",
        "no event: /data/text: missing key 'text'",
        NO_EVENT,
    )
    pointer, message, expected = refused(events=[event(day=1)])
    assert (pointer, expected) == ("/cases/1/events/0", NO_EVENT)
    assert message.startswith("no event: /day: unknown key 'day'; expected one of: source, id, occurred_at, ")


def test_the_events_of_a_case_are_of_its_service_and_day_and_each_has_an_id() -> None:
    window = event(type="maintenance.announced", at="08:00", data={"start": "09:10", "end": "09:20"})
    given = {
        "down": {"CN-GD": [["09:00", "10:00"], ["11:00"]]},
        "degraded": {"CN-HN": ["09:30", "24:30"]},
        "measured": {"09:40": {"loss": 3}},
        "events": [event(service="other"), window, event(type="recovery.estimated", data={"recovery_at": "10:30"})],
    }
    (_, case) = pack({"name": "some", "expect": []} | given).cases
    history = [wire(each) for each in case.history(DAY)]
    assert [(each["type"], each["service"]) for each in history] == [
        ("maintenance.announced", "case"),
        ("note.added", "other"),
        ("recovery.estimated", "case"),
        ("impact.measured", "case"),
        ("outage.started", "case"),
        ("outage.restored", "case"),
        ("outage.started", "case"),
        ("outage.degraded", "case"),
        ("outage.restored", "case"),
    ]
    assert len({each["id"] for each in history}) == len(history)
    assert {each["source"] for each in history} == {"case"}
    times = [(datetime.fromisoformat(each["occurred_at"]) - DAY) / timedelta(hours=1) for each in history]
    assert [round(hours, 2) for hours in times] == [8, 9.08, 9.08, 9.67, 9, 10, 11, 9.5, 24.5]
    regions = [each["regions"] for each in history]
    assert regions == [[]] * 4 + [["CN-GD"]] * 3 + [["CN-HN"]] * 2
    assert history[0]["data"]["start"] == "2020-01-01T01:10:00Z"
    assert history[0]["data"]["end"] == "2020-01-01T01:20:00Z"
    assert history[2]["data"]["recovery_at"] == "2020-01-01T02:30:00Z"
    assert history[3]["data"] == {"by": "case", "measures": {"loss": 3}, "root_cause": None, "note": None}


def test_a_case_reads_otherwise_only_what_it_names() -> None:
    given = {"name": "some", "expect": [], "interpretation": {"counting": "concurrent"}}
    whole = pack(given, interpretation={"degraded": "down_only"})
    read = whole.cases[1].interpret(whole.interpretation)
    assert read == whole.interpretation.model_copy(update={"counting": Counting.CONCURRENT})
    assert whole.cases[0].interpret(whole.interpretation) == whole.interpretation


# How it is run


def test_a_case_happens_on_its_own_day_or_on_the_first_in_force_by_the_packs_time() -> None:
    whole = pack({"name": "some", "expect": [], "day": "2024-02-29"})
    assert [day_of(case, whole) for case in whole.cases] == [DAY, datetime(2024, 2, 29, tzinfo=CHINA)]
    assert day_of(whole.cases[1], pack(timezone="UTC")) == datetime(2024, 2, 29, tzinfo=UTC)


def test_a_case_comes_to_a_course_a_doubt_and_its_deadlines() -> None:
    whole = pack({"name": "some", "expect": [], "down": {"CN-GD": ["09:00", "12:30"]}})
    found = run_case(whole.cases[1], whole, DAY)
    assert (found.incident.id, found.provisional) == ("case", False)
    assert [(step.at - DAY, step.rule) for step in found.history] == [
        (timedelta(hours=9, minutes=30), "short"),
        (timedelta(hours=12), "long"),
    ]
    first, second = timedelta(hours=10, minutes=30), timedelta(hours=12, minutes=30)
    assert {key: at - DAY for key, at in found.due.items()} == {
        "report": first,
        "progress": first,  # by its name alone the first
        "progress.1": first,
        "progress.2": second,
    }


def test_a_case_without_events_comes_to_nothing() -> None:
    whole = pack()
    found = run_case(whole.cases[0], whole, DAY)
    assert (found.history, found.provisional, found.due, found.incident.outages) == ((), False, {}, ())


def test_a_case_is_looked_at_long_after_but_its_doubts_and_deadlines_at_its_last_event() -> None:
    given = {
        "down": {"CN-GD": ["02:00"]},
        "hours": ["09:00-17:00"],
        "events": [{"at": "03:00", "type": "repair.failed", "data": {"by": "王", "reason": "x"}}],
    }
    whole = pack({"name": "some", "expect": []} | given)
    found = run_case(whole.cases[1], whole, DAY)
    assert found.provisional is True
    assert [(step.at - DAY, step.rule) for step in found.history] == [
        (timedelta(hours=3), "to-come"),
        (timedelta(hours=12), "long"),
    ]


def test_a_level_that_takes_years_is_still_seen() -> None:
    rules = [rule("short", "II", down(1, "3000d"))]
    whole = pack({"name": "some", "expect": [], "down": {"CN-GD": ["09:00"]}}, rules=rules)
    assert [step.at - DAY for step in run_case(whole.cases[1], whole, DAY).history] == [timedelta(days=3000, hours=9)]


def test_a_case_is_read_as_it_says() -> None:
    degraded = {"degraded": {"CN-GD": ["09:00", "10:00"]}}
    assert failing(degraded | {"expect": II_AT_HALF_PAST}) == []
    assert failing(degraded | {"interpretation": {"degraded": "down_only"}}) == []
    opening = {"down": {"CN-GD": ["08:00", "09:10"]}, "hours": ["09:00-17:00"]}
    assert failing(opening) == []
    by_the_wall = [{"at": "08:30", "level": "II"}]
    assert failing(opening | {"interpretation": {"clock": "wall_clock"}, "expect": by_the_wall}) == []


# What is said of it


@pytest.mark.parametrize(
    ("given", "message", "expected"),
    [
        ({"down": OUT}, "case 'some' gives II at 09:30 by short", "no level"),
        ({"expect": II_AT_HALF_PAST}, "case 'some' gives no level", "II at 09:30 by short"),
        (
            {"down": OUT, "expect": [{"at": "09:31", "level": "II"}]},
            "case 'some' gives II at 09:30",
            "II at 09:31",
        ),
        (
            {"down": {"CN-GD": ["09:00:01", "10:00"]}, "expect": II_AT_HALF_PAST},
            "case 'some' gives II at 09:30:01 by short",
            "II at 09:30 by short",
        ),
        (
            {"down": {"CN-GD": ["09:00:10.250000", "10:00"]}, "expect": II_AT_HALF_PAST},
            "case 'some' gives II at 09:30:10.25 by short",
            "II at 09:30 by short",
        ),
        (
            {"down": {"CN-GD": ["23:45", "26:45"]}, "expect": [{"at": "24:16", "level": "II"}]},
            "case 'some' gives II at 24:15, I at 26:45 by long",
            "II at 24:16",
        ),
        (
            {
                "down": {"CN-GD": ["09:00", "12:00"]},
                "expect": [{"at": "09:30", "level": "II"}, {"at": "12:00", "level": "I", "rule": "short"}],
            },
            "case 'some' gives II at 09:30, I at 12:00 by long",
            "II at 09:30, I at 12:00 by short",
        ),
    ],
)
def test_another_course_is_told_beside_the_expected_one(given: dict[str, Any], message: str, expected: str) -> None:
    assert failing(given) == [("/cases/1/expect", message, expected)]


def test_a_correction_is_told_without_a_rule() -> None:
    lowered = event(at="09:40", type="level.corrected", data={"by": "李", "level": None, "reason": "x"})
    given = {"down": OUT, "events": [lowered]}
    told = [*II_AT_HALF_PAST, {"at": "09:40", "level": None}]
    assert failing(given | {"expect": told}) == []
    assert failing(given | {"expect": II_AT_HALF_PAST}) == [
        ("/cases/1/expect", "case 'some' gives II at 09:30 by short, None at 09:40", "II at 09:30 by short")
    ]


def test_a_doubt_is_told() -> None:
    assert failing({"provisional": False}) == []
    assert failing({"provisional": True}) == [("/cases/1/provisional", "case 'some' is not provisional", "true")]
    failed = {"at": "03:00", "type": "repair.failed", "data": {"by": "王", "reason": "x"}}
    reached = [{"at": "03:00", "level": "II", "rule": "to-come"}, {"at": "12:00", "level": "I", "rule": "long"}]
    night = {"down": {"CN-GD": ["02:00"]}, "hours": ["09:00-17:00"], "events": [failed], "expect": reached}
    assert failing(night | {"provisional": True}) == failing(night) == []
    assert failing(night | {"provisional": False}) == [("/cases/1/provisional", "case 'some' is provisional", "false")]


def test_a_deadline_is_told() -> None:
    given = {"down": {"CN-GD": ["09:00", "10:30"]}, "expect": II_AT_HALF_PAST}
    right = {"report": "10:30", "progress": "10:30", "progress.1": "10:30"}
    assert failing(given | {"due": right}) == []
    assert failing(given | {"due": {"report": "10:31", "progress.1": "10:30", "progress.9": "30:30:30"}}) == [
        ("/cases/1/due/report", "case 'some': 'report' is due 10:30", "10:31"),
        ("/cases/1/due/progress.9", "case 'some': 'progress.9' is not due", "30:30:30"),
    ]
    assert failing({"due": {"report": "10:30"}}) == [
        ("/cases/1/due/report", "case 'some': 'report' is not due", "10:30")
    ]


# In force


def swept(whole: Pack) -> list[tuple[str, str, str]]:
    return [(found.pointer, found.message, found.expected) for found in out_of_force(whole)]


def test_a_pack_gives_a_level_on_the_days_on_which_it_is_in_force_and_no_others() -> None:
    case = {"name": "some", "down": OUT, "expect": II_AT_HALF_PAST}
    assert swept(pack(case)) == []
    assert swept(pack(case, in_force={"from": "2020-01-01", "until": "2020-01-02"})) == []
    assert swept(pack()) == []


def test_the_days_around_the_first_and_the_last_are_swept() -> None:
    """A case that begins on the day before its own shows each day on which it then gives another verdict."""
    in_force = {"from": "2020-01-10", "until": "2020-02-10"}
    late = {"name": "late", "down": {"CN-GD": ["24:00", "25:00"]}, "expect": [{"at": "24:30", "level": "II"}]}
    assert swept(pack(late, in_force=in_force)) == [
        ("/in_force", "case 'late' on 2020-01-09 gives a level", "no level"),
        ("/in_force", "case 'late' on 2020-02-09 gives no level", "a level"),
    ]
    after_two_days = {
        "name": "later",
        "down": {"CN-GD": ["48:00", "49:00"]},
        "expect": [{"at": "48:30", "level": "II"}],
    }
    assert swept(pack(after_two_days, in_force={"from": "2020-01-10"})) == [
        ("/in_force", "case 'later' on 2020-01-09 gives a level", "no level"),
    ]


def test_the_first_case_that_expects_a_level_is_the_one_that_is_swept() -> None:
    lowered = {"name": "lowered", "expect": [{"at": "09:00", "level": None}]}
    late = {"name": "late", "down": {"CN-GD": ["24:00", "25:00"]}, "expect": [{"at": "24:30", "level": "II"}]}
    plain = {"name": "plain", "down": OUT, "expect": II_AT_HALF_PAST}
    assert swept(pack(lowered, plain, late)) == []
    assert len(swept(pack(lowered, late, plain))) == 1
