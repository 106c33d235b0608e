"""The command line as an operator uses it: help, `check` and `grade`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.builders import at, event_json, restored_json, started_json
from support.fixtures import CONFIG

from incident_engine import __version__
from incident_engine.cli.output import echo
from incident_engine.config.rulebook import SHIPPED

COMMANDS = ("serve", "check", "grade", "drill")


Run = Callable[..., Any]


# Help


def test_help_names_every_command(run: Run) -> None:
    for arguments in (["--help"], ["-h"], []):
        said = run(*arguments)
        text = said.out + said.err
        assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("serve", ["--config", "--lang", "INCIDENT_ENGINE__SERVER__PORT"]),
        ("check", ["PATH", "--config", "file:line:column"]),
        ("grade", ["FILE|-", "--pack", "--at", "--format", "--lang", "--config"]),
        ("drill", ["SCENARIO", "--speed", "--channels", "--config"]),
    ],
)
def test_every_command_explains_itself(run: Run, command: str, words: list[str]) -> None:
    said = run(command, "--help")
    assert said.code == 0
    for word in words:
        assert word in said.out


def test_the_version_is_told(run: Run) -> None:
    found = run("--version")
    assert (found.code, found.out, found.err) == (0, f"incident-engine {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["gade"], ["grade"], ["grade", "-", "--nonsense"], ["check", "--lang", "fr"]])
def test_what_cannot_be_understood_is_a_fault_of_usage(run: Run, arguments: list[str]) -> None:
    said = run(*arguments)
    assert said.code == 2
    assert "Traceback" not in said.err
    assert said.out == ""


def test_the_program_runs_as_a_module_in_a_process_of_its_own(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("INCIDENT_ENGINE__")}
    command = [sys.executable, "-m", "incident_engine", "grade", "-", "--at", "2013-06-23T11:05", "--lang", "en"]
    ended = subprocess.run(
        command,
        input=json.dumps(started_json("e1", at("10:35"))),
        cwd=tmp_path,
        env=environment | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "level: III Considerable" in ended.stdout
    assert list(tmp_path.iterdir()) == []  # grading leaves nothing behind


# check


def test_the_shipped_configuration_and_rules_are_correct(run: Run) -> None:
    said = run("check")
    assert said.code == 0
    # The days off of a coming year are announced each autumn; until the library has them it says so.
    assert all("the days off are not published yet" in line for line in said.err.splitlines())
    assert "all correct" in said.out
    packs = (SHIPPED / "rules" / "grading").glob("*.yaml")
    cases = sum(pack.read_text(encoding="utf-8").count("expect:") for pack in packs)
    assert f"{cases} cases" in said.out


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copied = tmp_path / "rules"
    shutil.copytree(SHIPPED / "rules", copied)
    monkeypatch.setenv("INCIDENT_ENGINE__RULES__DIRECTORY", str(copied))
    return copied


def changed(file: Path, old: str, new: str) -> tuple[int, int]:
    """Change a file where a text stands for the first time, and return the line and column of that text."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    before = text[: text.index(old)]
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


