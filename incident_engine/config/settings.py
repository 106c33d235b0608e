"""This bank's services, hours, contacts, channels and chosen packs: config.yaml, overridden by the environment.

`INCIDENT_ENGINE__SERVER__PORT=9000` overrides `server.port`. A secret stands in place or in a file of its own.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
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

from incident_engine.common.errors import Finding, InvalidFilesError, Problem
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
from incident_engine.config.secret import Secret
from incident_engine.config.watchdog import WatchdogSettings, watchdog_problems
from incident_engine.domain.calendar.holidays import Calendar, known_countries
from incident_engine.domain.calendar.service_hours import ALWAYS, ServiceHours, WeeklyHours, weekly_hours
from incident_engine.domain.values import Duration, Identifier, LocalizedText, Zone, write_duration

PREFIX = "INCIDENT_ENGINE__"
_LEAST_KEPT = timedelta(days=1)


def _country(code: str) -> str:
    countries = known_countries()
    if code not in countries:
        raise unknown_name("country", code, countries, "the ISO 3166 code of a country, such as CN")
    return code


class BankSettings(Strict):
    """The bank itself."""

    name: LocalizedText
    timezone: Zone
    locale: Locale = "zh-CN"
    calendar: Annotated[str, AfterValidator(_country)] | None = None
    """The country whose calendar says which days are working days; every day is one without it."""
    unit: UnitSettings = UnitSettings()
    customers: CustomerSettings = CustomerSettings()

    @property
    def zone(self) -> ZoneInfo:
        """Return the bank's time zone."""
        return ZoneInfo(self.timezone)


@lru_cache(maxsize=1_024)
def is_loopback(host: str) -> bool:
    """Return whether a name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ServerSettings(Strict):
    """Where the daemon listens, and who may speak to it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    keys: tuple[Secret, ...] = ()
    """Bearer keys; any of them opens everything."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/[^\s]*)?$")
    """Where readers of messages reach this daemon; with it, messages have links to acknowledge and approve."""
    link_key: Secret | None = None
    """Signs these links; one is made and kept with the database unless it is given."""
    max_body_bytes: int = Field(default=1_048_576, ge=1_024)
    max_connections: int = Field(default=1_000, ge=1, le=100_000)
    """How many connections may be open; beyond it the answer is 503."""

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach the daemon."""
        return is_loopback(self.host)


def _store_url(url: str) -> str:
    is_file = url.startswith("sqlite:///") and url.partition("///")[2] not in ("", ":memory:")
    if not is_file and not re.match(r"postgresql\+psycopg://[^/]*/[^/?]+", url):
        kind = url.partition("://")[0] if "://" in url else ""  # a whole address may hold a password
        raise invalid(
            f"not a database: {kind!r}",
            "sqlite:/// and a path, such as sqlite:///var/incident-engine.db, or postgresql+psycopg://USER@HOST/DATABASE",
        )
    return url


class StoreSettings(Strict):
    """Where everything is kept: a file of this machine's own, or a server that several replicas share."""

    url: Annotated[str, AfterValidator(_store_url)] = "sqlite:///var/incident-engine.db"
    lost_after: Duration = Field(default=timedelta(seconds=30), ge=timedelta(seconds=1))
    """On PostgreSQL: after so long without a sign of life a replica's wake-ups go to the others."""


class RetentionSettings(Strict):
    """How long closed incidents stay in the database, and where they go then."""

    closed_incidents: Duration | None = None
    """So long after its closing an incident is archived, once nothing of it is open. None: it stays for ever."""
    directory: FilePath = FilePath("var/archive")


class RulesSettings(Strict):
    """Where the rules are; empty for those that are shipped."""

    directory: FilePath | None = None


class GradingSettings(Strict):
    """By which packs incidents are graded; the incident's level is that of the primary one."""

    packs: tuple[Identifier, ...] = Field(min_length=1)
    primary: Identifier

    @model_validator(mode="after")
    def _primary_is_chosen(self) -> Self:
        if self.primary not in self.packs:
            raise invalid(f"primary '{self.primary}' is not among the packs", f"one of: {', '.join(self.packs)}")
        return self


class IntakeSettings(Strict):
    """How events become incidents."""

    window: Duration = timedelta(hours=2)
    """An outage of the same service group joins an incident up to this long after the incident's restoration."""
    max_clock_skew: Duration = timedelta(minutes=5)
    """How far ahead of this machine's clock an event may have occurred."""
    queue: int = Field(default=1_000, ge=1)
    """How many requests may wait for the writer; beyond it the answer is 503."""


class AlertmanagerSettings(Strict):
    """Which labels of an alert carry the service and the region."""

    service_label: str = "service"
    region_label: str = "region"
    region_separator: str = Field(default=",", min_length=1)


def _windows(value: object) -> object:
    return [value] if isinstance(value, str) else value


