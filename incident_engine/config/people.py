"""Settings of the bank's unit, contacts, rotations and audiences, and the lookup of an audience's members."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, model_validator

from incident_engine.common.errors import Path, Problem
from incident_engine.common.validation import Strict, duplicate_problems, invalid, unknown_problems
from incident_engine.config.channels import Address
from incident_engine.domain.values import Duration, Identifier, LocalizedText, Zone

Locale = Literal["zh-CN", "en"]


class ReporterSettings(Strict):
    """The person who reports to the regulator, as filed with it (银监办发〔2008〕53号 Art. 33)."""

    name: str | None = None
    phone: str | None = None


class UnitSettings(Strict):
    """The part of the bank that reports.

    A head office reports to the regulator, a branch to the regulator's local office (银监办发〔2008〕53号 Art. 34).
    """

    kind: Literal["head_office", "branch"] = "head_office"
    name: LocalizedText | None = None
    """The name in reports. Default: the bank's name."""
    regulator: LocalizedText | None = None
    """The addressee of reports. Default: by `kind`."""
    reporter: ReporterSettings = ReporterSettings()


class CustomerSettings(Strict):
    """Information for customers that their messages may contain."""

    audiences: tuple[Identifier, ...] = ("customers",)
    """The audiences that consist of customers; reviews measure the time to their first message."""
    hotline: str | None = None
    """The telephone number for customers."""
    status_page: str | None = None
    """The address of the public status page."""
    compensation: LocalizedText | None = None
    """The published rules of compensation and the way to claim."""


class ContactSettings(Strict):
    """A person or a group that reads messages in one language."""

    id: Identifier
    name: LocalizedText
    locale: Locale = "zh-CN"
    """The language of the messages."""
    via: tuple[Address, ...] = Field(min_length=1)
    """The addresses in order of preference; a later one is a fallback."""


class Override(Strict):
    """A stand-in for a period, from `from` (inclusive) to `until` (exclusive)."""

    from_: AwareDatetime = Field(alias="from")
    until: AwareDatetime
    contact: Identifier

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until <= self.from_:
            raise invalid(f"ends at {self.until.isoformat()}, not after it starts", "an end after the start")
        return self


class RotationSettings(Strict):
    """Contacts who take turns on duty. The turn changes every `days` days at the same local time.

    If clocks show that time twice, it changes at the first.
    """

    id: Identifier
    timezone: Zone
    starts: datetime
    """The start of the first member's first turn, in local time without an offset."""
    days: int = Field(default=7, ge=1, le=366)
    """The length of a turn in days."""
    members: tuple[Identifier, ...] = Field(min_length=1)
    """Contacts in the order of their turns."""
    overrides: tuple[Override, ...] = ()
    """Stand-ins; they take precedence over the turns, and the last of several that overlap counts."""

    @model_validator(mode="after")
    def _local(self) -> Self:
        if self.starts.tzinfo is not None:
            # A fixed offset would move the change of turns by an hour in summer.
            raise invalid("'starts' has an offset", "local time in `timezone`, such as 2026-01-05T09:00")
        return self

    def on_duty(self, at: datetime) -> str:
        """Return the id of the contact on duty at an instant."""
        for override in reversed(self.overrides):
            if override.from_ <= at < override.until:
                return override.contact
        zone, turn = ZoneInfo(self.timezone), timedelta(days=self.days)
        # Local times without a zone: a day of 23 or 25 hours must not move the hour of the change.
        number = (at.astimezone(zone).replace(tzinfo=None) - self.starts) // turn
        # Clocks set back show the hour of the change twice: the turn that the first one began goes on.
        following = (self.starts + (number + 1) * turn).replace(tzinfo=zone, fold=0).astimezone(UTC)
        return self.members[(number + 1 if following <= at else number) % len(self.members)]


class ClosingSettings(Strict):
    """The closing of incidents."""

    observation: Duration = timedelta(0)
    """The time that all services must have worked before a person may close the incident."""


class DrillSettings(Strict):
    """The recipients of drills over real channels."""

    recipients: tuple[Identifier, ...] = ()
    """Contacts and rotations that get all messages of such a drill, instead of the playbooks' audiences.

    Drills over real channels need at least one.
    """


Audience = Annotated[tuple[Identifier, ...], Field(min_length=1)]
"""Contacts and rotations by their ids."""


class People:
    """Finds the contacts in an audience at an instant."""

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
        """Return all names that can receive messages: audiences, rotations, contacts."""
        return [*self._audiences, *self._rotations, *self._contacts]

    def members(self, name: str, at: datetime) -> list[ContactSettings]:
        """Return the contacts of an audience, a rotation or a contact, without duplicates; none for other names."""
        members = self._audiences.get(name, (name,))
        ids = [self._rotations[member].on_duty(at) if member in self._rotations else member for member in members]
        # A contact may be named and on duty as well: one message is enough.
        return [self._contacts[id_] for id_ in dict.fromkeys(ids) if id_ in self._contacts]


def people_problems(
    contacts: Sequence[ContactSettings],
    rotations: Sequence[RotationSettings],
    audiences: Mapping[str, Sequence[str]],
) -> Iterator[Problem]:
    """Yield duplicate ids, and references to contacts and rotations that do not exist."""
    contact_ids = [contact.id for contact in contacts]
    yield from duplicate_problems("contacts", contact_ids)
    yield from duplicate_problems("rotations", [rotation.id for rotation in rotations])
    for position, rotation in enumerate(rotations):
        path: Path = ("rotations", position)
        if rotation.id in contact_ids:
            yield Problem((*path, "id"), f"'{rotation.id}' is a contact", "an id of its own")
        for index, member in enumerate(rotation.members):
            yield from unknown_problems((*path, "members", index), "contact", member, contact_ids)
        for index, override in enumerate(rotation.overrides):
            contact_path = (*path, "overrides", index, "contact")
            yield from unknown_problems(contact_path, "contact", override.contact, contact_ids)
    members_ids = [*contact_ids, *(rotation.id for rotation in rotations)]
    for name, members in audiences.items():
        for index, member in enumerate(members):
            yield from unknown_problems(("audiences", name, index), "contact", member, members_ids)
