"""The files of rules that config.yaml chooses by name."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from incident_engine.common.errors import Finding, InvalidDocumentError, InvalidFilesError, Problem
from incident_engine.common.validation import nearest
from incident_engine.common.yaml_loader import Document, load_file

T = TypeVar("T")


def chosen_files(
    names: tuple[str, ...],
    directory: Path,
    parse: Callable[[object], T],
    where: tuple[str, ...],
    config_file: Path,
    findings: list[Finding],
) -> dict[str, tuple[T, Document]]:
    """Return the parsed files and their documents by name; add problems to `findings`. `where` is in config.yaml."""
    files: dict[str, tuple[T, Document]] = {}
    available = sorted(path.stem for path in directory.glob("*.yaml"))
    for index, name in enumerate(names):
        if name not in available:
            expected = f"one of: {', '.join(available) or f'(no file in {directory})'}"
            problem = Problem((*where, index), f"there is no '{name}.yaml'", expected, nearest(name, available))
            findings.append(load_file(config_file).finding(problem))
            continue
        try:
            document = load_file(directory / f"{name}.yaml")
            files[name] = parse(document.data), document
        except InvalidFilesError as error:
            findings += error.findings
        except InvalidDocumentError as error:
            findings += [document.finding(problem) for problem in error.problems]
    return files


def misnamed(document: Document, key: str, value: str, name: str) -> Iterator[Finding]:
    """Yield a finding if a file has another name than its content."""
    if value != name:
        yield document.finding(Problem((key,), f"the file is {name}.yaml but its {key} is '{value}'", f"{key}: {name}"))
