"""A playbook: who is told what, when. The bank's side, as the pack is the law's."""

from datetime import timedelta
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from incident_engine.errors import InvalidDocumentError
from incident_engine.facts.values import Duration, Identifier, LocalizedText
from incident_engine.validation import Strict, invalid, problems_of


class ObligationMoment(StrEnum):
    """The moments of an obligation at which a step can begin."""

    APPLIES = "applies"
    DUE = "due"
    OVERDUE = "overdue"


class ObligationTrigger(Strict):
    """A moment of an obligation of the primary pack; nothing begins once the obligation is met."""

    id: Identifier
    when: ObligationMoment
    before: Duration = timedelta(0)

    @model_validator(mode="after")
    def _before_what(self) -> Self:
        if self.before and self.when is not ObligationMoment.DUE:
            raise invalid(f"'before' says nothing with when: {self.when}", "when: due")
        return self


class Trigger(Strict):
    """What begins a step: exactly one of its keys is given."""

    level_reached: tuple[Identifier, ...] | None = Field(default=None, min_length=1)
    """Once for each of these levels that is reached."""
    first_level: Literal[True] | None = None
    """Once for each stretch of impairment that lasts, as soon as the incident has any level."""
    scope_grew: Literal[True] | None = None
    """When, in a graded incident, another service or region is hit or something breaks again, and it lasts."""
    restored: Literal[True] | None = None
    """Once everything has worked again for `settle`, or when a person closes the graded incident before."""
    level_corrected: Literal[True] | None = None
    """Each time a person changes the level; a confirmation changes nothing."""
    obligation: ObligationTrigger | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        keys = ("level_reached", "first_level", "scope_grew", "restored", "level_corrected", "obligation")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) != 1:
            raise invalid(f"a step has one trigger, not {len(given)}", f"one of: {', '.join(keys)}")
        return self


class StepTemplate(Strict):
    """One step of a playbook."""

    id: Identifier
    on: Trigger
    audience: Identifier
    template: Identifier
    fulfils: Identifier | None = None
    """The obligation that a person fulfils by this step; the step stays open until somebody reports it completed."""


class Playbook(Strict):
    """Steps that belong together."""

    playbook: Identifier
    title: LocalizedText
    settle: Duration = timedelta(0)
    """How long everything must have worked before it counts as restored; shorter gaps are part of the outage."""
    steps: tuple[StepTemplate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [step.id for step in self.steps]
        doubles = sorted({name for name in ids if ids.count(name) > 1})
        if doubles:
            raise invalid(f"steps named twice: {', '.join(doubles)}", "an id of its own for each step")
        return self


def parse_playbook(document: object) -> Playbook:
    """Return the playbook that a document describes; raises InvalidDocumentError with every problem and its path."""
    try:
        return Playbook.model_validate(document)
    except ValidationError as error:
        raise InvalidDocumentError(problems_of(error, Playbook, document)) from None
