"""The settings in config.yaml: the bank's services, hours, contacts, channels and chosen packs.

Environment variables override them: `INCIDENT_ENGINE__SERVER__PORT=9000` overrides `server.port`.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path as FilePath
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from incident_engine.common.errors import Finding, InvalidFilesError, Path, Problem
from incident_engine.common.validation import (
    Strict,
    duplicate_problems,
    invalid,
    problems_of,
    unknown_name,
    unknown_problems,
)
from incident_engine.common.yaml_loader import Document, load_file
from incident_engine.config.channels import ChannelSettings, OutgoingSettings, RetrySettings, address_problems
from incident_engine.config.people import (
    Audience,
    ClosingSettings,
    ContactSettings,
    CustomerSettings,
    DrillSettings,
    Locale,
    People,
    RotationSettings,
    UnitSettings,
    people_problems,
)
from incident_engine.config.secret import Secret, key_fault
from incident_engine.config.watchdog import QuarantineSettings, WatchdogSettings, watchdog_problems
from incident_engine.domain.calendar.holidays import Calendar, known_countries
from incident_engine.domain.calendar.service_hours import ALWAYS, ServiceHours, WeeklyHours, weekly_hours
from incident_engine.domain.events.fields import Name, Regions
from incident_engine.domain.values import Duration, Identifier, LocalizedText, Zone, write_duration

PREFIX = "INCIDENT_ENGINE__"
_SHORTEST_RETENTION = timedelta(days=1)


def _country(code: str) -> str:
    countries = known_countries()
    if code not in countries:
        raise unknown_name("country", code, countries, "the ISO 3166 code of a country, such as CN")
    return code


class BankSettings(Strict):
    """The bank: name, time zone, language, working days."""

    name: LocalizedText
    timezone: Zone
    locale: Locale = "zh-CN"
    """The default language of reports."""
    calendar: Annotated[str, AfterValidator(_country)] | None = None
    """The country whose calendar defines working days (ISO 3166). Without it, every day is a working day."""
    unit: UnitSettings = UnitSettings()
    customers: CustomerSettings = CustomerSettings()

    @property
    def zone(self) -> ZoneInfo:
        """Return the bank's time zone."""
        return ZoneInfo(self.timezone)


@lru_cache(maxsize=1_024)  # asked for every request
def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ServerSettings(Strict):
    """The daemon's address, keys and limits."""

    host: str = "127.0.0.1"
    """The address to listen on. An address that other machines can reach requires keys."""
    port: int = Field(default=8080, ge=0, le=65535)
    """The port to listen on; 0 picks a free one."""
    keys: tuple[Secret, ...] = ()
    """Bearer keys of the API. Each of them gives full access."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/[^\s]*)?$")
    """The address of the daemon for readers of messages. With it, messages have links to acknowledge and approve."""
    link_key: Secret | None = None
    """The key that signs these links. Default: a key generated once and stored in the database."""
    max_body_bytes: int = Field(default=1_048_576, ge=1_024)
    """The largest request body, except those of events and alerts."""
    max_connections: int = Field(default=1_000, ge=1, le=100_000)
    """The most open connections; further ones are answered with 503."""

    @property
    def secrets(self) -> Mapping[Path, Secret]:
        """Return the keys of the API and of the links, by their paths in the file."""
        keys: dict[Path, Secret] = {("server", "keys", index): key for index, key in enumerate(self.keys)}
        return keys | ({("server", "link_key"): self.link_key} if self.link_key is not None else {})

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach the daemon."""
        return is_loopback(self.host)


def _store_url(url: str) -> str:
    is_file = url.startswith("sqlite:///") and url.partition("///")[2] not in ("", ":memory:")
    if not is_file and not re.match(r"postgresql\+psycopg://[^/]*/[^/?]+", url):
        kind = url.partition("://")[0] if "://" in url else ""  # the whole address may contain a password
        raise invalid(
            f"not a database: {kind!r}",
            "sqlite:/// and a path, such as sqlite:///var/incident-engine.db, or postgresql+psycopg://USER@HOST/DATABASE",
        )
    return url


