"""Obligations of a regulation: their triggers, recipients and deadlines."""

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.grading.conditions import Condition, exactly_one
from incident_engine.domain.values import Duration, Identifier, LocalizedText


class Anchor(StrEnum):
    """The instant from which a deadline runs."""

    OCCURRENCE = "occurrence"
    """The start of the outage or the harm (发生)."""
    AWARENESS = "awareness"
    """The receipt of the first event of the incident."""
    APPLIES = "applies"
    """The instant at which the obligation came to apply: a level, a condition or an event."""
    CLASSIFIED = "classified"
    """As `applies`, but not before `awareness`: an incident cannot be classified before it is known."""
    RESTORED = "restored"
    """The restoration of all services; without any outage, the closing of the incident by a person."""
    MET = "met"
    """The first completion of another obligation; until then its deadline."""
    LAST_MET = "last_met"
    """The last completion of another obligation; until then its deadline."""


class DayOff(StrEnum):
    """Whether a deadline on a weekend or public holiday moves."""

    NOON_NEXT_WORKING_DAY = "noon_next_working_day"
    """To 12:00 local time of the next working day ((EU) 2025/301 Art. 5)."""
    KEEP = "keep"


class Deadline(Strict):
    """A deadline after an instant: a length of time, whole months, or the end of a number of working days."""

    after: Anchor
    of: Identifier | None = None
    """With `after: met` or `last_met`: the other obligation, which stands earlier in the pack."""
    within: Duration | None = None
    months: int | None = Field(default=None, ge=1, le=120, strict=True)
    """The same local time of day in this many months; in a shorter month its last day."""
    working_days: int | None = Field(default=None, ge=1, le=250, strict=True)
    """The end of this working day after the day of the instant, by the pack's calendar and time zone."""

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        _one_length(self)
        return self


class DueRule(Strict):
    """The deadline of an obligation: one, or the earliest of several.

    Of several, a deadline that passed before the obligation came to apply counts only if all did.
    """

    after: Anchor | None = None
    of: Identifier | None = None
    within: Duration | None = None
    months: int | None = Field(default=None, ge=1, le=120, strict=True)
    working_days: int | None = Field(default=None, ge=1, le=250, strict=True)
    earliest: tuple[Deadline, ...] | None = Field(default=None, min_length=2)
    on_day_off: DayOff = DayOff.KEEP

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        exactly_one({"after": self.after, "earliest": self.earliest})
        if self.earliest is None:
            _one_length(self)
        elif {self.of, self.within, self.months, self.working_days} != {None}:
            raise invalid("'earliest' stands alone", "within, months or working_days inside earliest")
        return self

    @cached_property
    def deadlines(self) -> tuple[Deadline, ...]:
        """Return the deadlines, of which the earliest counts."""
        if self.earliest is not None:
            return self.earliest
        # Its fields have passed the checks of this model, which are the same.
        return (Deadline.model_construct(**{name: getattr(self, name) for name in Deadline.model_fields}),)


def _one_length(rule: "Deadline | DueRule") -> None:
    exactly_one({"within": rule.within, "months": rule.months, "working_days": rule.working_days})
    if (rule.after in (Anchor.MET, Anchor.LAST_MET)) != (rule.of is not None):
        problem = f"'of' belongs to after: met and last_met, not to after: {rule.after}"
        if rule.of is None:
            problem = f"after: {rule.after} does not say of what"
        raise invalid(problem, "after: met with of: an obligation")


class Recipient(StrEnum):
    """The recipient of a report or notice that an obligation requires."""

    REGULATOR = "regulator"
    POLICE = "police"
    BOARD = "board"
    CUSTOMERS = "customers"
    PARTNERS = "partners"
    """Affected external institutions, vendors, telecommunications, power supply."""


class Obligation(Strict):
    """A duty with a deadline that applies at levels, once a condition holds, or for each event of a type."""

    id: Identifier
    cite: str
    """The article that requires it."""
    says: LocalizedText
    """The duty in our words."""
    to: Recipient
    due: DueRule
    levels: tuple[Identifier, ...] | None = Field(default=None, min_length=1)
    """It applies from the instant at which one of these levels is first reached."""
    when: Condition | None = None
    """It applies once the condition holds."""
    on: Literal["plan.failed", "repair.failed", "harm.assessed"] | None = None
    """It applies to each event of this type."""
    every: Duration | None = None
    """The interval at which the obligation repeats after its first deadline, such as 2h."""
    until: Literal[Anchor.RESTORED] | None = None
    """The end of the repetition; belongs to `every`."""

    @model_validator(mode="after")
    def _one_trigger(self) -> Self:
        exactly_one({"levels": self.levels, "when": self.when, "on": self.on})
        if (self.every is None) != (self.until is None):
            raise invalid("'every' and 'until' belong together", "every: 2h with until: restored")
        # It repeats until the restoration: a deadline that runs from there would never come while it applies.
        if self.every is not None and any(deadline.after is Anchor.RESTORED for deadline in self.due.deadlines):
            raise invalid("an obligation until the restoration cannot be due after it", "after: applies or occurrence")
        if self.every is not None and (self.every <= timedelta(0) or self.on is not None):
            raise invalid("'every' needs a length of time and levels or a condition", "every: 2h")
        return self
