"""What the engine reads and writes within the writer's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, or_, select

from incident_engine.domain.events.model import EVENT, Recorded, wire_json
from incident_engine.domain.events.types import EventType
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.incidents.correlation import Span
from incident_engine.store import deliveries as outgoing
from incident_engine.store.dialect import driver, fetch, told_as_sqlalchemy, upsert
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import (
    assessments,
    deliveries,
    events,
    incidents,
    microseconds,
    packs,
    quarantine,
    timers,
)


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """What is stored of an incident beside its events."""

    id: str
    pack_hashes: Mapping[str, str]


Key = tuple[str, str]
"""An event's idempotency key: source and id."""


def known_events(connection: Connection, keys: Iterable[Key]) -> dict[Key, str | None]:
    """Return those of the events that are already stored, each with its incident (None: of no incident)."""
    by_source: dict[str, list[str]] = {}
    for source, event_id in keys:
        by_source.setdefault(source, []).append(event_id)
    found: dict[Key, str | None] = {}
    for source, ids in by_source.items():
        for start in range(0, len(ids), _ASKED_AT_ONCE):
            part = ids[start : start + _ASKED_AT_ONCE]
            rows = fetch(connection, _known(connection.dialect.paramstyle, len(part)), (source, *part))
            found.update({(source, event_id): incident_id for event_id, incident_id in rows})
    return found


_ASKED_AT_ONCE = 64


@cache
def _known(paramstyle: str, size: int) -> str:
    mark = _mark(paramstyle)
    return (
        f"SELECT event_id, incident_id FROM events WHERE source = {mark} AND event_id IN ({', '.join([mark] * size)})"  # noqa: S608 - no data
    )


def _mark(paramstyle: str) -> str:
    return "?" if paramstyle == "qmark" else "%s"


def incident(connection: Connection, incident_id: str) -> IncidentRow | None:
    """Return an incident."""
    row = _INCIDENT.row(connection, id=incident_id)
    return None if row is None else IncidentRow(row.id, row.packs)


_INCIDENT = Prepared(select(incidents.c.id, incidents.c.packs).where(incidents.c.id == bindparam("id")))


def service_group(connection: Connection, incident_id: str) -> str:
    """Return the service group of a stored incident."""
    return str(_GROUP.value(connection, id=incident_id))


_GROUP = Prepared(select(incidents.c.service_group).where(incidents.c.id == bindparam("id")))


def closed_at(connection: Connection, incident_id: str) -> datetime | None:
    """Return when an incident was closed, as it was known up to now."""
    return connection.scalar(select(incidents.c.closed_at).where(incidents.c.id == incident_id))


def recent_incident_ids(connection: Connection, limit: int) -> list[str]:
    """Return the ids of the incidents opened last."""
    return list(connection.scalars(select(incidents.c.id).order_by(incidents.c.opened_at.desc()).limit(limit)))


def open_spans(connection: Connection, group: str) -> list[Span]:
    """Return how far each open incident of a service group reaches."""
    rows = _OPEN_SPANS.rows(connection, group=group)
    return [Span(row.id, group, row.first_at, row.last_at, is_shell=not row.services) for row in rows]


_OPEN_SPANS = Prepared(
    select(incidents.c.id, incidents.c.first_at, incidents.c.last_at, incidents.c.services).where(
        incidents.c.service_group == bindparam("group"), incidents.c.closed_at.is_(None)
    )
)


def insert_incident(
    connection: Connection, incident_id: str, group: str, at: datetime, now: datetime, pack_hashes: Mapping[str, str]
) -> None:
    """Store a new incident, which keeps the packs with which it began."""
    values = {
        "id": incident_id,
        "service_group": group,
        "opened_at": now,
        "first_at": at,
        "last_at": at,
        "severity": 0,
        "packs": dict(pack_hashes),
        "services": [],
        "regions": [],
    }
    insert_row(connection, incidents, values)


def update_incident(connection: Connection, incident_id: str, values: Mapping[str, Any]) -> None:
    """Store what the latest assessment says of an incident."""
    update_row(connection, incidents, incident_id, values)


