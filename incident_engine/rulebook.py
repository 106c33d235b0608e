"""All that operators write: settings, packs, playbooks and messages, read from files and checked against each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from incident_engine.errors import Finding, InvalidDocumentError, InvalidFilesError, Problem
from incident_engine.facts.calendars import Calendar, DayKind, known_countries
from incident_engine.facts.hours import ServiceHours
from incident_engine.grading.cases import failing_cases, uncovered_limits
from incident_engine.grading.pack import Pack, parse_pack
from incident_engine.response.messages import LOCALES, MessageBook, template_problems
from incident_engine.response.playbook import Playbook, parse_playbook
from incident_engine.response.samples import failures
from incident_engine.settings import Settings
from incident_engine.validation import Strict, nearest, problems_of, unknown
from incident_engine.yaml_loader import Document, load_file

T = TypeVar("T")

_PACKAGE = Path(__file__).parent
SHIPPED = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
"""Where the shipped rules and configuration are: in the installed package, or beside it in a checkout."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What the engine goes by. The primary pack is the first."""

    packs: tuple[Pack, ...]
    playbooks: tuple[Playbook, ...]
    messages: MessageBook
    hours: Mapping[str, ServiceHours]
    """The service hours of each service."""


def rules_directory(settings: Settings) -> Path:
    """Return where the rules are."""
    return settings.rules.directory or SHIPPED / "rules"


def load_rulebook(settings: Settings, config_file: Path) -> Rulebook:
    """Read the packs, playbooks and messages that the settings choose.

    Raises InvalidFilesError with every finding in them and between them.
    """
    directory = rules_directory(settings)
    findings: list[Finding] = []
    packs = _chosen(
        settings.grading.packs, directory / "grading", parse_pack, ("grading", "packs"), config_file, findings
    )
    playbooks = _chosen(
        settings.playbooks, directory / "playbooks", parse_playbook, ("playbooks",), config_file, findings
    )
    messages = load_messages(settings, directory / "messages", findings)
    hours = load_hours(settings, findings)
    primary = packs.get(settings.grading.primary)
    for name, (playbook, document) in playbooks.items():
        pack = primary[0] if primary else None
        findings += [document.finding(p) for p in _wrong_references(playbook, settings, messages, pack)]
        findings += _misnamed(document, "playbook", playbook.playbook, name)
        findings += _failing_templates(playbook, messages, directory / "messages")
    for name, (pack, document) in packs.items():
        findings += _misnamed(document, "pack", pack.pack, name)
    if findings:
        raise InvalidFilesError(sorted(findings))
    ordered = sorted(packs.values(), key=lambda found: found[0].pack != settings.grading.primary)
    return Rulebook(tuple(p for p, _ in ordered), tuple(p for p, _ in playbooks.values()), messages, hours)


def load_packs(settings: Settings, config_file: Path, names: Sequence[str]) -> list[Pack]:
    """Return the named packs, or those that the settings choose.

    Raises InvalidDocumentError for a name that is no pack's, InvalidFilesError with every finding in the files.
    """
    findings: list[Finding] = []
    directory = rules_directory(settings) / "grading"
    available = sorted(path.stem for path in directory.glob("*.yaml"))
    for name in names:
        if name not in available:
            problem = Problem((), f"unknown pack '{name}'", f"one of: {', '.join(available)}", nearest(name, available))
            raise InvalidDocumentError([problem])
    chosen = tuple(names) or settings.grading.packs
    packs = _chosen(chosen, directory, parse_pack, ("grading", "packs"), config_file, findings)
    if findings:
        raise InvalidFilesError(sorted(findings))
    return [pack for pack, _ in packs.values()]


def check_pack(path: Path) -> list[Finding]:
    """Return what is wrong with a pack's file, its cases included."""
    document = load_file(path)
    try:
        pack = parse_pack(document.data)
    except InvalidDocumentError as error:
        return [document.finding(problem) for problem in error.problems]
    wrong = list(failing_cases(pack)) or list(uncovered_limits(pack))
    return [document.finding(problem) for problem in wrong]


def check_playbook(path: Path) -> list[Finding]:
    """Return what is wrong with a playbook's file by itself."""
    document = load_file(path)
    try:
        parse_playbook(document.data)
    except InvalidDocumentError as error:
        return [document.finding(problem) for problem in error.problems]
    return []


