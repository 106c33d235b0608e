"""Load packs, playbooks, messages, reports and calendars, and check them against the settings and each other."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from incident_engine import __version__
from incident_engine.common.errors import Finding, InvalidDocumentError, InvalidFilesError, Problem
from incident_engine.common.validation import nearest
from incident_engine.config.calendars import load_calendars
from incident_engine.config.chosen_files import chosen_files, misnamed
from incident_engine.config.message_loader import load_messages
from incident_engine.config.playbook_checks import failing_templates, load_playbooks, reference_problems
from incident_engine.config.report_loader import load_reports
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.rulebook import Rulebook

_PACKAGE = Path(__file__).parents[1]
SHIPPED = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
"""The folder of the shipped rules and configuration: in the installed package, or beside it in a checkout."""


def rules_directory(settings: Settings) -> Path:
    """Return the folder of the rules."""
    return settings.rules.directory or SHIPPED / "rules"


def load_rulebook(settings: Settings, config_file: Path, tried: str | None = None) -> Rulebook:
    """Load and check all rules that the settings choose.

    Every template is tried in every situation that needs it, which takes most of the time. `tried` is the fingerprint
    of rules that passed before; if it is still the same, the trials are skipped. Raises InvalidFilesError with every
    finding in the files and between them.
    """
    directory = rules_directory(settings)
    fingerprint = fingerprint_of(settings)
    is_tried = fingerprint == tried
    findings: list[Finding] = []
    packs = chosen_files(
        settings.grading.packs, directory / "grading", parse_pack, ("grading", "packs"), config_file, findings
    )
    playbooks = load_playbooks(settings, directory / "playbooks", config_file, findings)
    messages = load_messages(settings, directory / "messages", findings, is_tried=is_tried)
    calendars = load_calendars(directory, findings)
    reports = load_reports(directory, settings.bank.zone, findings, is_tried=is_tried)
    ordered = sorted((pack for pack, _ in packs.values()), key=lambda pack: pack.pack != settings.grading.primary)
    # Without a valid primary pack, every level and obligation of the playbooks would be unknown.
    checkable = ordered if settings.grading.primary in packs else []
    for playbook, document in playbooks.values():
        problems = reference_problems(playbook, settings, messages, checkable, list(reports.definitions))
        findings += [document.finding(problem) for problem in problems]
    chosen = tuple(playbook for playbook, _ in playbooks.values())
    if not is_tried:
        findings += failing_templates(chosen, messages, directory / "messages", checkable)
    for name, (pack, document) in packs.items():
        findings += misnamed(document, "pack", pack.pack, name)
        others = [other for other, _ in packs.values() if other.pack != pack.pack]
        findings += [document.finding(problem) for problem in _shared_obligations(pack, others)]
    if findings:
        raise InvalidFilesError(sorted(findings))
    hours = settings.service_hours(calendars)
    return Rulebook(tuple(ordered), chosen, messages, hours, calendars, reports, fingerprint)


def fingerprint_of(settings: Settings) -> str:
    """Return a digest of the program's version, the settings that templates can use, and every file of the rules."""
    digest = sha256(f"{__version__}\0{settings.model_dump_json(exclude=_NOT_IN_TEMPLATES)}".encode())
    directory = rules_directory(settings)
    for path in sorted(path for folder in _FOLDERS for path in (directory / folder).rglob("*") if path.is_file()):
        content = path.read_bytes()
        # With its length, so that no two sets of files give the same sequence of bytes.
        digest.update(f"{path.relative_to(directory)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


_NOT_IN_TEMPLATES = {"server", "store", "intake", "channels"}
"""Settings that templates cannot use; excluded from the fingerprint."""
_FOLDERS = "grading", "playbooks", "messages", "reports", "calendars"


def load_packs(settings: Settings, config_file: Path, names: Sequence[str]) -> list[Pack]:
    """Return the named packs; without names, those that the settings choose.

    Raises InvalidDocumentError for the name of no pack, InvalidFilesError with every finding in the files.
    """
    findings: list[Finding] = []
    directory = rules_directory(settings) / "grading"
    available = sorted(path.stem for path in directory.glob("*.yaml"))
    for name in names:
        if name not in available:
            problem = Problem((), f"unknown pack '{name}'", f"one of: {', '.join(available)}", nearest(name, available))
            raise InvalidDocumentError([problem])
    chosen = tuple(names) or settings.grading.packs
    packs = chosen_files(chosen, directory, parse_pack, ("grading", "packs"), config_file, findings)
    if findings:
        raise InvalidFilesError(sorted(findings))
    return [pack for pack, _ in packs.values()]


def load_every_pack(settings: Settings, config_file: Path) -> list[Pack]:
    """Return every pack of the rules, chosen or not. Raises InvalidFilesError with every finding in the files."""
    names = sorted(path.stem for path in (rules_directory(settings) / "grading").glob("*.yaml"))
    return load_packs(settings, config_file, names)


def _shared_obligations(pack: Pack, others: Sequence[Pack]) -> Iterator[Problem]:
    """Yield a problem for each obligation whose id another chosen pack uses: one completion would meet both.

    A pack may share ids with the pack that it replaces, because they are never in force together.
    """
    for index, obligation in enumerate(pack.obligations):
        for other in others:
            is_succession = pack.replaces == other.pack or other.replaces == pack.pack
            if not is_succession and any(obligation.id == theirs.id for theirs in other.obligations):
                message = f"'{obligation.id}' is an obligation of '{other.pack}' too; one completion would fulfil both"
                expected = "an id of its own, such as one that begins with the pack's"
                yield Problem(("obligations", index, "id"), message, expected)
