"""Wrong files, each with the message that an operator must read beside it (`name.txt`).

`UPDATE_GOLDEN=1 pytest tests/broken` writes the messages anew; read every difference before it is kept.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.build import CONFIG, RULES

from incident_engine.cli.check import check
from incident_engine.config.rulebook import SHIPPED

HERE = Path(__file__).parent
SUFFIXES = (".yaml", ".md.j2")
FILES = sorted(path for path in HERE.glob("*/*") if path.name.endswith(SUFFIXES))


def golden_of(file: Path) -> Path:
    name = next(file.name.removesuffix(suffix) for suffix in SUFFIXES if file.name.endswith(suffix))
    return file.with_name(f"{name}.txt")


def said_of(file: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """Return what `check` says of a file, each path relative to the folder in which the operator stands."""
    monkeypatch.chdir(HERE)
    here = file.relative_to(HERE)
    match here.parts[0]:
        case "config":
            return _spelled(check([], here).findings)
        case "playbooks":  # among the shipped rules, so that what they refer to is there
            shutil.copytree(RULES, folder / "rules", ignore=shutil.ignore_patterns("scenarios"))
            shutil.copy(file, folder / "rules" / "playbooks" / "outage-response.yaml")
            monkeypatch.setenv("INCIDENT_ENGINE__RULES__DIRECTORY", "rules")
            monkeypatch.setenv("INCIDENT_ENGINE__PLAYBOOKS", '["outage-response"]')
            monkeypatch.chdir(folder)
            return _spelled(check([], CONFIG).findings)
    return _spelled(check([here], CONFIG).findings)


def _spelled(findings: Sequence[object]) -> str:
    return "".join(f"{finding}\n" for finding in findings).replace(f"{SHIPPED}{os.sep}", "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)))
def test_the_operator_reads_where_what_and_the_nearest_name(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.upper().startswith("INCIDENT_ENGINE__")]:
        monkeypatch.delenv(name)
    said = said_of(file, monkeypatch, tmp_path)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden_of(file).write_text(said, encoding="utf-8")
    assert said == golden_of(file).read_text(encoding="utf-8")
    assert said, "nothing is found wrong"


def test_there_are_enough_wrong_files_and_each_message_belongs_to_one() -> None:
    assert len(FILES) >= 20
    assert {golden_of(file) for file in FILES} == set(HERE.glob("*/*.txt"))
