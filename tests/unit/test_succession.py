"""One pack after another, and several at once: what `check` says of packs that do not go together."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.builders import CHINA, CONFIG, RULES, recorded, verdict, write

from incident_engine.cli.check import check
from incident_engine.common.errors import InvalidFilesError
from incident_engine.config.pack_checks import check_succession
from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import load_settings
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.values import RESOLUTION

PLAYBOOK = """
playbook: duty
title: {zh-CN: x, en: x}
steps: [{id: notice, on: {level_reached: [major]}, audience: duty-team, template: duty-notice}]
"""
IN_2026: dict[str, Any] = {"from": "2026-01-01", "until": "2027-01-01"}


def pack(name: str, **given: Any) -> dict[str, Any]:
    """Return a small pack with a report; all that `check` asks of one."""
    return {
        "pack": name,
        "version": "1",
        "title": {"zh-CN": "x", "en": "x"},
        "source": "x",
        "in_force": {"from": "2027-01-01"},
        "timezone": "Asia/Shanghai",
        "measures": {"loss": {"says": {"zh-CN": "x", "en": "x"}}},
        "levels": [{"id": "major", "name": {"zh-CN": "x", "en": "x"}}],
        "rules": [
            {
                "id": "loss",
                "level": "major",
                "cite": "Art. 1",
                "says": {"zh-CN": "x", "en": "x"},
                "when": {"measured": {"name": "loss", "at_least": 10}},
            }
        ],
        "obligations": [
            {
                "id": f"{name}-report",
                "cite": "Art. 2",
                "says": {"zh-CN": "x", "en": "x"},
                "to": "regulator",
                "due": {"after": "classified", "within": "4h"},
                "levels": ["major"],
            }
        ],
        "cases": [
            {"name": "below", "measured": {"09:00": {"loss": 9}}, "expect": []},
            {"name": "on", "measured": {"09:00": {"loss": 10}}, "expect": [{"at": "09:00", "level": "major"}]},
            {
                "name": "above",
                "measured": {"09:00": {"loss": 11}},
                "expect": [{"at": "09:00", "level": "major", "rule": "loss"}],
            },
        ],
    } | given


def grading(folder: Path, *packs: dict[str, Any]) -> Path:
    """Write packs into a rules directory and return their folder."""
    for each in packs:
        text = yaml.safe_dump(each, allow_unicode=True, sort_keys=False)
        write(folder, f"rules/grading/{each['pack']}.yaml", text)
    return folder / "rules" / "grading"


def said(folder: Path, *packs: dict[str, Any]) -> list[str]:
    """Return what is wrong with the succession of packs: the file's name, and what."""
    findings = check_succession(grading(folder, *packs))
    return [f"{Path(found.file).name}: {found.text}" for found in findings]


def test_who_begins_on_the_day_on_which_the_other_ceases_follows_it(tmp_path: Path) -> None:
    assert said(tmp_path, pack("old", in_force=IN_2026), pack("new", replaces="old")) == []


def test_on_every_day_exactly_one_of_them_is_in_force() -> None:
    first = datetime(2027, 1, 1, tzinfo=CHINA)
    both = [parse_pack(each) for each in (pack("old", in_force=IN_2026), pack("new", replaces="old"))]
    for at, levels in ((first - RESOLUTION, ["major", None]), (first, [None, "major"])):
        event = recorded("impact.measured", at, service="counter", data={"by": "x", "measures": {"loss": 10}})
        assert [verdict(first + timedelta(days=1), event, pack=each).level for each in both] == levels


def test_a_gap_is_refused(tmp_path: Path) -> None:
    (found,) = said(
        tmp_path, pack("old", in_force=IN_2026), pack("new", replaces="old", in_force={"from": "2027-01-02"})
    )
    assert found == (
        "new.yaml: in_force.from: a gap: 'old' is in force until 2027-01-01, 'new' from 2027-01-02; "
        "expected in_force until 2027-01-02 in old.yaml"
    )


def test_an_overlap_is_refused(tmp_path: Path) -> None:
    (found,) = said(
        tmp_path, pack("old", in_force=IN_2026), pack("new", replaces="old", in_force={"from": "2026-12-31"})
    )
    assert found == (
        "new.yaml: in_force.from: an overlap: 'old' is in force until 2027-01-01, 'new' from 2026-12-31; "
        "expected in_force until 2026-12-31 in old.yaml"
    )


def test_a_predecessor_that_never_ceases_overlaps(tmp_path: Path) -> None:
    (found,) = said(tmp_path, pack("old", in_force={"from": "2026-01-01"}), pack("new", replaces="old"))
    assert "an overlap: 'old' is in force until for ever, 'new' from 2027-01-01" in found
    assert found.endswith("expected in_force until 2027-01-01 in old.yaml")


