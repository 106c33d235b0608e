"""Every shipped scenario, played without waiting: what it expects happens, and what is broken is noticed."""

import asyncio
import base64
import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.budget import thorough
from support.builders import CONFIG, RULES
from support.servers import LOOPBACK, http_receiver, smtp_server

from incident_engine.common.errors import InvalidFilesError, StartupError
from incident_engine.common.i18n import Translator
from incident_engine.common.yaml_loader import load_file
from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.scenario import load_scenario
from incident_engine.config.scenario_checks import refuse_unknown_names
from incident_engine.config.settings import Settings, load_settings
from incident_engine.domain.messages.drill_marks import DRILL_MARKS
from incident_engine.domain.response.playbook import audiences_of, parse_playbook
from incident_engine.domain.rulebook import Rulebook
from incident_engine.drills import runner as drill
from incident_engine.drills.checks import checks
from incident_engine.drills.isolation import prepared
from incident_engine.drills.result import DrillResult
from incident_engine.drills.summary import summary

SHIPPED = sorted(path.stem for path in (RULES / "scenarios").glob("*.yaml"))
REQUIRED = {
    "night-batch",
    "two-provinces",
    "nationwide",
    "flapping-mobile",
    "data-leak",
    "maintenance-overrun",
    "third-party-power",
    "estimate-missed",
}
SMALL: dict[str, Any] = {
    "scenario": "small",
    "title": {"zh-CN": "小演练", "en": "A small one"},
    "start": "2013-06-23T10:35:00+08:00",
    "lasts": "50m",
    "events": [
        {"at": "0m", "type": "outage.started", "service": "core-banking", "regions": ["CN-GD"]},
        {"at": "33m", "type": "step.acknowledged", "service": "core-banking", "data": {"step": "page", "by": "李工"}},
        {
            "at": "41m",
            "type": "step.completed",
            "service": "core-banking",
            "data": {"fulfils": "first-report", "by": "王"},
        },
    ],
}
RIGHT: dict[str, Any] = {
    "levels": [{"at": "30m", "level": "III"}],
    "obligations": {"first-report": "met", "formal-report": "pending", "progress-report": "not_applicable"},
    "steps": ["page", "page/III", "first-report"],
    "not_steps": ["page/II"],
    "steps_by": {"page/III": "30m"},
    "messages": {"duty-team/page": 2, "leading-group/page": 0},
    "deadlines": {"met": 1, "missed": 0},
    "closed": False,
}


@cache
def bank() -> Settings:
    return load_settings(CONFIG, {})


@cache
def rules() -> Rulebook:
    return load_rulebook(bank(), CONFIG)


def played(
    file: Path, folder: Path, settings: Settings | None = None, *, real: bool = False, lang: str = "en"
) -> tuple[DrillResult, list[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    scenario, shown = load_scenario(file, bank()), list[str]()
    refuse_unknown_names(scenario, file, rules())
    playing = drill.run(scenario, settings or bank(), rules(), folder, None, Translator(lang), shown.append, real=real)
    return asyncio.run(playing), shown


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump({**deepcopy(SMALL), **changes}, allow_unicode=True), encoding="utf-8")
    return file


def missed(result: DrillResult) -> list[str]:
    return [check.text(Translator("en")) for check in result.failures]


def test_the_scenarios_that_a_bank_needs_are_shipped() -> None:
    assert set(SHIPPED) >= REQUIRED


QUICK = ("nobody-answers",)
"""Scenarios in `make test`; the README's demo is another. `.ci/run` plays all."""


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=thorough) for name in SHIPPED])
def test_a_shipped_scenario_goes_as_it_expects(name: str, tmp_path: Path) -> None:
    result, _ = played(RULES / "scenarios" / f"{name}.yaml", tmp_path)
    assert missed(result) == []
    assert len(result.checks) >= 8, "it expects hardly anything"
    asked_to_close = [step for found in result.incidents for step in found["steps"] if step["step"] == "close"]
    assert "started" not in {step["state"] for step in asked_to_close}  # the closing is the answer
    assert {file.name for file in result.reports} == {
        f"drill-report.{locale}.{suffix}" for locale in ("zh-CN", "en") for suffix in ("html", "docx")
    }
    for file in (tmp_path / "outbox").rglob("*.md"):
        head, _, body = file.read_text(encoding="utf-8").partition("\n\n# ")
        mark = DRILL_MARKS["zh-CN" if "locale: zh-CN" in head else "en"]
        assert f"subject: {mark}" in head
        assert body.partition("\n\n")[2].startswith(mark)


