"""The instants at which the recovery of an unrepaired failure is forecast."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ForecastPoint:
    """An instant at which the service of an unrepaired failure is closed."""

    at: datetime
    recovery_at: datetime | None
    """The recovery expected at that instant; None if there was no estimate."""
