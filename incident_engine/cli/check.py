"""`check`: everything that operators write, with file, line and column for whatever is wrong."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from incident_engine.common.errors import Finding, InvalidFilesError, Problem, StartupError
from incident_engine.common.errors import Path as DocumentPath
from incident_engine.common.validation import nearest
from incident_engine.common.yaml_loader import load_file
from incident_engine.config import rulebook
from incident_engine.config.channels import channel_secrets
from incident_engine.config.report_loader import check_report
from incident_engine.config.scenario import load_scenario, unknown_name_problems
from incident_engine.config.secret import Secret
from incident_engine.config.settings import Settings, load_settings
from incident_engine.delivery.channels.registry import open_channels
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.grading.pack_parser import parse_pack

_KINDS = ("report", "pack", "playbook", "scenario", "calendar", "bank")  # a report names its pack


@dataclass(slots=True)
class Checked:
    """What was checked and what is wrong."""

    files: int = 0
    cases: int = 0
    findings: list[Finding] = field(default_factory=list)
    hours: Mapping[str, ServiceHours] = field(default_factory=dict)
    """The service hours of each service, if the configuration was checked as a whole."""
    books: list[rulebook.Rulebook | None] = field(default_factory=list)
    """The rules that the configuration chooses, once they were read; none if they are wrong."""


def check(paths: Sequence[Path], config_file: Path) -> Checked:
    """Check the given files and folders; without any: the configuration and all rules that belong to it."""
    checked = Checked()
    settings = _settings(config_file, checked)
    left_out: Path | None = None
    if not paths and settings is not None:
        paths = [rulebook.rules_directory(settings)]
        left_out = _others_scenarios(settings, config_file)
        _together(settings, config_file, checked)
    for path in paths:
        for file in _files(path, checked):
            if file.parent != left_out:
                _one(file, settings, checked)
    checked.findings = sorted(set(checked.findings))
    return checked


def _others_scenarios(settings: Settings, config_file: Path) -> Path | None:
    """Return the folder of the shipped scenarios if the bank is not the shipped one.

    They are about its services, its pack and its playbooks.
    """
    own = rulebook.SHIPPED / "config.yaml"
    shipped = load_settings(own, {})
    same = (shipped.playbooks, shipped.grading.primary) == (settings.playbooks, settings.grading.primary)
    is_shipped_bank = same and config_file.resolve() == own.resolve()
    return None if is_shipped_bank or settings.rules.directory else rulebook.SHIPPED / "rules" / "scenarios"


def _settings(config_file: Path, checked: Checked) -> Settings | None:
    checked.files += 1
    try:
        return load_settings(config_file, os.environ)
    except InvalidFilesError as error:
        checked.findings += error.findings
        return None


def _together(settings: Settings, config_file: Path, checked: Checked) -> None:
    try:
        book = rulebook.load_rulebook(settings, config_file)
        checked.hours = book.hours
        checked.books.append(book)
    except InvalidFilesError as error:
        checked.findings += error.findings
        checked.books.append(None)
    checked.findings += rulebook.check_succession(rulebook.rules_directory(settings) / "grading")
    checked.findings += _missing_secrets(settings, config_file)


def _missing_secrets(settings: Settings, config_file: Path) -> Iterator[Finding]:
    secrets: dict[DocumentPath, Secret] = {
        ("server", "keys", place): key for place, key in enumerate(settings.server.keys)
    }
    for name, channel in settings.channels.items():
        secrets |= {("channels", name, *place): secret for place, secret in channel_secrets(channel)}
    document = load_file(config_file)
    for path, secret in secrets.items():
        if secret.file is not None and not secret.file.is_file():
            said = f"there is no file {secret.file} here ({Path.cwd()})"
            yield document.finding(Problem(path, said, "the file that holds the secret"))
        elif secret.file is not None and not secret.read():
            yield document.finding(Problem(path, f"the file {secret.file} is empty", "a file with the secret"))
    for name, channel in settings.channels.items():
        try:
            open_channels({name: channel}, settings.outgoing)
        except StartupError as error:
            said = str(error).partition(": ")[2]
            if all(secret.file is None or secret.file.is_file() for _, secret in channel_secrets(channel)):
                yield document.finding(Problem(("channels", name), said, "what the daemon can start with"))


def _files(path: Path, checked: Checked) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.name.endswith((".yaml", ".yml", ".j2")))
    elif path.is_file():
        yield path
    else:
        checked.findings.append(Finding(str(path), 1, 1, "there is no such file or folder"))


def _one(path: Path, settings: Settings | None, checked: Checked) -> None:
    checked.files += 1
    try:
        checked.findings += _of_kind(path, settings, checked)
    except InvalidFilesError as error:
        checked.findings += error.findings


def _of_scenario(path: Path, settings: Settings, checked: Checked) -> list[Finding]:
    scenario = load_scenario(path, settings)
    if not checked.books:
        try:
            checked.books.append(rulebook.load_rulebook(settings, path))
        except InvalidFilesError:
            checked.books.append(None)
    book = checked.books[0]
    if book is None:
        return []  # the rules have findings of their own
    document = load_file(path)
    return [document.finding(problem) for problem in unknown_name_problems(scenario, book)]


def _of_kind(path: Path, settings: Settings | None, checked: Checked) -> list[Finding]:
    if path.name.endswith(".j2"):
        return rulebook.check_template(path)
    data = load_file(path).data
    keys = list(data) if isinstance(data, dict) else []
    kind = next((kind for kind in _KINDS if kind in keys), None)
    if kind == "pack":
        found = rulebook.check_pack(path)
        checked.cases += 0 if found else len(parse_pack(data).cases)
        return found
    if kind == "playbook":
        return rulebook.check_playbook(path)
    if kind == "report":
        return check_report(path)
    if kind == "calendar":
        rulebook.load_calendar(path)
        return []
    if kind == "scenario":
        return [] if settings is None else _of_scenario(path, settings, checked)
    if kind == "bank":
        given = load_settings(path, os.environ)
        rulebook.load_rulebook(given, path)
        return list(_missing_secrets(given, path))
    guess = next((near for key in keys if (near := nearest(key, _KINDS))), "")
    hint = f"; did you mean {guess!r}?" if guess else ""
    return [
        Finding(
            str(path),
            1,
            1,
            f"is no pack, playbook, report, scenario, calendar or configuration{hint} (its keys: {keys})",
        )
    ]
