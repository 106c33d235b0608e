"""What the cases of a pack leave untried, limit by limit, and what in a pack can never matter."""

from typing import Any

import pytest
from support.builders import cbrc

from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_coverage import idle, uncovered
from incident_engine.domain.grading.pack_parser import parse_pack

SAID = {"zh-CN": "文", "en": "text"}
SUCH = "such cases under cases"


def rule(name: str, when: dict[str, Any], level: str = "II") -> dict[str, Any]:
    return {"id": name, "level": level, "cite": "Art. 1", "says": SAID, "when": when}


def pack(*rules: dict[str, Any], cases: list[dict[str, Any]] | None = None, **given: Any) -> Pack:
    levels = sorted({each["level"] for each in rules})
    document = {
        "pack": "some",
        "version": "1",
        "title": SAID,
        "source": "here",
        "in_force": {"from": "2020-01-01"},
        "measures": {"loss": {"says": SAID}, "media": {"says": SAID, "kind": "yes_no"}},
        "levels": [{"id": level, "name": SAID} for level in levels],
        "rules": rules,
        "cases": [{"name": f"case {place}", "expect": []} | each for place, each in enumerate(cases or [])],
    }
    return parse_pack(document | given)


def untried(when: dict[str, Any], *cases: dict[str, Any]) -> list[str]:
    """Return what is said to be untried of the condition of a rule that a case reaches."""
    expects = {"expect": [{"at": "09:00", "level": "II", "rule": "other"}, {"at": "09:00", "level": "II", "rule": "r"}]}
    found = list(uncovered(pack(rule("other", NEVER), rule("r", when), cases=[expects, *cases])))
    assert all((each.pointer, each.expected) == ("/rules/1/when", SUCH) for each in found)
    assert all(each.message.startswith("rule 'r' (Art. 1): ") for each in found)
    return [each.message.removeprefix("rule 'r' (Art. 1): ") for each in found]


NEVER = {"forecast": {"rule": "r"}}


def regions(count: int, **limit: str) -> dict[str, Any]:
    return {"regions_down": {"at_least": count, "for": limit}}


def down(*spans: str | None, **more: Any) -> dict[str, Any]:
    """Return a case in which each of the first regions is out from nine until the given time (None: open)."""
    names = ("CN-GD", "CN-HN", "CN-SC")
    return {
        "down": {name: ["09:00", end] if end else ["09:00"] for name, end in zip(names, spans, strict=False)}
    } | more


BELOW = "no case is just below (by less than a minute) the limit of"


@pytest.mark.parametrize(
    ("cases", "missing"),
    [
        ([], ["just below (by less than a minute) or exactly on or above"]),
        ([down("09:29:59")], ["exactly on or above"]),
        ([down("09:29:59"), down("09:30")], ["above"]),
        ([down("09:29:59"), down("09:30"), down("09:31")], []),
        ([down("09:29:59"), down("09:30"), down(None)], []),
        ([down("09:29:00.000001"), down("09:30"), down("10:00")], []),
        ([down("09:29"), down("09:30"), down("10:00")], ["just below (by less than a minute)"]),
        ([down("09:30"), down("10:00")], ["just below (by less than a minute)"]),
        ([down("09:29:59"), down("10:00")], ["exactly on"]),
        # Another number of regions shows nothing of the limit for one.
        ([down("09:29:59", "09:29:59"), down("09:30"), down("10:00")], ["just below (by less than a minute)"]),
    ],
)
def test_a_limit_of_time_is_tried_below_on_and_above(cases: list[dict[str, Any]], missing: list[str]) -> None:
    wanted = [f"no case is {each} the limit of 30m in 1 region(s)" for each in missing]
    assert untried(regions(1, at_least="30m"), *cases) == wanted
    assert untried(regions(1, more_than="30m"), *cases) == wanted
    anywhere = {"outage": {"for": {"at_least": "30m"}}}
    if not any(len(case["down"]) > 1 for case in cases):
        assert untried(anywhere, *cases) == [said.replace("in 1 region(s)", "anywhere") for said in wanted]


