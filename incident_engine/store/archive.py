"""Incidents that are archived: everything that is stored of one as a document, and what stays of it in the database."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    Table,
    bindparam,
    create_engine,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.pool import StaticPool

from incident_engine.common.errors import ArchiveError
from incident_engine.domain.events.types import EventType
from incident_engine.store.prepared import Prepared
from incident_engine.store.schema import newest_revision
from incident_engine.store.tables import (
    Instant,
    archived_incidents,
    assessments,
    attempts,
    cases,
    deliveries,
    events,
    metadata,
    packs,
    reports,
    steps,
    timers,
)

FORMAT = "incident-engine/archive/1"
_PARTS: Mapping[str, Table] = {
    "packs": packs,
    "events": events,
    "maintenance": events,
    "assessments": assessments,
    "steps": steps,
    "deliveries": deliveries,
    "attempts": attempts,
    "reports": reports,
}
"""The parts of a document beside the incident itself, in an order in which they can be stored again."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What stays of an incident in the database. `file` is in retention.directory."""

    id: str
    service_group: str
    levels: Mapping[str, str | None]
    """The level by pack; None: below the lowest."""
    occurred_at: datetime
    closed_at: datetime
    file: str
    sha256: str
    """Of the document in the file, without the end of the line."""
    archived_at: datetime


_COLUMNS = tuple(Archived.__slots__)


def document_of(connection: Connection, case_id: str) -> dict[str, Any] | None:
    """Return everything that is stored of an incident, in JSON values; None if there is none.

    It can be read without anything else: it has the packs under which it was graded, and the maintenance of its
    services. Rows are those of the tables; instants are ISO 8601 in UTC.
    """
    row = connection.execute(select(cases).where(cases.c.id == case_id)).mappings().one_or_none()
    if row is None:
        return None
    parts = {
        name: [_spelled(table, found) for found in connection.execute(_rows_of(name, case_id)).mappings()]
        for name, table in _PARTS.items()
    }
    return {"format": FORMAT, "schema": newest_revision(), "incident": _spelled(cases, row), **parts}