@thorough
def test_the_same_scenario_goes_the_same_way_twice(tmp_path: Path) -> None:
    file = written(tmp_path, expect=RIGHT)
    first, second = (played(file, tmp_path / part)[1] for part in ("one", "two"))
    assert sorted(first) == sorted(second)
    assert len(first) > 10


def test_the_summary_lists_deadlines_expectations_and_reports(tmp_path: Path) -> None:
    result, _ = played(written(tmp_path, expect=RIGHT), tmp_path)
    assert missed(result) == []
    said = {lang: "\n".join(summary(result, rules(), bank(), Translator(lang))) for lang in ("en", "zh-CN")}
    assert "✔ First report to the regulator (Art. 35(5))  due 2013-06-23 11:35  met 2013-06-23 11:16" in said["en"]
    assert "… Formal written report" in said["en"]
    assert "✔ messages: duty-team/page 2" in said["en"]
    assert str(tmp_path / "drill-report.en.docx") in said["en"]
    assert "✔ 向监管部门首次报告 (第35条（5）)  期限 2013-06-23 11:35  已履行 2013-06-23 11:16" in said["zh-CN"]
    assert said["zh-CN"].endswith("✔ 与预期一致")


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("levels", [{"at": "31m", "level": "III"}]),
        ("levels", []),
        ("levels", [{"at": "30m", "level": "III"}, {"at": "40m", "level": "II"}]),
        ("obligations", {"first-report": "overdue"}),
        ("obligations", {"progress-report": "met"}),
        ("steps", ["customers-resolved"]),
        ("not_steps", ["page/III"]),
        ("steps_by", {"page/III": "29m"}),
        ("steps_by", {"page/II": "45m"}),
        ("messages", {"duty-team/page": 1}),
        ("messages", {"execution-group/page": 1}),
        ("deadlines", {"missed": 1}),
        ("deadlines", {"met": 0}),
        ("closed", True),
    ],
)
def test_an_expectation_that_does_not_come_true_fails_the_drill(
    key: str, wrong: Any, small: DrillResult, tmp_path: Path
) -> None:
    scenario = load_scenario(written(tmp_path, expect={**RIGHT, key: wrong}), bank())
    found = [check for check in checks(scenario, small.incidents, []) if not check.ok]
    assert found
    assert all(" — actual: " in check.text(Translator("en")) for check in found)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DrillResult:
    folder = tmp_path_factory.mktemp("small")
    return played(written(folder, expect=RIGHT), folder)[0]


def test_an_event_that_is_refused_fails_the_drill_which_goes_on(tmp_path: Path) -> None:
    too_early = {"at": "35m", "type": "incident.closed", "service": "core-banking", "data": {"by": "陈总"}}
    nothing = {
        "at": "36m",
        "type": "step.approved",
        "service": "core-banking",
        "data": {"step": "customers-escalated/I", "by": "林"},
    }
    events = [*SMALL["events"], too_early, nothing]
    result, _ = played(written(tmp_path, events=events, expect=RIGHT), tmp_path)
    told = missed(result)
    assert len(told) == 2
    assert "small/4 (incident.closed)" in told[0]
    assert "still impaired" in told[0]
    assert "small/5 (step.approved)" in told[1]
    assert "has not started" in told[1]


def test_several_incidents_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    harm = {"kind": "customers", "seriousness": "considerable", "cause": "data_leak", "by": "高远", "reason": "核实"}
    events = [
        *SMALL["events"],
        {"at": "5m", "type": "harm.assessed", "service": "payments", "incident": "leak", "data": harm},
        {"at": "9m", "type": "step.acknowledged", "incident": "leak", "data": {"step": "page", "by": "高远"}},
    ]
    expect = {
        "levels": [{"at": "5m", "level": "III"}, {"at": "30m", "level": "III"}],
        "messages": {"duty-team/page": 4, "execution-group/page": 0},
    }
    result, _ = played(written(tmp_path, events=events, expect=expect), tmp_path)
    assert missed(result) == []
    assert len(result.incidents) == 2
    report = (tmp_path / "drill-report.en.html").read_text(encoding="utf-8")
    assert all(incident["id"] in report for incident in result.incidents)


def test_the_report_on_a_drill_says_what_article_28_asks_for(tmp_path: Path) -> None:
    plan = {
        "purpose": {"zh-CN": "目的之一", "en": "One purpose"},
        "preparation": {"zh-CN": "准备妥当", "en": "All was prepared"},
    }
    wrong = {**RIGHT, "closed": True}
    result, _ = played(written(tmp_path, drill=plan, expect=wrong), tmp_path)
    text = (tmp_path / "drill-report.en.html").read_text(encoding="utf-8")
    for part in (
        "One purpose",
        "All was prepared",
        "A small one",
        "李工, 王",
        "level reached III",
        "not as expected — closed: 1 — actual: open",
        "The drill did not go as expected",
        "[to be filled in]",
    ):
        assert part in text, part
    assert text.count("[to be filled in]") == 1  # the improvements
    chinese = (tmp_path / "drill-report.zh-CN.html").read_text(encoding="utf-8")
    assert "目的之一" in chinese
    assert "演练未达到预期" in chinese
    assert (tmp_path / "drill-report.en.docx").read_bytes().startswith(b"PK")
    assert len(result.failures) == 1