@pytest.mark.parametrize("kind", ["hours", "interpretation", "events"])
def test_a_case_with_hours_a_reading_or_events_of_its_own_tries_no_limit_of_time(kind: str) -> None:
    ways: dict[str, dict[str, Any]] = {
        "hours": {"hours": ["08:00-20:00"]},
        "interpretation": {"interpretation": {"counting": "own"}},
        "events": {"events": [{"at": "09:00", "type": "note.added", "data": {"text": "x"}}]},
    }
    cases = [down("09:29:59"), down("09:30", **ways[kind]), down("10:00")]
    found = untried(regions(1, at_least="30m"), *cases)
    assert found == ["no case is exactly on the limit of 30m in 1 region(s)"]


def test_of_several_regions_the_one_that_is_down_for_the_shortest_counts() -> None:
    when = regions(2, at_least="30m")
    cases = [down("09:29:59", "11:00"), down("11:00", "09:30"), down("11:00", "10:00")]
    assert untried(when, *cases) == []
    assert untried(when, *cases[:2]) == ["no case is above the limit of 30m in 2 region(s)"]
    assert untried(when, *cases[1:]) == [f"{BELOW} 30m in 2 region(s)"]


def test_the_outages_of_a_region_add_up() -> None:
    parts = {"down": {"CN-GD": [["09:00", "09:10"], ["10:00", "10:20"]]}}
    assert untried(regions(1, at_least="30m"), down("09:29:59"), parts, down("10:00")) == []
    open_end = {"down": {"CN-GD": [["09:00", "09:10"], ["10:00"]]}}
    assert untried(regions(1, at_least="30m"), down("09:29:59"), down("09:30"), open_end) == []


def test_anywhere_no_minute_counts_twice() -> None:
    when = {"outage": {"for": {"at_least": "30m"}}}
    overlapping = {"down": {"CN-GD": [["09:00", "09:20"]], "CN-HN": [["09:10", "09:30"], ["09:12", "09:15"]]}}
    apart = {"down": {"CN-GD": [["09:00", "09:10"]], "CN-HN": [["12:00", "12:20"]]}}
    touching = {"down": {"CN-GD": [["09:00", "09:10"]], "CN-HN": [["09:10", "09:30"]]}}
    for exact in (overlapping, apart, touching):
        assert untried(when, down("09:29:59"), exact, down("10:00")) == []
        assert untried(when, down("09:29:59"), exact) == ["no case is above the limit of 30m anywhere"]
        assert untried(when, exact, down("10:00")) == [f"{BELOW} 30m anywhere"]
    nothing_lasting = {"down": {"CN-GD": [["00:00", "00:30"]]}}
    assert untried(when, down("09:29:59"), nothing_lasting, down("10:00")) == []


@pytest.mark.parametrize("kind", ["regions_down", "outage"])
def test_any_outage_at_all_is_a_limit_that_needs_no_case(kind: str) -> None:
    count = {"at_least": 1} if kind == "regions_down" else {}
    assert untried({kind: count | {"for": {"at_least": "0s"}}}) == []
    above_nothing = untried({kind: count | {"for": {"more_than": "0s"}}}, down("09:10"))
    where = "in 1 region(s)" if kind == "regions_down" else "anywhere"
    assert above_nothing
    assert above_nothing[0].endswith(f"the limit of 0s {where}")


def measured(**figures: object) -> dict[str, Any]:
    return {"measured": {"09:00": figures}}


@pytest.mark.parametrize("bound", ["at_least", "more_than"])
@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ([], "below or exactly on or above"),
        ([4, 5], "above"),
        ([5, 6], "below"),
        ([4, 6], "exactly on"),
        ([4, 5, 6], ""),
        ([-1, 5.0, 5.5], ""),
    ],
)
def test_a_limit_of_a_figure_is_tried_below_on_and_above(bound: str, values: list[float], missing: str) -> None:
    found = untried({"measured": {"name": "loss", bound: 5}}, measured(media=True), *(measured(loss=v) for v in values))
    assert found == ([f"no case is {missing} the limit of 5 for 'loss'"] if missing else [])


