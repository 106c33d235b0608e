"""A history under several packs: what each gives, what differs, and in which order one reads it."""

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.builders import CBRC_FILE, CHINA, CONFIG, at, cbrc, cbrc_document, recorded, restored, settings, started

from incident_engine.cli.text.replay import replay_text
from incident_engine.common.errors import InvalidDocumentError, InvalidFilesError
from incident_engine.common.i18n import Translator
from incident_engine.common.terminal import display_width, fitted
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.incidents.fold import fold
from incident_engine.engine.candidates import Candidate, load_candidates
from incident_engine.engine.replay import Difference, Replay, replay, replay_document

NOW = at("2013-06-30 12:00")
PROVINCES = ("CN-GD", "CN-HN", "CN-BJ")


def changed(**limits: str) -> Pack:
    """Return the shipped pack as version "new", with other limits for a rule's first condition."""
    pack = deepcopy(cbrc_document()) | {"version": "new"}
    for rule in pack["rules"]:
        if rule["id"] in limits:
            when = rule["when"].get("any", [rule["when"]])[0]
            when["regions_down"]["for"] = {"at_least": limits[rule["id"]]}
    return parse_pack(pack)


SLOWER = changed(**{"art9-1-2": "4h"})
"""Two provinces for four hours instead of three are level I."""


def outage(name: str, begins: str, ends: str | None, *regions: str) -> list[Recorded]:
    events = [started(begins, *regions, incident=name)]
    return events if ends is None else [*events, restored(ends, *regions, incident=name)]


def of(history: list[Recorded], *packs: Pack, until: datetime | None = None) -> Replay:
    """Return a history under the shipped pack and others."""
    candidates = [Candidate(f"pack {place}", pack, Path(f"{place}.yaml")) for place, pack in enumerate(packs)]
    events = [recorded.event for recorded in history]
    return replay(events, candidates, {}, settings(), until, NOW)


def read(found: Replay) -> list[tuple[str, list[str | None], Difference | None]]:
    return [("+".join(row.incidents), [v.level for v in row.verdicts], row.difference) for row in found.rows]


TWO = ("CN-GD", "CN-HN")
HISTORY = [
    *outage("short", "2013-06-20 09:00", "2013-06-20 09:20", *TWO),
    *outage("medium", "2013-06-21 09:00", "2013-06-21 12:30", *TWO),  # I by the law, II by the slower one
    *outage("long", "2013-06-22 09:00", "2013-06-22 14:00", *TWO),  # I after three hours, or after four
    *outage("one", "2013-06-23 09:00", "2013-06-23 10:00", "CN-GD"),
]


def test_another_level_comes_first_then_another_instant_then_the_rest_in_order_of_time() -> None:
    assert read(of(HISTORY, cbrc(), SLOWER)) == [
        ("medium", ["I", "II"], Difference.LEVEL),
        ("long", ["I", "I"], Difference.INSTANT),
        ("short", [None, None], None),
        ("one", ["III", "III"], None),
    ]


def test_a_verdict_says_since_when() -> None:
    found = of(HISTORY, cbrc(), SLOWER)
    long = found.rows[1]
    assert [verdict.since for verdict in long.verdicts] == [at("2013-06-22 12:00"), at("2013-06-22 13:00")]
    assert [(step.level, step.at) for step in long.verdicts[0].history] == [
        ("II", at("2013-06-22 09:30")),
        ("I", at("2013-06-22 12:00")),
    ]
    assert (long.occurred_at, long.at) == (at("2013-06-22 09:00"), at("2013-06-22 14:00"))
    assert (long.services, long.regions) == (("core-banking",), TWO)


def test_the_counts_stand_by_level() -> None:
    found = of(HISTORY, cbrc(), SLOWER)
    assert found.differences == {Difference.LEVEL: 1, Difference.INSTANT: 1}
    assert found.matrix(1) == {("I", "II"): 1, ("I", "I"): 1, (None, None): 1, ("III", "III"): 1}


def test_an_earlier_step_at_another_time_is_a_difference_too() -> None:
    sooner = changed(**{"art9-3-2": "20m"})  # level III after 20 minutes; level II as before
    found = of(outage("one", "2013-06-23 09:00", "2013-06-23 12:00", "CN-GD"), cbrc(), sooner)
    assert read(found) == [("one", ["II", "II"], Difference.INSTANT)]