@pytest.mark.parametrize(
    ("path", "old", "new", "says"),
    [
        ("grading/cn-cbrc-2008.yaml", "in_force:", "in_forse:", "did you mean 'in_force'?"),
        ("grading/cn-cbrc-2008.yaml", "rules:", "levels:", "duplicate key"),
        ("playbooks/outage-response.yaml", "settle: 5m", "settle: 5 minutes", "not a duration"),
        (
            "playbooks/emergency-response.yaml",
            "audience: duty-team",
            "audience: duty-taem",
            "did you mean 'duty-team'?",
        ),
        ("playbooks/emergency-response.yaml", "template: page", "template: pgae", "did you mean 'page'?"),
        ("scenarios/two-provinces.yaml", "lasts: 5h", "lasts: soon", "not a duration"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_column(
    run: Run, rules: Path, path: str, old: str, new: str, says: str
) -> None:
    file = rules / path
    line, column = changed(file, old, new)
    said = run("check")
    assert said.code == 1
    findings = [row for row in said.out.splitlines() if row.startswith(f"{file}:{line}:{column}: ")]
    assert any(says in row for row in findings), said.out
    assert "findings" in said.err


def test_a_template_that_is_wrong_is_told_with_its_line(run: Run, rules: Path) -> None:
    file = rules / "messages" / "en" / "duty-notice.md.j2"
    line, _ = changed(file, "incident.regions | names }}\n- Began", "incident.region | names }}\n- Began")
    said = run("check", file)
    assert said.code == 1
    assert said.out.startswith(f"{file}:{line}:1: ")
    assert "did you mean 'regions'?" in said.out


def test_a_case_that_the_law_does_not_bear_out_is_told(run: Run, rules: Path) -> None:
    file = rules / "grading" / "cn-cbrc-2008.yaml"
    changed(
        file,
        'down: {CN-GD: ["09:00", "09:30"]}, expect: [{at: "09:30"',
        'down: {CN-GD: ["09:00", "09:30"]}, expect: [{at: "09:31"',
    )
    said = run("check", file)
    assert said.code == 1
    assert "case 'one province half an hour to the minute' gives III at 09:30 by art9-3-2" in said.out


def test_several_faults_are_all_told_at_once(run: Run, rules: Path) -> None:
    changed(rules / "playbooks" / "outage-response.yaml", "settle: 5m", "settle: soon")
    changed(rules / "grading" / "cn-cbrc-2008.yaml", "in_force:", "in_forse:")
    said = run("check")
    assert {row.split(":")[0] for row in said.out.splitlines()} >= {
        str(rules / "playbooks" / "outage-response.yaml"),
        str(rules / "grading" / "cn-cbrc-2008.yaml"),
    }


def test_a_configuration_that_is_wrong_is_told_with_its_place(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    shutil.copy(CONFIG, file)
    line, _ = changed(file, "hours: counter,", "hours: countr,")
    said = run("check")
    assert said.code == 1
    assert said.out.startswith(f"config.yaml:{line}:")
    assert "unknown hours 'countr'" in said.out
    assert "did you mean 'counter'?" in said.out


def test_an_override_that_is_wrong_is_told_by_its_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCIDENT_ENGINE__SERVER__PORT", "high")
    said = run("check")
    assert said.code == 1
    assert "INCIDENT_ENGINE__SERVER__PORT" in said.out


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("empty.yaml", "", "is no pack, playbook, report, scenario, calendar or configuration"),
        ("odd.yaml", "playbok: x\n", "did you mean 'playbook'?"),
        ("broken.yaml", "pack: [\n", "broken.yaml:2:1: not valid YAML"),
    ],
)
def test_a_file_that_is_nothing_is_told_to_be_nothing(
    run: Run, tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text)
    said = run("check", name)
    assert said.code == 1
    assert says in said.out


def test_a_path_that_does_not_exist_is_told(run: Run) -> None:
    said = run("check", "nowhere.yaml")
    assert said.code == 1
    assert "nowhere.yaml:1:1: there is no such file or folder" in said.out


# grade

ONE_PROVINCE = started_json("e1", at("10:35"), incident="outage-1")


def graded(ran: Any) -> list[dict[str, Any]]:
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert set(document) == {"incidents", "recurring"}
    found: list[dict[str, Any]] = document["incidents"]
    return found


def the_verdict(ran: Any) -> dict[str, Any]:
    (incident,) = graded(ran)
    (verdict,) = incident["assessments"]
    found: dict[str, Any] = verdict
    return found


def first_report(verdict: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(status for status in verdict["obligations"] if status["id"] == "first-report")
    return found


def test_one_province_down_since_1035_is_level_iii_at_1105(run: Run) -> None:
    said = run("grade", "-", "--at", "2013-06-23T11:05:00+08:00", "--format", "json", stdin=json.dumps(ONE_PROVINCE))
    (incident,) = graded(said)
    assert incident["incident"] == "outage-1"
    (verdict,) = incident["assessments"]
    assert (verdict["pack"], verdict["level"]) == ("cn-cbrc-2008", "III")
    assert verdict["trajectory"] == [
        {"level": "III", "at": "2013-06-23T11:05:00+08:00", "rule": "art9-3-2", "cite": "Art. 9(3)2"}
    ]
    assert verdict["next"] == {
        "level": "II",
        "at": "2013-06-23T13:35:00+08:00",
        "rule": "art9-2-2",
        "cite": "Art. 9(2)2",
    }
    obligation = first_report(verdict)
    wanted = {"id": "first-report", "due_at": "2013-06-23T11:35:00+08:00", "cite": "Art. 35(5)", "state": "pending"}
    assert wanted.items() <= obligation.items()
    assert verdict["evidence"]["occurred_at"] == "2013-06-23T10:35:00+08:00"


@pytest.mark.parametrize(
    ("instant", "level"),
    [
        ("2013-06-23T11:04:59.999999+08:00", None),
        ("2013-06-23T11:05:00+08:00", "III"),
        ("2013-06-23T03:05:00Z", "III"),  # the same instant in UTC
        ("2013-06-23T11:05:00", "III"),  # without an offset: the bank's local time
        ("2013-06-23 11:05", "III"),
        ("2013-06-23T11:05:00Z", "II"),  # 19:05 in Shanghai would be I; the outage below ends at 19:00
    ],
)
def test_the_verdict_is_that_of_the_instant_asked_for(run: Run, instant: str, level: str | None) -> None:
    history = [ONE_PROVINCE, restored_json("e2", at("14:00"), incident="outage-1")]
    said = run("grade", "-", "--at", instant, "--format", "json", stdin=json.dumps(history))
    assert the_verdict(said)["level"] == level


def test_only_what_had_occurred_by_then_is_taken_into_account(run: Run) -> None:
    history = [ONE_PROVINCE, started_json("e2", at("11:06"), "CN-HN", incident="outage-1")]
    verdict = the_verdict(run("grade", "-", "--at", "2013-06-23T11:05", "--format", "json", stdin=json.dumps(history)))
    assert [region["region"] for region in verdict["evidence"]["regions"]] == ["CN-GD"]
    assert verdict["next"]["at"] == "2013-06-23T13:35:00+08:00"


def test_without_an_instant_a_history_that_is_over_is_graded_at_its_end(run: Run) -> None:
    history = [ONE_PROVINCE, restored_json("e2", at("13:35"), incident="outage-1")]
    verdict = the_verdict(run("grade", "-", "--format", "json", stdin=json.dumps(history)))
    assert (verdict["at"], verdict["level"], verdict["next"]) == ("2013-06-23T13:35:00+08:00", "II", None)


HISTORY = [
    started_json("e1", at("10:35")),
    started_json("e2", at("11:20"), "湖南"),
    event_json("n", "note.added", at("10:47"), service="core-banking", data={"text": "主库日志卷写满", "by": "李工"}),
    event_json(
        "c", "step.completed", at("11:16"), service="core-banking", data={"fulfils": "first-report", "by": "王敏"}
    ),
    restored_json("e3", at("14:45"), "CN-GD", "CN-HN"),
]
# Guangdong 10:35-14:45, Hunan 11:20-14:45: III at 11:05, both for 30 min at 11:50: II, both for 3 h at 14:20: I.
RISES = [("III", "11:05"), ("II", "11:50"), ("I", "14:20")]


def as_json(events: list[dict[str, Any]]) -> str:
    return json.dumps(events, ensure_ascii=False, indent=2)


def as_lines(events: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in events) + "\n\n"


def as_yaml(events: list[dict[str, Any]]) -> str:
    return "".join(
        "- " + "\n  ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in line.items()) + "\n"
        for line in events
    )


@pytest.mark.parametrize("write", [as_json, as_lines, as_yaml])
@pytest.mark.parametrize("by_stdin", [False, True])
def test_a_history_is_read_as_json_as_json_lines_and_as_yaml(
    run: Run, tmp_path: Path, write: Callable[[list[dict[str, Any]]], str], by_stdin: bool
) -> None:
    (tmp_path / "history").write_text(write(HISTORY), encoding="utf-8")
    source = ["-"] if by_stdin else ["history"]
    verdict = the_verdict(run("grade", *source, "--format", "json", stdin=write(HISTORY) if by_stdin else ""))
    assert [(rise["level"], rise["at"][11:16]) for rise in verdict["trajectory"]] == RISES
    obligation = first_report(verdict)
    assert (obligation["state"], obligation["met_by"]) == ("met", "王敏")


def test_plain_yaml_needs_no_quotes_around_instants(run: Run) -> None:
    text = (
        "source: monitor\nid: 1a\ntype: outage.started\nservice: core-banking\nregions: [广东]\n"
        "occurred_at: 2013-06-23T10:35:00+08:00\n"
    )
    assert the_verdict(run("grade", "-", "--at", "2013-06-23T11:05", "--format", "json", stdin=text))["level"] == "III"


def test_incidents_far_apart_are_graded_apart(run: Run) -> None:
    history = [*HISTORY, started_json("f1", at("2013-06-25 10:35")), restored_json("f2", at("2013-06-25 11:05"))]
    found = graded(run("grade", "-", "--format", "json", stdin=as_json(history)))
    assert [incident["assessments"][0]["level"] for incident in found] == ["I", "III"]


def test_the_shape_of_a_verdict_as_json_is_the_documented_one(run: Run) -> None:
    (incident,) = graded(run("grade", "-", "--format", "json", stdin=as_json(HISTORY)))
    assert {"incident", "assessments"} <= set(incident)
    (verdict,) = incident["assessments"]
    assert {"pack", "level", "trajectory", "next", "obligations", "evidence"} <= set(verdict)
    for rise in verdict["trajectory"]:
        assert set(rise) == {"level", "at", "rule", "cite"}
    for obligation in verdict["obligations"]:
        assert {"id", "due_at", "cite", "state"} <= set(obligation)
    assert isinstance(verdict["evidence"], dict)


def test_the_text_tells_level_trajectory_next_level_obligations_and_evidence(run: Run) -> None:
    said = run("grade", "-", "--at", "2013-06-23T11:05", "--lang", "en", stdin=json.dumps(ONE_PROVINCE))
    assert (said.code, said.err) == (0, "")
    for words in (
        "incident outage-1",
        "services: Core banking",
        "regions: Guangdong",
        "occurred: 2013-06-23 10:35:00+08:00    restored: not restored",
        "level: III Considerable",
        "2013-06-23 11:05:00+08:00  III Considerable  Art. 9(3)2 (art9-3-2)",
        "next level: II Major  2013-06-23 13:35:00+08:00  (in 2 hours 30 minutes)  Art. 9(2)2",
        "First report to the regulator (Art. 35(5))  due 2013-06-23 11:35:00+08:00  pending",
    ):
        assert words in said.out


def test_the_text_speaks_chinese_when_it_is_asked_to(run: Run) -> None:
    said = run("grade", "-", "--at", "2013-06-23T11:05", "--lang", "zh-CN", stdin=json.dumps(ONE_PROVINCE))
    for words in ("核心账务", "广东", "III 较大", "II 重大", "2小时30分钟", "向监管部门首次报告", "待办"):
        assert words in said.out
    assert "Core banking" not in said.out


def test_the_environment_chooses_the_language_unless_one_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "级别" in run("grade", "-", stdin=json.dumps(ONE_PROVINCE)).out
    assert "level" in run("grade", "-", "--lang", "en", stdin=json.dumps(ONE_PROVINCE)).out


def test_minutes_outside_the_service_hours_do_not_count(run: Run) -> None:
    # The counter is open on weekdays from 09:00 to 17:00. Friday 21 June 16:40 to Monday 24 June 09:10:
    # 20 minutes on Friday and 10 on Monday are 30 minutes, on the instant of 09:10.
    friday, monday = at("2013-06-21 16:40"), at("2013-06-24 09:10")
    history = [
        started_json("e1", friday, service="counter", incident="k"),
        restored_json("e2", monday, service="counter", incident="k"),
    ]
    verdict = the_verdict(run("grade", "-", "--format", "json", stdin=as_json(history)))
    assert [(rise["level"], rise["at"]) for rise in verdict["trajectory"]] == [("III", "2013-06-24T09:10:00+08:00")]
    (region,) = verdict["evidence"]["regions"]
    assert region["in_service_seconds"] == 30 * 60
    assert region["wall_clock_seconds"] == (2 * 24 + 16) * 3600 + 30 * 60


def test_an_outage_wholly_outside_the_service_hours_has_no_level(run: Run) -> None:
    history = [
        started_json("e1", at("2013-06-21 17:00"), service="counter", incident="k"),
        restored_json("e2", at("2013-06-24 09:00"), service="counter", incident="k"),
    ]
    verdict = the_verdict(run("grade", "-", "--format", "json", stdin=as_json(history)))
    assert (verdict["level"], verdict["trajectory"]) == (None, [])


def test_a_pack_can_be_named_and_an_unknown_one_is_told_the_nearest(run: Run) -> None:
    text = as_json(HISTORY)
    assert the_verdict(run("grade", "-", "--pack", "cn-cbrc-2008", "--format", "json", stdin=text))["level"] == "I"
    said = run("grade", "-", "--pack", "cn-cbrc-2018", stdin=text)
    assert (said.code, said.out) == (1, "")
    assert "cn-cbrc-2018" in said.err
    assert "did you mean 'cn-cbrc-2008'?" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("text", "code"), [("", 1), ("\n\n", 1), ("[]", 0)])
def test_a_history_without_events_is_no_fault_and_nothing_at_all_is_one(run: Run, text: str, code: int) -> None:
    said = run("grade", "-", stdin=text)
    assert said.code == code
    assert "Traceback" not in said.err
    assert ("<stdin>:1:1: holds no events" in said.err) if code else ("no incidents" in said.out)


def test_an_empty_list_as_json_is_no_incidents(run: Run) -> None:
    assert graded(run("grade", "-", "--format", "json", stdin="[]")) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[\n  {"source": "m",}\n]', "bad:2:"),
        (as_lines([ONE_PROVINCE, ONE_PROVINCE | {"service": "core-bankin"}]), "bad:2:1: /service: unknown service"),
        (as_json([ONE_PROVINCE, ONE_PROVINCE | {"regions": ["Gaungdong"]}]), "did you mean 'Guangdong'?"),
        ("- source: monitor\n  id: x\n  type: outage.strted\n", "bad:3:3: 0.type: unknown type 'outage.strted'"),
        ("- a: 1\n  a: 2\n", "bad:2:3: duplicate key 'a'"),
        ("just some words", "bad:1:1"),
        ("{", "bad:1:"),
    ],
)
def test_a_bad_history_is_told_with_file_line_and_column(run: Run, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad").write_text(text, encoding="utf-8")
    said = run("grade", "bad")
    assert (said.code, said.out) == (1, "")
    assert says in said.err
    assert "Traceback" not in said.err


def test_an_event_of_a_json_array_is_placed_by_its_line(run: Run, tmp_path: Path) -> None:
    text = "[\n" + json.dumps(ONE_PROVINCE) + ",\n   " + json.dumps(ONE_PROVINCE | {"regions": []}) + "\n]"
    (tmp_path / "bad.json").write_text(text, encoding="utf-8")
    assert run("grade", "bad.json").err.startswith("bad.json:3:4: 1.regions: ")


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read: No such file or directory"), (b"\xff\xfe", "is not UTF-8")]
)
def test_a_file_that_cannot_be_read_is_told(run: Run, tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "events.json").write_bytes(content)
    said = run("grade", "events.json")
    assert (said.code, said.out) == (1, "")
    assert f"events.json:1:1: {says}" in said.err


