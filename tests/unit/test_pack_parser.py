"""Each wrong reference in a pack: its place, what is said, what was expected and the nearest name."""

from typing import Any

import pytest

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack

SAID = {"zh-CN": "文", "en": "text"}
HALF_AN_HOUR = {"regions_down": {"at_least": 1, "for": {"at_least": "30m"}}}
POINTS = "one of: counting, flapping, degraded, services, clock, outside_hours"


def rule(name: str, when: dict[str, Any], level: str = "II") -> dict[str, Any]:
    return {"id": name, "level": level, "cite": "Art. 1", "says": SAID, "when": when}


def demand(name: str, **given: Any) -> dict[str, Any]:
    due = {"after": "applies", "within": "1h"}
    occasion = {} if "on" in given or "when" in given else {"levels": ["II"]}
    return {"id": name, "cite": "Art. 2", "says": SAID, "to": "regulator", "due": due} | occasion | given


def document(**given: Any) -> dict[str, Any]:
    return {
        "pack": "some",
        "version": "1",
        "title": SAID,
        "source": "here",
        "in_force": {"from": "2020-01-01"},
        "measures": {"loss": {"says": SAID}, "media": {"says": SAID, "kind": "yes_no"}},
        "levels": [{"id": level, "name": SAID} for level in ("I", "II")],
        "rules": [rule("down", HALF_AN_HOUR)],
        "obligations": [demand("report"), demand("summary")],
    } | given


def wrong(**given: Any) -> list[tuple[str, str, str, str]]:
    """Return (pointer, message, expected, nearest) of each problem."""
    with pytest.raises(InvalidDocumentError) as caught:
        parse_pack(document(**given))
    return [(found.pointer, found.message, found.expected, found.nearest) for found in caught.value.problems]


def case(**given: Any) -> dict[str, Any]:
    return {"cases": [{"name": "fine", "expect": []}, {"name": "some", "expect": []} | given]}