class StoreSettings(Strict):
    """The database: a local SQLite file, or a PostgreSQL server that several replicas share."""

    url: Annotated[str, AfterValidator(_store_url)] = "sqlite:///var/incident-engine.db"
    """The database as a SQLAlchemy URL: the path of a SQLite file, or the user, host and name on PostgreSQL."""
    lost_after: Duration = Field(default=timedelta(seconds=30), ge=timedelta(seconds=1))
    """PostgreSQL only: the time without a heartbeat after which other replicas take over a replica's timers."""


class RetentionSettings(Strict):
    """The retention of closed incidents in the database, and their archive."""

    closed_incidents: Duration | None = None
    """The time after closing at which an incident without open work is archived. Default: incidents are kept."""
    directory: FilePath = FilePath("var/archive")
    """The folder of the archive files."""


class RulesSettings(Strict):
    """The location of the rules."""

    directory: FilePath | None = None
    """The folder of the rules. Default: the shipped rules."""


class GradingSettings(Strict):
    """The packs that grade incidents."""

    packs: tuple[Identifier, ...] = Field(min_length=1)
    """The packs to grade by."""
    primary: Identifier
    """The pack whose level is the incident's level."""

    @model_validator(mode="after")
    def _primary_is_chosen(self) -> Self:
        if self.primary not in self.packs:
            raise invalid(f"primary '{self.primary}' is not among the packs", f"one of: {', '.join(self.packs)}")
        return self


class IntakeSettings(Strict):
    """The intake of events and their assignment to incidents."""

    window: Duration = timedelta(hours=2)
    """The time after restoration in which a new outage of the same service group joins the incident."""
    confirm_after: Duration | None = timedelta(hours=2)
    """A person must confirm the time of an outage that is reported later than this after it began; none: never.

    Until then no words go to people outside the bank. Steps with the trigger `reported_late` ask for it.
    """
    max_clock_skew: Duration = timedelta(minutes=5)
    """The most that an event may be ahead of this machine's clock."""
    queue: int = Field(default=1_000, ge=1)
    """The most requests that wait for the writer; further ones are answered with 503."""
    silent_after: dict[Name, Annotated[Duration, Field(ge=timedelta(minutes=1))]] = {"alertmanager": timedelta(hours=2)}
    """By source: the time without a report after which the duty team is asked whether an outage still lasts.

    For sources that repeat what they see. An outage is never ended by silence.
    """
    max_body_bytes: int = Field(default=16_777_216, ge=1_024, le=268_435_456)
    """The largest request body of events or alerts. A monitor may send a whole group of alerts at once."""
    max_events: int = Field(default=10_000, ge=1, le=100_000)
    """The most events or alerts in one request body."""
    max_quarantined: int = Field(default=1_000, ge=1, le=100_000)
    """The most alerts of one request that are put in quarantine; further ones are counted and dropped."""
    max_outages: int = Field(default=5_000, ge=1_000, le=100_000)
    """The most outages of an incident: a service in a region is one. Events with further ones are refused."""


class AlertmanagerSettings(Strict):
    """The labels of an alert that name its service and regions."""

    service_label: str = "service"
    region_label: str = "region"
    region_separator: str = Field(default=",", min_length=1)
    """The text between several regions in one label."""


class RegionsSettings(Strict):
    """The regions that the bank serves."""

    everywhere: Regions = ()
    """The regions for which the words 全国 and everywhere stand in events. Default: these words are refused."""


