"""What the engine reads and writes within the writer's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.incidents.correlation import Span
from incident_engine.store.dialect import upsert
from incident_engine.store.events import last_event
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import (
    assessments,
    incidents,
    packs,
)


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """What is stored of an incident beside its events."""

    id: str
    pack_hashes: Mapping[str, str]


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
