"""Read strict YAML: the plain values of YAML 1.2 (22:30 and NO stay strings), no duplicate keys, places recorded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from incident_engine.common.errors import Finding, InvalidFilesError, Path, Problem

_Position = tuple[int, int]
"""Line and column, counted from 1."""

_SCALARS = {  # the core schema of YAML 1.2, without octal and hexadecimal numbers
    "tag:yaml.org,2002:null": re.compile(r"~|null|Null|NULL|"),
    "tag:yaml.org,2002:bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "tag:yaml.org,2002:int": re.compile(r"[-+]?[0-9]+"),
    "tag:yaml.org,2002:float": re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
}


_FIRST = "~nNtTfF+-.0123456789"
"""The first characters of null, Booleans and numbers."""
_UNTAGGED = "untagged"


class _Loader(yaml.CSafeLoader):
    """Leaves every plain scalar to `_Reader`; PyYAML itself would resolve it by YAML 1.1, where NO is false."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Return the tag of a node that has none."""
        return _UNTAGGED


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a YAML file with the position of every key and item."""

    file: str
    data: Any
    positions: Mapping[Path, _Position] = field(default_factory=dict)

    def finding(self, problem: Problem) -> Finding:
        """Return the problem with its position in the file; a missing key has the position of its parent."""
        path = problem.path
        while path and path not in self.positions:
            path = path[:-1]
        line, column = self.positions.get(path, (1, 1))
        where = ".".join(str(part) for part in problem.path)
        return Finding(self.file, line, column, f"{where}: {problem.sentence()}" if where else problem.sentence())

    def refuse(self, problems: list[Problem] | tuple[Problem, ...]) -> InvalidFilesError:
        """Return the error for this file's problems."""
        return InvalidFilesError([self.finding(problem) for problem in problems])


def load_file(path: FilePath) -> Document:
    """Read a YAML file. Raises InvalidFilesError if it cannot be read or is not strict YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"is not UTF-8: {error.reason}")]) from None
    return load_text(text, str(path))


def load_text(text: str, file: str) -> Document:
    """Read a YAML document from a text; `file` is named in findings. Raises InvalidFilesError if it is invalid."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not valid YAML: {error.problem or error.context}"
        raise InvalidFilesError([Finding(file, *position, message)]) from None
    except yaml.YAMLError as error:
        raise InvalidFilesError([Finding(file, 1, 1, f"not valid YAML: {error}")]) from None
    except RecursionError:  # PyYAML composes nodes recursively
        raise InvalidFilesError([Finding(file, 1, 1, "nested more deeply than anybody writes")]) from None
    finally:
        loader.dispose()
    reader = _Reader(file)
    try:
        data = reader.read(node, ()) if node is not None else None
    except RecursionError:
        raise InvalidFilesError([Finding(file, 1, 1, "nested more deeply than anybody writes")]) from None
    if reader.findings:
        raise InvalidFilesError(reader.findings)
    return Document(file, data, reader.positions)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.positions: dict[Path, _Position] = {}
        self.findings: list[Finding] = []
        self._inside: list[yaml.Node] = []
        self._nodes = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.positions.setdefault(path, _position(node))
        self._nodes += 1
        if node.tag != _UNTAGGED:
            self._find(node, f"the tag {node.tag} is not accepted; write the value plainly")
            return None
        # Aliases may form a cycle, or multiply ("billion laughs"): each expansion counts.
        if node in self._inside or self._nodes > _MOST_NODES:
            self._find(node, "contains itself, or more than anybody writes")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._inside.append(node)
        data = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._inside.pop()
        return data

    def _sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _UNTAGGED:
                self._find(key_node, "a key must be a plain word")
                continue
            if key in data:
                self._find(key_node, f"duplicate key '{key}'; remove one of the two")
                continue
            self.positions[*path, key] = _position(key_node)
            data[key] = self.read(value_node, (*path, key))
        return data

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if node.style not in (None, ""):
            return text  # a quoted or block scalar is always a text
        if text and text[0] not in _FIRST:
            return text  # most scalars are words
        try:
            return next((_CONVERT[tag](text) for tag, form in _SCALARS.items() if form.fullmatch(text)), text)
        except ValueError:  # Python refuses to parse more than 4,300 digits
            self._find(node, "a number with more digits than anybody writes")
            return None

    def _find(self, node: yaml.Node, text: str) -> None:
        self.findings.append(Finding(self.file, *_position(node), text))


_MOST_NODES = 200_000
_CONVERT: dict[str, Any] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
}


def _position(node: yaml.Node) -> _Position:
    return node.start_mark.line + 1, node.start_mark.column + 1