def test_a_limit_of_nothing_is_tried_too() -> None:
    when = {"measured": {"name": "loss", "more_than": 0}}
    assert untried(when, measured(loss=0), measured(loss=1)) == ["no case is below the limit of 0 for 'loss'"]
    assert untried(when, measured(loss=-1), measured(loss=0.5)) == ["no case is exactly on the limit of 0 for 'loss'"]
    assert untried(when, measured(loss=-1), measured(loss=0)) == ["no case is above the limit of 0 for 'loss'"]


def test_figures_of_one_case_at_several_times_each_count() -> None:
    growing = {"measured": {"09:00": {"loss": 4}, "10:00": {"loss": 5}, "11:00": {"loss": 6, "media": True}}}
    assert untried({"measured": {"name": "loss", "at_least": 5}}, growing) == []


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(
    ("answers", "missing"),
    [([], "'true' for or 'false' for"), ([True], "'false' for"), ([False], "'true' for"), ([True, False], "")],
)
def test_a_question_is_answered_both_ways(asked: bool, answers: list[bool], missing: str) -> None:
    found = untried(
        {"measured": {"name": "media", "is": asked}}, measured(loss=1), *(measured(media=a) for a in answers)
    )
    assert found == ([f"no case is {missing} the question 'media'"] if missing else [])


def hit(*names: str) -> dict[str, Any]:
    return {"down": {name: ["09:00"] for name in names}}


@pytest.mark.parametrize(
    ("cases", "missing"),
    [
        ([], "below or exactly on or above"),
        ([("DE-HE", "DE-BY"), ("DE-HE", "FR-IDF"), ("DE-HE", "FR-IDF", "IT-62")], ""),
        ([("DE-HE",), ("DE-HE", "FR-IDF")], "above"),
        ([("DE-HE",), ("DE-HE", "FR-IDF", "IT-62")], "exactly on"),
        ([("DE-HE", "FR-IDF"), ("DE-HE", "FR-IDF", "IT-62")], "below"),
    ],
)
def test_a_limit_of_countries_is_tried_below_on_and_above(cases: list[tuple[str, ...]], missing: str) -> None:
    found = untried({"countries_hit": {"at_least": 2}}, *(hit(*names) for names in cases))
    assert found == ([f"no case is {missing} the limit of 2 countries"] if missing else [])


def test_only_countries_that_the_limit_names_are_counted() -> None:
    when = {"countries_hit": {"more_than": 1, "among": ["DE", "FR", "IT"]}}
    cases = [hit("DE-HE", "US-NY"), hit("DE-HE", "FR-IDF", "US-NY")]
    assert untried(when, *cases) == ["no case is above the limit of 2 countries"]
    assert untried(when, *cases, hit("DE-HE", "FR-IDF", "IT-62")) == []
    assert untried(when, hit("US-NY"), hit("DE-HE", "FR-IDF"), hit("DE-HE", "FR-IDF", "IT-62")) == [
        "no case is below the limit of 2 countries"
    ]


def harmed(kind: str, seriousness: str, cause: str = "data_loss") -> dict[str, Any]:
    data = {"kind": kind, "seriousness": seriousness, "cause": cause, "by": "李", "reason": "x"}
    note = {"at": "09:00", "type": "note.added", "data": {"text": "x"}}
    return {"events": [note, {"at": "09:05", "type": "harm.assessed", "data": data}]}


def test_a_harm_is_tried_on_its_seriousness_and_below_for_each_kind() -> None:
    when = {"harm": {"kinds": ["bank", "public"], "at_least": "serious"}}
    both = "no case is on or below 'serious' for harm of kind"
    assert untried(when) == [f"{both} 'bank'", f"{both} 'public'"]
    cases = [harmed("bank", "considerable"), harmed("bank", "serious"), harmed("public", "particularly_serious")]
    assert untried(when, *cases) == [f"{both} 'public'"]
    assert untried(when, *cases, harmed("public", "considerable")) == [
        "no case is on 'serious' for harm of kind 'public'"
    ]
    assert untried(when, *cases, harmed("public", "serious")) == [
        "no case is below 'serious' for harm of kind 'public'"
    ]
    assert untried(when, *cases, harmed("public", "serious"), harmed("public", "considerable")) == []


