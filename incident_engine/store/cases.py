"""What the engine reads and writes within the writer's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.incidents.correlation import IncidentWindow
from incident_engine.store.dialect import upsert
from incident_engine.store.events import last_event
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import (
    assessments,
    cases,
    packs,
)


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What is stored of an incident beside its events."""

    id: str
    pack_hashes: Mapping[str, str]


def case_row(connection: Connection, case_id: str) -> CaseRow | None:
    """Return an incident."""
    row = _INCIDENT.row(connection, id=case_id)
    return None if row is None else CaseRow(row.id, row.packs)


_INCIDENT = Prepared(select(cases.c.id, cases.c.packs).where(cases.c.id == bindparam("id")))


def service_group(connection: Connection, case_id: str) -> str:
    """Return the service group of a stored incident."""
    return str(_GROUP.value(connection, id=case_id))


_GROUP = Prepared(select(cases.c.service_group).where(cases.c.id == bindparam("id")))


def closed_at(connection: Connection, case_id: str) -> datetime | None:
    """Return when an incident was closed, as it was known up to now."""
    return connection.scalar(select(cases.c.closed_at).where(cases.c.id == case_id))


def recent_case_ids(connection: Connection, limit: int) -> list[str]:
    """Return the ids of the incidents opened last."""
    return list(connection.scalars(select(cases.c.id).order_by(cases.c.opened_at.desc()).limit(limit)))


def open_windows(connection: Connection, group: str) -> list[IncidentWindow]:
    """Return how far each open incident of a service group reaches."""
    rows = _OPEN_SPANS.rows(connection, group=group)
    return [IncidentWindow(row.id, group, row.first_at, row.last_at, has_no_start=not row.services) for row in rows]


_OPEN_SPANS = Prepared(
    select(cases.c.id, cases.c.first_at, cases.c.last_at, cases.c.services).where(
        cases.c.service_group == bindparam("group"), cases.c.closed_at.is_(None)
    )
)


def insert_case(
    connection: Connection, case_id: str, group: str, at: datetime, now: datetime, pack_hashes: Mapping[str, str]
) -> None:
    """Store a new incident, which keeps the packs with which it began."""
    values = {
        "id": case_id,
        "kind": "incident",
        "service_group": group,
        "opened_at": now,
        "first_at": at,
        "last_at": at,
        "severity": 0,
        "packs": dict(pack_hashes),
        "services": [],
        "regions": [],
    }
    insert_row(connection, cases, values)


def update_case(connection: Connection, case_id: str, values: Mapping[str, Any]) -> None:
    """Store what the latest assessment says of an incident."""
    update_row(connection, cases, case_id, values)


def store_pack(connection: Connection, pack: Pack) -> None:
    """Keep a pack's content, so that its verdicts can always be explained and incidents go on with it."""
    document = pack.model_dump(mode="json", by_alias=True, exclude={"cases"}, exclude_none=True)
    connection.execute(
        upsert(connection.dialect.name, packs)
        .values(content_hash=pack.content_hash, pack=pack.pack, version=pack.version, document=document)
        .on_conflict_do_nothing()
    )


def stored_pack(connection: Connection, content_hash: str) -> Pack | None:
    """Return a pack by the hash of its content."""
    document = connection.scalar(select(packs.c.document).where(packs.c.content_hash == content_hash))
    return None if document is None else parse_pack(document)


def latest_assessments(connection: Connection, case_id: str) -> dict[str, dict[str, Any]]:
    """Return the documents of an incident's latest verdicts, by pack."""
    return {row.pack: row.document for row in _LATEST.rows(connection, id=case_id)}


_LATEST = Prepared(
    select(assessments.c.pack, assessments.c.document).where(
        assessments.c.seq.in_(
            select(func.max(assessments.c.seq))
            .where(assessments.c.case_id == bindparam("id"))
            .group_by(assessments.c.pack)
        )
    )
)


def insert_assessment(connection: Connection, case_id: str, at: datetime, document: Mapping[str, Any]) -> None:
    """Store a verdict."""
    values = {
        "case_id": case_id,
        "at": at,
        "events_until": last_event(connection),
        "document": dict(document),
        **{name: document[name] for name in ("pack", "version", "content_hash", "level", "level_retained")},
    }
    insert_row(connection, assessments, values)
