"""Builds the events of people's actions on steps, for the API and the signed links alike."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from incident_engine.common.clock import Clock
from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.validation import problems_of
from incident_engine.domain.events.model import EVENT, Event, Repeats
from incident_engine.domain.events.reserved import reserved_person
from incident_engine.domain.events.types import EventType
from incident_engine.engine.receipts import EventReporter, Receipt
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer

_TYPES: Mapping[str, EventType] = {
    "acknowledge": EventType.STEP_ACKNOWLEDGED,
    "approve": EventType.STEP_APPROVED,
    "complete": EventType.STEP_COMPLETED,
    "skip": EventType.STEP_SKIPPED,
    "assign": EventType.STEP_ASSIGNED,
    "add": EventType.STEP_ADDED,
    "close": EventType.INCIDENT_CLOSED,
}


class ActionEvents:
    """Builds the events of people's actions and reports them to the engine."""

    def __init__(self, engine: EventReporter, writer: Writer, clock: Clock) -> None:
        self._engine = engine
        self._writer = writer
        self._clock = clock

    def event(self, source: str, name: str, action: str, incident_id: str, data: Mapping[str, Any]) -> Event:
        """Return the event of an action. Raises InvalidDocumentError with paths into `data`."""
        document = {
            "source": source,
            "id": name,
            "type": _TYPES[action],
            "incident": incident_id,
            "occurred_at": self._clock.now(),
            "data": dict(data),
        }
        try:
            event = EVENT.validate_python(document)
        except ValidationError as error:
            problems = problems_of(error, Event, document)
            raise InvalidDocumentError([_in_body(problem) for problem in problems]) from None
        reserved = list(reserved_person(event.data))
        if reserved:
            raise InvalidDocumentError(reserved)
        return event

    async def report(self, event: Event) -> Receipt:
        """Report an event; return its receipt after the commit. Raises InvalidDocumentError, as `event` does.

        Raises ConflictError if its id is known from another action.
        """

        def work(unit: UnitOfWork) -> list[Receipt]:
            return self._engine.report(unit, [event], self._clock.now(), repeats=Repeats.STAMPED)

        try:
            receipts = await asyncio.wrap_future(self._writer.submit(work))
        except InvalidDocumentError as error:
            raise type(error)([_in_body(problem) for problem in error.problems]) from None
        return receipts[0]


def _in_body(problem: Problem) -> Problem:
    """Return a problem of an event with its path in the body that was sent, which is the event's `data`."""
    path = [part for part in problem.path if part not in (0, "data")]
    return Problem(tuple(path), problem.message, problem.expected, problem.nearest)
