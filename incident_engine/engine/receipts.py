"""The receipt of a reported event, and the interface over which events are reported."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from incident_engine.common.errors import Problem
from incident_engine.common.telemetry import EventOutcome
from incident_engine.domain.events.effect import RECORDED, EventEffect
from incident_engine.domain.events.model import Event, Repeats
from incident_engine.store.unit_of_work import UnitOfWork


class Receipt(NamedTuple):
    """The outcome of one reported event, with its incident (None: maintenance, or quarantined)."""

    source: str
    id: str
    outcome: EventOutcome
    incident: str | None
    touched: tuple[str, ...] = ()
    """The cases that the event changed or may affect."""
    effect: EventEffect = RECORDED


class EventReporter(Protocol):
    """Takes events into their cases, within a transaction of the writer. `engine.service.Engine` is the one."""

    def report(
        self,
        unit: UnitOfWork,
        events: Sequence[Event | None],
        now: datetime,
        problems: Sequence[Problem] = (),
        repeats: Repeats = Repeats.EXACT,
    ) -> list[Receipt]:
        """Append new events and have their cases updated. Return a receipt for each event, in the given order.

        `problems` were found while parsing; an event that could not be parsed is None. `repeats` tells how an event
        under a known key is read. Raises InvalidDocumentError if there are problems, or if an event names something
        that does not exist, and ConflictError if the only problems are known keys with another content; then nothing
        is stored. An alert that contradicts the known one is quarantined instead.
        """
        ...

    def report_each(
        self, unit: UnitOfWork, events: Sequence[Event], now: datetime, repeats: Repeats = Repeats.EXACT
    ) -> list[Receipt]:
        """Report valid events one by one, each in a savepoint; an event at which the engine fails is quarantined.

        The fallback of `report`, which fails as a whole. Raises InvalidDocumentError as `report` does.
        """
        ...