def keep_pack(connection: Connection, pack: Pack) -> None:
    """Keep a pack's content, so that its verdicts can always be explained and incidents go on with it."""
    document = pack.model_dump(mode="json", by_alias=True, exclude={"cases"}, exclude_none=True)
    connection.execute(
        upsert(connection.dialect.name, packs)
        .values(content_hash=pack.content_hash, pack=pack.pack, version=pack.version, document=document)
        .on_conflict_do_nothing()
    )


def kept_pack(connection: Connection, content_hash: str) -> Pack | None:
    """Return a pack by the hash of its content."""
    document = connection.scalar(select(packs.c.document).where(packs.c.content_hash == content_hash))
    return None if document is None else parse_pack(document)


class EventRow(NamedTuple):
    """An event as the database has it: instants in microseconds, the event in JSON."""

    source: str
    event_id: str
    incident_id: str | None
    type: str
    service: str | None
    occurred_at: int
    received_at: int
    document: str


def event_row(recorded: Recorded, incident_id: str | None) -> EventRow:
    """Return an event as a row."""
    event = recorded.event
    instants = microseconds(event.occurred_at), microseconds(recorded.received_at)
    about = event.source, event.id, incident_id, event.type.value, event.service
    return EventRow(*about, *instants, wire_json(event))


