"""What the daemon asks of a timekeeper, on one machine or on several."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Protocol

from incident_engine.store.unit_of_work import UnitOfWork


class Timers(Protocol):
    """Wakes the engine when something is due. It only wakes: what is due, and whether, the rows say."""

    @property
    def is_alive(self) -> bool:
        """Return whether time is kept."""
        ...

    def start(self) -> None:
        """Begin to keep time."""
        ...

    def enqueue(self, unit: UnitOfWork) -> None:
        """Note, in a transaction that is about to be committed, what its rows make due and when."""
        ...

    def arm(self, instant: datetime | None) -> None:
        """Wake up at `instant` and no other; None: not at all, until armed again."""
        ...

    def every_month(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` at the beginning of each month, in the morning of a time zone: once, however many replicas."""
        ...

    def every_day(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` once a day, at night in a time zone: once, however many replicas."""
        ...

    @property
    def heartbeat_at(self) -> float:
        """Return when the heartbeat last did anything, in ticks."""
        ...

    @property
    def pulse_at(self) -> float:
        """Return when what keeps time last did anything, in ticks."""
        ...

    def stop(self) -> None:
        """Stop; work under way is waited for."""
        ...
