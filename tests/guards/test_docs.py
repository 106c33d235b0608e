"""The Markdown files of the repository: links resolve, and files, metrics and names of code that they mention exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGE = ROOT / "incident_engine"
EXAMPLES = ("rules/grading/cn-oprisk.yaml", "tests/conftest.py")
"""Files that a page tells its reader to write."""

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FILE = re.compile(r"`((?:incident_engine|tests|benchmarks|rules|docs)/[\w./-]+)`")
_METRIC = re.compile(r"\bincident_engine_[a-z_]*[a-z]\b")
_NAME = re.compile(r"`([a-z_]+(?:/[a-z_]+)*):([A-Za-z_]\w*(?:\.\w+)*)`")


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    titles = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return frozenset(re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles)


def names_in(text: str) -> set[str]:
    """Return the classes, functions and methods (`Class.method`) that a file of Python defines."""
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names = set()
    for node in ast.parse(text).body:
        if isinstance(node, definitions):
            names.add(node.name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, definitions)}
    return names


def dead_links(page: Path) -> list[str]:
    text = _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    dead = []
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            dead.append(link)
    return dead


def unknown_names(page: Path) -> list[str]:
    unknown = []
    for module, name in _NAME.findall(page.read_text(encoding="utf-8")):
        file = PACKAGE / f"{module}.py"
        if (
            module != "module"
            and file.parent.is_dir()
            and (not file.exists() or name not in names_in(file.read_text(encoding="utf-8")))
        ):
            unknown.append(f"{module}:{name}")
    return unknown


@pytest.fixture(scope="module")
def metrics() -> set[str]:
    """Return the names of all metrics, as the code has them."""
    sources = (file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    return {name for source in sources for name in re.findall(r'"(incident_engine_[a-z_]+)",\s+f?"', source)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestPage:
    def test_links_resolve(self, page: Path) -> None:
        assert dead_links(page) == []

    def test_files_exist(self, page: Path) -> None:
        files = _FILE.findall(page.read_text(encoding="utf-8"))
        assert [
            file for file in files if file not in EXAMPLES and "NAME" not in file and not (ROOT / file).exists()
        ] == []

    def test_metrics_exist(self, page: Path, metrics: set[str]) -> None:
        used = _METRIC.findall(page.read_text(encoding="utf-8"))
        plain = {re.sub(r"_(total|bucket)$", "", name) for name in used}
        if page.name != "CHANGELOG.md":  # it has the old names, too
            assert plain - metrics == set()

    def test_names_of_code_exist(self, page: Path) -> None:
        assert unknown_names(page) == []


def test_every_metric_is_documented(metrics: set[str]) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [name for name in sorted(metrics) if name not in text] == []


def test_a_dead_link_and_an_unknown_name_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading\n[here](#a-heading) [not](#b) [gone](gone.md) `engine/service:Engine.nothing`\n", encoding="utf-8"
    )
    assert dead_links(page) == ["#b", "gone.md"]
    assert unknown_names(page) == ["engine/service:Engine.nothing"]
