"""The figures of a period, for the bank's yearly review, and of one incident, computed from the stored rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from sqlalchemy import Connection

from incident_engine.common.errors import ArchiveError
from incident_engine.domain.reports.statistics import (
    IncidentFigures,
    Messages,
    figures_of,
    totals_of,
)
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.engine.reader import Reader
from incident_engine.review.documents import Period, Review
from incident_engine.store.archive import archived, archived_between, open_documents
from incident_engine.store.archive_files import documents
from incident_engine.store.cases import case_row
from incident_engine.store.statistics import deliveries_by_state, first_delivered_at, incidents_between


def figures(connection: Connection, reader: Reader, incident_id: str, now: datetime) -> IncidentFigures | None:
    """Return the figures of an incident as of `now`; None if there is no such incident."""
    case = reader.case(connection, incident_id, now)
    if case is None:
        return None
    counts = deliveries_by_state(connection, incident_id)
    notified_at = first_delivered_at(connection, incident_id, reader.customers)
    messages = Messages(counts.get(DeliveryState.DELIVERED, 0), counts.get(DeliveryState.FAILED, 0), notified_at)
    return figures_of(case.incident, case.assessments, messages)


def review(
    connection: Connection, reader: Reader, period: Period, zone: tzinfo, now: datetime, archive: Path
) -> Review:
    """Return the figures of the incidents that started in a period, as of `now`.

    Archived incidents are read from their files in the folder `archive`. A file that cannot be read is listed in
    `unread`; it does not fail the review.
    """
    start, end = period.bounds(zone)
    all_figures = [figures(connection, reader, name, now) for name in incidents_between(connection, start, end)]
    counts: dict[str, int] = {}
    unread: dict[str, str] = {}
    hashes_by_file: dict[str, dict[str, str]] = {}
    for incident in archived_between(connection, start, end):
        hashes_by_file.setdefault(incident.file, {})[incident.id] = incident.sha256
    for file, hashes in hashes_by_file.items():
        counts[file] = len(hashes)
        try:
            with open_documents(documents(archive / file, hashes)) as archived_rows:
                all_figures += [figures(archived_rows, reader, name, now) for name in hashes]
        except ArchiveError as error:
            unread[file] = str(error)
    present = [incident for incident in all_figures if incident is not None]
    # An incident known only by its harm has no start: it comes last.
    latest = datetime.max.replace(tzinfo=UTC)
    present.sort(key=lambda incident: (incident.occurred_at or latest, incident.incident))
    return Review(period, now, totals_of(present), tuple(present), counts, unread)


@contextmanager
def holding(connection: Connection, incident_id: str, archive: Path) -> Iterator[Connection | None]:
    """Open the database, or the archive file, that holds an incident; yields None if there is no such incident.

    Raises ArchiveError if the archive file cannot be read.
    """
    archived_case = archived(connection, incident_id)
    if archived_case is None:
        yield connection if case_row(connection, incident_id) is not None else None
        return
    with open_documents(
        documents(archive / archived_case.file, {archived_case.id: archived_case.sha256})
    ) as archived_rows:
        yield archived_rows
