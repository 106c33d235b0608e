"""Check the files of packs: their cases and their coverage, and packs that replace each other."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from incident_engine.common.errors import Finding, InvalidDocumentError, InvalidFilesError, Problem
from incident_engine.common.validation import unknown_problems
from incident_engine.common.yaml_loader import Document, load_file
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case_runner import failing_cases, out_of_force
from incident_engine.domain.grading.pack_coverage import idle, uncovered
from incident_engine.domain.grading.pack_parser import parse_pack


def check_pack(path: Path) -> list[Finding]:
    """Return the findings in a pack's file, including failing cases and gaps in their coverage."""
    document = load_file(path)
    try:
        pack = parse_pack(document.data)
    except InvalidDocumentError as error:
        return [document.finding(problem) for problem in error.problems]
    # Coverage is only meaningful once all cases pass.
    problems = list(failing_cases(pack)) or [*idle(pack), *uncovered(pack), *out_of_force(pack)]
    return [document.finding(problem) for problem in problems]


def check_succession(directory: Path) -> Iterator[Finding]:
    """Yield a finding for each pack that replaces another unless exactly one of them is in force on every day."""
    documents: dict[str, tuple[Pack, Document]] = {}
    for path in sorted(directory.glob("*.yaml")):
        try:
            document = load_file(path)
            pack = parse_pack(document.data)
        except (InvalidFilesError, InvalidDocumentError):
            continue  # it has findings of its own
        documents[pack.pack] = pack, document
    packs = {name: pack for name, (pack, _) in documents.items()}
    for pack, document in documents.values():
        yield from map(document.finding, _wrong_succession(pack, packs))


def _wrong_succession(pack: Pack, packs: Mapping[str, Pack]) -> Iterator[Problem]:
    if pack.replaces is None:
        return
    if pack.replaces not in packs:
        yield from unknown_problems(("replaces",), "pack", pack.replaces, packs)
        return
    before, begins = packs[pack.replaces], pack.in_force.from_
    ends = before.in_force.until
    if ends != begins:
        kind = "an overlap" if ends is None or ends > begins else "a gap"
        message = f"{kind}: '{before.pack}' is in force until {ends or 'for ever'}, '{pack.pack}' from {begins}"
        yield Problem(("in_force", "from"), message, f"in_force until {begins} in {before.pack}.yaml")
    if before.timezone != pack.timezone:
        # A day begins at another instant in another zone, so adjacent days would overlap or leave a gap.
        message = f"'{before.pack}' counts days in {before.timezone}, '{pack.pack}' in {pack.timezone}"
        yield Problem(("timezone",), message, f"timezone: {before.timezone}")
    rivals = [other.pack for other in packs.values() if other.replaces == pack.replaces and other.pack < pack.pack]
    if rivals:
        message = f"'{before.pack}' is replaced by '{rivals[0]}' already"
        yield Problem(("replaces",), message, f"replaces: {rivals[0]}, or another pack")
