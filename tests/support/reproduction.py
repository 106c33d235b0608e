"""Recomputing stored assessments from the events that were known when they were made."""

from typing import Any

from sqlalchemy import select

from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment_document import assessment_document, trajectory_from
from incident_engine.domain.incidents.fold import fold
from incident_engine.store.events import events_of
from incident_engine.store.packs import stored_pack
from incident_engine.store.tables import assessments
from support.fixtures import House, rulebook_of


def reproduced(engine: House) -> int:
    """Compare every stored assessment with one computed from its events and its predecessor; return their number."""
    rulebook = rulebook_of(engine.settings)
    documents: dict[tuple[str, str], dict[str, Any]] = {}
    with engine.database.read() as connection:
        rows = connection.execute(select(assessments).order_by(assessments.c.seq)).all()
        for row in rows:
            events = events_of(connection, row.case_id, until=row.events_until)
            pack = stored_pack(connection, row.content_hash)
            assert pack is not None
            assert pack.content_hash == row.content_hash
            before = documents.get((row.case_id, row.pack))
            found = assess(
                fold(row.case_id, events),
                pack,
                rulebook.hours,
                row.at,
                trajectory_from(before) if before else (),
                rulebook.calendars,
            )
            # The database of 0.1.0 has no years for obligations: none of theirs was a guess.
            obligations = [{"guessed_years": []} | status for status in row.document["obligations"]]
            assert assessment_document(found, engine.settings.bank.zone) == row.document | {"obligations": obligations}
            assert (row.level, row.level_retained) == (found.level, found.level_retained)
            documents[row.case_id, row.pack] = row.document
    return len(rows)