def parsed(**given: Any) -> Pack:
    return parse_pack(document(**given))


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ({}, ""),
        ({"any": 0}, "/any/1"),
        ({"all": 0}, "/all/1"),
        ({"n_of": 0}, "/n_of/of/1"),
        ({"any": {"n_of": 0}}, "/any/1/n_of/of/1"),
        ({"all": {"any": 0}}, "/all/1/any/1"),
    ],
)
def test_a_name_within_conditions_is_found_where_it_stands(when: dict[str, Any], path: str) -> None:
    def around(shape: Any, leaf: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(shape, dict) or not shape:
            return leaf
        ((kind, inner),) = shape.items()
        parts = [HALF_AN_HOUR, around(inner, leaf)]
        return {kind: {"at_least": 1, "of": parts} if kind == "n_of" else parts}

    of_figures = rule("costly", around(when, {"measured": {"name": "losss", "at_least": 5}}))
    at = f"/rules/1/when{path}/measured/name"
    assert wrong(rules=[rule("down", HALF_AN_HOUR), of_figures]) == [
        (at, "unknown measure 'losss'", "one of: loss, media", "loss")
    ]
    of_forecast = rule("to-come", around(when, {"forecast": {"rule": "dwon"}}))
    at = f"/rules/1/when{path}/forecast/rule"
    assert wrong(rules=[rule("down", HALF_AN_HOUR), of_forecast]) == [
        (at, "unknown rule 'dwon'", "one of: down, to-come", "down")
    ]


@pytest.mark.parametrize(
    ("limit", "message", "expected"),
    [
        ({"name": "loss", "is": True}, "'loss' is declared as number", "at_least or more_than"),
        ({"name": "loss", "is": False}, "'loss' is declared as number", "at_least or more_than"),
        ({"name": "media", "at_least": 1}, "'media' is declared as yes_no", "is: true"),
        ({"name": "media", "more_than": 0}, "'media' is declared as yes_no", "is: true"),
    ],
)
def test_a_condition_on_a_figure_is_of_the_kind_that_is_declared(
    limit: dict[str, Any], message: str, expected: str
) -> None:
    rules = [rule("down", {"measured": limit})]
    assert wrong(rules=rules) == [("/rules/0/when/measured/name", message, expected, "")]
    owed = [demand("report", when={"measured": limit})]
    assert wrong(obligations=owed) == [("/obligations/0/when/measured/name", message, expected, "")]


def test_a_question_and_a_figure_that_are_asked_rightly_are_accepted() -> None:
    conditions = [{"measured": {"name": "loss", "at_least": 1}}, {"measured": {"name": "media", "is": False}}]
    assert parsed(rules=[rule("down", {"any": conditions})]).conditions["down"].any is not None


def test_a_forecast_of_a_forecast_is_refused_wherever_that_stands() -> None:
    inner = rule("inner", {"any": [HALF_AN_HOUR, {"forecast": {"rule": "down"}}]})
    outer = rule("outer", {"forecast": {"rule": "inner"}})
    assert wrong(rules=[rule("down", HALF_AN_HOUR), inner, outer]) == [
        ("/rules/2/when/forecast/rule", "rule 'inner' is a forecast itself", "a rule of facts", "")
    ]


def test_what_is_given_twice_is_refused_at_the_second_place() -> None:
    twice = rule("down", {"regions_down": {"at_least": 2, "for": {"at_least": "1h"}}})
    levels = [{"id": level, "name": SAID} for level in ("I", "II", "I")]
    owed = [demand("report"), demand("report")]
    assert wrong(rules=[rule("down", HALF_AN_HOUR), twice], levels=levels, obligations=owed) == [
        ("/levels/2/id", "'I' is used twice", "an id of its own", ""),
        ("/rules/1/id", "'down' is used twice", "an id of its own", ""),
        ("/obligations/1/id", "'report' is used twice", "an id of its own", ""),
    ]


def test_a_level_that_a_rule_or_an_obligation_names_must_exist() -> None:
    rules = [rule("down", HALF_AN_HOUR), rule("more", {"outage": {"for": {"at_least": "1h"}}}, "III")]
    found = wrong(rules=rules, obligations=[demand("report"), demand("summary", levels=["I", "IIII"])])
    assert found == [
        ("/rules/1/level", "unknown level 'III'", "one of: I, II", "II"),
        ("/obligations/1/levels/1", "unknown level 'IIII'", "one of: I, II", ""),
    ]


def due(**given: Any) -> dict[str, Any]:
    return {"due": given}


@pytest.mark.parametrize("after", ["met", "last_met"])
def test_a_deadline_counts_from_an_obligation_that_stands_before(after: str) -> None:
    first, last = demand("report"), demand("summary", **due(after=after, of="report", within="1h"))
    assert parsed(obligations=[first, last]).obligations[1].due.of == "report"
    assert wrong(obligations=[last, first]) == [
        ("/obligations/0/due/of", "unknown obligation (before this one) 'report'", "one of: (there is none)", "")
    ]
    itself = demand("summary", **due(after=after, of="summary", within="1h"))
    assert wrong(obligations=[first, itself]) == [
        ("/obligations/1/due/of", "unknown obligation (before this one) 'summary'", "one of: report", "")
    ]


def test_within_earliest_a_wrong_deadline_is_named_by_its_place() -> None:
    earliest = [
        {"after": "applies", "within": "1h"},
        {"after": "met", "of": "reprot", "within": "1h"},
        {"after": "applies", "working_days": 2},
    ]
    assert wrong(obligations=[demand("report"), demand("summary", due={"earliest": earliest})]) == [
        (
            "/obligations/1/due/earliest/1/of",
            "unknown obligation (before this one) 'reprot'",
            "one of: report",
            "report",
        ),
        (
            "/obligations/1/due/earliest/2/working_days",
            "working days need a calendar",
            "calendar: CN at the pack's top",
            "",
        ),
    ]


def test_working_days_and_days_off_need_a_calendar() -> None:
    working = demand("report", **due(after="applies", working_days=2))
    moved = demand("summary", **due(after="applies", within="1h", on_day_off="noon_next_working_day"))
    kept = demand("final", **due(after="applies", within="1h", on_day_off="keep"))
    assert wrong(obligations=[working, moved, kept]) == [
        ("/obligations/0/due/working_days", "working days need a calendar", "calendar: CN at the pack's top", ""),
        ("/obligations/1/due/on_day_off", "days off need a calendar", "calendar: CN at the pack's top", ""),
    ]
    assert len(parsed(obligations=[working, moved, kept], calendar="CN").obligations) == 3


# Cases


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (
            {"expect": [{"at": "09:00", "level": None}, {"at": "09:30", "level": "III"}]},
            ("/cases/1/expect/1/level", "unknown level 'III'", "one of: I, II", "II"),
        ),
        (
            {"expect": [{"at": "09:00", "level": "I"}, {"at": "09:30", "level": "II", "rule": "dwon"}]},
            ("/cases/1/expect/1/rule", "unknown rule 'dwon'", "one of: down", "down"),
        ),
        (
            {"measured": {"09:00": {"loss": 1}, "10:00": {"losss": 2}}},
            ("/cases/1/measured/10:00/losss", "unknown measure 'losss'", "one of: loss, media", "loss"),
        ),
        (
            {"measured": {"09:00": {"loss": True}}},
            ("/cases/1/measured/09:00/loss", "'loss' is declared as number", "a number", ""),
        ),
        (
            {"measured": {"09:00": {"media": 1}}},
            ("/cases/1/measured/09:00/media", "'media' is declared as yes_no", "true or false", ""),
        ),
        ({"due": {"reprot.1": "09:00"}}, ("/cases/1/due/reprot.1", "unknown obligation 'reprot'", None, "report")),
        (
            {"interpretation": {"countin": "own"}},
            ("/cases/1/interpretation/countin", "unknown point 'countin'", POINTS, "counting"),
        ),
        (
            {"interpretation": {"counting": "owned"}},
            ("/cases/1/interpretation/counting", "unknown value 'owned'", "one of: own, concurrent", "own"),
        ),
    ],
)
def test_what_a_case_names_must_exist(given: dict[str, Any], found: tuple[str, str, str | None, str]) -> None:
    pointer, message, expected, nearest = found
    expected = "one of: report, summary" if expected is None else expected
    assert wrong(**case(**given)) == [(pointer, message, expected, nearest)]


