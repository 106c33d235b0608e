"""Measure the structure of a checkout of incident-engine, or of two side by side, and print a Markdown table.

    .venv/bin/python benchmarks/structure.py [CHECKOUT]
    .venv/bin/python benchmarks/structure.py BEFORE AFTER

Needs the packages that `make lint` installs; grimp, which comes with import-linter, reads the imports. All figures are
of the package incident_engine without its migrations. A line is any line of a file, blank ones included; p95 is the
smallest value that 95 % of all do not exceed.

- Names at the top: modules and packages directly below incident_engine/, without `__init__` and `__main__`.
- Import layers: layers of import-linter's contract over the whole package in pyproject.toml. Beside it the longest
  chain of imports between top-level names.
- Import chain: modules on the longest path of direct imports, wherever in a file the import statement stands.
- Fan-out: modules of the package that one module imports.
- Docstrings: those of modules, classes and functions, and the strings below fields and constants. A word is a letter
  with the letters, hyphens and apostrophes that follow it. The architecture review of 4a93be9 found 23.6 "what" per
  1,000 words because it left out the strings below fields; counted as here, that state has 21.9.
- Comments: own-line and inline, without those that only hold a marker such as `noqa` or `type: ignore`.
- Private functions: functions and methods whose name begins with one underscore.
- Function length: from `def` to the last line, without the docstring and the decorators.
"""

import ast
import importlib.util
import io
import math
import re
import statistics
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import grimp

PACKAGE = "incident_engine"
ROOT = Path(__file__).resolve().parents[1]
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_WHAT = re.compile(r"\bwhat\b", re.IGNORECASE)
_MARKER = re.compile(r"#\s*(noqa|type:\s*ignore|pragma|fmt)\b(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\[[\w, -]*\])?")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Graph = Mapping[str, set[str]]
"""Modules by the module that imports them."""


class Text(NamedTuple):
    """A docstring or a comment, and the line on which it begins."""

    line: int
    text: str