def line_of(document: Mapping[str, Any]) -> bytes:
    """Return a document as one line, without its end. The same document is always the same line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


@contextmanager
def open_documents(documents: Iterable[Mapping[str, Any]]) -> Iterator[Connection]:
    """Open documents as a database in memory, so that archived incidents are read like any other.

    Raises ArchiveError if they are of a format that this version does not know.
    """
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    try:
        with engine.connect() as connection, connection.begin():
            for document in documents:
                _put(connection, document)
            yield connection
    finally:
        engine.dispose()


def mark_chosen(connection: Connection, case_id: str, file: str) -> None:
    """Note that an incident is to be archived in a file. What it will be called is on disk before the file is."""
    row = connection.execute(select(cases).where(cases.c.id == case_id)).one()
    verdicts = connection.execute(
        select(assessments.c.pack, assessments.c.level)
        .where(assessments.c.case_id == case_id)
        .order_by(assessments.c.seq)
    )
    connection.execute(
        insert(archived_incidents).values(
            id=case_id,
            service_group=row.service_group,
            levels={verdict.pack: verdict.level for verdict in verdicts},  # the latest of each pack
            occurred_at=row.first_at,
            closed_at=row.closed_at,
            file=file,
        )
    )


def unmark_chosen(connection: Connection, case_id: str) -> None:
    """Note that an incident stays after all."""
    connection.execute(
        delete(archived_incidents).where(archived_incidents.c.id == case_id, archived_incidents.c.archived_at.is_(None))
    )


def chosen(connection: Connection) -> dict[str, list[str]]:
    """Return the incidents that were chosen and are not removed yet, by file."""
    found: dict[str, list[str]] = {}
    rows = connection.execute(
        select(archived_incidents.c.id, archived_incidents.c.file)
        .where(archived_incidents.c.archived_at.is_(None))
        .order_by(archived_incidents.c.file, archived_incidents.c.closed_at, archived_incidents.c.id)
    )
    for row in rows:
        found.setdefault(row.file, []).append(row.id)
    return found


def is_in_use(connection: Connection, file: str) -> bool:
    """Return whether an incident was removed from the database for a file: then nothing may replace the file."""
    query = select(archived_incidents.c.id).where(
        archived_incidents.c.file == file, archived_incidents.c.archived_at.is_not(None)
    )
    return connection.scalar(query.limit(1)) is not None


def remove(connection: Connection, case_id: str, sha256: str, now: datetime) -> None:
    """Remove an incident that is in the file of its choice.

    Of its events the keys stay, so that one that is sent again is known and opens no other incident; they belong to
    no incident and no service any more, and their content is in the file.
    """
    mine = select(deliveries.c.id).where(deliveries.c.case_id == case_id)
    connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(mine)))
    for table in (deliveries, steps, reports, assessments, timers):
        connection.execute(delete(table).where(table.c.case_id == case_id))
    connection.execute(
        update(events)
        .where(events.c.case_id == case_id)
        .values(case_id=None, service=None, document={"archived": case_id})
    )
    connection.execute(delete(cases).where(cases.c.id == case_id))
    connection.execute(
        update(archived_incidents).where(archived_incidents.c.id == case_id).values(sha256=sha256, archived_at=now)
    )


def archived(connection: Connection, case_id: str) -> Archived | None:
    """Return what stays of an incident that was removed; None if it was not."""
    row = _GONE.row(connection, id=case_id)
    return None if row is None else Archived(*row)


def archived_between(connection: Connection, start: datetime, end: datetime) -> list[Archived]:
    """Return what stays of the incidents that began in [start, end), in order."""
    query = _archived().where(archived_incidents.c.occurred_at >= start, archived_incidents.c.occurred_at < end)
    rows = connection.execute(query.order_by(archived_incidents.c.occurred_at, archived_incidents.c.id)).mappings()
    return [Archived(**row) for row in rows]


def archive_size(connection: Connection) -> int:
    """Return how many incidents are archived."""
    query = select(func.count()).select_from(archived_incidents).where(archived_incidents.c.archived_at.is_not(None))
    return int(connection.scalar(query) or 0)


def latest_archived(connection: Connection, limit: int, offset: int) -> list[Archived]:
    """Return what stays of archived incidents, those that began last first."""
    query = _archived().order_by(archived_incidents.c.occurred_at.desc(), archived_incidents.c.id)
    return [Archived(**row) for row in connection.execute(query.limit(limit).offset(offset)).mappings()]


def _archived() -> Select[Any]:
    columns = [archived_incidents.c[name] for name in _COLUMNS]
    return select(*columns).where(archived_incidents.c.archived_at.is_not(None))


_GONE = Prepared(_archived().where(archived_incidents.c.id == bindparam("id")))


def _rows_of(part: str, case_id: str) -> Select[Any]:
    match part:
        case "packs":
            used = select(assessments.c.content_hash).where(assessments.c.case_id == case_id)
            return select(packs).where(packs.c.content_hash.in_(used)).order_by(packs.c.content_hash)
        case "maintenance":
            services = select(events.c.service).where(events.c.case_id == case_id)
            of_none = events.c.case_id.is_(None) & (events.c.type == EventType.MAINTENANCE_ANNOUNCED.value)
            return select(events).where(of_none, events.c.service.in_(services)).order_by(events.c.seq)
        case "attempts":
            mine = select(deliveries.c.id).where(deliveries.c.case_id == case_id)
            return select(attempts).where(attempts.c.delivery_id.in_(mine)).order_by(attempts.c.seq)
        case _:
            table = _PARTS[part]
            return select(table).where(table.c.case_id == case_id).order_by(*table.primary_key.columns)


def _spelled(table: Table, row: RowMapping) -> dict[str, Any]:
    return {
        column.name: row[column.name].isoformat() if isinstance(row[column.name], datetime) else row[column.name]
        for column in table.columns
    }


def _put(connection: Connection, document: Mapping[str, Any]) -> None:
    if document["format"] != FORMAT:
        raise ArchiveError(f"an archive of the format '{document['format']}' is of a newer incident-engine; use that")
    connection.execute(insert(cases).values(**_parsed(cases, document["incident"])))
    for name, table in _PARTS.items():
        for row in document[name]:
            statement = insert(table).values(**_parsed(table, row))
            shared = table in (packs, events)  # of several incidents
            connection.execute(statement.prefix_with("OR IGNORE") if shared else statement)


def _parsed(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's values; columns that there are no more are left out, those that are new have their default."""
    return {
        name: datetime.fromisoformat(value).astimezone(UTC)
        if value is not None and isinstance(table.columns[name].type, Instant)
        else value
        for name, value in row.items()
        if name in table.columns
    }