def event(kind: str, **data: Any) -> dict[str, Any]:
    fine = {"at": "09:00", "type": "note.added", "data": {"text": "fine"}}
    return case(events=[fine, {"at": "09:05", "type": kind, "data": {"by": "李"} | data}])


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (
            event("impact.measured", measures={"losss": 3}),
            ("measures/losss", "unknown measure 'losss'", "one of: loss, media", "loss"),
        ),
        (
            event("impact.measured", measures={"loss": True}),
            ("measures/loss", "'loss' is declared as number", "a number", ""),
        ),
        (
            event("level.corrected", level="III", reason="x"),
            ("level", "unknown level 'III'", "one of: I, II", "II"),
        ),
        (
            event("level.corrected", level=None, pack="somme", reason="x"),
            ("pack", "unknown pack 'somme'", "one of: some", "some"),
        ),
        (
            event("step.completed", fulfils="reprot"),
            ("fulfils", "unknown obligation 'reprot'", "one of: report, summary", "report"),
        ),
    ],
)
def test_what_an_event_of_a_case_names_must_exist(given: dict[str, Any], found: tuple[str, str, str, str]) -> None:
    place, message, expected, nearest = found
    assert wrong(**given) == [(f"/cases/1/events/1/data/{place}", message, expected, nearest)]


def test_what_a_case_names_rightly_is_accepted() -> None:
    events = [
        {"at": "09:05", "type": "impact.measured", "data": {"by": "李", "measures": {"loss": 1, "media": True}}},
        {"at": "09:06", "type": "level.corrected", "data": {"by": "李", "level": "I", "pack": "some", "reason": "x"}},
        {"at": "09:07", "type": "level.corrected", "data": {"by": "李", "level": None, "reason": "x"}},
        {"at": "09:08", "type": "step.completed", "data": {"by": "李", "fulfils": "summary"}},
    ]
    expect = [{"at": "09:06", "level": "I"}, {"at": "09:07", "level": None}, {"at": "09:30", "level": "II"}]
    given = {
        "events": events,
        "expect": expect,
        "due": {"report.1": "10:00"},
        "interpretation": {"counting": "concurrent"},
    }
    found = parsed(**case(**given, measured={"09:00": {"loss": 1.5}})).cases[1]
    assert (len(found.events), len(found.expect), found.interpretation) == (4, 3, {"counting": "concurrent"})


