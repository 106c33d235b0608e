"""Rule packs: what a document must say, how each mistake is named, and what marks a pack's content."""

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from support.builders import cbrc, cbrc_document

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case_runner import failing_cases
from incident_engine.domain.grading.pack_parser import parse_pack

Document = dict[str, Any]
Change = Callable[[Document], object]


def changed(change: Change) -> Document:
    document = deepcopy(cbrc_document())
    change(document)
    return document


def problems(change: Change) -> list[Problem]:
    with pytest.raises(InvalidDocumentError) as caught:
        parse_pack(changed(change))
    return list(caught.value.problems)


def parsed(change: Change) -> Pack:
    return parse_pack(changed(change))


def rule(document: Document, name: str) -> Document:
    """Return the rule with an id, to be changed."""
    found: Document = next(given for given in document["rules"] if given["id"] == name)
    return found


def place_of(name: str) -> int:
    """Return the place of a rule."""
    return [given["id"] for given in cbrc_document()["rules"]].index(name)


# Clause 2 of the levels I and III: two parts, and a single limit.
FIRST, THIRD = place_of("art9-1-2"), place_of("art9-3-2")


def test_the_worst_level_is_the_most_severe() -> None:
    assert cbrc().severity == {"I": 3, "II": 2, "III": 1}


def test_a_packs_rules_and_level_names_are_found_by_id() -> None:
    assert cbrc().rule_by_id["art9-2-2"].level == "II"
    assert cbrc().level_names["III"].in_("zh-CN") == "较大"
    assert cbrc().level_names["III"].in_("en") == "Considerable"


def test_a_pack_counts_the_regions_of_its_country() -> None:
    assert cbrc().region_prefix == "CN-"
    assert parsed(lambda d: d.pop("country")).region_prefix == ""


def test_a_parameter_stands_where_it_is_named() -> None:
    assert cbrc().obligations[0].due.within == timedelta(minutes=60)
    half = parsed(lambda d: d["parameters"]["first_report"].update(value="30m"))
    assert half.obligations[0].due.within == timedelta(minutes=30)


def test_a_parameter_may_be_a_number_in_a_rule() -> None:
    def counted(document: Document) -> None:
        document["parameters"]["provinces"] = {"value": 2, "cite": "Art. 9"}
        rule(document, "art9-1-2")["when"]["any"][0]["regions_down"]["at_least"] = "$provinces"

    condition = parsed(counted).conditions["art9-1-2"]
    assert condition.any is not None
    assert condition.any[0].regions_down is not None
    assert condition.any[0].regions_down.least == 2


