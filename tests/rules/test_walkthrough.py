"""docs/grading.md: every example in it, and its walk-through: a fifth regulation is a file and nothing else."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.builders import CONFIG, RULES, write

from incident_engine.cli import app as cli
from incident_engine.common.yaml_loader import load_text
from incident_engine.domain.events.model import EVENT
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack

DOCUMENT = Path(__file__).parents[2] / "docs" / "grading.md"

Run = Callable[..., str]


WALK_THROUGH = "## Adding a regulation"


def blocks(language: str, heading: str = "# Grading") -> list[str]:
    """Return the blocks in a language, from a heading on."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text[text.index(heading) :], re.MULTILINE | re.DOTALL)


def block(language: str, begins: str, heading: str = WALK_THROUGH) -> str:
    """Return the block (of the walk-through) that is in a language and begins so."""
    (found,) = [each for each in blocks(language, heading) if each.lstrip().startswith(begins)]
    return found


def example(begins: str) -> Any:
    """Return what the one example that begins so says."""
    return load_text(block("yaml", begins, "# Grading"), "docs/grading.md").data


def pack() -> Pack:
    return parse_pack(load_text(block("yaml", "pack: cn-oprisk"), "docs/grading.md").data)


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a bank's folder: the shipped configuration, and a copy of the rules with the new file among them."""
    shutil.copytree(RULES, tmp_path / "rules")
    (tmp_path / "rules" / "grading" / "cn-oprisk.yaml").write_text(block("yaml", "pack: cn-oprisk"), encoding="utf-8")
    (tmp_path / "events.json").write_text(block("json", "["), encoding="utf-8")
    shutil.copy(CONFIG, tmp_path / "config.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INCIDENT_ENGINE__RULES__DIRECTORY", "rules")
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process and return what it prints; it must end with the code that is given."""

    def ran(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["incident-engine", *arguments, "--lang", "en"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.out + said.err
        return said.out

    return ran


@pytest.mark.usefixtures("bank")
def test_check_accepts_the_file(run: Run) -> None:
    said = run("check", "rules/grading/cn-oprisk.yaml")
    assert said == block("text", "config.yaml:")


@pytest.mark.usefixtures("bank")
def test_grade_prints_what_the_document_shows(run: Run) -> None:
    said = run("grade", "events.json", "--pack", "cn-oprisk").splitlines()
    shown = block("text", "Operational risk").splitlines()
    assert [line for line in said if line in shown] == shown


@pytest.mark.usefixtures("bank")
def test_two_provinces_for_half_an_hour_are_reported_within_five_working_days(run: Run) -> None:
    graded = json.loads(run("grade", "events.json", "--pack", "cn-oprisk", "--format", "json"))
    (incident,) = graded["incidents"]
    (verdict,) = incident["assessments"]
    assert [(step["level"], step["at"]) for step in verdict["trajectory"]] == [("major", "2026-03-02T09:30:00+08:00")]
    # Tuesday 3, Wednesday 4, Thursday 5, Friday 6, Monday 9 March: until its end.
    assert [each["due_at"] for each in verdict["obligations"]] == ["2026-03-10T00:00:00+08:00"]


def test_the_bank_chooses_it_beside_the_default_pack(bank: Path, run: Run) -> None:
    config = bank / "config.yaml"
    chosen = re.sub(
        r"^grading: .*\n", block("yaml", "grading:"), config.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert "cn-oprisk" in chosen
    config.write_text(chosen, encoding="utf-8")
    assert "all correct" in run("check")
    graded = json.loads(run("grade", "events.json", "--format", "json"))
    assert [found["pack"] for found in graded["incidents"][0]["assessments"]] == ["cn-cbrc-2008", "cn-oprisk"]


@pytest.mark.usefixtures("bank")
def test_without_its_case_on_the_limit_check_refuses_it(run: Run) -> None:
    file = Path("rules/grading/cn-oprisk.yaml")
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "three hours to the minute" not in line), encoding="utf-8")
    assert "no case is exactly on the limit of 3h in 1 region(s)" in run("check", str(file), code=1)


def test_its_limits_are_those_of_article_42() -> None:
    (outage, loss) = pack().rules
    assert outage.when.any is not None
    limits = [each.regions_down for each in outage.when.any]
    assert [(limit.least, limit.for_.least.total_seconds() / 60) for limit in limits if limit is not None] == [
        (1, 180),
        (2, 30),
    ]
    assert loss.when.any is not None
    assert [each.measured.at_least for each in loss.when.any if each.measured] == [50_000_000, 10_000_000]


# Every other example


def put(bank: Path, document: dict[str, Any]) -> str:
    """Write a pack among the bank's and return its path."""
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    return str(write(bank, f"rules/grading/{document['pack']}.yaml", text).relative_to(bank))