@pytest.mark.parametrize("options", [["--at", "noon"], ["--at", "2013-13-01"], ["--format", "xml"], ["--lang", "de"]])
def test_an_option_that_means_nothing_is_a_fault_of_usage(run: Run, options: list[str]) -> None:
    said = run("grade", "-", *options, stdin="[]")
    assert said.code == 2
    assert options[0] in said.err
    assert "Traceback" not in said.err


def test_a_configuration_that_does_not_exist_is_told(run: Run) -> None:
    said = run("grade", "-", "--config", "none.yaml", stdin="[]")
    assert said.code == 1
    assert "none.yaml:1:1: cannot be read" in said.err


def test_the_banks_own_configuration_is_used_where_there_is_one(run: Run, tmp_path: Path) -> None:
    shutil.copy(CONFIG, tmp_path / "config.yaml")
    changed(tmp_path / "config.yaml", "id: core-banking,", "id: core,")
    said = run("grade", "-", stdin=json.dumps(ONE_PROVINCE))
    assert said.code == 1
    assert "unknown service 'core-banking'" in said.err


# drill


def test_a_scenario_that_does_not_exist_is_told_the_nearest(run: Run) -> None:
    said = run("drill", "two-province")
    assert said.code == 1
    assert "did you mean 'two-provinces'?" in said.err