@pytest.mark.parametrize(
    ("change", "pointer", "message", "nearest"),
    [
        (lambda d: d.update(levles=[]), "/levles", "unknown key 'levles'", "levels"),
        (lambda d: d["rules"][1].update(whn={}), "/rules/1/whn", "unknown key 'whn'", "when"),
        (
            lambda d: rule(d, "art9-3-2")["when"]["regions_down"].update(at_leest=1),
            f"/rules/{THIRD}/when/regions_down/at_leest",
            "unknown key 'at_leest'",
            "at_least",
        ),
        (
            lambda d: rule(d, "art9-1-2")["when"]["any"][1]["regions_down"]["for"].update(atleast="3h"),
            f"/rules/{FIRST}/when/any/1/regions_down/for/atleast",
            "unknown key 'atleast'",
            "at_least",
        ),
        (lambda d: d["title"].update({"zh_CN": "x"}), "/title/zh_CN", "unknown key 'zh_CN'", "zh-CN"),
        (lambda d: d["rules"][0].update(level="V"), "/rules/0/level", "unknown level 'V'", ""),
        (lambda d: d["rules"][0].update(level="IIII"), "/rules/0/level", "unknown level 'IIII'", "III"),
        (
            lambda d: d["obligations"][0].update(levels=["I", "IIII"]),
            "/obligations/0/levels/1",
            "unknown level 'IIII'",
            "III",
        ),
        (
            lambda d: d["cases"][1]["expect"][0].update(level="IIII"),
            "/cases/1/expect/0/level",
            "unknown level 'IIII'",
            "III",
        ),
        (
            lambda d: d["cases"][1]["expect"][0].update(rule="art9-3-22"),
            "/cases/1/expect/0/rule",
            "unknown rule 'art9-3-22'",
            "art9-3-2",
        ),
        (lambda d: d["rules"][1].update(id="art9-1-1", level="II"), "/rules/1/id", "'art9-1-1' is used twice", ""),
        (lambda d: d["levels"][2].update(id="II"), "/levels/2/id", "'II' is used twice", ""),
        (lambda d: d.pop("version"), "/version", "missing key 'version'", ""),
        (lambda d: d["rules"][0].pop("cite"), "/rules/0/cite", "missing key 'cite'", ""),
        (lambda d: d["in_force"].pop("from"), "/in_force/from", "missing key 'from'", ""),
        (
            lambda d: d["obligations"][0]["due"].update(within="$first_reprot"),
            "/obligations/0/due/within",
            "unknown parameter 'first_reprot'",
            "first_report",
        ),
        (
            lambda d: d["obligations"][0]["due"].update(within="60 minutes"),
            "/obligations/0/due/within",
            "not a duration: '60 minutes'",
            "",
        ),
        (lambda d: d["parameters"]["first_report"].pop("cite"), "/parameters/first_report", "a parameter needs", ""),
        (
            lambda d: d["parameters"].update(clause_3={"value": "on", "cite": "Art. 9", "one_of": ["off", "forecast"]}),
            "/parameters/clause_3",
            "'on' is not allowed",
            "",
        ),
        (
            lambda d: d["obligations"][0].update(to="regulater"),
            "/obligations/0/to",
            "unknown value 'regulater'",
            "regulator",
        ),
        (lambda d: d["cases"][0]["down"].update({"CN-XX": ["09:00"]}), "/cases/0", "unknown region 'CN-XX'", None),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_nearest_valid_name(
    change: Change, pointer: str, message: str, nearest: str | None
) -> None:
    found = [problem for problem in problems(change) if problem.pointer == pointer]
    assert len([problem for problem in found if problem.message.startswith(message)]) == 1, found
    if nearest is not None:
        assert nearest in {problem.nearest for problem in found}


def test_every_mistake_is_named_at_once() -> None:
    def three(document: Document) -> None:
        document["verzion"] = document.pop("version")
        document["rules"][0]["leval"] = "I"

    assert [problem.pointer for problem in problems(three)] == ["/version", "/rules/0/leval", "/verzion"]


@pytest.mark.parametrize("document", [None, [], "pack", 1])
def test_what_is_no_mapping_is_no_pack(document: object) -> None:
    with pytest.raises(InvalidDocumentError):
        parse_pack(document)


@pytest.mark.parametrize("section", ["levels", "rules"])
def test_a_pack_needs_levels_and_rules(section: str) -> None:
    assert f"/{section}" in {problem.pointer for problem in problems(lambda d: d.update({section: []}))}


@pytest.mark.parametrize("text", ["9:00", "09:60", "0900", "09:00:61", 900])
def test_a_time_of_a_case_is_hours_and_minutes(text: object) -> None:
    found = problems(lambda d: d["cases"][1]["expect"][0].update(at=text))
    assert [problem.pointer for problem in found] == ["/cases/1/expect/0/at"]
    assert "HH:MM" in found[0].expected


@pytest.mark.parametrize("text", ["2008-02-30", "23.4.2008", "soon"])
def test_a_pack_is_dated(text: str) -> None:
    found = problems(lambda d: d["in_force"].update({"from": text}))
    assert [problem.pointer for problem in found] == ["/in_force/from"]


def test_a_length_beyond_all_measure_is_refused() -> None:
    found = problems(lambda d: d["obligations"][0]["due"].update(within="9999999999d"))
    assert [problem.pointer for problem in found] == ["/obligations/0/due/within"]


# The content hash marks every verdict.


def test_the_same_content_has_the_same_hash_whatever_the_order_of_its_keys() -> None:
    turned = dict(reversed(deepcopy(cbrc_document()).items()))
    assert parse_pack(turned).content_hash == cbrc().content_hash
    assert len(cbrc().content_hash) == 64


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(version="3"),
        lambda d: d["parameters"]["first_report"].update(value="30m"),
        lambda d: d["parameters"]["flapping"].update(value="longest_run"),
        lambda d: rule(d, "art9-3-2")["when"]["regions_down"]["for"].update(at_least="31m"),
        lambda d: rule(d, "art9-3-2")["when"]["regions_down"].update({"for": {"more_than": "30m"}}),
        lambda d: d["rules"][0]["says"].update(en="other words"),
        lambda d: d["levels"].reverse(),
        lambda d: d.pop("country"),
    ],
)
def test_other_content_has_another_hash(change: Change) -> None:
    assert parsed(change).content_hash != cbrc().content_hash


def test_the_cases_are_no_part_of_the_content() -> None:
    assert parsed(lambda d: d.pop("cases")).content_hash == cbrc().content_hash