def test_less_than_a_second_is_no_other_instant() -> None:
    strict = deepcopy(cbrc_document()) | {"version": "strict"}
    for rule in strict["rules"]:
        if rule["id"] == "art9-3-2":
            rule["when"]["regions_down"]["for"] = {"more_than": "30m"}
    on_the_limit = outage("on", "2013-06-21 09:00", "2013-06-21 09:30")
    above = outage("above", "2013-06-22 09:00", "2013-06-22 09:31")
    assert read(of([*on_the_limit, *above], cbrc(), parse_pack(strict))) == [
        ("on", ["III", None], Difference.LEVEL),
        ("above", ["III", "III"], None),
    ]


def test_one_pack_differs_from_nothing() -> None:
    found = of(HISTORY, cbrc())
    assert [row.difference for row in found.rows] == [None] * 4
    assert found.matrix(0) == {("I", "I"): 2, (None, None): 1, ("III", "III"): 1}


def test_the_second_and_the_third_pack_are_compared_too() -> None:
    found = of(outage("a", "2013-06-22 09:00", "2013-06-22 12:30", *TWO), cbrc(), cbrc(), SLOWER)
    assert read(found) == [("a", ["I", "I", "II"], Difference.LEVEL)]


# The instant of the verdict


def test_what_is_still_down_is_judged_now_or_then() -> None:
    down = outage("down", "2013-06-30 09:00", None, *TWO)
    assert read(of(down, cbrc(), SLOWER)) == [("down", ["I", "II"], Difference.LEVEL)]  # three hours by now
    assert read(of(down, cbrc(), SLOWER, until=at("2013-06-30 11:00"))) == [("down", ["II", "II"], None)]


def test_what_occurred_later_is_left_out() -> None:
    assert read(of(HISTORY, cbrc(), until=at("2013-06-21 10:00"))) == [
        ("short", [None], None),
        ("medium", ["II"], None),
    ]


def test_a_harm_that_is_judged_after_the_restoration_counts() -> None:
    harm = recorded(
        "harm.assessed",
        "2013-06-25 09:00",
        incident="short",
        data={"kind": "customers", "seriousness": "serious", "cause": "data_loss", "by": "Li", "reason": "lost"},
    )
    found = of([*HISTORY[:2], harm], cbrc())
    assert read(found) == [("short", ["II"], None)]
    assert found.rows[0].at == at("2013-06-25 09:00")


def test_a_persons_correction_is_about_the_primary_pack_unless_it_names_another() -> None:
    said = {"level": "III", "by": "Chen", "reason": "one branch only"}
    other = parse_pack(deepcopy(cbrc_document()) | {"pack": "another"})
    corrected = recorded("level.corrected", "2013-06-21 13:00", incident="medium", data=said)
    found = of([*HISTORY[2:4], corrected], cbrc(), SLOWER, other)
    assert [verdict.level for verdict in found.rows[0].verdicts] == ["III", "III", "I"]


# Packs that are not alike


def test_of_packs_with_other_levels_only_whether_there_is_one_is_compared() -> None:
    other = deepcopy(cbrc_document()) | {"pack": "other", "obligations": [], "cases": []}
    other["levels"] = [{"id": "major", "name": {"zh-CN": "重大", "en": "Major"}}]
    other["rules"] = [rule | {"level": "major"} for rule in other["rules"] if rule["id"] == "art9-2-2"]
    assert read(of(HISTORY, cbrc(), parse_pack(other))) == [
        ("one", ["III", None], Difference.LEVEL),
        ("short", [None, None], None),
        ("medium", ["I", "major"], None),
        ("long", ["I", "major"], None),
    ]


def test_a_pack_that_was_not_in_force_says_so_and_stays_out_of_the_counts() -> None:
    later = parse_pack(cbrc_document() | {"version": "later", "in_force": {"from": "2013-06-22"}, "cases": []})
    found = of(HISTORY, cbrc(), later)
    by_name = {row.incidents[0]: row for row in found.rows}
    assert by_name["medium"].difference is Difference.LEVEL
    assert [verdict.in_force for verdict in by_name["medium"].verdicts] == [True, False]
    assert found.out_of_force(1) == 2
    assert found.matrix(1) == {("I", "I"): 1, ("III", "III"): 1}