# Real channels


def real_bank(**changes: Any) -> Settings:
    document = load_file(CONFIG).data
    return Settings(**{**document, **changes})


def test_real_channels_need_somebody_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"drills\.recipients"):
        prepared(bank(), tmp_path, real=True)


def test_a_recipient_of_drills_must_exist(tmp_path: Path) -> None:
    document = {**load_file(CONFIG).data, "drills": {"recipients": ["duty-officr"]}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    with pytest.raises(InvalidFilesError, match="did you mean 'duty-officer'"):
        load_settings(file, {})


def test_whatever_a_playbook_says_a_drill_over_real_channels_reaches_its_recipients_alone(tmp_path: Path) -> None:
    rotation = {"id": "nights", "timezone": "Asia/Shanghai", "starts": "2013-01-07T09:00", "members": ["duty-engineer"]}
    settings = real_bank(rotations=[rotation], drills={"recipients": ["duty-officer", "nights"]})
    own = prepared(settings, tmp_path, real=True)
    at = load_scenario(RULES / "scenarios" / "two-provinces.yaml", bank()).start
    playbooks = [parse_playbook(load_file(file).data) for file in sorted((RULES / "playbooks").glob("*.yaml"))]
    audiences = {name for book in playbooks for step in book.steps for _, name in audiences_of(step)}
    everybody = {*audiences, *settings.people.names}
    assert {"customers", "institutions", "suppliers", "leading-group", "customers-en"} <= everybody
    for name in sorted(everybody):
        assert [reader.id for reader in own.people.members(name, at)] == ["duty-officer", "duty-engineer"], name
    assert {contact.id for contact in own.contacts} == {"duty-officer", "duty-engineer"}
    assert own.server.port == 0
    assert own.store.url.startswith(f"sqlite:///{tmp_path}")


@thorough
def test_a_drill_over_real_channels_writes_to_nobody_else_and_marks_every_message(tmp_path: Path) -> None:
    mails: list[Any]
    with http_receiver() as receiver, smtp_server() as (port, mails):
        secret = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
        channels = {
            "desk": {"type": "webhook", "url": receiver.url, "secret": {"value": secret}},
            "mail": {"type": "email", "host": LOOPBACK, "port": port, "sender": "ops@cloudsail.example", "tls": "none"},
        }
        exercise = ("duty-officer", "duty-engineer")
        contacts = [
            {
                **contact,
                "via": [
                    {"channel": "desk", "to": contact["id"]},
                    {"channel": "mail", "to": f"{contact['id']}@cloudsail.example"},
                ],
            }
            for contact in load_file(CONFIG).data["contacts"]
        ]
        settings = real_bank(
            channels=channels,
            contacts=contacts,
            drills={"recipients": list(exercise)},
            outgoing={"allow": [LOOPBACK]},
        )
        result, _ = played(RULES / "scenarios" / "nationwide.yaml", tmp_path, settings, real=True)
    assert missed(result) == []
    posted = [json.loads(each.body)["data"] for each in receiver.got]
    assert len(posted) > 60
    assert {each["to"] for each in posted} == set(exercise)
    assert any("customers-escalated" in each["step"] for each in posted)
    for each in posted:
        assert is_marked(each)
    requests = [each["body"] for each in posted if each["step"].endswith("customers-escalated:I~ask")]
    assert requests
    assert all(
        DRILL_MARKS["en"] in body and body.count(DRILL_MARKS["zh-CN"]) + body.count("[DRILL]") > 2 for body in requests
    )
    reworded = [each["body"] for each in posted if each["step"].endswith("customers-escalated:I")]
    assert any("三个小时过去了" in body for body in reworded)
    assert {mail["To"] for mail in mails} == {f"{name}@cloudsail.example" for name in exercise}
    assert len(mails) == len(posted)
    assert all(str(mail["Subject"]).startswith(tuple(DRILL_MARKS.values())) for mail in mails)


def is_marked(message: Mapping[str, str]) -> bool:
    mark = DRILL_MARKS[message["locale"]]
    return message["subject"].startswith(mark) and message["body"].startswith(mark)
