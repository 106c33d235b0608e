"""Archiving of incidents: the document with everything stored of one, and the row that stays in the database."""

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
"""The parts of a document beside the incident itself, in an order that satisfies the foreign keys on insertion."""


@dataclass(frozen=True, slots=True)
class Archived:
    """The row that stays of an archived incident."""

    id: str
    service_group: str
    levels: Mapping[str, str | None]
    """The level by pack; None stands for below the lowest."""
    occurred_at: datetime
    closed_at: datetime
    file: str
    """The name of the archive file in retention.directory."""
    sha256: str
    """The digest of the document's line in the file, without its end."""
    archived_at: datetime


_COLUMNS = tuple(Archived.__slots__)


def document_of(connection: Connection, case_id: str) -> dict[str, Any] | None:
    """Return everything that is stored of an incident, in JSON values; None if there is no such incident.

    Shape: `{"format", "schema", "incident": row, "packs": [row], "events": [row], "maintenance": [row], "assessments":
    [row], "steps": [row], "deliveries": [row], "attempts": [row], "reports": [row]}`. Rows have the columns of their
    tables; instants are ISO 8601 in UTC. The document is complete without the database: it contains the packs under
    which the incident was graded and the maintenance of its services.
    """
    row = connection.execute(select(cases).where(cases.c.id == case_id)).mappings().one_or_none()
    if row is None:
        return None
    parts = {
        name: [_to_json(table, part) for part in connection.execute(_rows_of(name, case_id)).mappings()]
        for name, table in _PARTS.items()
    }
    return {"format": FORMAT, "schema": newest_revision(), "incident": _to_json(cases, row), **parts}


def line_of(document: Mapping[str, Any]) -> bytes:
    """Return a document as one line, without its end. The same document always gives the same line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


@contextmanager
def open_documents(documents: Iterable[Mapping[str, Any]]) -> Iterator[Connection]:
    """Load documents into a database in memory, so that archived incidents are read like any other.

    Raises ArchiveError if a document has a format that this version does not know.
    """
    engine = create_engine("sqlite://", poolclass=StaticPool)  # a second connection would see another, empty database
    metadata.create_all(engine)
    try:
        with engine.connect() as connection, connection.begin():
            for document in documents:
                _insert_document(connection, document)
            yield connection
    finally:
        engine.dispose()


def mark_chosen(connection: Connection, case_id: str, file: str) -> None:
    """Record that an incident will be archived in a file.

    The record is on disk before the file: after a crash in between, the next run continues with the same file.
    """
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
    """Record that an incident will not be archived after all."""
    connection.execute(
        delete(archived_incidents).where(archived_incidents.c.id == case_id, archived_incidents.c.archived_at.is_(None))
    )


def chosen(connection: Connection) -> dict[str, list[str]]:
    """Return the ids of the incidents that were chosen for a file and are not removed yet, by file."""
    by_file: dict[str, list[str]] = {}
    rows = connection.execute(
        select(archived_incidents.c.id, archived_incidents.c.file)
        .where(archived_incidents.c.archived_at.is_(None))
        .order_by(archived_incidents.c.file, archived_incidents.c.closed_at, archived_incidents.c.id)
    )
    for row in rows:
        by_file.setdefault(row.file, []).append(row.id)
    return by_file


def is_in_use(connection: Connection, file: str) -> bool:
    """Return whether an incident was removed from the database in favour of a file, which must then never change."""
    query = select(archived_incidents.c.id).where(
        archived_incidents.c.file == file, archived_incidents.c.archived_at.is_not(None)
    )
    return connection.scalar(query.limit(1)) is not None


def remove(connection: Connection, case_id: str, sha256: str, now: datetime) -> None:
    """Remove an incident whose document is in its file under the digest `sha256`.

    The keys of its events stay, without case, service and content: a repeated event is recognised and opens no other
    incident.
    """
    own = select(deliveries.c.id).where(deliveries.c.case_id == case_id)
    connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(own)))
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
    """Return the row of an archived incident; None if it was not archived."""
    row = _ARCHIVED.row(connection, id=case_id)
    return None if row is None else Archived(*row)


def archived_between(connection: Connection, start: datetime, end: datetime) -> list[Archived]:
    """Return the archived incidents that began in [start, end), the earliest first."""
    query = _select_archived().where(archived_incidents.c.occurred_at >= start, archived_incidents.c.occurred_at < end)
    rows = connection.execute(query.order_by(archived_incidents.c.occurred_at, archived_incidents.c.id)).mappings()
    return [Archived(**row) for row in rows]


def archive_size(connection: Connection) -> int:
    """Return the number of archived incidents."""
    query = select(func.count()).select_from(archived_incidents).where(archived_incidents.c.archived_at.is_not(None))
    return int(connection.scalar(query) or 0)


def latest_archived(connection: Connection, limit: int, offset: int) -> list[Archived]:
    """Return a page of archived incidents, the latest to begin first."""
    query = _select_archived().order_by(archived_incidents.c.occurred_at.desc(), archived_incidents.c.id)
    return [Archived(**row) for row in connection.execute(query.limit(limit).offset(offset)).mappings()]


def _select_archived() -> Select[Any]:
    columns = [archived_incidents.c[name] for name in _COLUMNS]
    return select(*columns).where(archived_incidents.c.archived_at.is_not(None))


_ARCHIVED = Prepared(_select_archived().where(archived_incidents.c.id == bindparam("id")))


def _rows_of(part: str, case_id: str) -> Select[Any]:
    match part:
        case "packs":
            used = select(assessments.c.content_hash).where(assessments.c.case_id == case_id)
            return select(packs).where(packs.c.content_hash.in_(used)).order_by(packs.c.content_hash)
        case "maintenance":
            services = select(events.c.service).where(events.c.case_id == case_id)
            # Events of archived incidents have no case either, so the type decides.
            maintenance = events.c.case_id.is_(None) & (events.c.type == EventType.MAINTENANCE_ANNOUNCED.value)
            return select(events).where(maintenance, events.c.service.in_(services)).order_by(events.c.seq)
        case "attempts":
            own = select(deliveries.c.id).where(deliveries.c.case_id == case_id)
            return select(attempts).where(attempts.c.delivery_id.in_(own)).order_by(attempts.c.seq)
        case _:
            table = _PARTS[part]
            return select(table).where(table.c.case_id == case_id).order_by(*table.primary_key.columns)


def _to_json(table: Table, row: RowMapping) -> dict[str, Any]:
    return {
        column.name: row[column.name].isoformat() if isinstance(row[column.name], datetime) else row[column.name]
        for column in table.columns
    }


def _insert_document(connection: Connection, document: Mapping[str, Any]) -> None:
    if document["format"] != FORMAT:
        raise ArchiveError(f"an archive of the format '{document['format']}' is of a newer incident-engine; use that")
    connection.execute(insert(cases).values(**_from_json(cases, document["incident"])))
    for name, table in _PARTS.items():
        for row in document[name]:
            statement = insert(table).values(**_from_json(table, row))
            is_shared = table in (packs, events)  # several documents may contain the same pack or maintenance
            connection.execute(statement.prefix_with("OR IGNORE") if is_shared else statement)


def _from_json(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's values for the table of today.

    A row of an older schema may have columns that are gone; new columns take their default.
    """
    return {
        name: datetime.fromisoformat(value).astimezone(UTC)
        if value is not None and isinstance(table.columns[name].type, Instant)
        else value
        for name, value in row.items()
        if name in table.columns
    }