def test_incidents_that_recur_have_a_line_of_their_own() -> None:
    recurring = deepcopy(cbrc_document()) | {"version": "recurring", "cases": []}
    said = {"zh-CN": "重复发生", "en": "recurring"}
    recurring["recurring"] = {"cite": "Art. 1", "says": said, "at_least": 2, "months": 6}
    history = [
        *outage("a", "2013-06-20 09:00", "2013-06-20 09:20"),
        *outage("b", "2013-06-22 09:00", "2013-06-22 09:20"),
    ]
    for name, when in (("a", "2013-06-20 10:00"), ("b", "2013-06-22 10:00")):
        history.append(recorded("impact.measured", when, incident=name, data={"by": "Li", "root_cause": "disk"}))
    found = of(history, cbrc(), parse_pack(recurring))
    first = found.rows[0]
    assert (first.incidents, first.root_cause, first.difference) == (("a", "b"), "disk", Difference.LEVEL)
    assert [verdict.level for verdict in first.verdicts] == [None, "III"]
    assert first.verdicts[1].since == at("2013-06-22 09:10")  # 20 minutes and 10: half an hour
    assert [row.incidents for row in found.rows[1:]] == [("a",), ("b",)]


# The same as grading


@st.composite
def histories(draw: st.DrawFn) -> list[Recorded]:
    """Return incidents with outages in three provinces, some still down."""
    events: list[Recorded] = []
    for number in range(draw(st.integers(1, 4))):
        day = at(f"2013-06-1{number} 00:00")
        for region in draw(st.lists(st.sampled_from(PROVINCES), unique=True, min_size=1)):
            minutes = sorted(draw(st.lists(st.integers(0, 900), min_size=1, max_size=6, unique=True)))
            for place, minute in enumerate(minutes):
                make = restored if place % 2 else started
                events.append(make(day + timedelta(minutes=minute), region, incident=f"i{number}"))
    return events


@given(histories())
def test_each_verdict_is_that_of_assess(history: list[Recorded]) -> None:
    packs = [cbrc(), SLOWER]
    for row in of(history, *packs).rows:
        incident = fold(row.incidents[0], [r for r in history if r.event.incident == row.incidents[0]])
        assert row.at == (incident.restored_at or NOW)
        for pack, verdict in zip(packs, row.verdicts, strict=True):
            assert verdict.history == assess(incident, pack, {}, row.at).trajectory


def test_a_few_thousand_events_are_replayed_whole() -> None:
    history: list[Recorded] = []
    day = at("2013-01-01 00:00")
    for number in range(1_500):
        begins = day + timedelta(hours=2 * number)
        events = started(begins, incident=f"n{number}"), restored(begins + timedelta(minutes=40), incident=f"n{number}")
        history += events
    found = of(history, cbrc(), SLOWER)
    assert found.matrix(1) == {("III", "III"): 1_500}
    assert all(a.occurred_at < b.occurred_at for a, b in pairwise(found.rows) if a.occurred_at and b.occurred_at)


# The packs under trial


def pack_file(folder: Path, name: str, **keys: object) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(cbrc_document() | keys, allow_unicode=True), encoding="utf-8")
    return file


def labels(*names: str | Path) -> list[str]:
    return [each.label for each in load_candidates(settings(), CONFIG, [str(name) for name in names])]


def test_packs_are_told_apart_by_version_then_by_file(tmp_path: Path) -> None:
    version = cbrc().version
    newer = pack_file(tmp_path, "newer.yaml", version="99")
    same = pack_file(tmp_path, "same.yaml")
    again = pack_file(tmp_path / "again", "same.yaml")
    other = pack_file(tmp_path, "other.yaml", pack="other")
    assert labels("cn-cbrc-2008") == ["cn-cbrc-2008"]
    assert labels("cn-cbrc-2008", other) == ["cn-cbrc-2008", "other"]
    assert labels("cn-cbrc-2008", newer, other) == [f"cn-cbrc-2008@{version}", "cn-cbrc-2008@99", "other"]
    assert labels("cn-cbrc-2008", same) == ["cn-cbrc-2008 (cn-cbrc-2008.yaml)", "cn-cbrc-2008 (same.yaml)"]
    assert labels(same, again) == [f"cn-cbrc-2008 ({same})", f"cn-cbrc-2008 ({again})"]


