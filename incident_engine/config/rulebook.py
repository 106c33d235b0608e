"""All that operators write: settings, packs, playbooks and messages, read from files and checked against each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from incident_engine import __version__
from incident_engine.common.errors import Finding, InvalidDocumentError, InvalidFilesError, Problem
from incident_engine.common.validation import Strict, nearest, problems_of, unknown_problems
from incident_engine.common.yaml_loader import Document, load_file
from incident_engine.config.playbook_checks import failing_templates, form_of, reference_problems
from incident_engine.config.report_loader import load_reports
from incident_engine.config.settings import Settings
from incident_engine.domain.calendar.holidays import Calendar, DayKind, known_countries
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case_runner import failing_cases, out_of_force
from incident_engine.domain.grading.pack_coverage import idle, uncovered
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.messages.templates import SUFFIXES, MessageBook, form_name, template_problems
from incident_engine.domain.reports.drafting import ReportBook
from incident_engine.domain.response.playbook import Playbook, parse_playbook
from incident_engine.domain.values import LOCALES

T = TypeVar("T")

_PACKAGE = Path(__file__).parents[1]
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
    calendars: Mapping[str, Calendar]
    """The calendars that operators have set right, by country."""
    reports: ReportBook
    """The definitions of reports."""
    fingerprint: str = ""
    """A digest of these rules, the settings and the program's version."""

    def bank_calendar(self, country: str | None) -> Calendar | None:
        """Return the calendar of a country, as operators have set it right, if they have."""
        return None if country is None else self.calendars.get(country) or Calendar(country)


def rules_directory(settings: Settings) -> Path:
    """Return where the rules are."""
    return settings.rules.directory or SHIPPED / "rules"


def load_rulebook(settings: Settings, config_file: Path, tried: str | None = None) -> Rulebook:
    """Read the packs, playbooks and messages that the settings choose.

    Templates are tried in every situation in which they are needed, unless exactly these rules with these settings have
    been before: `tried` is their fingerprint. Raises InvalidFilesError with every finding in them and between them.
    """
    directory = rules_directory(settings)
    fingerprint = fingerprint_of(settings)
    is_tried = fingerprint == tried
    findings: list[Finding] = []
    packs = _chosen(
        settings.grading.packs, directory / "grading", parse_pack, ("grading", "packs"), config_file, findings
    )
    playbooks = _chosen(
        settings.playbooks, directory / "playbooks", parse_playbook, ("playbooks",), config_file, findings
    )
    messages = load_messages(settings, directory / "messages", findings, is_tried=is_tried)
    calendars = load_calendars(settings, findings)
    reports = load_reports(directory, settings.bank.zone, findings, is_tried=is_tried)
    ordered = sorted((pack for pack, _ in packs.values()), key=lambda pack: pack.pack != settings.grading.primary)
    known = ordered if settings.grading.primary in packs else []
    for name, (playbook, document) in playbooks.items():
        problems = reference_problems(playbook, settings, messages, known, list(reports.definitions))
        findings += [document.finding(problem) for problem in problems]
        findings += _misnamed(document, "playbook", playbook.playbook, name)
    chosen = tuple(playbook for playbook, _ in playbooks.values())
    if not is_tried:
        findings += failing_templates(chosen, messages, directory / "messages", known)
    for name, (pack, document) in packs.items():
        findings += _misnamed(document, "pack", pack.pack, name)
        others = [other for other, _ in packs.values() if other.pack != pack.pack]
        findings += [document.finding(problem) for problem in _shared_obligations(pack, others)]
    if findings:
        raise InvalidFilesError(sorted(findings))
    hours = settings.service_hours(calendars)
    return Rulebook(tuple(ordered), chosen, messages, hours, calendars, reports, fingerprint)


