"""Check all files that operators write, and report problems with file, line and column."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from incident_engine.common.errors import Finding, InvalidFilesError, Problem, StartupError
from incident_engine.common.errors import Path as DocumentPath
from incident_engine.common.private_files import folder_problem
from incident_engine.common.validation import nearest
from incident_engine.common.yaml_loader import load_file
from incident_engine.config import rulebook
from incident_engine.config.calendars import load_calendar
from incident_engine.config.channels import OutboxSettings, channel_secrets
from incident_engine.config.message_loader import check_template
from incident_engine.config.pack_checks import check_pack, check_succession
from incident_engine.config.playbook_checks import check_playbook
from incident_engine.config.report_loader import check_report
from incident_engine.config.scenario import load_scenario
from incident_engine.config.scenario_checks import unknown_name_problems
from incident_engine.config.secret import Secret
from incident_engine.config.settings import Settings, StoreSettings, load_settings, server_problems
from incident_engine.delivery.channels.factory import open_channels
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.rulebook import Rulebook

_KINDS = ("report", "pack", "playbook", "scenario", "calendar", "bank")
"""The keys that tell the kind of a file. `report` comes before `pack`, because reports have both."""


@dataclass(slots=True)
class CheckResult:
    """The result of a check."""

    files: int = 0
    """The number of files read."""
    cases: int = 0
    """The number of test cases run in packs."""
    findings: list[Finding] = field(default_factory=list)
    configured: tuple[Settings, Rulebook] | None = None
    """The settings and the rules; None unless the whole configuration was checked and could be loaded."""
    books: list[Rulebook | None] = field(default_factory=list)
    """The configured rules, once loaded; None stands for rules with findings."""

    missing_folders: list[Path] = field(default_factory=list)
    """The folder of the database, if there is none: a start makes it, with an empty database."""

    def guessed_years(self, now: datetime) -> dict[str, list[int]]:
        """Return the years from `now` on whose days off are not published yet; for keys see `Rulebook`."""
        if self.configured is None:
            return {}
        settings, book = self.configured
        return book.guessed_years(settings.bank.calendar, now)


def check(paths: Sequence[Path], config_file: Path) -> CheckResult:
    """Check the files and folders in `paths`; without any, check the configuration and all its rules."""
    result = CheckResult()
    settings: Settings | None = None
    result.files += 1
    try:
        settings = load_settings(config_file, os.environ)
    except InvalidFilesError as error:
        result.findings += error.findings
    excluded: Path | None = None
    if not paths and settings is not None:
        paths = [rulebook.rules_directory(settings)]
        excluded = _foreign_scenarios(settings, config_file)
        _check_configuration(settings, config_file, result)
    for path in paths:
        if not (path.is_dir() or path.is_file()):
            result.findings.append(Finding(str(path), 1, 1, "there is no such file or folder"))
            continue
        in_folder = sorted(file for file in path.rglob("*") if file.name.endswith((".yaml", ".yml", ".j2")))
        for file in in_folder if path.is_dir() else [path]:
            if file.parent != excluded:
                result.files += 1
                try:
                    result.findings += _check_file(file, settings, result)
                except InvalidFilesError as error:
                    result.findings += error.findings
    # A pack is read by itself and as part of the configuration: report its findings once.
    result.findings = sorted(set(result.findings))
    return result


def _foreign_scenarios(settings: Settings, config_file: Path) -> Path | None:
    """Return the folder of the shipped scenarios unless the bank is the shipped one.

    Those scenarios name the shipped bank's services, pack and playbooks, which another bank does not have.
    """
    own = rulebook.SHIPPED / "config.yaml"
    shipped = load_settings(own, {})
    same = (shipped.playbooks, shipped.grading.primary) == (settings.playbooks, settings.grading.primary)
    is_shipped_bank = same and config_file.resolve() == own.resolve()
    return None if is_shipped_bank or settings.rules.directory else rulebook.SHIPPED / "rules" / "scenarios"


def _check_configuration(settings: Settings, config_file: Path, result: CheckResult) -> None:
    try:
        book = rulebook.load_rulebook(settings, config_file)
        result.configured = settings, book
        result.books.append(book)
    except InvalidFilesError as error:
        result.findings += error.findings
        result.books.append(None)
    result.findings += check_succession(rulebook.rules_directory(settings) / "grading")
    result.findings += _channel_findings(settings, config_file)
    result.findings += _folder_findings(settings, config_file)
    if settings.store.url.startswith("sqlite:"):
        folder = Path(settings.store.url.partition("///")[2]).parent
        # The default's folder is missing before any first start.
        is_expected = folder.exists() or settings.store == StoreSettings()
        result.missing_folders += [] if is_expected else [folder]


def _folder_findings(settings: Settings, config_file: Path) -> Iterator[Finding]:
    """Yield a finding for each folder in which the daemon could not write: of the database and of outboxes."""
    folders: dict[DocumentPath, Path] = {}
    if settings.store.url.startswith("sqlite:"):
        folders["store", "url"] = Path(settings.store.url.partition("///")[2]).parent
    for name, channel in settings.channels.items():
        if isinstance(channel, OutboxSettings):
            folders["channels", name, "directory"] = channel.directory
    document = load_file(config_file)
    for path, folder in folders.items():
        problem = folder_problem(folder)
        if problem:
            message = f"no files can be written in {folder} here ({Path.cwd()}): {problem}"
            yield document.finding(Problem(path, message, "a folder that the daemon's user can write"))


def _channel_findings(settings: Settings, config_file: Path) -> Iterator[Finding]:
    """Yield a finding for each missing or empty file of a secret, and for each channel that cannot be opened."""
    secrets: dict[DocumentPath, Secret] = {}
    for name, channel in settings.channels.items():
        secrets |= {("channels", name, *path): secret for path, secret in channel_secrets(channel)}
    document = load_file(config_file)
    yield from (document.finding(problem) for problem in server_problems(settings.server))
    for path, secret in secrets.items():
        problem = _secret_file_problem(secret)
        if problem:
            yield document.finding(Problem(path, problem, "a file that holds the secret, in UTF-8"))
    for name, channel in settings.channels.items():
        try:
            open_channels({name: channel}, settings.outgoing)
        except StartupError as error:
            message = str(error).partition(": ")[2]
            # A missing file has its finding above; opening the channel would report it a second time.
            if all(secret.file is None or secret.file.is_file() for _, secret in channel_secrets(channel)):
                yield document.finding(Problem(("channels", name), message, "settings with which the daemon can start"))


def _secret_file_problem(secret: Secret) -> str:
    """Return why the file of a secret cannot be used; "" if it can, or there is none."""
    if secret.file is None:
        return ""
    if not secret.file.is_file():
        return f"there is no file {secret.file} here ({Path.cwd()})"
    try:
        return "" if secret.read() else f"the file {secret.file} is empty"  # a channel would send an empty password
    except OSError as error:
        return f"the file {secret.file} cannot be read: {error.strerror}"
    except ValueError:
        return f"the file {secret.file} is not UTF-8"


def _check_scenario(path: Path, settings: Settings, result: CheckResult) -> list[Finding]:
    scenario = load_scenario(path, settings)
    if not result.books:
        try:
            result.books.append(rulebook.load_rulebook(settings, path))
        except InvalidFilesError:
            result.books.append(None)
    book = result.books[0]
    if book is None:
        return []  # without valid rules, every name of the scenario would be unknown
    document = load_file(path)
    return [document.finding(problem) for problem in unknown_name_problems(scenario, book)]


def _check_file(path: Path, settings: Settings | None, result: CheckResult) -> list[Finding]:
    if path.name.endswith(".j2"):
        return check_template(path)
    data = load_file(path).data
    keys = list(data) if isinstance(data, dict) else []
    kind = next((kind for kind in _KINDS if kind in keys), None)
    if kind == "pack":
        findings = check_pack(path)
        result.cases += 0 if findings else len(parse_pack(data).cases)
        return findings
    if kind == "playbook":
        return check_playbook(path)
    if kind == "report":
        return check_report(path)
    if kind == "calendar":
        load_calendar(path)
        return []
    if kind == "scenario":
        # Without valid settings every service would be unknown; the configuration has findings of its own.
        return [] if settings is None else _check_scenario(path, settings, result)
    if kind == "bank":
        own_settings = load_settings(path, os.environ)  # another bank's config.yaml brings its own rules
        rulebook.load_rulebook(own_settings, path)
        return list(_channel_findings(own_settings, path))
    # A misspelled first key, such as `playbok`, must lead to the right kind.
    guess = next((near for key in keys if (near := nearest(key, _KINDS))), "")
    hint = f"; did you mean {guess!r}?" if guess else ""
    message = f"is no pack, playbook, report, scenario, calendar or configuration{hint} (its keys: {keys})"
    return [Finding(str(path), 1, 1, message)]
