"""The table of assessments: the verdicts on a case, append only."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from incident_engine.store.events import last_event
from incident_engine.store.prepared import Prepared, insert_row
from incident_engine.store.tables import assessments


def latest_assessments(connection: Connection, case_id: str) -> dict[str, dict[str, Any]]:
    """Return the documents of a case's latest assessments, by pack.

    For the shape of a document see `domain.grading.assessment_document.assessment_document`.
    """
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
    """Store the document of an assessment that was made at `at`."""
    values = {
        "case_id": case_id,
        "at": at,
        # A later replay folds the events up to here and must come to the same document.
        "events_until": last_event(connection),
        "document": dict(document),
        # Columns of their own make levels and packs searchable without reading documents.
        **{name: document[name] for name in ("pack", "version", "content_hash", "level", "level_retained")},
    }
    insert_row(connection, assessments, values)