def test_every_example_is_tried_here() -> None:
    begin = [re.split(r"[:\n]", each, maxsplit=1)[0] for each in blocks("yaml")]
    tried = ["pack", "measures", "due", "recurring", "hours", "calendar", "cases"]
    assert begin == [*tried, "pack", "grading"]


def test_check_accepts_the_small_pack(bank: Path, run: Run) -> None:
    file = write(bank, "rules/grading/example-2026.yaml", block("yaml", "pack: example-2026", "# Grading"))
    assert "2 files checked, 6 cases: all correct" in run("check", str(file))
    assert "all correct" in run("check")


def test_check_accepts_what_can_be_added_to_it(bank: Path, run: Run) -> None:
    small, added = example("pack: example-2026"), example("cases:")["cases"]
    document = small | example("measures:") | example("recurring:")
    document["cases"] = [*small["cases"], *added]
    document["obligations"] = [*small["obligations"], small["obligations"][0] | {"id": "other"} | example("due:")]
    assert "7 cases: all correct" in run("check", put(bank, document))


def test_check_accepts_the_hours_and_the_calendar(bank: Path, run: Run) -> None:
    config = load_text((bank / "config.yaml").read_text(encoding="utf-8"), "config.yaml").data
    config["hours"] |= example("hours:")["hours"]
    write(bank, "config.yaml", yaml.safe_dump(config, allow_unicode=True, sort_keys=False))
    write(bank, "rules/calendars/CN.yaml", block("yaml", "calendar: CN", "# Grading"))
    assert "all correct" in run("check")


def test_the_correction_is_an_event() -> None:
    (said,) = [each for each in blocks("json") if "level.corrected" in each]
    assert EVENT.validate_json(said).type == "level.corrected"


def test_check_says_what_the_document_shows(bank: Path, run: Run) -> None:
    text = block("yaml", "pack: cn-oprisk")
    on_the_limit = next(line for line in text.splitlines(keepends=True) if "three hours to the minute" in line)
    said = []
    for old, new in (
        ("working_days: $report_days", "within: 60"),
        ("{at_least: 3h}", "{at_least: 4h}"),
        (on_the_limit, ""),
    ):
        assert text.count(old) == 1
        write(bank, "rules/grading/cn-oprisk.yaml", text.replace(old, new))
        said.append(run("check", "rules/grading/cn-oprisk.yaml", code=1))
    shown = [each for each in blocks("text", "## `check`") if each.startswith("rules/")]
    assert said == shown


def test_check_refuses_the_overlap_that_the_document_shows(bank: Path, run: Run) -> None:
    text = block("yaml", "pack: example-2026", "# Grading")
    write(bank, "rules/grading/example-2026.yaml", text)
    follower = text.replace("pack: example-2026\n", "pack: example-2027\nreplaces: example-2026\n")
    write(bank, "rules/grading/example-2027.yaml", follower.replace("{from: 2026-01-01}", "{from: 2027-01-01}"))
    (shown,) = [each for each in blocks("text") if "in_force.from" in each]
    assert run("check", code=1) == shown
    write(bank, "rules/grading/example-2026.yaml", text.replace("2026-01-01}", "2026-01-01, until: 2027-01-01}"))
    assert "all correct" in run("check")
