"""`schema` as an operator uses it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = ("pack", "playbook", "config", "event", "scenario", "calendar", "report")

Run = Callable[..., Any]


def test_the_schemas_are_written_into_a_folder_beside_the_operator(run: Run, tmp_path: Path) -> None:
    said = run("schema")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [f"written: schemas/{kind}.schema.json" for kind in KINDS]
    for kind in KINDS:
        schema = json.loads((tmp_path / "schemas" / f"{kind}.schema.json").read_text(encoding="utf-8"))
        assert schema["title"].startswith("incident-engine: ")


def test_it_tells_which_are_out_of_date(run: Run, tmp_path: Path) -> None:
    assert run("schema", "-d", "rules/schemas", "--lang", "zh-CN").out.startswith(
        "已写入: rules/schemas/pack.schema.json"
    )
    assert run("schema", "-d", "rules/schemas", "--check").out == "rules/schemas: all correct\n"
    file = tmp_path / "rules" / "schemas" / "pack.schema.json"
    file.write_text(file.read_text(encoding="utf-8").replace("Rule pack", "A law"), encoding="utf-8")
    said = run("schema", "--directory", "rules/schemas", "--check")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("rules/schemas/pack.schema.json: missing or out of date")
    assert said.err.count("\n") == 1
    assert "A law" in file.read_text(encoding="utf-8")  # it only looks


def test_what_is_missing_is_out_of_date_in_both_languages(run: Run) -> None:
    said = run("schema", "--check", "--lang", "zh-CN")
    assert said.code == 1
    assert said.err.count("缺失或已过时") == len(KINDS)


def test_a_folder_that_is_a_file_is_told_in_a_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schemas").write_text("", encoding="utf-8")
    said = run("schema")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("schemas:1:1: cannot be written")


def test_it_explains_itself(run: Run) -> None:
    said = run("schema", "--help").out
    assert all(word in said for word in ("--directory", "--check", "yaml-language-server"))