@dataclass(frozen=True)
class Source:
    """A file of Python."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of the file."""
        return ast.parse(self.text, str(self.path))

    @property
    def lines(self) -> int:
        """The number of lines, blank ones included."""
        return len(self.text.splitlines())

    @cached_property
    def docstrings(self) -> Sequence[Text]:
        """The docstrings of the module, its classes and functions, and the strings below fields."""
        return [
            Text(statement.lineno, string)
            for node in ast.walk(self.tree)
            if isinstance(body := getattr(node, "body", None), list)  # a lambda's body is an expression
            for statement in body
            if (string := _bare_string(statement)) is not None
        ]

    def comments(self) -> Iterator[Text]:
        """Yield all comments, markers for tools included."""
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                yield Text(token.start[0], token.string)

    def functions(self) -> Iterator[Function]:
        """Yield all functions and methods, nested ones included."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node


def read_sources(checkout: Path) -> list[Source]:
    """Return the files of the package in a checkout, without migrations. Raises FileNotFoundError if there are none."""
    paths = sorted((checkout / PACKAGE).rglob("*.py"))
    if not paths:
        raise FileNotFoundError(f"{checkout} has no package {PACKAGE}")
    return [Source(path, path.read_text(encoding="utf-8")) for path in paths if "versions" not in path.parts]


def count_words(text: str) -> int:
    """Return the number of English words in a docstring."""
    return len(_WORD.findall(text))


def count_what(text: str) -> int:
    """Return how often a docstring says "what"."""
    return len(_WHAT.findall(text))


def what_per_1000_words(docstrings: Iterable[str]) -> float:
    """Return how often 1,000 docstring words say "what"."""
    texts = list(docstrings)
    return _per_1000(sum(map(count_what, texts)), sum(map(count_words, texts)))


def is_remark(comment: str) -> bool:
    """Return whether a comment says more than a marker such as `# noqa: S101` does."""
    return any(character.isalnum() for character in _MARKER.sub("", comment))


def function_length(function: Function) -> int:
    """Return the lines of a function without its docstring and decorators."""
    lines = _span(function)
    return lines if _bare_string(function.body[0]) is None else lines - _span(function.body[0])


def import_graph(checkout: Path) -> dict[str, set[str]]:
    """Return the direct imports between the modules of the package. Raises LookupError if another checkout is found."""
    sys.path.insert(0, str(checkout))
    try:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None or not Path(spec.origin).is_relative_to(checkout):
            raise LookupError(f"Python finds {PACKAGE} elsewhere than in {checkout}")
        graph = grimp.build_graph(PACKAGE, cache_dir=None)
    finally:
        sys.path.remove(str(checkout))
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def top_graph(graph: Graph) -> dict[str, set[str]]:
    """Return the imports between the names at the top of the package."""
    tops: dict[str, set[str]] = {}
    for module, imported in graph.items():
        names = {_top(other) for other in imported} - {_top(module), PACKAGE}
        tops.setdefault(_top(module), set()).update(names)
    return tops


def longest_chain(graph: Graph) -> int:
    """Return the number of nodes on the longest path. Raises graphlib.CycleError if there is a cycle."""
    lengths: dict[str, int] = {}
    for module in TopologicalSorter(graph).static_order():  # imported modules come first
        lengths[module] = 1 + max((lengths[other] for other in graph[module]), default=0)
    return max(lengths.values(), default=0)


def count_layers(checkout: Path) -> int:
    """Return the layers of the contract over the whole package in pyproject.toml; 0 if there is none."""
    document = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = document["tool"]["importlinter"]["contracts"]
    layers = (
        contract["layers"]
        for contract in contracts
        if contract["type"] == "layers" and contract.get("containers") == [PACKAGE]
    )
    return max(map(len, layers), default=0)


def percentile(values: Sequence[int], percent: int) -> int:
    """Return the smallest value that `percent` of the values do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def measure(checkout: Path) -> dict[str, str]:
    """Return the figures of a checkout by the name of the measure."""
    sources = read_sources(checkout)
    graph = import_graph(checkout)
    tops = top_graph(graph)
    fan_out = [len(imported) for imported in graph.values()]
    functions = [function for source in sources for function in source.functions()]
    private = [function for function in functions if re.match(r"_[^_]", function.name)]
    remarks = [comment for source in sources for comment in source.comments() if is_remark(comment.text)]
    lines = sum(source.lines for source in sources)
    what = what_per_1000_words(docstring.text for source in sources for docstring in source.docstrings)
    return {
        "names at the top of the package": str(len(tops.keys() - {PACKAGE, f"{PACKAGE}.__main__"})),
        "import layers": str(count_layers(checkout)),
        "longest import chain (modules)": str(longest_chain(graph)),
        "fan-out p95 / max": f"{percentile(fan_out, 95)} / {max(fan_out)}",
        '"what" per 1,000 docstring words': f"{what:.1f}",
        "comments per 1,000 lines": f"{_per_1000(len(remarks), lines):.1f}",
        "private functions per 1,000 lines": f"{_per_1000(len(private), lines):.1f}",
        "longest import chain (top-level names)": str(longest_chain(tops)),
        "files / lines": f"{len(sources)} / {lines:,}",
        "file lines median / p95 / max": _spread([source.lines for source in sources]),
        "function lines median / p95 / max": _spread([function_length(function) for function in functions]),
    }


WANTED = {
    "names at the top of the package": "at most 16",
    "import layers": "at most 11",
    "longest import chain (modules)": "at most 22",
    "fan-out p95 / max": "at most 12 / 20",
    '"what" per 1,000 docstring words': "at most 2",
    "comments per 1,000 lines": "at least 20",
    "private functions per 1,000 lines": "at most 18",
}
"""The limits of the measures that have one."""


def table(checkouts: Mapping[str, Path]) -> Iterator[str]:
    """Yield the lines of a Markdown table with a column for each checkout and one for the limits."""
    columns = [measure(checkout) for checkout in checkouts.values()]
    rows = [["", *checkouts, "wanted"]]
    rows += [[name, *(column[name] for column in columns), WANTED.get(name, "")] for name in columns[0]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"


def main(arguments: Sequence[str]) -> None:
    """Print the table for one checkout (by default this one) or for two."""
    if len(arguments) > 2:
        raise SystemExit("usage: structure.py [CHECKOUT] | structure.py BEFORE AFTER")
    paths = [Path(argument).resolve() for argument in arguments] or [ROOT]
    names = ["before", "after"] if len(paths) == 2 else ["now"]
    sys.stdout.writelines(f"{line}\n" for line in table(dict(zip(names, paths, strict=True))))


def _bare_string(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return statement.value.value if isinstance(statement.value.value, str) else None
    return None


def _span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _top(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _per_1000(count: int, total: int) -> float:
    return count * 1000 / total if total else 0.0


def _spread(values: Sequence[int]) -> str:
    return f"{statistics.median(values):g} / {percentile(values, 95)} / {max(values)}"


if __name__ == "__main__":
    main(sys.argv[1:])
