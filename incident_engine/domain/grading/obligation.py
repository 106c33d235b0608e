"""What a regulation demands: to whom, on which occasion, by when."""

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.grading.conditions import Condition, exactly_one
from incident_engine.domain.values import Duration, Identifier, LocalizedText


class Anchor(StrEnum):
    """The instants from which a deadline runs."""

    OCCURRENCE = "occurrence"
    """When the outage, or the harm, began (发生)."""
    AWARENESS = "awareness"
    """When we knew."""
    APPLIES = "applies"
    """When the obligation came to apply: the level was reached, the condition held, the event was reported."""
    CLASSIFIED = "classified"
    """The same, but not before we knew of the incident: nobody classifies what he does not know."""
    RESTORED = "restored"
    """When everything worked again; without any outage, when a person closed the incident."""
    MET = "met"
    """When another obligation was first met; while it is not, when it is due."""
    LAST_MET = "last_met"
    """When another obligation was last met; while it is not, when it is due."""


class DayOff(StrEnum):
    """What becomes of a deadline at a weekend or on a public holiday."""

    NOON_NEXT_WORKING_DAY = "noon_next_working_day"
    KEEP = "keep"


class Deadline(Strict):
    """So long after an instant: a length of time, whole months, or the end of so many working days."""

    after: Anchor
    of: Identifier | None = None
    """The obligation that `after: met` or `last_met` is about; one that stands before in the pack."""
    within: Duration | None = None
    months: int | None = Field(default=None, ge=1, le=120, strict=True)
    working_days: int | None = Field(default=None, ge=1, le=250, strict=True)

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        _one_length(self)
        return self


class DueRule(Strict):
    """By when: one deadline, or the earliest of several.

    Of several, one that had passed before the obligation came to apply does not count if another has not.
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
        """Return the deadlines of which the earliest counts."""
        if self.earliest is not None:
            return self.earliest
        return (Deadline.model_construct(**{name: getattr(self, name) for name in Deadline.model_fields}),)


def _one_length(given: "Deadline | DueRule") -> None:
    exactly_one({"within": given.within, "months": given.months, "working_days": given.working_days})
    if (given.after in (Anchor.MET, Anchor.LAST_MET)) != (given.of is not None):
        said = f"'of' belongs to after: met and last_met, not to after: {given.after}"
        if given.of is None:
            said = f"after: {given.after} does not say of what"
        raise invalid(said, "after: met with of: an obligation")


class Recipient(StrEnum):
    """To whom an obligation is owed."""

    REGULATOR = "regulator"
    POLICE = "police"
    BOARD = "board"
    CUSTOMERS = "customers"
    PARTNERS = "partners"
    """External institutions affected, vendors, telecom, power."""


class Obligation(Strict):
    """What the regulation demands by an instant: at levels, once a condition holds, or for each event of a type."""

    id: Identifier
    cite: str
    says: LocalizedText
    to: Recipient
    due: DueRule
    levels: tuple[Identifier, ...] | None = Field(default=None, min_length=1)
    when: Condition | None = None
    on: Literal["plan.failed", "repair.failed", "harm.assessed"] | None = None
    every: Duration | None = None
    """Again and again, so long after the first deadline each, as long as `until` has not come."""
    until: Literal[Anchor.RESTORED] | None = None

    @model_validator(mode="after")
    def _one_occasion(self) -> Self:
        exactly_one({"levels": self.levels, "when": self.when, "on": self.on})
        if (self.every is None) != (self.until is None):
            raise invalid("'every' and 'until' belong together", "every: 2h with until: restored")
        if self.every is not None and any(deadline.after is Anchor.RESTORED for deadline in self.due.deadlines):
            raise invalid("what is owed until the restoration cannot be due after it", "after: applies or occurrence")
        if self.every is not None and (self.every <= timedelta(0) or self.on is not None):
            raise invalid("'every' needs a length of time and levels or a condition", "every: 2h")
        return self
