"""`replay` as the owner of rules uses it: a year under the law as it stands and as it may become."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.builders import CBRC_FILE, write

Run = Callable[..., Any]
PACK = "cn-cbrc-2008"


def event(name: str, kind: str, at: str, **more: Any) -> dict[str, Any]:
    return {"source": "m", "id": name, "type": kind, "occurred_at": f"2013-06-{at}:00+08:00", **more}


def outage(key: str, begins: str, ends: str, *regions: str) -> list[dict[str, Any]]:
    about = {"service": "core-banking", "regions": list(regions), "incident": key}
    return [
        event(f"{key}-1", "outage.started", begins, **about),
        event(f"{key}-2", "outage.restored", ends, **about),
    ]


YEAR = [
    *outage("A-1", "20T09:00", "20T09:40", "CN-GD"),
    *outage("A-2", "21T09:00", "21T12:30", "CN-GD", "CN-HN"),
]
LINES = "\n".join(json.dumps(each) for each in YEAR)


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    """Return the shipped pack as version 99, in which two provinces must be down for four hours."""
    text = CBRC_FILE.read_text(encoding="utf-8")
    head, _, rest = text.partition("id: art9-1-2\n")
    text = head + "id: art9-1-2\n" + rest.replace("at_least: 3h", "at_least: 4h", 1)
    lines = ['version: "99"' if line.startswith("version:") else line for line in text.splitlines()]
    return write(tmp_path, "slower.yaml", "\n".join(lines))


def test_a_change_of_the_law_is_tried_on_a_year(run: Run, slower: Path, tmp_path: Path) -> None:
    write(tmp_path, "year.jsonl", LINES)
    said = run("replay", "year.jsonl", "--pack", PACK, "--pack", slower)
    assert (said.code, said.err) == (0, "")
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0].endswith("cn-cbrc-2008@99")
    assert lines[1] == "≠ 2013-06-21 09:00 A-2 Core banking; Guangdong, Hunan II 09:30:00 II 09:30:00"
    assert lines[2] == "I 12:00:00"
    assert lines[3] == "= 2013-06-20 09:00 A-1 Core banking; Guangdong III 09:30:00 III 09:30:00"
    assert "incidents: 2 differ: 1 (≠ in the level: 1, ~ only in time: 0)" in lines


def test_in_chinese_from_stdin(run: Run, slower: Path) -> None:
    said = run("replay", "-", "--pack", PACK, "--pack", slower, "--lang", "zh-CN", "--only-differences", stdin=LINES)
    assert said.code == 0
    assert "核心账务; 广东, 湖南" in said.out
    assert "事件: 2    不同: 1 (≠ 级别不同: 1, ~ 仅达到时间不同: 0)" in said.out
    assert "A-1" not in said.out


def test_as_json_for_a_program(run: Run, slower: Path) -> None:
    said = run("replay", "-", "--pack", PACK, "--pack", slower, "--format", "json", stdin=json.dumps(YEAR))
    document = json.loads(said.out)
    assert [row["incident"] for row in document["incidents"]] == ["A-2", "A-1"]
    assert [verdict["level"] for verdict in document["incidents"][0]["verdicts"]] == ["I", "II"]
    assert document["packs"][1]["file"] == str(slower)


def test_ci_can_refuse_a_change_that_changes_a_verdict(run: Run, slower: Path) -> None:
    both = ("replay", "-", "--pack", PACK, "--pack", slower, "--fail-on-difference")
    assert run(*both, stdin=LINES).code == 1
    assert run(*both, "--at", "2013-06-21T11:00", stdin=LINES).code == 0  # until then they agree
    assert run("replay", "-", "--pack", PACK, "--fail-on-difference", stdin=LINES).code == 0


@pytest.mark.parametrize("arguments", [[], ["--pack", PACK, "--format", "yaml"], ["--pack", PACK, "--at", "noon"]])
def test_what_cannot_be_understood_is_a_fault_of_usage(run: Run, arguments: list[str]) -> None:
    said = run("replay", "-", *arguments, stdin=LINES)
    assert (said.code, said.out) == (2, "")
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (["--pack", "cn-cbrc-2009"], LINES, "did you mean 'cn-cbrc-2008'?"),
        (["--pack", PACK, "--pack", PACK], LINES, "is given twice"),
        (["--pack", "nowhere.yaml"], LINES, "nowhere.yaml:1:1: cannot be read"),
        (["--pack", PACK], "", "<stdin>:1:1: holds no events"),
        (["--pack", PACK], LINES.replace("core-banking", "core-banknig"), "did you mean 'core-banking'?"),
        (
            ["--pack", PACK],
            json.dumps(event("n", "note.added", "20T09:00", service="atm", data={"text": "x"})),
            "belongs to no incident of this history",
        ),
    ],
)
def test_an_error_of_the_operators_is_told_in_a_line(run: Run, arguments: list[str], stdin: str, told: str) -> None:
    said = run("replay", "-", *arguments, stdin=stdin)
    assert (said.code, said.out) == (1, "")
    assert told in said.err
    assert "Traceback" not in said.err


def test_a_pack_that_is_wrong_is_told_with_its_place(run: Run, slower: Path) -> None:
    slower.write_text(slower.read_text(encoding="utf-8").replace("at_least: 4h", "at_least: 4"), encoding="utf-8")
    said = run("replay", "-", "--pack", PACK, "--pack", slower, stdin=LINES)
    assert said.code == 1
    assert said.err.startswith(f"{slower}:")
    assert "not a duration: 4" in said.err


def test_a_history_without_incidents_is_said_to_be_one(run: Run) -> None:
    assert run("replay", "-", "--pack", PACK, stdin="[]").out == "no incidents\n"


def test_it_explains_itself(run: Run) -> None:
    said = run("replay", "--help").out
    assert all(word in said for word in ("--pack", "--at", "--only-differences", "--fail-on-difference", "--format"))
