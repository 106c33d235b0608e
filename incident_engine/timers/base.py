"""The contract of timers, on one machine or on several."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Protocol

from incident_engine.store.unit_of_work import UnitOfWork


class Timers(Protocol):
    """Wakes the engine at due instants. It decides nothing: the rows say what is due."""

    @property
    def is_alive(self) -> bool:
        """Return whether the timers work."""
        ...

    def start(self) -> None:
        """Start the timers."""
        ...

    def enqueue(self, unit: UnitOfWork) -> None:
        """Store the next due instant in a transaction that is about to be committed."""
        ...

    def arm(self, instant: datetime | None) -> None:
        """Wake the engine at `instant` and no other. None: not until the next call."""
        ...

    def every_month(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` at the beginning of each month, in the morning of a time zone: once, however many replicas."""
        ...

    def every_day(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` once a day, at night in a time zone: once, however many replicas."""
        ...

    @property
    def heartbeat_at(self) -> float:
        """Return the tick of the last heartbeat."""
        ...

    @property
    def pulse_at(self) -> float:
        """Return the tick at which the scheduler last ran."""
        ...

    def stop(self) -> None:
        """Stop, after the work under way."""
        ...
