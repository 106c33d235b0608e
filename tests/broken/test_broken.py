"""Wrong files, each with the message that an operator must read beside it (`name.txt`).

`UPDATE_GOLDEN=1 pytest tests/broken` writes the messages again; read every difference before it is kept.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.builders import CONFIG, RULES
from support.memo import remember_by_content

from incident_engine.cli import check as check_command
from incident_engine.cli.check import check
from incident_engine.config import calendars, chosen_files, pack_checks, playbook_checks, report_loader
from incident_engine.config.rulebook import SHIPPED

HERE = Path(__file__).parent
SUFFIXES = (".yaml", ".md.j2")
FILES = sorted(path for path in HERE.glob("*/*") if path.name.endswith(SUFFIXES))


def golden_of(file: Path) -> Path:
    name = next(file.name.removesuffix(suffix) for suffix in SUFFIXES if file.name.endswith(suffix))
    return file.with_name(f"{name}.txt")


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the shipped rules, in which a case may change the playbook."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(RULES, folder / "rules", ignore=shutil.ignore_patterns("scenarios"))
    return folder


@pytest.fixture(scope="session", autouse=True)
def _unchanged_files_are_checked_once() -> Iterator[None]:
    """Check again only files that a case changes: everything is checked for each wrong configuration and playbook."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (check_command, "check_pack"),
            (chosen_files, "load_file"),
            (playbook_checks, "load_file"),
            (calendars, "load_file"),
            (pack_checks, "load_file"),
            (report_loader, "load_file"),
            (check_command, "check_report"),
            (check_command, "load_file"),
        ):
            remember_by_content(patch, module, name)
        yield


def findings_of(file: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """Return the findings of `check` in a file, each path relative to the folder in which the operator stands."""
    monkeypatch.chdir(HERE)
    here = file.relative_to(HERE)
    match here.parts[0]:
        case "config":
            return _text(check([], here).findings)
        case "playbooks":  # among the shipped rules, so that what they refer to is there
            playbook = folder / "rules" / "playbooks" / "outage-response.yaml"
            shutil.copy(file, playbook)
            monkeypatch.setenv("INCIDENT_ENGINE__RULES__DIRECTORY", "rules")
            monkeypatch.setenv("INCIDENT_ENGINE__PLAYBOOKS", '["outage-response"]')
            monkeypatch.chdir(folder)
            try:
                return _text(check([], CONFIG).findings)
            finally:
                shutil.copy(RULES / "playbooks" / playbook.name, playbook)
    return _text(check([here], CONFIG).findings)


def _text(findings: Sequence[object]) -> str:
    return "".join(f"{finding}\n" for finding in findings).replace(f"{SHIPPED}{os.sep}", "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)))
def test_the_operator_reads_where_what_and_the_nearest_name(
    file: Path, monkeypatch: pytest.MonkeyPatch, rules: Path
) -> None:
    for name in [name for name in os.environ if name.upper().startswith("INCIDENT_ENGINE__")]:
        monkeypatch.delenv(name)
    findings = findings_of(file, monkeypatch, rules)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden_of(file).write_text(findings, encoding="utf-8")
    assert findings == golden_of(file).read_text(encoding="utf-8")
    assert findings, "nothing is found wrong"


def test_there_are_enough_wrong_files_and_each_message_belongs_to_one() -> None:
    assert len(FILES) >= 20
    assert {golden_of(file) for file in FILES} == set(HERE.glob("*/*.txt"))