def check_template(path: Path) -> list[Finding]:
    """Return what is wrong with a message's template."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [Finding(str(path), 1, 1, f"cannot be read: {error}")]
    return [
        Finding(str(path), int(problem.path[0]) if problem.path else 1, 1, problem.sentence())
        for problem in template_problems(source)
    ]


class CalendarFile(Strict):
    """What operators know better than the library: single days, and years that they vouch for."""

    calendar: str
    published: tuple[int, ...] = ()
    days: dict[date, DayKind] = {}


def load_calendar(path: Path) -> Calendar:
    """Return the calendar of a file. Raises InvalidFilesError with every finding."""
    document = load_file(path)
    try:
        given = CalendarFile.model_validate(document.data)
    except ValidationError as error:
        raise document.refuse(problems_of(error, CalendarFile, document.data)) from None
    countries = known_countries()
    if given.calendar not in countries:
        said, near = f"unknown country '{given.calendar}'", nearest(given.calendar, countries)
        raise document.refuse([Problem(("calendar",), said, "the ISO 3166 code of a country, such as CN", near)])
    return Calendar(given.calendar, given.days, frozenset(given.published))


def load_hours(settings: Settings, findings: list[Finding]) -> Mapping[str, ServiceHours]:
    """Return the service hours of each service, adding what is wrong with the calendars to the findings."""
    calendars: dict[str, Calendar] = {}
    for path in sorted((rules_directory(settings) / "calendars").glob("*.yaml")):
        try:
            calendar = load_calendar(path)
        except InvalidFilesError as error:
            findings += error.findings
            continue
        if calendar.country in calendars:
            findings.append(Finding(str(path), 1, 1, f"calendar '{calendar.country}' has a file already"))
        calendars[calendar.country] = calendar
    return settings.service_hours(calendars)


def guessed_years(hours: Mapping[str, ServiceHours], now: datetime) -> dict[str, list[int]]:
    """Return, for each service whose hours rest on a calendar, this year and the next if they are not published."""
    ahead = now + timedelta(days=365)
    found = {service: sorted(each.guessed_years(now, ahead)) for service, each in hours.items()}
    return {service: years for service, years in found.items() if years}


def load_messages(settings: Settings, directory: Path, findings: list[Finding]) -> MessageBook:
    """Read every template of every locale, adding what is wrong to the findings."""
    sources: dict[tuple[str, str], str] = {}
    for locale in LOCALES:
        for path in sorted((directory / locale).glob("*.md.j2")):
            wrong = check_template(path)
            findings += wrong
            if not wrong:
                sources[locale, path.name.removesuffix(".md.j2")] = path.read_text(encoding="utf-8")
    return MessageBook(sources, settings.bank.zone)


def _chosen(
    names: tuple[str, ...],
    directory: Path,
    parse: Callable[[object], T],
    where: tuple[str, ...],
    config_file: Path,
    findings: list[Finding],
) -> dict[str, tuple[T, Document]]:
    found: dict[str, tuple[T, Document]] = {}
    available = sorted(path.stem for path in directory.glob("*.yaml"))
    for place, name in enumerate(names):
        if name not in available:
            listed = f"one of: {', '.join(available) or f'(no file in {directory})'}"
            problem = Problem((*where, place), f"there is no '{name}.yaml'", listed, nearest(name, available))
            findings.append(_in_config(config_file, problem))
            continue
        try:
            document = load_file(directory / f"{name}.yaml")
            found[name] = parse(document.data), document
        except InvalidFilesError as error:
            findings += error.findings
        except InvalidDocumentError as error:
            findings += [document.finding(problem) for problem in error.problems]
    return found


def _in_config(config_file: Path, problem: Problem) -> Finding:
    return load_file(config_file).finding(problem)


def _failing_templates(playbook: Playbook, messages: MessageBook, directory: Path) -> Iterator[Finding]:
    known = messages.names()
    for step in playbook.steps:
        for locale in LOCALES if step.template in known else ():
            for problem in failures(step, locale, messages):
                file = directory / locale / f"{step.template}.md.j2"
                yield Finding(str(file), int(problem.path[0]), 1, problem.sentence())


def _misnamed(document: Document, key: str, given: str, name: str) -> Iterator[Finding]:
    if given != name:
        yield document.finding(Problem((key,), f"the file is {name}.yaml but its {key} is '{given}'", f"{key}: {name}"))


def _wrong_references(
    playbook: Playbook, settings: Settings, messages: MessageBook, pack: Pack | None
) -> Iterator[Problem]:
    templates = messages.names()
    for place, step in enumerate(playbook.steps):
        where = ("steps", place)
        yield from unknown((*where, "audience"), "audience", step.audience, settings.audiences)
        yield from unknown((*where, "template"), "template", step.template, dict.fromkeys(sorted(templates)))
        if pack is None:
            continue
        obligations = {demand.id: demand for demand in pack.obligations}
        for index, level in enumerate(step.on.level_reached or ()):
            yield from unknown((*where, "on", "level_reached", index), "level", level, pack.severity)
        if step.on.obligation is not None:
            yield from unknown((*where, "on", "obligation", "id"), "obligation", step.on.obligation.id, obligations)
        if step.fulfils is not None:
            yield from unknown((*where, "fulfils"), "obligation", step.fulfils, obligations)
