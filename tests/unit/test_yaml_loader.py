"""Strict YAML: plain values mean what they look like, and whatever is wrong is named with line and column."""

from pathlib import Path

import pytest
from support.builders import write

from incident_engine.common.errors import InvalidFilesError, Problem
from incident_engine.common.yaml_loader import load_file, load_text


def findings(text: str) -> list[str]:
    with pytest.raises(InvalidFilesError) as caught:
        load_text(text, "f.yaml")
    return [str(finding) for finding in caught.value.findings]


@pytest.mark.parametrize(
    "plain",
    ["22:30", "09:00-17:00", "NO", "no", "yes", "on", "off", "y", "2013-06-23", "2013-06-23T10:35:00+08:00", "1_000",
     "0x1F", "0o17", "1:30:00", "30m", "440300a", ".inf", "=", "<<"],
)  # fmt: skip
def test_a_plain_word_stays_text(plain: str) -> None:
    assert load_text(f"key: {plain}", "f.yaml").data == {"key": plain}


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-3", -3), ("+3", 3), ("007", 7), ("2.5", 2.5), ("1e3", 1000.0), (".5", 0.5), ("true", True),
     ("False", False), ("null", None), ("~", None), ("", None)],
)  # fmt: skip
def test_numbers_truth_and_nothing_are_read(text: str, value: object) -> None:
    read = load_text(f"key: {text}", "f.yaml").data["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("quoted", ['"3"', "'3'", "|-\n  3", ">-\n  3"])
def test_what_is_quoted_is_text(quoted: str) -> None:
    assert load_text(f"key: {quoted}", "f.yaml").data == {"key": "3"}


def test_keys_are_text_whatever_they_look_like() -> None:
    assert load_text("on: 1\nNO: 2\n440300: 3\ntrue: 4", "f.yaml").data == {"on": 1, "NO": 2, "440300": 3, "true": 4}


def test_an_anchor_repeats_a_value() -> None:
    assert load_text("a: &x [1]\nb: *x", "f.yaml").data == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: duplicate key 'a'; remove one of the two"),
        ("a:\n  - {b: 1, c: 2, b: 3}\n", "f.yaml:2:18: duplicate key 'b'; remove one of the two"),
        ("? [a]\n: 1\n", "f.yaml:1:3: a key must be a plain word"),
    ],
)
def test_a_wrong_key_is_refused_at_its_place(text: str, expected: str) -> None:
    assert findings(text) == [expected]


@pytest.mark.parametrize("value", ['!!int "3"', "!!float 3", "!secret x", "!!binary aGk=", "!!timestamp 2013-06-23"])
def test_a_tag_on_a_value_is_refused(value: str) -> None:
    (found,) = findings(f"key: {value}")
    assert found.startswith("f.yaml:1:6: the tag ")
    assert "write the value plainly" in found


@pytest.mark.parametrize(
    "text", ["key: !foo [1]", "key: !!set {x: 1}", "key: !!python/object:os.x {a: 1}", "!!int 3: x"]
)
def test_a_tag_anywhere_else_is_refused_too(text: str) -> None:
    assert findings(text)


def test_what_is_tagged_as_text_is_text_or_refused() -> None:
    try:
        assert load_text("key: !!str 3", "f.yaml").data == {"key": "3"}
    except InvalidFilesError:
        return


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: " + "9" * 5000], ids=["it contains itself", "five thousand digits"])
def test_what_cannot_be_held_is_refused(text: str) -> None:
    assert findings(text)


def test_every_finding_is_named_at_once() -> None:
    assert len(findings("a: 1\na: 2\nb: !x 1\nb: 3")) == 3


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [", "f.yaml:2:1:"), ("a: b: c", "f.yaml:1:5:"), ("a: 1\n\tb: 2", "f.yaml:2:1:"), ("a: *x", "f.yaml:1:4:"),
     ("a: 1\n---\nb: 2", "f.yaml:2:1:"), ("a: \x00", "f.yaml:1:1:"), ('a: "', "f.yaml:1:")],
)  # fmt: skip
def test_what_is_no_yaml_is_named_with_its_place(text: str, place: str) -> None:
    (found,) = findings(text)
    assert found.startswith(place)
    assert "not valid YAML: " in found


def test_an_empty_file_says_nothing() -> None:
    assert load_text("", "f.yaml").data is None
    assert load_text("# only a comment\n", "f.yaml").data is None


def test_every_key_and_item_has_its_place() -> None:
    read = load_text("a:\n  - x\n  - {b: 1,\n     c: 2}\n", "f.yaml")
    places = {path: read.positions[path] for path in [("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("a", 1, "c")]}
    assert places == {
        ("a",): (1, 1),
        ("a", 0): (2, 5),
        ("a", 1): (3, 5),
        ("a", 1, "b"): (3, 6),
        ("a", 1, "c"): (4, 6),
    }


def test_a_problem_is_placed_at_its_key() -> None:
    read = load_text("a:\n  b: 1\n", "f.yaml")
    found = read.finding(Problem(("a", "b"), "is wrong", "2", "two"))
    assert str(found) == "f.yaml:2:3: a.b: is wrong; expected 2; did you mean 'two'?"


def test_what_is_missing_is_placed_at_what_should_hold_it() -> None:
    read = load_text("x: 1\na:\n  b: 1\n", "f.yaml")
    assert str(read.finding(Problem(("a", "c", "d"), "missing key 'd'"))) == "f.yaml:2:1: a.c.d: missing key 'd'"
    assert str(read.finding(Problem((), "is wrong"))) == "f.yaml:1:1: is wrong"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFilesError, match=r"nothing\.yaml:1:1: cannot be read: No such file"):
        load_file(tmp_path / "nothing.yaml")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gbk.yaml"
    path.write_bytes("名称: 银行".encode("gbk"))
    with pytest.raises(InvalidFilesError, match="is not UTF-8"):
        load_file(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, "bom.yaml", "\ufeffa: 1\n")
    assert load_file(path).data == {"a": 1}