def test_several_wrong_points_of_a_cases_reading_are_each_named_once() -> None:
    assert wrong(**case(interpretation={"countin": "own", "counting": "owned", "flaping": "x"})) == [
        ("/cases/1/interpretation/countin", "unknown point 'countin'", POINTS, "counting"),
        ("/cases/1/interpretation/flaping", "unknown point 'flaping'", POINTS, "flapping"),
    ]


def test_a_wrong_value_is_named_though_every_point_is_given() -> None:
    interpretation = {
        "counting": "own",
        "flapping": "accumulate",
        "degraded": "counts",
        "services": "unionn",
        "clock": "wall_clock",
        "outside_hours": "off",
    }
    assert wrong(**case(interpretation=interpretation)) == [
        ("/cases/1/interpretation/services", "unknown value 'unionn'", "one of: union, per_service_max", "union")
    ]


# Parameters


def parameters(**values: object) -> dict[str, Any]:
    return {"parameters": {name: {"value": value, "cite": "Art. 3"} for name, value in values.items()}}


def test_a_parameter_is_put_in_place_in_readings_rules_and_obligations_alone() -> None:
    limit = {"regions_down": {"at_least": "$count", "for": {"at_least": "$length"}}}
    given = parameters(count=2, length="45m", way="concurrent")
    rules = [rule("down", {"any": [HALF_AN_HOUR, limit]})]
    found = parsed(**given, rules=rules, interpretation={"counting": "$way"}, source="$count", version="$nothing")
    condition = found.conditions["down"].any
    assert condition is not None
    down = condition[1].regions_down
    assert down is not None
    assert (down.least, down.for_.least.total_seconds()) == (2, 2700)
    assert (found.interpretation.counting.value, found.source, found.version) == ("concurrent", "$count", "$nothing")


def test_an_unknown_parameter_is_named_with_those_there_are_and_nothing_else_of_its_place() -> None:
    owed = [demand("report"), demand("summary", **due(after="applies", within="$lenght"))]
    assert wrong(obligations=owed, **parameters(length="1h", count=2)) == [
        ("/obligations/1/due/within", "unknown parameter 'lenght'", "one of: count, length", "length")
    ]
    assert wrong(obligations=owed) == [
        ("/obligations/1/due/within", "unknown parameter 'lenght'", "one of: (none is declared)", "")
    ]


def test_an_unknown_parameter_within_a_list_is_named_by_its_place_beside_other_problems() -> None:
    limit = {"regions_down": {"at_least": 1, "for": {"at_least": "$length"}}}
    rules = [rule("down", HALF_AN_HOUR) | {"cite": 9}, rule("more", {"all": [HALF_AN_HOUR, limit]})]
    assert wrong(rules=rules) == [
        (
            "/rules/1/when/all/1/regions_down/for/at_least",
            "unknown parameter 'length'",
            "one of: (none is declared)",
            "",
        ),
        ("/rules/0/cite", "not a text: 9", "a text; put it in quotation marks", ""),
    ]


@pytest.mark.parametrize("given", [[], {"length": "1h"}, {"length": {"cite": "Art. 3"}}, None])
def test_parameters_of_another_shape_are_none(given: object) -> None:
    owed = [demand("report", **due(after="applies", within="$length"))]
    found = wrong(obligations=owed, parameters=given)
    assert found[0] == (
        "/obligations/0/due/within",
        "unknown parameter 'length'",
        "one of: (none is declared)",
        "",
    )


def test_an_unknown_parameter_of_text_that_would_be_accepted_is_refused_all_the_same() -> None:
    assert wrong(rules=[rule("down", HALF_AN_HOUR) | {"cite": "$clause"}]) == [
        ("/rules/0/cite", "unknown parameter 'clause'", "one of: (none is declared)", "")
    ]
