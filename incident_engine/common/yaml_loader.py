"""Strict YAML: YAML 1.2's plain values (22:30 and NO stay strings), duplicate keys refused, every place remembered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from incident_engine.common.errors import Finding, InvalidFilesError, Path, Problem

_Place = tuple[int, int]

_SCALARS = {
    "tag:yaml.org,2002:null": re.compile(r"~|null|Null|NULL|"),
    "tag:yaml.org,2002:bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "tag:yaml.org,2002:int": re.compile(r"[-+]?[0-9]+"),
    "tag:yaml.org,2002:float": re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
}


_UNTAGGED = "untagged"


class _Loader(yaml.CSafeLoader):
    """Leaves every plain scalar to the reader below, which resolves it by the core schema of YAML 1.2."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Return the tag of a node that has none."""
        return _UNTAGGED


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says, and where: line and column (from 1) of every key and item, by path."""

    file: str
    data: Any
    places: Mapping[Path, _Place] = field(default_factory=dict)

    def finding(self, problem: Problem) -> Finding:
        """Return the problem with its place in the file; what is missing is placed at what should hold it."""
        path = problem.path
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        where = ".".join(str(part) for part in problem.path)
        return Finding(self.file, line, column, f"{where}: {problem.sentence()}" if where else problem.sentence())

    def refuse(self, problems: list[Problem] | tuple[Problem, ...]) -> InvalidFilesError:
        """Return the error for this file's problems."""
        return InvalidFilesError([self.finding(problem) for problem in problems])


def load_file(path: FilePath) -> Document:
    """Read one YAML file. Raises InvalidFilesError with file, line and column."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"is not UTF-8: {error.reason}")]) from None
    return load_text(text, str(path))


def load_text(text: str, file: str) -> Document:
    """Read one YAML document from text. Raises InvalidFilesError with file, line and column."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidFilesError([Finding(file, *place, f"not valid YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise InvalidFilesError([Finding(file, 1, 1, f"not valid YAML: {error}")]) from None
    except RecursionError:
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
    return Document(file, data, reader.places)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[Path, _Place] = {}
        self.findings: list[Finding] = []
        self._inside: list[yaml.Node] = []
        self._nodes = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.places.setdefault(path, _place(node))
        self._nodes += 1
        if node.tag != _UNTAGGED:
            self._find(node, f"the tag {node.tag} is not accepted; write the value plainly")
            return None
        if node in self._inside or self._nodes > _MANY:
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
                self._find(key_node, f"key '{key}' stands here a second time; remove one of the two")
                continue
            self.places[*path, key] = _place(key_node)
            data[key] = self.read(value_node, (*path, key))
        return data

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if node.style not in (None, ""):
            return text  # quoted, or a block: text as it stands
        try:
            return next((_CONVERT[tag](text) for tag, form in _SCALARS.items() if form.fullmatch(text)), text)
        except ValueError:
            self._find(node, "a number with more digits than anybody writes")
            return None

    def _find(self, node: yaml.Node, text: str) -> None:
        self.findings.append(Finding(self.file, *_place(node), text))


_MANY = 200_000
_CONVERT: dict[str, Any] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
}


def _place(node: yaml.Node) -> _Place:
    return node.start_mark.line + 1, node.start_mark.column + 1