_Windows = Annotated[tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""Opening windows; a single one needs no list."""


class HoursSettings(Strict):
    """Service hours per weekday."""

    timezone: Zone
    calendar: Annotated[str, AfterValidator(_country)] | None = None
    """The country whose calendar defines holidays and make-up workdays (ISO 3166)."""
    open: dict[
        str,
        _Windows,
    ] = Field(min_length=1)
    """Opening windows by days, such as mon-fri: 09:00-17:00."""

    @model_validator(mode="after")
    def _parses(self) -> Self:
        self.build()  # raises for days and windows that cannot be parsed
        return self

    def build(self, calendars: Mapping[str, Calendar] | None = None) -> WeeklyHours:
        """Return the service hours; `calendars` are the operators' corrected calendars by country."""
        pairs = [(days, window) for days, windows in self.open.items() for window in windows]
        calendar = (calendars or {}).get(self.calendar or "") or (Calendar(self.calendar) if self.calendar else None)
        return weekly_hours(ZoneInfo(self.timezone), pairs, calendar)


class ServiceSettings(Strict):
    """One of the bank's services."""

    id: Identifier
    name: LocalizedText
    hours: Identifier = "always"
    """The service hours, by their key in `hours`; always: 24 hours on 7 days."""
    group: Identifier | None = None
    """Services with the same group share incidents. Default: a group of its own."""


class Settings(BaseSettings):
    """The settings of one bank."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", case_sensitive=False
    )

    bank: BankSettings
    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    rules: RulesSettings = RulesSettings()
    grading: GradingSettings
    playbooks: tuple[Identifier, ...] = Field(min_length=1)
    intake: IntakeSettings = IntakeSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    regions: RegionsSettings = RegionsSettings()
    hours: dict[Identifier, HoursSettings] = {}
    services: tuple[ServiceSettings, ...] = Field(min_length=1)
    channels: dict[Identifier, ChannelSettings] = Field(min_length=1)
    retry: RetrySettings = RetrySettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    contacts: tuple[ContactSettings, ...] = Field(min_length=1)
    rotations: tuple[RotationSettings, ...] = ()
    audiences: dict[Identifier, Audience] = Field(min_length=1)
    closing: ClosingSettings = ClosingSettings()
    retention: RetentionSettings = RetentionSettings()
    drills: DrillSettings = DrillSettings()
    watchdog: WatchdogSettings = WatchdogSettings()
    quarantine: QuarantineSettings = QuarantineSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only the document: `load_settings` has merged the environment into it, to name variables in errors."""
        return (init_settings,)

    def service_hours(self, calendars: Mapping[str, Calendar]) -> Mapping[str, ServiceHours]:
        """Return the service hours of each service, by its id."""
        by_name: dict[str, ServiceHours] = {name: hours.build(calendars) for name, hours in self.hours.items()}
        by_name["always"] = ALWAYS
        return {service.id: by_name[service.hours] for service in self.services}

    @cached_property
    def groups(self) -> Mapping[str, str]:
        """Return the group of each service."""
        return {service.id: service.group or service.id for service in self.services}

    @cached_property
    def service_names(self) -> Mapping[str, LocalizedText]:
        """Return the names of the services."""
        return {service.id: service.name for service in self.services}

    @property
    def people(self) -> People:
        """Return the directory of contacts, rotations and audiences."""
        return People(self.contacts, self.rotations, self.audiences)

    @cached_property
    def contact_by_id(self) -> Mapping[str, ContactSettings]:
        """Return the contacts by id."""
        return {contact.id: contact for contact in self.contacts}


def load_settings(path: FilePath, environment: Mapping[str, str]) -> Settings:
    """Load config.yaml with the overrides of the environment. Raises InvalidFilesError with every finding."""
    document = load_file(path)
    if not isinstance(document.data, dict):
        raise document.refuse([Problem((), "is empty or not a mapping", "keys such as bank, grading, services")])
    overrides = _overrides(environment)
    merged = _merge(document.data, overrides)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        problems = problems_of(error, Settings, merged)
        raise InvalidFilesError([_finding(problem, document, overrides) for problem in problems]) from None
    problems = list(_inconsistencies(settings))
    if problems:
        raise InvalidFilesError([_finding(problem, document, overrides) for problem in problems])
    return settings


def _overrides(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the overrides of the environment, nested as in the file."""
    source = EnvSettingsSource(Settings, env_prefix=PREFIX, env_nested_delimiter="__")
    variables = {key.lower(): value for key, value in environment.items() if key.upper().startswith(PREFIX)}
    source.env_vars = variables
    try:
        overrides: dict[str, Any] = source()
    except SettingsError as error:
        name = next((key for key in variables if f'"{key[len(PREFIX) :].split("__")[0]}"' in str(error)), "")
        message = f"{name.upper() or PREFIX}: not valid JSON; expected JSON for a list or an object"
        raise InvalidFilesError([Finding("environment", 1, 1, message)]) from None
    for key in variables:
        section = key[len(PREFIX) :].split("__")[0]
        if section not in overrides:
            overrides[section] = None  # pydantic ignores unknown variables; as a key, the name is reported
    return overrides


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        # Only mappings are merged: a list in the environment replaces the file's list.
        return {key: _merge(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}}
    return over


def _finding(problem: Problem, document: Document, overrides: Mapping[str, Any]) -> Finding:
    """Return the finding of a problem: in the environment if a variable brought the value, else in the file."""
    if not problem.path:
        return document.finding(problem)
    value: Any = overrides
    for part in problem.path:
        if not isinstance(value, Mapping):
            break  # the variable holds the whole list or value
        if part not in value:
            return document.finding(problem)
        value = value[part]
    variable = PREFIX + "__".join(str(part) for part in problem.path).upper()
    return Finding("environment", 1, 1, f"{variable}: {problem.sentence()}")


def server_problems(server: ServerSettings) -> Iterator[Problem]:
    """Yield the reasons why the daemon must not start with its keys. Reads the files of secrets; quotes no key."""
    for path, secret in server.secrets.items():
        try:
            fault = key_fault(secret.read())
        except OSError as error:
            fault = f"{error.filename}: {error.strerror}"
        except UnicodeDecodeError:
            fault = f"{secret.file}: no text in UTF-8"
        if fault:
            yield Problem(path, fault)
    if not server.keys and not server.is_loopback:
        yield Problem(
            ("server", "host"),
            f"server.host is {server.host}, which others can reach, and server.keys is empty; "
            "set a key ('openssl rand -hex 32'), or bind to 127.0.0.1",
        )


def _inconsistencies(settings: Settings) -> Iterator[Problem]:
    """Yield duplicate ids, references to unknown names, and values that contradict each other."""
    if settings.closing.observation > settings.intake.window:
        message = "longer than intake.window: an outage during the observation would open another incident"
        yield Problem(("closing", "observation"), message, "at most intake.window")
    retention = settings.retention.closed_incidents
    if retention is not None and retention < max(_SHORTEST_RETENTION, settings.intake.window):
        # An outage may still join a closed incident within the window; an archived one cannot be joined.
        message = f"too short: {write_duration(retention)}"
        yield Problem(("retention", "closed_incidents"), message, "at least 1d and intake.window, such as 365d")
    yield from duplicate_problems("services", [service.id for service in settings.services])
    yield from people_problems(settings.contacts, settings.rotations, settings.audiences)
    recipients = [contact.id for contact in settings.contacts] + [rotation.id for rotation in settings.rotations]
    for index, name in enumerate(settings.drills.recipients):
        yield from unknown_problems(("drills", "recipients", index), "contact or rotation", name, recipients)
    yield from watchdog_problems(settings.watchdog, settings.quarantine, settings.people)
    for index, service in enumerate(settings.services):
        yield from unknown_problems(("services", index, "hours"), "hours", service.hours, ["always", *settings.hours])
    for position, contact in enumerate(settings.contacts):
        for index, address in enumerate(contact.via):
            yield from address_problems(("contacts", position, "via", index), address, settings.channels)
    if "always" in settings.hours:
        yield Problem(("hours", "always"), "'always' is built in (24 hours on 7 days)", "another name")