def fingerprint_of(settings: Settings) -> str:
    """Return a digest of this program's version, the settings that rules can tell and every file of their rules."""
    digest = sha256(f"{__version__}\0{settings.model_dump_json(exclude=_NOT_IN_TEMPLATES)}".encode())
    directory = rules_directory(settings)
    for path in sorted(path for folder in _READ for path in (directory / folder).rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(directory)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


_NOT_IN_TEMPLATES = {"server", "store", "intake", "channels"}
"""Where the daemon listens and keeps, and what it takes: nothing that a template tells."""
_READ = "grading", "playbooks", "messages", "reports", "calendars"


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


def load_every_pack(settings: Settings, config_file: Path) -> list[Pack]:
    """Return every pack that there is, chosen or not. Raises InvalidFilesError with every finding in the files."""
    names = sorted(path.stem for path in (rules_directory(settings) / "grading").glob("*.yaml"))
    return load_packs(settings, config_file, names)


def check_pack(path: Path) -> list[Finding]:
    """Return what is wrong with a pack's file, its cases included."""
    document = load_file(path)
    try:
        pack = parse_pack(document.data)
    except InvalidDocumentError as error:
        return [document.finding(problem) for problem in error.problems]
    wrong = list(failing_cases(pack)) or [*idle(pack), *uncovered(pack), *out_of_force(pack)]
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
    form = form_of(path)
    if form is None:
        expected = ", ".join(f"NAME{suffix}" for suffix in SUFFIXES.values())
        return [Finding(str(path), 1, 1, f"'{path.name}' is no template's name; expected one of: {expected}")]
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [Finding(str(path), 1, 1, f"cannot be read: {error}")]
    return [
        Finding(str(path), int(problem.path[0]) if problem.path else 1, 1, problem.sentence())
        for problem in template_problems(source, form)
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


def load_calendars(settings: Settings, findings: list[Finding]) -> Mapping[str, Calendar]:
    """Return the calendars that operators have set right, adding what is wrong with them to the findings."""
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
    return calendars


def guessed_years(hours: Mapping[str, ServiceHours], now: datetime) -> dict[str, list[int]]:
    """Return, for each service whose hours rest on a calendar, this year and the next if they are not published."""
    ahead = now + timedelta(days=365)
    found = {service: sorted(each.guessed_years(now, ahead)) for service, each in hours.items()}
    return {service: years for service, years in found.items() if years}


def load_messages(
    settings: Settings, directory: Path, findings: list[Finding], *, is_tried: bool = False
) -> MessageBook:
    """Read every template of every locale, adding what is wrong to the findings, unless they were tried before."""
    sources: dict[tuple[str, str], str] = {}
    for locale in LOCALES:
        for path in sorted((directory / locale).glob("*.j2")):
            wrong = [] if is_tried else check_template(path)
            findings += wrong
            form = form_of(path)
            if not wrong and form is not None:
                name = path.name.removesuffix(SUFFIXES[form])
                sources[locale, form_name(name, form)] = path.read_text(encoding="utf-8")
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


def _shared_obligations(pack: Pack, others: Sequence[Pack]) -> Iterator[Problem]:
    """Yield a problem for each obligation that another chosen pack names alike: one completion would meet both.

    A pack may share them with the one that it replaces: they are never in force together.
    """
    for place, demand in enumerate(pack.obligations):
        for other in others:
            is_succession = pack.replaces == other.pack or other.replaces == pack.pack
            if not is_succession and any(demand.id == theirs.id for theirs in other.obligations):
                said = f"'{demand.id}' is an obligation of '{other.pack}' too; who fulfils one would fulfil both"
                expected = "an id of its own, such as one that begins with the pack's"
                yield Problem(("obligations", place, "id"), said, expected)


def check_succession(directory: Path) -> Iterator[Finding]:
    """Yield what is wrong where one pack replaces another: on every day exactly one of them must be in force."""
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
        said = f"{kind}: '{before.pack}' is in force until {ends or 'for ever'}, '{pack.pack}' from {begins}"
        yield Problem(("in_force", "from"), said, f"in_force until {begins} in {before.pack}.yaml")
    if before.timezone != pack.timezone:
        said = f"the days of '{before.pack}' are those of {before.timezone}, of '{pack.pack}' those of {pack.timezone}"
        yield Problem(("timezone",), said, f"timezone: {before.timezone}")
    rivals = [other.pack for other in packs.values() if other.replaces == pack.replaces and other.pack < pack.pack]
    if rivals:
        said = f"'{before.pack}' is replaced by '{rivals[0]}' already"
        yield Problem(("replaces",), said, f"replaces: {rivals[0]}, or another pack")


def _misnamed(document: Document, key: str, given: str, name: str) -> Iterator[Finding]:
    if given != name:
        yield document.finding(Problem((key,), f"the file is {name}.yaml but its {key} is '{given}'", f"{key}: {name}"))