@pytest.mark.parametrize("speed", ["0", "3601", "3601x", "fast"])
def test_a_speed_that_no_drill_can_have_is_a_fault_of_usage(run: Run, speed: str) -> None:
    assert run("drill", "two-provinces", "--speed", speed).code == 2


def test_channels_that_no_drill_can_have_are_a_fault_of_usage(run: Run) -> None:
    assert run("drill", "two-provinces", "--channels", "mail").code == 2


def test_a_drill_over_real_channels_needs_recipients_and_makes_nothing_without(run: Run) -> None:
    said = run("drill", "two-provinces", "--channels", "real")
    assert said.code == 1
    assert said.err.startswith("error: drills.recipients is empty")
    assert not (Path.cwd() / "var").exists()


# Dates at the ends of the calendar

EXTREME_INSTANTS = (
    "0001-01-01",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31",
    "9999-12-31T23:59:59.999999-23:59",
    "1969-12-31T23:59:59+00:00",
    "2200-01-01T00:00:00+00:00",
)


@pytest.mark.parametrize("instant", EXTREME_INSTANTS)
@pytest.mark.parametrize("command", [("grade", "h.json"), ("replay", "h.json", "--pack", "cn-cbrc-2008")])
def test_an_instant_near_the_ends_of_the_calendar_is_refused_in_words(
    run: Run, tmp_path: Path, command: tuple[str, ...], instant: str
) -> None:
    write_events(tmp_path / "h.json")
    refused = run(*command, "--at", instant)
    assert refused.code == 2
    assert "from 1970 to 2199" in refused.err


