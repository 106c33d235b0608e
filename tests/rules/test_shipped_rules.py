"""The shipped rules: their own cases, the law's figures, and that nothing in them is wrong."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from support.build import CONFIG, RULES, at, cbrc, restored, started, verdict

from incident_engine.checking import check
from incident_engine.facts.values import RESOLUTION
from incident_engine.grading.cases import failing_cases
from incident_engine.grading.conditions import HoursClock, leaves
from incident_engine.grading.pack import Case, Pack, parse_pack
from incident_engine.yaml_loader import load_file

PACKS: list[Pack] = [parse_pack(load_file(path).data) for path in sorted((RULES / "grading").glob("*.yaml"))]
CASES = [pytest.param(pack, case, id=f"{pack.pack}: {case.name}") for pack in PACKS for case in pack.cases]

# 银监办发〔2008〕53号 Art. 9, clause 2 of each level: (level, provinces, minutes), limits included (含).
LAW = [
    ("I", 2, 180),
    ("I", 1, 360),
    ("II", 2, 30),
    ("II", 1, 180),
    ("III", 1, 30),
]


@pytest.mark.parametrize(("pack", "case"), CASES)
def test_the_case_gives_what_it_expects(pack: Pack, case: Case) -> None:
    assert list(failing_cases(pack.model_copy(update={"cases": (case,)}))) == []


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.pack)
def test_the_names_of_a_packs_cases_differ(pack: Pack) -> None:
    names = [case.name for case in pack.cases]
    assert sorted(set(names)) == sorted(names)


def test_the_limits_are_those_of_the_law_and_no_others() -> None:
    limits = [
        (rule.level, limit.least, limit.for_.least // timedelta(minutes=1))
        for rule in cbrc().rules
        for limit in leaves(rule.when)
    ]
    assert limits == LAW


def test_every_limit_includes_itself_and_counts_service_hours() -> None:
    for rule in cbrc().rules:
        for limit in leaves(rule.when):
            assert limit.at_least is not None
            assert limit.for_.at_least is not None
            assert limit.clock is HoursClock.SERVICE_HOURS


@pytest.mark.parametrize(("level", "provinces", "minutes"), LAW)
def test_the_level_is_reached_on_the_limit_and_not_before(level: str, provinces: int, minutes: int) -> None:
    regions = ["CN-GD", "CN-HN"][:provinces]
    end = at("09:00") + timedelta(minutes=minutes)
    on = verdict("23:00", started("09:00", *regions), restored(end, *regions))
    assert (on.level, on.trajectory[-1].at) == (level, end)
    below = verdict("23:00", started("09:00", *regions), restored(end - RESOLUTION, *regions))
    assert below.level != level


def test_the_levels_are_three_and_the_worst_stands_first() -> None:
    named = [(level.id, level.name.in_("zh-CN")) for level in cbrc().levels]
    assert named == [("I", "特别重大"), ("II", "重大"), ("III", "较大")]


def test_each_rule_cites_its_clause() -> None:
    assert [(rule.level, rule.cite) for rule in cbrc().rules] == [
        ("I", "Art. 9(1)2"),
        ("II", "Art. 9(2)2"),
        ("III", "Art. 9(3)2"),
    ]


def test_the_first_report_is_due_an_hour_after_the_occurrence_at_every_level() -> None:
    (report,) = cbrc().obligations
    assert (report.id, report.cite, report.to) == ("first-report", "Art. 35(5)", "regulator")
    assert (report.due.after, report.due.within) == ("occurrence", timedelta(minutes=60))
    assert set(report.levels) == {"I", "II", "III"}


def test_the_pack_is_dated_and_names_its_source() -> None:
    assert cbrc().in_force.from_ == date(2008, 4, 23)
    assert cbrc().in_force.until is None
    assert cbrc().source == "银监办发〔2008〕53号"
    assert cbrc().country == "CN"


def test_what_the_pack_leaves_to_people_is_said() -> None:
    said = " ".join(sentence.cite for sentence in cbrc().not_modelled)
    for clause in ("9(1)1", "9(1)3", "35(6)", "35(7)", "39", "40", "43"):
        assert clause in said


@pytest.mark.parametrize(("level", "provinces", "minutes"), LAW)
def test_every_limit_has_a_case_below_on_and_above_it(level: str, provinces: int, minutes: int) -> None:
    limit = timedelta(minutes=minutes)
    lasted = set()
    for case in cbrc().cases:
        spans = [span for spans in case.down.values() for span in spans]
        whole = [span[1] - span[0] for span in spans if len(span) == 2]
        if len(case.down) == provinces and len(whole) == provinces and len(set(spans)) == 1:
            lasted.add(whole[0])
    near = timedelta(minutes=1)
    assert limit in lasted
    assert any(limit - near <= length < limit for length in lasted)
    # Above six hours the case that is still down stands for it.
    open_ended = any(len(span) == 1 for case in cbrc().cases for spans in case.down.values() for span in spans)
    assert any(limit < length <= limit + near for length in lasted) or (minutes == 360 and open_ended)


def test_nothing_is_wrong_with_the_shipped_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("INCIDENT_ENGINE__"):
            monkeypatch.delenv(name)
    checked = check([], CONFIG)
    assert checked.findings == []
    assert checked.cases == sum(len(pack.cases) for pack in PACKS)
    assert checked.files == 1 + sum(1 for path in RULES.rglob("*") if Path(path).is_file())
