"""The packs that a replay compares, each with its label."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.yaml_loader import load_file
from incident_engine.config.rulebook import load_packs, rules_directory
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pack to compare, with a label that tells it from the others."""

    label: str
    pack: Pack
    file: Path


def load_candidates(settings: Settings, config_file: Path, names: Sequence[str]) -> list[Candidate]:
    """Return the packs to compare, each named by its id among the bank's rules or by its file.

    Raises InvalidDocumentError for an unknown or repeated name, InvalidFilesError with every finding in the files.
    """
    packs: list[tuple[Pack, Path]] = []
    for name in names:
        file = Path(name)
        if file.suffix not in (".yaml", ".yml") and len(file.parts) == 1:
            (pack,) = load_packs(settings, config_file, [name])
            packs.append((pack, rules_directory(settings) / "grading" / f"{name}.yaml"))
            continue
        document = load_file(file)
        try:
            packs.append((parse_pack(document.data), file))
        except InvalidDocumentError as error:
            raise document.refuse(error.problems) from None
    for index, (pack, file) in enumerate(packs):
        if file.resolve() in [other.resolve() for _, other in packs[:index]]:
            message = f"pack '{pack.pack}' is given twice ({file})"
            raise InvalidDocumentError([Problem((), message, "another pack, or another version in a file of its own")])
    return [Candidate(label, pack, file) for label, (pack, file) in zip(_labels(packs), packs, strict=True)]


def _labels(packs: Sequence[tuple[Pack, Path]]) -> list[str]:
    """Return the id of each pack, with its version, file name or path where two would have the same label."""
    options = [
        (pack.pack, f"{pack.pack}@{pack.version}", f"{pack.pack} ({file.name})", f"{pack.pack} ({file})")
        for pack, file in packs
    ]
    # Each round lengthens only the labels that are still shared, so that unique packs keep their plain id.
    chosen = [0] * len(packs)
    for _ in options[0][1:]:
        labels = [labels[index] for labels, index in zip(options, chosen, strict=True)]
        chosen = [index + (labels.count(label) > 1) for index, label in zip(chosen, labels, strict=True)]
    return [labels[index] for labels, index in zip(options, chosen, strict=True)]