@pytest.mark.parametrize("twice", ["cn-cbrc-2008", str(CBRC_FILE)])
def test_the_same_pack_twice_is_refused(twice: str) -> None:
    with pytest.raises(InvalidDocumentError, match="'cn-cbrc-2008' is given twice"):
        labels("cn-cbrc-2008", twice)


def test_an_unknown_pack_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidDocumentError, match=r"unknown pack 'cn-cbrc-2009'.*did you mean 'cn-cbrc-2008'"):
        labels("cn-cbrc-2009")


def test_a_file_that_is_no_pack_is_refused_with_its_places(tmp_path: Path) -> None:
    wrong = pack_file(tmp_path, "wrong.yaml", timzone="UTC")
    with pytest.raises(InvalidFilesError) as refused:
        labels(wrong)
    assert [finding.file for finding in refused.value.findings] == [str(wrong)]
    with pytest.raises(InvalidFilesError, match="cannot be read"):
        labels(tmp_path / "nothing.yml")
    with pytest.raises(InvalidFilesError, match="missing key 'pack'"):
        labels(CONFIG)


# As JSON


def document(found: Replay, *, only_differences: bool = False) -> Mapping[str, Any]:
    text = json.dumps(replay_document(found, CHINA, only_differences=only_differences))
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_the_document_says_everything() -> None:
    found = document(of(HISTORY, cbrc(), SLOWER))
    assert [(pack["label"], pack["version"]) for pack in found["packs"]] == [
        ("pack 0", cbrc().version),
        ("pack 1", "new"),
    ]
    first = found["incidents"][0]
    assert (first["incident"], first["difference"], first["root_cause"]) == ("medium", "level", None)
    assert (first["occurred_at"], first["at"]) == ("2013-06-21T09:00:00+08:00", "2013-06-21T12:30:00+08:00")
    assert (first["services"], first["regions"]) == (["core-banking"], list(TWO))
    assert first["verdicts"][1] == {
        "pack": "pack 1",
        "level": "II",
        "since": "2013-06-21T09:30:00+08:00",
        "in_force": True,
        "trajectory": [
            {"level": "II", "at": "2013-06-21T09:30:00+08:00", "rule": "art9-2-2", "cite": "Art. 9(2)2"},
        ],
    }
    assert found["summary"]["levels"] == [
        {
            "from": "pack 0",
            "to": "pack 1",
            "counts": [
                {"from": "I", "to": "I", "incidents": 1},
                {"from": "I", "to": "II", "incidents": 1},
                {"from": "III", "to": "III", "incidents": 1},
                {"from": None, "to": None, "incidents": 1},
            ],
        }
    ]
    told = {key: found["summary"][key] for key in ("incidents", "differ", "differ_in_level", "differ_in_instant")}
    assert told == {"incidents": 4, "differ": 2, "differ_in_level": 1, "differ_in_instant": 1}


def test_only_the_differences_are_listed_but_all_are_counted() -> None:
    found = document(of(HISTORY, cbrc(), SLOWER), only_differences=True)
    assert [row["incident"] for row in found["incidents"]] == ["medium", "long"]
    assert found["summary"]["incidents"] == 4


# As text


def table(found: Replay, locale: str = "en", width: int = 160, *, only_differences: bool = False) -> list[str]:
    text = replay_text(found, settings(), Translator(locale), width, only_differences=only_differences)
    return text.splitlines()


def test_the_table_puts_the_courses_side_by_side_where_they_differ() -> None:
    lines = table(of(HISTORY, cbrc(), SLOWER))
    assert [" ".join(line.split()) for line in lines[:7]] == [
        "occurred incident services, regions pack 0 pack 1",
        "≠ 2013-06-21 09:00 medium Core banking; Guangdong, Hunan II 09:30:00 II 09:30:00",
        "I 12:00:00",
        "~ 2013-06-22 09:00 long Core banking; Guangdong, Hunan II 09:30:00 II 09:30:00",
        "I 12:00:00 I 13:00:00",
        "= 2013-06-20 09:00 short Core banking; Guangdong, Hunan — —",
        "= 2013-06-23 09:00 one Core banking; Guangdong III 09:30:00 III 09:30:00",
    ]
    assert lines[7:] == [
        "",
        "incidents: 4    differ: 2 (≠ in the level: 1, ~ only in time: 1)",
        "",
        "pack 0 ↓    pack 1 →",
        "                      below  III  II  I",
        "below                     1    ·   ·  ·",
        "III Considerable          ·    1   ·  ·",
        "II Major                  ·    ·   ·  ·",
        "I Particularly major      ·    ·   1  1",
    ]