# Cases stand beside the law.


def test_a_case_that_gives_something_else_is_named_with_what_it_gives() -> None:
    wrong = parsed(lambda d: d["cases"][1]["expect"][0].update(at="09:31"))
    (found,) = failing_cases(wrong)
    assert found.pointer == "/cases/1/expect"
    assert "half an hour to the minute' gives III at 09:30 by art9-3-2" in found.message
    assert found.expected == "III at 09:31 by art9-3-2"


def test_a_case_that_expects_nothing_fails_if_a_level_is_reached() -> None:
    (found,) = failing_cases(parsed(lambda d: d["cases"][1].update(expect=[])))
    assert found.expected == "no level"


def test_a_case_need_not_name_the_rule() -> None:
    assert list(failing_cases(parsed(lambda d: d["cases"][1]["expect"][0].pop("rule")))) == []


def test_a_case_may_run_into_the_next_day() -> None:
    overnight = {
        "name": "overnight",
        "down": {"CN-GD": ["23:50", "24:30"]},
        "expect": [{"at": "24:20", "level": "III", "rule": "art9-3-2"}],
    }
    assert list(failing_cases(parsed(lambda d: d.update(cases=[overnight])))) == []


def test_a_stricter_limit_fails_the_cases_to_the_minute() -> None:
    strict = parsed(lambda d: rule(d, "art9-3-2")["when"]["regions_down"].update({"for": {"more_than": "30m"}}))
    assert "one province half an hour to the minute" in " ".join(problem.message for problem in failing_cases(strict))


# What an event of a case names must exist, as it must when a person reports it.


def with_event(**event: Any) -> Change:
    def add(document: Document) -> None:
        document["measures"] = {"loss": {"says": {"zh-CN": "损失", "en": "Loss"}}}
        case = {"name": "with an event", "down": {"CN-GD": ["09:00", "09:10"]}, "events": [event], "expect": []}
        document["cases"] = [*document["cases"], case]

    return add


@pytest.mark.parametrize(
    ("kind", "data", "nearest"),
    [
        ("impact.measured", {"by": "李", "measures": {"losss": 3}}, "loss"),
        ("level.corrected", {"by": "李", "level": "IIII", "reason": "x"}, "III"),
        ("level.corrected", {"by": "李", "level": "III", "pack": "cn-cbrc-2009", "reason": "x"}, "cn-cbrc-2008"),
        ("step.completed", {"by": "李", "fulfils": "first-reprot"}, "first-report"),
    ],
)
def test_what_an_event_of_a_case_names_must_exist(kind: str, data: Document, nearest: str) -> None:
    found = problems(with_event(at="09:05", type=kind, data=data))
    assert nearest in {problem.nearest for problem in found}


@pytest.mark.parametrize("measured", [{"loss": True}, {"media": 1}])
def test_a_figure_of_a_case_is_of_the_kind_that_the_pack_declares(measured: Document) -> None:
    def add(document: Document) -> None:
        said = {"zh-CN": "x", "en": "x"}
        document["measures"] = {"loss": {"says": said}, "media": {"says": said, "kind": "yes_no"}}
        case = {"name": "with a figure", "measured": {"09:00": measured}, "expect": []}
        document["cases"] = [*document["cases"], case]

    assert problems(add)


def test_an_event_of_a_case_happens_when_the_case_says() -> None:
    given = {"at": "09:05", "type": "note.added", "occurred_at": "2020-01-01T00:00:00Z", "data": {"text": "x"}}
    assert problems(with_event(**given))


def test_windows_of_a_case_that_overlap_are_refused() -> None:
    assert problems(lambda d: d["cases"][0].update(hours=["09:00-17:00", "16:00-18:00"]))


def test_a_calendar_is_named_as_its_file_is() -> None:
    assert problems(lambda d: d.update(calendar="CHN"))


@pytest.mark.parametrize("code", ["CHN", "cn", "Cn", "C", "ÄÖ", "C1N", "China"])
def test_a_country_is_two_capital_letters(code: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        parse_pack({**cbrc_document(), "country": code})
    (found,) = caught.value.problems
    assert (found.pointer, found.message) == ("/country", f"not a country's code: {code!r}")
    assert found.expected == "two capital letters (ISO 3166-1), such as CN"


@pytest.mark.parametrize(("code", "prefix"), [("", ""), ("DE", "DE-")])
def test_a_pack_may_count_the_regions_of_another_country_or_of_all(code: str, prefix: str) -> None:
    assert parse_pack({**cbrc_document(), "country": code}).region_prefix == prefix