@pytest.mark.parametrize("instant", ["1970-01-02", "2199-12-30T00:00:00-23:59"])
def test_an_instant_within_these_ends_is_taken(run: Run, tmp_path: Path, instant: str) -> None:
    write_events(tmp_path / "h.json")
    assert run("grade", "h.json", "--at", instant).code == 0


def write_events(path: Path) -> None:
    path.write_text(json.dumps([started_json("a", at("10:35"))]), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "write", "place"),
    [
        ("events.json", json.dumps, "events.json:1:"),
        ("events.jsonl", lambda events: "\n".join(map(json.dumps, events)), "events.jsonl:2:1: "),
        ("events.yaml", lambda events: yaml.safe_dump(events, sort_keys=False), "events.yaml:11:3: "),
    ],
)
def test_two_events_of_one_id_with_different_content_are_told_by_their_place(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[Any], str], place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pair = [started_json("1", at("10:35"), source="z"), restored_json("1", at("10:50"), source="z")]
    (tmp_path / name).write_text(write(pair), encoding="utf-8")
    said = run("grade", name)
    assert said.code == 1
    assert said.err.startswith(place)
    assert "event '1' of 'z' is known with outage.started, not outage.restored" in said.err
    assert run("replay", name, "--pack", "cn-cbrc-2008").err.startswith(place)


