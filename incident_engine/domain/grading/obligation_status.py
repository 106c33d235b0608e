"""The values of an obligation's status: its state, and when it applies, is due and was met."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ObligationState(StrEnum):
    """The state of an obligation at an instant."""

    NOT_APPLICABLE = "not_applicable"
    PENDING = "pending"
    MET = "met"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class ObligationStatus:
    """The status of one instance of an obligation for an incident.

    Of instances of a recurring obligation that were missed in a row only the latest has a status.
    """

    id: str
    cite: str
    to: str
    state: ObligationState
    due_at: datetime | None = None
    applies_at: datetime | None = None
    """When its condition is reached; None: never, if no new fact arrives."""
    met_at: datetime | None = None
    met_by: str | None = None
    met_late: bool = False
    """It was met after `due_at`."""
    overdue_at_detection: bool = False
    """It was due before the incident was known."""
    instance: str = ""
    """The name of the instance; empty if there is only one."""
    guessed_years: tuple[int, ...] = ()
    """Years without officially published days off in which working days up to `due_at` were counted."""
    missed: int = 0
    """How many instances in a row were missed, this one included."""

    @property
    def key(self) -> str:
        """Return the unique name of this instance in the pack."""
        return f"{self.id}.{self.instance}" if self.instance else self.id
