"""The table of events: append only."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, or_, select

from incident_engine.domain.events.model import EVENT, Recorded, wire_json
from incident_engine.domain.events.types import EventType
from incident_engine.store.dialect import as_sqlalchemy_errors, driver, fetch
from incident_engine.store.prepared import Prepared
from incident_engine.store.tables import cases, events, microseconds

Key = tuple[str, str]
"""An event's idempotency key: source and id."""


class StoredEvent(NamedTuple):
    """An event that is stored already: its case (None: of no case), and its document in JSON."""

    case_id: str | None
    document: str


def known_events(connection: Connection, keys: Iterable[Key]) -> dict[Key, StoredEvent]:
    """Return the events of these keys that are already stored."""
    by_source: dict[str, list[str]] = {}
    for source, event_id in keys:
        by_source.setdefault(source, []).append(event_id)
    stored: dict[Key, StoredEvent] = {}
    for source, ids in by_source.items():
        for start in range(0, len(ids), IDS_AT_ONCE):
            part = ids[start : start + IDS_AT_ONCE]
            rows = fetch(connection, _known_query(connection.dialect.paramstyle, len(part)), (source, *part))
            stored.update({(source, event_id): StoredEvent(case_id, text) for event_id, case_id, text in rows})
    return stored


IDS_AT_ONCE = 64
"""Ids in one query. It bounds the number of distinct statements, each of which is cached."""


@cache
def _known_query(paramstyle: str, size: int) -> str:
    mark, is_sqlite = _mark(paramstyle), paramstyle == "qmark"
    document = "document" if is_sqlite else "document::text"  # as text it is compared without being parsed
    marks = ", ".join([mark] * size)
    return f"SELECT event_id, case_id, {document} FROM events WHERE source = {mark} AND event_id IN ({marks})"  # noqa: S608 - no data


def _mark(paramstyle: str) -> str:
    return "?" if paramstyle == "qmark" else "%s"


class EventRow(NamedTuple):
    """A row of the table: instants in microseconds since 1970, the event's document in JSON."""

    source: str
    event_id: str
    case_id: str | None
    type: str
    service: str | None
    occurred_at: int
    received_at: int
    document: str


def event_row(recorded: Recorded, case_id: str | None) -> EventRow:
    """Return an event as a row."""
    event = recorded.event
    return EventRow(
        event.source,
        event.id,
        case_id,
        event.type.value,
        event.service,
        microseconds(event.occurred_at),
        microseconds(recorded.received_at),
        wire_json(event),
    )


def append_all(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Store events. They are never deleted, and only an archived case's events are changed (see `archive.remove`)."""
    done = 0
    for size in _ROWS_AT_ONCE:
        statement = _insert_statement(connection.dialect.paramstyle, size)
        while len(rows) - done >= size:
            values = tuple(chain.from_iterable(rows[done : done + size]))
            with as_sqlalchemy_errors(connection, statement):
                driver(connection).execute(statement, values)
            done += size


_ROWS_AT_ONCE = 64, 8, 1
"""Rows in one statement.

Few sizes, so that the driver prepares each once; large ones, because each execution yields the interpreter lock."""


@cache
def _insert_statement(paramstyle: str, size: int) -> str:
    mark = _mark(paramstyle)
    row = f"({', '.join([mark] * len(EventRow._fields))})"
    return f"INSERT INTO events ({', '.join(EventRow._fields)}) VALUES {', '.join([row] * size)}"  # noqa: S608 - no data


def events_of(connection: Connection, case_id: str, until: int | None = None) -> list[Recorded]:
    """Return a case's events in the order in which they were received, with the maintenance of its services.

    `until` leaves out the events after that `seq`.
    """
    rows = _EVENTS.rows(connection, id=case_id, until=_ALL if until is None else until)
    return [Recorded(EVENT.validate_python(row.document), row.received_at) for row in rows]


_ALL = 2**63 - 1
"""The largest `seq`, so that one statement serves with and without a limit."""


_EVENTS = Prepared(
    select(events.c.document, events.c.received_at)
    .where(
        or_(
            events.c.case_id == bindparam("id"),
            events.c.case_id.is_(None)
            & events.c.service.in_(select(events.c.service).where(events.c.case_id == bindparam("id"))),
        ),
        events.c.seq <= bindparam("until"),
    )
    .order_by(events.c.seq)
)


def cases_with_event(connection: Connection, kind: EventType) -> list[str]:
    """Return the ids of the cases that have an event of a type."""
    query = select(events.c.case_id).where(events.c.type == kind.value, events.c.case_id.is_not(None)).distinct()
    return list(connection.scalars(query))


def last_event(connection: Connection) -> int:
    """Return the `seq` of the event that was stored last; 0 if there is none."""
    return int(_LAST_EVENT.value(connection) or 0)


_LAST_EVENT = Prepared(select(func.max(events.c.seq)))


def cases_since(connection: Connection, seq: int) -> list[tuple[str | None, str | None]]:
    """Return (case id, service group) of each case with events after a `seq`; (None, None) stands for maintenance."""
    query = (
        select(events.c.case_id, cases.c.service_group)
        .join(cases, cases.c.id == events.c.case_id, isouter=True)
        .where(events.c.seq > seq)
        .distinct()
    )
    return [(row.case_id, row.service_group) for row in connection.execute(query)]