@pytest.mark.parametrize(
    ("events", "level"),
    [
        ([restored_json("r", at("10:35"), source="desk"), started_json("s", at("10:35"))], "II"),
        ([restored_json("r", at("10:35"), data={"signal": "a"}), started_json("s", at("10:35"))], "II"),
        ([started_json("s", at("10:35"), "CN-GD", "CN-HN"), restored_json("r", at("10:35"), "CN-HN", "CN-GD")], None),
        (
            [
                started_json("s", at("10:35"), data={"signal": "4081734"}),
                started_json("t", at("10:36"), source="other", data={"signal": "4081734"}),
                restored_json("u", at("10:40"), source="other", data={"signal": "4081734"}),
            ],
            "II",
        ),
    ],
)
def test_an_end_ends_only_what_it_can(run: Run, events: list[dict[str, Any]], level: str | None) -> None:
    for order in (events, list(reversed(events))):
        (incident,) = graded(run("grade", "-", "--at", "2013-06-23T14:00", "--format", "json", stdin=json.dumps(order)))
        assert incident["assessments"][0]["level"] == level


def test_texts_that_are_printed_do_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    echo("\x1b]0;title\x07 a\x9bb\tc\nd\r\ne")
    echo("\x1b[2J", err=True)
    printed = capsys.readouterr()
    assert printed.out == "\ufffd]0;title\ufffd a\ufffdb\tc\nd\r\ne\n"
    assert printed.err == "\ufffd[2J\n"