class HoursSettings(Strict):
    """Service hours: windows per weekday in a time zone; holidays and make-up workdays by a country's calendar."""

    timezone: Zone
    calendar: Annotated[str, AfterValidator(_country)] | None = None
    open: dict[str, Annotated[tuple[str, ...], BeforeValidator(_windows)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _parses(self) -> Self:
        self.build()
        return self

    def build(self, calendars: Mapping[str, Calendar] | None = None) -> WeeklyHours:
        """Return the hours, with the country's calendar as operators have set it right, if they have."""
        pairs = [(days, window) for days, windows in self.open.items() for window in windows]
        calendar = (calendars or {}).get(self.calendar or "") or (Calendar(self.calendar) if self.calendar else None)
        return weekly_hours(ZoneInfo(self.timezone), pairs, calendar)


class ServiceSettings(Strict):
    """One of the bank's services. Services of one group share their incidents."""

    id: Identifier
    name: LocalizedText
    hours: Identifier = "always"
    group: Identifier | None = None


class Settings(BaseSettings):
    """Everything that config.yaml says."""

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from nowhere but the document, into which the environment was merged before."""
        return (init_settings,)

    def service_hours(self, calendars: Mapping[str, Calendar]) -> Mapping[str, ServiceHours]:
        """Return the service hours of each service."""
        built: dict[str, ServiceHours] = {name: hours.build(calendars) for name, hours in self.hours.items()}
        built["always"] = ALWAYS
        return {service.id: built[service.hours] for service in self.services}

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
        """Return who is meant by an audience at an instant."""
        return People(self.contacts, self.rotations, self.audiences)

    @cached_property
    def contact_by_id(self) -> Mapping[str, ContactSettings]:
        """Return the contacts by id."""
        return {contact.id: contact for contact in self.contacts}


def load_settings(path: FilePath, environment: Mapping[str, str]) -> Settings:
    """Read config.yaml and the environment's overrides. Raises InvalidFilesError with every finding."""
    document = load_file(path)
    if not isinstance(document.data, dict):
        raise document.refuse([Problem((), "is empty or not a mapping", "keys such as bank, grading, services")])
    overrides = _overrides(environment)
    merged = _merge(document.data, overrides)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        problems = problems_of(error, Settings, merged)
        raise InvalidFilesError([_place(problem, document, overrides) for problem in problems]) from None
    problems = list(_wrong_references(settings))
    if problems:
        raise InvalidFilesError([_place(problem, document, overrides) for problem in problems])
    return settings


def _overrides(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what the environment overrides, nested as in the file."""
    source = EnvSettingsSource(Settings, env_prefix=PREFIX, env_nested_delimiter="__")
    given = {key.lower(): value for key, value in environment.items() if key.upper().startswith(PREFIX)}
    source.env_vars = given
    try:
        known: dict[str, Any] = source()
    except SettingsError as error:
        name = next((key for key in given if f'"{key[len(PREFIX) :].split("__")[0]}"' in str(error)), "")
        said = f"{name.upper() or PREFIX}: not valid JSON; expected JSON for what is not a single value"
        raise InvalidFilesError([Finding("environment", 1, 1, said)]) from None
    for key in given:
        top = key[len(PREFIX) :].split("__")[0]
        if top not in known:
            known[top] = None
    return known


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {key: _merge(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}}
    return over


def _place(problem: Problem, document: Document, overrides: Mapping[str, Any]) -> Finding:
    if _is_overridden(problem.path, overrides):
        variable = PREFIX + "__".join(str(part) for part in problem.path).upper()
        return Finding("environment", 1, 1, f"{variable}: {problem.sentence()}")
    return document.finding(problem)


def _is_overridden(path: Sequence[str | int], overrides: Any) -> bool:
    for part in path:
        if not isinstance(overrides, Mapping):
            return True  # the environment gave the whole list
        if part not in overrides:
            return False
        overrides = overrides[part]
    return bool(path)


def _wrong_references(settings: Settings) -> Iterator[Problem]:
    if settings.closing.observation > settings.intake.window:
        said = "longer than intake.window: what breaks while it is observed would be another incident"
        yield Problem(("closing", "observation"), said, "intake.window at most")
    kept = settings.retention.closed_incidents
    if kept is not None and kept < max(_LEAST_KEPT, settings.intake.window):
        said = f"too short: {write_duration(kept)}"
        yield Problem(("retention", "closed_incidents"), said, "1d and intake.window at least, such as 365d")
    yield from duplicate_problems("services", [service.id for service in settings.services])
    yield from people_problems(settings.contacts, settings.rotations, settings.audiences)
    readers = [contact.id for contact in settings.contacts] + [rotation.id for rotation in settings.rotations]
    for place, name in enumerate(settings.drills.recipients):
        yield from unknown_problems(("drills", "recipients", place), "contact or rotation", name, readers)
    yield from watchdog_problems(settings.watchdog, settings.people)
    for place, service in enumerate(settings.services):
        yield from unknown_problems(("services", place, "hours"), "hours", service.hours, ["always", *settings.hours])
    for place, contact in enumerate(settings.contacts):
        for index, address in enumerate(contact.via):
            yield from address_problems(("contacts", place, "via", index), address, settings.channels)
    if "always" in settings.hours:
        yield Problem(("hours", "always"), "'always' is built in (24 hours on 7 days)", "another name")