def test_the_least_harm_has_nothing_below_it_and_the_cause_must_be_one_of_the_limit() -> None:
    when = {"harm": {"kinds": ["bank"], "causes": ["data_leak"]}}
    missing = ["no case is on 'considerable' for harm of kind 'bank'"]
    assert untried(when) == untried(when, harmed("bank", "considerable")) == missing
    assert untried(when, harmed("bank", "serious", "data_leak")) == missing
    assert untried(when, harmed("bank", "considerable", "data_leak")) == []


def test_a_forecast_needs_no_case_of_its_own() -> None:
    found = [each.pointer for each in uncovered(pack(rule("r", regions(1, at_least="0s")), rule("to-come", NEVER)))]
    assert found == ["/rules/0", "/rules/1"]


def test_each_leaf_of_a_condition_is_named_by_itself_and_a_rule_that_no_case_reaches_too() -> None:
    first, second = rule("one", regions(1, at_least="30m")), rule("two", {"any": [{"all": [LOSS]}, {"any": [MEDIA]}]})
    cases = [{"expect": [{"at": "09:00", "level": "II"}, {"at": "09:00", "level": "II", "rule": "one"}]}, *LIMITS]
    found = [(each.pointer, each.message, each.expected) for each in uncovered(pack(first, second, cases=cases))]
    named = "rule 'two' (Art. 1): no case is"
    assert found == [
        ("/rules/1/when", f"{named} below or exactly on or above the limit of 5 for 'loss'", SUCH),
        ("/rules/1/when", f"{named} 'true' for or 'false' for the question 'media'", SUCH),
        ("/rules/1", f"{named} reached by it", "a case that expects it"),
    ]


LOSS = {"measured": {"name": "loss", "at_least": 5}}
MEDIA = {"measured": {"name": "media", "is": True}}
LIMITS = [down("09:29:59"), down("09:30"), down("10:00")]


# What can never matter


def said(whole: Pack) -> list[tuple[str, str, str]]:
    return [(each.pointer, each.message, each.expected) for each in idle(whole)]


def test_a_level_that_no_rule_gives_is_named() -> None:
    levels = [{"id": level, "name": SAID} for level in ("I", "II", "III")]
    found = said(pack(rule("one", regions(1, at_least="30m")), rule("more", LOSS, "I"), levels=levels))
    assert found == [("/levels/2", "no rule gives level 'III'", "a rule for it, or no such level")]


def test_a_limit_beyond_the_provinces_that_there_are_is_named_in_china_alone() -> None:
    rules = [
        rule("all", regions(34, at_least="30m")),
        rule("more", {"any": [LOSS, regions(35, at_least="30m")]}),
        rule("still-more", {"all": [regions(36, more_than="1h"), MEDIA]}),
    ]
    expected = "at_least: 34 or fewer"
    assert said(pack(*rules, country="CN")) == [
        ("/rules/1/when", "rule 'more' (Art. 1) can never hold: CN has 34 provinces", expected),
        ("/rules/2/when", "rule 'still-more' (Art. 1) can never hold: CN has 34 provinces", expected),
    ]
    assert said(pack(*rules, country="DE")) == said(pack(*rules)) == []


def test_a_rule_with_the_condition_of_an_earlier_one_is_named_with_it() -> None:
    rules = [rule("one", LOSS), rule("two", MEDIA), rule("three", LOSS, "I"), rule("four", LOSS)]
    assert said(pack(*rules)) == [
        ("/rules/2/when", "rule 'three' (Art. 1) has the condition of 'one'", "a condition of its own"),
        ("/rules/3/when", "rule 'four' (Art. 1) has the condition of 'one'", "a condition of its own"),
        ("/rules/3/when", "rule 'four' (Art. 1) has the condition of 'three'", "a condition of its own"),
    ]


def test_in_the_shipped_pack_nothing_is_idle_and_nothing_untried() -> None:
    assert [*idle(cbrc()), *uncovered(cbrc())] == []
