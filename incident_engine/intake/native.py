"""Events in the native format: one JSON object or an array of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pydantic_core
from pydantic import ValidationError

from incident_engine.errors import InvalidDocumentError, MalformedBodyError, Problem
from incident_engine.facts.events import EVENTS, KNOWN_SERVICES, Event
from incident_engine.validation import problems_of


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises MalformedBodyError with line and column."""
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _malformed(body, error) from None


def _malformed(body: bytes, error: ValueError) -> MalformedBodyError:
    try:
        json.loads(body)
    except json.JSONDecodeError as exact:
        return MalformedBodyError(exact.msg, exact.lineno, exact.colno)
    except UnicodeDecodeError as exact:
        before = body[: exact.start]
        column = exact.start - (before.rfind(b"\n") + 1) + 1
        return MalformedBodyError("not UTF-8", before.count(b"\n") + 1, column)
    except (ValueError, RecursionError):
        pass  # only the stricter reader refuses it
    return MalformedBodyError(str(error), 1, 1)


def parse_events(document: object, services: Mapping[str, object] | None) -> list[Event]:
    """Return the events of a document: one object or an array. `services` are the known ones; None accepts any.

    Raises InvalidDocumentError with every problem; its paths point into the document as it was given.
    """
    single = not isinstance(document, list)
    many = [document] if single else document
    try:
        return EVENTS.validate_python(many, context={KNOWN_SERVICES: services})
    except ValidationError as error:
        problems = problems_of(error, list[Event], many)
        raise InvalidDocumentError(relocated(problems) if single else problems) from None


def refuse_future(events: Sequence[Event], now: datetime, skew: timedelta) -> None:
    """Raise InvalidDocumentError if an event claims to have occurred later than the clocks' skew can explain."""
    problems = list(_from_the_future(events, now, skew))
    if problems:
        raise InvalidDocumentError(problems)


def _from_the_future(events: Sequence[Event], now: datetime, skew: timedelta) -> Iterator[Problem]:
    for place, event in enumerate(events):
        if event.occurred_at > now + skew:
            ahead = event.occurred_at - now
            said = f"lies {ahead} ahead of this machine's clock ({now.isoformat(timespec='seconds')})"
            yield Problem((place, "occurred_at"), said, "an instant that has come; compare the clocks of both machines")


def relocated(problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems of a list of one as those of its only item."""
    return [Problem(problem.path[1:], problem.message, problem.expected, problem.nearest) for problem in problems]