def test_an_unknown_predecessor_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (found,) = said(tmp_path, pack("old-rule", in_force=IN_2026), pack("new", replaces="old-rul"))
    assert found.startswith("new.yaml: replaces: unknown pack 'old-rul'; expected one of: ")
    assert found.endswith("did you mean 'old-rule'?")


def test_a_pack_does_not_replace_itself(tmp_path: Path) -> None:
    (found,) = said(tmp_path, pack("new", replaces="new"))
    assert "an overlap" in found


def test_a_chain_is_checked_link_by_link(tmp_path: Path) -> None:
    packs = (
        pack("a", in_force={"from": "2025-01-01", "until": "2026-01-01"}),
        pack("b", in_force=IN_2026, replaces="a"),
        pack("c", replaces="b"),
    )
    assert said(tmp_path, *packs) == []
    (found,) = said(tmp_path, pack("b", in_force=IN_2026 | {"until": "2026-12-01"}, replaces="a"))
    assert found.startswith("c.yaml: in_force.from: a gap: 'b' is in force until 2026-12-01")


def test_who_replaces_none_may_overlap(tmp_path: Path) -> None:
    assert said(tmp_path, pack("one", in_force=IN_2026), pack("other", in_force=IN_2026)) == []


def test_a_pack_that_cannot_be_read_has_findings_of_its_own(tmp_path: Path) -> None:
    folder = grading(tmp_path, pack("old", in_force=IN_2026), pack("new", replaces="old"))
    write(folder, "broken.yaml", "pack: broken\nreplaces: nothing\n")
    write(folder, "malformed.yaml", "pack: [")
    assert list(check_succession(folder)) == []


# As an operator sees it


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a bank's folder: the shipped configuration and messages, and packs of its own."""
    for name in [name for name in os.environ if name.upper().startswith("INCIDENT_ENGINE__")]:
        monkeypatch.delenv(name)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "messages").symlink_to(RULES / "messages")
    monkeypatch.setenv("INCIDENT_ENGINE__RULES__DIRECTORY", str(tmp_path / "rules"))
    monkeypatch.setenv("INCIDENT_ENGINE__PLAYBOOKS", '["duty"]')
    write(tmp_path, "rules/playbooks/duty.yaml", PLAYBOOK)
    return tmp_path


def chosen(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    listed = ", ".join(f'"{name}"' for name in names)
    monkeypatch.setenv("INCIDENT_ENGINE__GRADING", f'{{"packs": [{listed}], "primary": "{names[0]}"}}')


def test_check_says_the_line_on_which_the_gap_stands(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen(monkeypatch, "old")
    grading(bank, pack("old", in_force=IN_2026), pack("new", replaces="old", in_force={"from": "2027-02-01"}))
    (found,) = check([], CONFIG).findings
    lines = Path(found.file).read_text(encoding="utf-8").splitlines()
    assert (Path(found.file).name, lines[found.line - 1].strip()) == ("new.yaml", "from: '2027-02-01'")
    assert "a gap" in found.text


def test_check_accepts_a_successor_whether_it_is_chosen_or_not(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grading(bank, pack("old", in_force=IN_2026), pack("new", replaces="old"))
    for names in (["old"], ["new"], ["old", "new"]):
        chosen(monkeypatch, *names)
        assert check([], CONFIG).findings == []


def with_the_report_of(name: str, other: dict[str, Any]) -> dict[str, Any]:
    """Return a pack whose report is named like that of another."""
    (report,) = other["obligations"]
    return pack(name, obligations=[report])


def test_two_chosen_packs_must_not_share_the_name_of_an_obligation(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = pack("one")
    grading(bank, one, with_the_report_of("other", one))
    chosen(monkeypatch, "one", "other")
    found = {Path(each.file).name: each.text for each in check([], CONFIG).findings}
    expected = "expected an id of its own, such as one that begins with the pack's"
    said = "'one-report' is an obligation of '{}' too; one completion would fulfil both"
    assert found == {
        "one.yaml": f"obligations.0.id: {said.format('other')}; {expected}",
        "other.yaml": f"obligations.0.id: {said.format('one')}; {expected}",
    }
    with pytest.raises(InvalidFilesError, match="one completion would fulfil both"):
        load_rulebook(load_settings(CONFIG, os.environ), CONFIG)


def test_a_pack_that_is_not_chosen_may_share_it(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = pack("one")
    grading(bank, one, with_the_report_of("other", one))
    chosen(monkeypatch, "one")
    assert check([], CONFIG).findings == []
