"""Who reads what: the bank's units, contacts, rotations and audiences, as config.yaml names them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, model_validator

from incident_engine.common.errors import Path, Problem
from incident_engine.common.validation import Strict, duplicate_problems, invalid, unknown_problems
from incident_engine.config.channels import Address
from incident_engine.domain.values import Duration, Identifier, LocalizedText, Zone

Locale = Literal["zh-CN", "en"]


class ReporterSettings(Strict):
    """Who reports to the regulator, as filed with it (银监办发〔2008〕53号 Art. 33), and how they are reached."""

    name: str | None = None
    phone: str | None = None


class UnitSettings(Strict):
    """Which part of the bank this is: a head office reports to the regulator, a branch to its local office (Art. 34).

    The article is of 银监办发〔2008〕53号.
    """

    kind: Literal["head_office", "branch"] = "head_office"
    name: LocalizedText | None = None
    """The bank's own unless given."""
    regulator: LocalizedText | None = None
    """The addressee; by `kind` unless given."""
    reporter: ReporterSettings = ReporterSettings()


class CustomerSettings(Strict):
    """What every message to customers may name."""

    audiences: tuple[Identifier, ...] = ("customers",)
    """The audiences that are customers, for how soon they heard the first word."""
    hotline: str | None = None
    status_page: str | None = None
    compensation: LocalizedText | None = None
    """The published standard by which losses are made good, and how to claim."""


class ContactSettings(Strict):
    """A person or a group that reads messages in one language, reached over channels in order of preference."""

    id: Identifier
    name: LocalizedText
    locale: Locale = "zh-CN"
    via: tuple[Address, ...] = Field(min_length=1)


class Override(Strict):
    """Somebody stands in for a while: from (inclusive) until (exclusive)."""

    from_: AwareDatetime = Field(alias="from")
    until: AwareDatetime
    contact: Identifier

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until <= self.from_:
            raise invalid(f"ends at {self.until.isoformat()}, not after it starts", "an end after the start")
        return self


class RotationSettings(Strict):
    """Contacts who take turns, handing over every so many days at the same local time; overrides come first."""

    id: Identifier
    timezone: Zone
    starts: datetime
    """When the first member's first turn begins, in local time."""
    days: int = Field(default=7, ge=1, le=366)
    """How long a turn is."""
    members: tuple[Identifier, ...] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()

    @model_validator(mode="after")
    def _local(self) -> Self:
        if self.starts.tzinfo is not None:
            raise invalid("'starts' has an offset", "local time in `timezone`, such as 2026-01-05T09:00")
        return self

    def on_duty(self, at: datetime) -> str:
        """Return whose turn it is. A day of 23 or 25 hours does not move the hand-over."""
        for override in reversed(self.overrides):
            if override.from_ <= at < override.until:
                return override.contact
        local = at.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None)
        return self.members[(local - self.starts) // timedelta(days=self.days) % len(self.members)]


class ClosingSettings(Strict):
    """How an incident ends."""

    observation: Duration = timedelta(0)
    """How long everything must have worked before a person may close the incident."""


class DrillSettings(Strict):
    """Who gets the messages of a drill over real channels."""

    recipients: tuple[Identifier, ...] = ()
    """Contacts and rotations; whatever a playbook says, nobody else is written to. Such drills need at least one."""


Audience = Annotated[tuple[Identifier, ...], Field(min_length=1)]
"""Contacts and rotations by their ids."""


class People:
    """Finds the contacts whom an audience means at an instant."""

    def __init__(
        self,
        contacts: Sequence[ContactSettings],
        rotations: Sequence[RotationSettings],
        audiences: Mapping[str, Sequence[str]],
    ) -> None:
        self._contacts = {contact.id: contact for contact in contacts}
        self._rotations = {rotation.id: rotation for rotation in rotations}
        self._audiences = audiences

    @property
    def names(self) -> list[str]:
        """Return everything that can be written to: audiences, rotations, contacts."""
        return [*self._audiences, *self._rotations, *self._contacts]

    def members(self, name: str, at: datetime) -> list[ContactSettings]:
        """Return the contacts of an audience, a rotation or a single contact, each once; nobody for another name."""
        listed = self._audiences.get(name, (name,))
        ids = [self._rotations[each].on_duty(at) if each in self._rotations else each for each in listed]
        return [self._contacts[each] for each in dict.fromkeys(ids) if each in self._contacts]


def people_problems(
    contacts: Sequence[ContactSettings],
    rotations: Sequence[RotationSettings],
    audiences: Mapping[str, Sequence[str]],
) -> Iterator[Problem]:
    """Yield what is wrong between contacts, rotations and audiences."""
    known = [contact.id for contact in contacts]
    yield from duplicate_problems("contacts", known)
    yield from duplicate_problems("rotations", [rotation.id for rotation in rotations])
    for place, rotation in enumerate(rotations):
        where: Path = ("rotations", place)
        if rotation.id in known:
            yield Problem((*where, "id"), f"'{rotation.id}' is a contact", "an id of its own")
        for index, member in enumerate(rotation.members):
            yield from unknown_problems((*where, "members", index), "contact", member, known)
        for index, override in enumerate(rotation.overrides):
            yield from unknown_problems((*where, "overrides", index, "contact"), "contact", override.contact, known)
    everybody = [*known, *(rotation.id for rotation in rotations)]
    for name, members in audiences.items():
        for index, member in enumerate(members):
            yield from unknown_problems(("audiences", name, index), "contact", member, everybody)
