"""A bank with few rules and limits of seconds, for daemons that start fast and are killed repeatedly."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml

PACK = "quick"
REGIONS = ("CN-GD", "CN-HN", "CN-HI", "CN-GX")
SETTLED_SECONDS = 6.0
"""Seconds without an event after which only deadlines of days are left."""

_PACK = """
pack: quick
version: "1"
title: {zh-CN: 以秒计的分级, en: Levels within seconds}
source: for tests of this program
in_force: {from: 2008-01-01}
levels:
  - {id: I, name: {zh-CN: 特别重大, en: Particularly major}}
  - {id: II, name: {zh-CN: 重大, en: Major}}
  - {id: III, name: {zh-CN: 较大, en: Considerable}}
rules:
  - id: four
    level: I
    cite: "1"
    says: {zh-CN: 一个地区四秒, en: one region for four seconds}
    when: {regions_down: {at_least: 1, for: {at_least: 4s}, clock: wall_clock}}
  - id: two-regions
    level: II
    cite: "2"
    says: {zh-CN: 两个地区一秒, en: two regions for one second}
    when: {regions_down: {at_least: 2, for: {at_least: 1s}, clock: wall_clock}}
  - id: one
    level: III
    cite: "3"
    says: {zh-CN: 一个地区一秒, en: one region for one second}
    when: {regions_down: {at_least: 1, for: {at_least: 1s}, clock: wall_clock}}
obligations:
  - id: first-report
    cite: "4"
    says: {zh-CN: 首次报告, en: First report}
    to: regulator
    due: {after: occurrence, within: 3s}
    levels: [I, II, III]
"""

_PLAYBOOK = """
playbook: quick
title: {zh-CN: 以秒计的处置, en: Handling within seconds}
settle: 1s
steps:
  - {id: notice, on: {level_reached: [III, II, I]}, audience: duty, template: level}
  - {id: grew, on: {scope_grew: true}, audience: duty, template: word}
  - id: report
    on: {obligation: {id: first-report, when: applies}}
    audience: reporter
    template: word
    fulfils: first-report
  - {id: overdue, on: {obligation: {id: first-report, when: overdue}}, audience: leaders, template: word}
  - {id: resolved, on: {restored: true}, audience: duty, template: word}
"""

_LEVEL = "[{{ level.id }}] {{ incident.id }}\n\n{{ recipient.name }}: {{ level.cite }}, {{ level.at | instant }}\n"
_WORD = "{{ incident.id }}\n\n{{ recipient.name }}: {{ incident.services | names }}\n"


def _both(name: str) -> dict[str, str]:
    return {"zh-CN": name, "en": name}


def write_bank(folder: Path, desk: str) -> Path:
    """Write the bank, whose messages all go to the address `desk`; return the path of its configuration."""
    rules = folder / "rules"
    for part, text in (("grading", _PACK), ("playbooks", _PLAYBOOK)):
        (rules / part).mkdir(parents=True)
        (rules / part / "quick.yaml").write_text(dedent(text), encoding="utf-8")
    for locale in ("zh-CN", "en"):
        (rules / "messages" / locale).mkdir(parents=True)
        for name, text in (("level", _LEVEL), ("word", _WORD), ("handover", _WORD)):
            (rules / "messages" / locale / f"{name}.md.j2").write_text(text, encoding="utf-8")
    contacts = ("officer", "engineer", "reporter", "leader")
    config: dict[str, Any] = {
        "bank": {"name": _both("Quick"), "timezone": "Asia/Shanghai"},
        "store": {"url": f"sqlite:///{folder / 'engine.db'}"},
        "rules": {"directory": str(rules)},
        "grading": {"packs": [PACK], "primary": PACK},
        "playbooks": [PACK],
        "intake": {"window": "4s"},
        "services": [{"id": "core-banking", "name": _both("Core banking")}],
        "channels": {"desk": {"type": "webhook", "url": desk, "secret": {"value": "whsec_dGhlIHF1aWNrIGJhbms="}}},
        "retry": {"first": "1s", "longest": "1s"},
        "outgoing": {"allow": ["127.0.0.1"]},
        "contacts": [
            {"id": each, "name": _both(each), "locale": "en", "via": [{"channel": "desk"}]} for each in contacts
        ],
        "audiences": {"duty": ["officer", "engineer"], "reporter": ["reporter"], "leaders": ["leader"]},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file
