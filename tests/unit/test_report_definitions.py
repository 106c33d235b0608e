"""Definitions of reports among their rules: a fifth regulation's is a file, and what it names of its pack is there."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from support.builders import CHINA, RULES, write
from support.reports import TWO_PROVINCES, book, facts

from incident_engine.common.errors import Finding
from incident_engine.config.report_loader import check_report, load_reports
from incident_engine.domain.reports.drafting import draft_report
from incident_engine.domain.values import LOCALES

FIFTH = """
report: mas-first
title: {zh-CN: 首次通知, en: First notice}
source: Notice of an authority
addressee: regulator
sections:
  - id: event
    title: {zh-CN: 事件, en: The incident}
    fields:
      - id: services
        label: {zh-CN: 业务, en: Services}
        required: true
        facts: "{{ incident.services|names }}"
      - id: remedy
        label: {zh-CN: 补救, en: Remedy}
        required: true
"""


def rules(folder: Path) -> Path:
    """Copy packs and reports into a folder."""
    for name in ("grading", "reports"):
        shutil.copytree(RULES / name, folder / name)
    return folder


def said(findings: Sequence[Finding]) -> list[str]:
    return [f"{Path(finding.file).name}:{finding.line}: {finding.text}" for finding in findings]


def test_every_shipped_report_is_whole_in_both_languages() -> None:
    assert len(book().definitions) == 10
    for name in book().definitions:
        found = draft_report(book(), name, facts("11:30", *TWO_PROVINCES))
        assert found.failures == ()
        labels = [[field.label for field in found.by_locale[locale].fields] for locale in LOCALES]
        assert all(chinese != english for chinese, english in zip(*labels, strict=True))


def test_a_report_of_another_regulation_is_a_file(tmp_path: Path) -> None:
    write(rules(tmp_path), "reports/mas-first.yaml", FIFTH)
    findings: list[Finding] = []
    found = draft_report(load_reports(tmp_path, CHINA, findings), "mas-first", facts("11:30", *TWO_PROVINCES))
    assert findings == []
    assert [field.text for field in found.by_locale["en"].fields] == ["Core banking", ""]
    assert [field.id for field in found.by_locale["zh-CN"].gaps] == ["remedy"]


def test_a_file_is_named_after_its_report(tmp_path: Path) -> None:
    write(rules(tmp_path), "reports/mas.yaml", FIFTH)
    findings: list[Finding] = []
    load_reports(tmp_path, CHINA, findings)
    assert said(findings) == [
        "mas.yaml:2: report: the file is mas.yaml but its report is 'mas-first'; expected report: mas"
    ]


def test_the_pack_that_a_report_names_must_be_there(tmp_path: Path) -> None:
    path = write(rules(tmp_path), "reports/mas-first.yaml", FIFTH + "pack: eu-dora-2042\n")
    (found,) = said(check_report(path))
    assert found.startswith("mas-first.yaml:17: pack: unknown pack 'eu-dora-2042'; expected one of: ")
    assert found.endswith("did you mean 'eu-dora-2024'?")


def test_a_figure_that_the_pack_does_not_know_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    text = FIFTH.replace("{{ incident.services|names }}", "{{ measured.clinets }}") + "pack: eu-dora-2024\n"
    (found,) = said(check_report(write(rules(tmp_path), "reports/mas-first.yaml", text)))
    assert "'measured' has no 'clinets'" in found
    assert found.endswith("did you mean 'clients'?")


def test_without_a_pack_any_figure_may_be_asked_for(tmp_path: Path) -> None:
    text = FIFTH.replace("{{ incident.services|names }}", "{{ measured.clients or '' }}")
    assert check_report(write(rules(tmp_path), "reports/mas-first.yaml", text)) == []
