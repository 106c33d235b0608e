"""The shipped rules: their own cases, the law's figures, and that nothing in them is wrong."""

import os
from datetime import date, timedelta

import pytest
from support.builders import CONFIG, RULES, at, cbrc, recorded, restored, started, verdict

from incident_engine.cli.check import check
from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.grading.conditions import leaves
from incident_engine.domain.grading.interpretation import HoursClock, Interpretation
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case import PackCase
from incident_engine.domain.grading.pack_case_runner import failing_cases
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.values import RESOLUTION

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
def test_the_case_gives_what_it_expects(pack: Pack, case: PackCase) -> None:
    assert list(failing_cases(pack.model_copy(update={"cases": (case,)}))) == []


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.pack)
def test_the_names_of_a_packs_cases_differ(pack: Pack) -> None:
    names = [case.name for case in pack.cases]
    assert sorted(set(names)) == sorted(names)


def test_the_limits_are_those_of_the_law_and_no_others() -> None:
    limits = [
        (rule.level, leaf.regions_down.least, leaf.regions_down.for_.least // timedelta(minutes=1))
        for rule in cbrc().rules
        for leaf in leaves(rule.when)
        if leaf.regions_down is not None
    ]
    assert limits == LAW


def test_every_limit_includes_itself_and_counts_service_hours() -> None:
    assert cbrc().interpretation.clock is HoursClock.SERVICE_HOURS
    for rule in cbrc().rules:
        for leaf in leaves(rule.when):
            if leaf.regions_down is not None:
                assert leaf.regions_down.at_least is not None
                assert leaf.regions_down.for_.at_least is not None
                assert leaf.regions_down.clock is None  # as the pack reads it


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
    clauses = {(rule.level, rule.cite) for rule in cbrc().rules}
    levels = (("I", 1), ("II", 2), ("III", 3))
    assert clauses == {(level, f"Art. 9({number}){clause}") for level, number in levels for clause in (1, 2, 3)}
    assert len(cbrc().rules) == 9


# Art. 9, clause 1 of each level: what a person judges to be harmed, how seriously, and the level that it is.
HARM = [
    ("economic_disorder", "considerable", "I"),
    ("financial_stability", "considerable", "I"),
    ("public", "particularly_serious", "I"),
    ("public", "serious", None),
    ("public", "considerable", None),
    ("bank", "particularly_serious", "II"),
    ("bank", "serious", "II"),
    ("bank", "considerable", "III"),
    ("customers", "particularly_serious", "II"),
    ("customers", "serious", "II"),
    ("customers", "considerable", "III"),
]


@pytest.mark.parametrize("cause", ["system_interruption", "data_damage", "data_loss", "data_leak"])
@pytest.mark.parametrize(("kind", "seriousness", "level"), HARM)
def test_a_harm_is_of_the_level_of_clause_1_whatever_its_cause(
    kind: str, seriousness: str, level: str | None, cause: str
) -> None:
    said = {"kind": kind, "seriousness": seriousness, "cause": cause, "by": "王敏", "reason": "x"}
    harm = recorded("harm.assessed", "09:05", data=said)
    found = verdict("09:05", started("09:00"), harm)
    assert found.level == level
    assert verdict(at("09:05") - RESOLUTION, started("09:00"), harm).level is None


def test_what_the_text_leaves_open_is_read_by_our_defaults_and_each_is_a_parameter() -> None:
    assert cbrc().interpretation == Interpretation()
    points = {
        "counting": {"own", "concurrent"},
        "flapping": {"accumulate", "longest_run"},
        "degraded": {"counts", "down_only"},
        "services": {"union", "per_service_max"},
        "clock": {"service_hours", "unplanned", "wall_clock"},
        "clause_3": {"forecast", "off"},
        "clock_starts": {"occurrence", "awareness"},
    }
    for name, values in points.items():
        assert set(cbrc().parameters[name].one_of or ()) == values, name


def test_the_first_report_is_due_an_hour_after_the_occurrence_at_every_level() -> None:
    report = cbrc().obligations[0]
    assert (report.id, report.cite, report.to) == ("first-report", "Art. 35(5)", "regulator")
    assert (report.due.after, report.due.within) == ("occurrence", timedelta(minutes=60))
    assert set(report.levels or ()) == {"I", "II", "III"}


def test_the_obligations_are_those_of_the_law() -> None:
    found = {demand.id: (demand.cite, demand.due.after, demand.due.within) for demand in cbrc().obligations}
    assert found == {
        "first-report": ("Art. 35(5)", "occurrence", timedelta(minutes=60)),
        "formal-report": ("Art. 35(5), Art. 36", "occurrence", timedelta(hours=12)),
        "immediate-report": ("Art. 35(6)", "applies", timedelta(minutes=15)),  # "at once" is our parameter
        "progress-report": ("Art. 35(7)", "applies", timedelta(hours=2)),
        "plan-failure-report": ("Art. 39", "applies", timedelta(minutes=15)),
        "partners-notice": ("Art. 40", "occurrence", timedelta(minutes=60)),  # "promptly" is our parameter
        "summary-report": ("Art. 43", "restored", None),
    }
    by_id = {demand.id: demand for demand in cbrc().obligations}
    assert by_id["summary-report"].due.working_days == 5
    assert by_id["progress-report"].every == timedelta(hours=2)
    assert by_id["progress-report"].levels == ("I",)
    assert by_id["plan-failure-report"].on == "plan.failed"


def test_the_pack_is_dated_and_names_its_source() -> None:
    assert cbrc().in_force.from_ == date(2008, 4, 23)
    assert cbrc().in_force.until is None
    assert cbrc().source == "银监办发〔2008〕53号"
    assert cbrc().country == "CN"


def test_what_the_pack_leaves_to_people_is_said() -> None:
    said = " ".join(sentence.cite for sentence in cbrc().not_modelled)
    for clause in ("9(1)3", "9(2)3", "9(3)3", "35(7)", "41"):
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
    assert checked.files == 1 + sum(1 for path in RULES.rglob("*") if path.name.endswith((".yaml", ".j2")))