def test_the_table_speaks_chinese_and_keeps_its_columns() -> None:
    lines = table(of(HISTORY, cbrc(), SLOWER), "zh-CN")
    assert "事件: 4    不同: 2 (≠ 级别不同: 1, ~ 仅达到时间不同: 1)" in lines
    assert any("核心账务; 广东, 湖南" in line for line in lines)
    where = [display_width(line[: line.index("II 09:30:00")]) for line in (lines[1], lines[3])]
    assert len(set(where)) == 1
    assert lines[-4:][0].startswith("未达级别")


def test_the_differences_alone() -> None:
    lines = table(of(HISTORY, cbrc(), SLOWER), only_differences=True)
    assert not any(line.startswith("=") for line in lines)
    none = table(of(HISTORY, cbrc(), cbrc()), only_differences=True)
    assert none[0] == "incidents: 4    differ: 0 (≠ in the level: 0, ~ only in time: 0)"


def test_one_pack_is_counted_by_level() -> None:
    lines = table(of(HISTORY, cbrc()))
    assert lines[-6:] == [
        "incidents: 4",
        "",
        "below                 1",
        "III Considerable      1",
        "II Major              0",
        "I Particularly major  2",
    ]


def test_a_day_is_told_only_where_it_is_another_one() -> None:
    night = outage("night", "2013-12-31 23:50", "2014-01-01 03:00", "CN-GD")
    later = outage("later", "2013-06-21 23:50", "2013-06-22 00:30", "CN-GD")
    text = "\n".join(table(of([*night, *later], cbrc(), changed(**{"art9-3-2": "5m"}))))
    assert "III 2014-01-01 00:20:00" in text
    assert "III 06-22 00:20:00" in text
    assert "III 23:55:00" in text


def test_what_was_not_in_force_and_what_a_person_corrected_is_explained() -> None:
    later = parse_pack(cbrc_document() | {"in_force": {"from": "2013-06-22"}, "cases": []})
    said = {"level": None, "by": "Chen", "reason": "a drill"}
    corrected = recorded("level.corrected", "2013-06-21 13:00", incident="medium", data=said)
    lines = table(of([*HISTORY, corrected], cbrc(), later))
    assert any(line.startswith("! pack 1: 2 incidents began while it was not in force") for line in lines)
    assert any("— 13:00:00*" in line for line in lines)
    assert "* corrected by a person" in lines
    assert any("not in force" in line for line in lines[:-10])


def test_nothing_is_said_to_be_nothing() -> None:
    assert table(of([], cbrc())) == ["no incidents"]
    assert table(of([], cbrc()), "zh-CN") == ["没有事件"]


def test_a_narrow_terminal_shortens_what_was_hit_but_no_level() -> None:
    wide = outage("wide", "2013-06-22 09:00", "2013-06-22 10:00", "CN-GD", "CN-HN", "CN-BJ", "CN-SH", "CN-TJ")
    narrow = table(of(wide, cbrc()), width=80)
    assert all(display_width(line) <= 80 for line in narrow)
    assert "…" in narrow[1]
    assert narrow[1].endswith("II 09:30:00")


def test_an_incident_of_which_only_ends_are_known_has_no_level() -> None:
    found = of([restored("2013-06-22 10:00", incident="end")], cbrc())
    assert read(found) == [("end", [None], None)]
    assert found.rows[0].occurred_at == datetime(2013, 6, 22, 2, tzinfo=UTC)
    assert " ".join(table(found)[1].split()) == "= 2013-06-22 10:00 end — —"


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 4, "abc…"),
        ("核心账务", 8, "核心账务"),
        ("核心账务", 7, "核心账…"),
        ("核心", 3, "核…"),
        ("核心账", 4, "核… "),
    ],
)
def test_a_text_fills_its_columns(text: str, columns: int, shown: str) -> None:
    assert fitted(text, columns) == shown
    assert display_width(shown) == columns
