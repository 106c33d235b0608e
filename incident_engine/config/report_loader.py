"""Load the definitions of reports from rules/reports and check them against the packs that they name."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path

from incident_engine.common.errors import Finding, InvalidDocumentError, InvalidFilesError, Problem
from incident_engine.common.validation import unknown_problems
from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.reports.definition import ReportDefinition, parse_report
from incident_engine.domain.reports.report_book import ReportBook
from incident_engine.domain.reports.samples import definition_problems


def load_reports(rules: Path, zone: tzinfo, findings: list[Finding], *, is_tried: bool = False) -> ReportBook:
    """Return all definitions of reports in a folder of rules; add their problems to `findings`.

    `is_tried` skips the checks against packs: the same files passed them before.
    """
    definitions: list[ReportDefinition] = []
    packs = _Packs(rules / "grading")
    for path in sorted((rules / "reports").glob("*.yaml")):  # glob's order differs by file system
        try:
            definition, problems = _read(path, None if is_tried else packs)
        except InvalidFilesError as error:
            findings += error.findings
            continue
        findings += problems
        if definition.report != path.stem:
            message = f"the file is {path.name} but its report is '{definition.report}'"
            findings.append(load_file(path).finding(Problem(("report",), message, f"report: {path.stem}")))
        definitions.append(definition)
    return ReportBook(definitions, zone)


def check_report(path: Path) -> list[Finding]:
    """Return the findings of a report's definition, including its references to its pack."""
    try:
        return _read(path, _Packs(path.parent.parent / "grading"))[1]
    except InvalidFilesError as error:
        return list(error.findings)


class _Packs:
    """Knows the packs of a folder and their measures. Reads each file once."""

    def __init__(self, directory: Path) -> None:
        self._files = {file.stem: file for file in sorted(directory.glob("*.yaml"))}
        self._measures: dict[str, Sequence[str] | None] = {}

    def problems(self, name: str) -> Iterator[Problem]:
        """Yield a problem if there is no such pack. A folder without packs has no problems: it may be a lone report."""
        if self._files:
            yield from unknown_problems(("pack",), "pack", name, self._files)

    def measures(self, name: str) -> Sequence[str] | None:
        """Return the names of a pack's measures; None if the pack's file is invalid, which has findings of its own."""
        if name not in self._measures:
            self._measures[name] = None
            if name in self._files:
                with suppress(InvalidFilesError):
                    data = load_file(self._files[name]).data
                    declared = data.get("measures") if isinstance(data, dict) else None
                    self._measures[name] = list(declared) if isinstance(declared, dict) else []
        return self._measures[name]


def _read(path: Path, packs: _Packs | None) -> tuple[ReportDefinition, list[Finding]]:
    document = load_file(path)
    try:
        definition = parse_report(document.data)
    except InvalidDocumentError as error:
        raise document.refuse(error.problems) from None
    if packs is None:
        return definition, []
    problems = [] if definition.pack is None else list(packs.problems(definition.pack))
    measures = None if definition.pack is None else packs.measures(definition.pack)
    problems += definition_problems(definition, measures)
    return definition, [document.finding(problem) for problem in problems]
