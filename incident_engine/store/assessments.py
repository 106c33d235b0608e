"""The table of assessments: the verdicts on a case, append only."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from incident_engine.store.events import last_event
from incident_engine.store.prepared import Prepared, insert_row
from incident_engine.store.tables import (
    assessments,
)


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
