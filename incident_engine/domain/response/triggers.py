"""Triggers: the conditions that start a step of a playbook."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.events.types import Reportable
from incident_engine.domain.values import Duration, Identifier

ANY_LEVEL = "any"
"""Stands for every level that is not named."""


def _for_any(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {ANY_LEVEL: value}


LengthByLevel = Annotated[
    dict[Identifier, Duration],
    BeforeValidator(_for_any, json_schema_input_type=Duration | dict[Identifier, Duration]),
]
"""One length of time for every level, or one for each."""
DaysByLevel = Annotated[
    dict[Identifier, Annotated[int, Field(ge=1, le=250)]],
    BeforeValidator(_for_any, json_schema_input_type=int | dict[Identifier, int]),
]


class ObligationMoment(StrEnum):
    """The moments of an obligation at which a step can begin."""

    APPLIES = "applies"
    DUE = "due"
    OVERDUE = "overdue"


class ObligationTrigger(Strict):
    """A moment of an obligation of a chosen pack; nothing begins once the obligation is met."""

    id: Identifier
    when: ObligationMoment
    before: Duration = timedelta(0)

    @model_validator(mode="after")
    def _before_what(self) -> Self:
        if self.before and self.when is not ObligationMoment.DUE:
            raise invalid(f"'before' has no effect with when: {self.when}", "when: due")
        return self


class EstimateMoment(StrEnum):
    """The events of an estimated recovery."""

    PASSED = "passed"
    """Its instant has come and something is still down."""
    MOVED = "moved"
    """A later estimate replaces it, whether it had passed or not."""


class NextLevelTrigger(Strict):
    """A length of time before a level that will be reached if nothing changes."""

    before: Duration

    @model_validator(mode="after")
    def _is_before(self) -> Self:
        if not self.before:
            raise invalid("a step at the level itself has another trigger", "a longer time, or level_reached")
        return self


class Trigger(Strict):
    """The trigger of a step. Exactly one key is given."""

    opened: Literal[True] | None = None
    """Once for an incident, as soon as an outage or a harm begins that has no level yet."""
    next_level: NextLevelTrigger | None = None
    """So long before each level that will be reached if nothing changes; at once if less time is left."""
    reported_late: Literal[True] | None = None
    """When an outage is reported later than `intake.confirm_after` after it began. The completion confirms its time."""
    level_reached: tuple[Identifier, ...] | None = Field(default=None, min_length=1)
    """Once for each of these levels that is reached."""
    level_rose: Literal[True] | None = None
    """Each time a rule raises the level of an incident that has one already."""
    first_level: Literal[True] | None = None
    """Once for each stretch of impairment that lasts, as soon as the incident has any level."""
    scope_grew: Literal[True] | None = None
    """When, in a graded incident, another service or region is hit or something breaks again, and it lasts."""
    restored: Literal[True] | None = None
    """Once everything has worked again for `settle`, or when a person closes the graded incident before."""
    observed: Literal[True] | None = None
    """Once everything has worked again for the time of observation, and nobody has closed the graded incident."""
    closed: Literal[True] | None = None
    """When a person closes the graded incident."""
    level_corrected: Literal[True] | None = None
    """Each time a person changes the level; a confirmation changes nothing."""
    estimate: EstimateMoment | None = None
    """Each time an estimated recovery passes, or is replaced by a later one, in a graded incident."""
    event: tuple[Reportable, ...] | None = Field(default=None, min_length=1)
    """Each event of these types, graded or not."""
    task_added: Literal[True] | None = None
    """Each task that a person adds; it goes to the assignee, or to the step's audience."""
    obligation: ObligationTrigger | None = None

    @property
    def is_before_level(self) -> bool:
        """Return whether it occurs before a level is reached, so that the incident may have none."""
        return bool(self.opened or self.next_level)

    @property
    def is_of_the_end(self) -> bool:
        """Return whether everything works again when it occurs."""
        return bool(self.restored or self.observed or self.closed)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        keys = tuple(type(self).model_fields)
        present = [key for key in keys if getattr(self, key) is not None]
        if len(present) != 1:
            raise invalid(f"a step has one trigger, not {len(present)}", f"one of: {', '.join(keys)}")
        return self