def append_all(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Store events; they are never changed and never deleted."""
    done = 0
    for size in _AT_ONCE:
        statement = _appending(connection.dialect.paramstyle, size)
        while len(rows) - done >= size:
            values = tuple(chain.from_iterable(rows[done : done + size]))
            with told_as_sqlalchemy(connection, statement):
                driver(connection).execute(statement, values)
            done += size


_AT_ONCE = 64, 8, 1
"""Rows in one statement: few sizes, so that each is prepared once; few statements, for each gives way to others."""


@cache
def _appending(paramstyle: str, size: int) -> str:
    mark = _mark(paramstyle)
    row = f"({', '.join([mark] * len(EventRow._fields))})"
    return f"INSERT INTO events ({', '.join(EventRow._fields)}) VALUES {', '.join([row] * size)}"  # noqa: S608 - no data


def events_of(connection: Connection, incident_id: str, until: int | None = None) -> list[Recorded]:
    """Return an incident's events in the order in which they were received, with the maintenance of its services.

    `until` leaves out what was stored after the event with that number.
    """
    rows = _EVENTS.rows(connection, id=incident_id, until=_ALL if until is None else until)
    return [Recorded(EVENT.validate_python(row.document), row.received_at) for row in rows]


_ALL = 2**63 - 1
_EVENTS = Prepared(
    select(events.c.document, events.c.received_at)
    .where(
        or_(
            events.c.incident_id == bindparam("id"),
            events.c.incident_id.is_(None)
            & events.c.service.in_(select(events.c.service).where(events.c.incident_id == bindparam("id"))),
        ),
        events.c.seq <= bindparam("until"),
    )
    .order_by(events.c.seq)
)


def incidents_with_event(connection: Connection, kind: EventType) -> list[str]:
    """Return the ids of the incidents that have an event of a type."""
    query = (
        select(events.c.incident_id).where(events.c.type == kind.value, events.c.incident_id.is_not(None)).distinct()
    )
    return list(connection.scalars(query))


def last_event(connection: Connection) -> int:
    """Return the number of the event stored last; 0 if there is none."""
    return int(_LAST_EVENT.value(connection) or 0)


_LAST_EVENT = Prepared(select(func.max(events.c.seq)))


def incidents_since(connection: Connection, seq: int) -> list[tuple[str | None, str | None]]:
    """Return the incidents of the events after a number, each with its service group; (None, None): maintenance."""
    query = (
        select(events.c.incident_id, incidents.c.service_group)
        .join(incidents, incidents.c.id == events.c.incident_id, isouter=True)
        .where(events.c.seq > seq)
        .distinct()
    )
    return [(row.incident_id, row.service_group) for row in connection.execute(query)]


def latest_assessments(connection: Connection, incident_id: str) -> dict[str, dict[str, Any]]:
    """Return the documents of an incident's latest verdicts, by pack."""
    return {row.pack: row.document for row in _LATEST.rows(connection, id=incident_id)}


_LATEST = Prepared(
    select(assessments.c.pack, assessments.c.document).where(
        assessments.c.seq.in_(
            select(func.max(assessments.c.seq))
            .where(assessments.c.incident_id == bindparam("id"))
            .group_by(assessments.c.pack)
        )
    )
)


def insert_assessment(connection: Connection, incident_id: str, at: datetime, document: Mapping[str, Any]) -> None:
    """Store a verdict."""
    values = {
        "incident_id": incident_id,
        "at": at,
        "events_until": last_event(connection),
        "document": dict(document),
        **{name: document[name] for name in ("pack", "version", "content_hash", "level", "held")},
    }
    insert_row(connection, assessments, values)


def insert_deliveries(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Store deliveries to be made."""
    for row in rows:
        insert_row(connection, deliveries, row)


def set_timer(connection: Connection, incident_id: str, due_at: datetime | None) -> None:
    """Set when an incident must be looked at again, or that it need not be."""
    if due_at is None:
        _DELETE_TIMER.run(connection, {"id": incident_id})
        return
    _set_timer(connection.dialect.name).run(connection, {"incident_id": incident_id, "due_at": due_at})


_DELETE_TIMER = Prepared(delete(timers).where(timers.c.incident_id == bindparam("id")))


@cache
def _set_timer(dialect: str) -> Prepared:
    statement = upsert(dialect, timers)
    new = {"due_at": statement.excluded.due_at}
    return Prepared(
        statement.on_conflict_do_update(index_elements=["incident_id"], set_=new), ("incident_id", "due_at")
    )


def due_timers(connection: Connection, now: datetime, limit: int) -> list[tuple[str, datetime]]:
    """Return the incidents to be looked at, those waiting longest first."""
    return [(row.incident_id, row.due_at) for row in _DUE.rows(connection, now=now, limit=limit)]


_DUE = Prepared(
    select(timers.c.incident_id, timers.c.due_at)
    .where(timers.c.due_at <= bindparam("now"))
    .order_by(timers.c.due_at)
    .limit(bindparam("limit"))
)


def next_due(connection: Connection) -> tuple[datetime | None, datetime | None]:
    """Return the earliest instants at which an incident must be looked at and a delivery be attempted."""
    return _NEXT_TIMER.value(connection), outgoing.earliest_due(connection)


_NEXT_TIMER = Prepared(select(func.min(timers.c.due_at)))


def put_in_quarantine(
    connection: Connection, source: str, key: str, reason: str, detail: str, document: Any, now: datetime
) -> bool:
    """Keep what could not be mapped; the same again only counts up. Return whether it is new."""
    statement = upsert(connection.dialect.name, quarantine).values(
        source=source,
        key=key,
        reason=reason,
        detail=detail,
        document=document,
        first_received_at=now,
        last_received_at=now,
        times=1,
    )
    times = connection.scalar(
        statement.on_conflict_do_update(
            index_elements=["source", "key"],
            set_={
                "times": quarantine.c.times + 1,
                "last_received_at": statement.excluded.last_received_at,
                "reason": statement.excluded.reason,
                "detail": statement.excluded.detail,
            },
        ).returning(quarantine.c.times)
    )
    return bool(times == 1)


def is_anything_in_quarantine(connection: Connection) -> bool:
    """Return whether anything waits to be mapped."""
    return bool(fetch(connection, "SELECT 1 FROM quarantine LIMIT 1"))


def release_from_quarantine(connection: Connection, source: str, keys: Iterable[str]) -> None:
    """Remove what could not be mapped before and can be now."""
    wanted = list(keys)
    for start in range(0, len(wanted), _ASKED_AT_ONCE):
        part = wanted[start : start + _ASKED_AT_ONCE]
        connection.execute(delete(quarantine).where(quarantine.c.source == source, quarantine.c.key.in_(part)))
