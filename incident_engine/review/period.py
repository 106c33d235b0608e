"""The figures of a period, for the bank's yearly review (银监办发〔2008〕53号 Art. 48-49), and of one incident."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from incident_engine.common.errors import ArchiveError, InvalidDocumentError, Problem
from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.domain.reports.statistics import (
    IncidentFigures,
    Learned,
    Messages,
    Milestone,
    Task,
    Totals,
    figures_of,
    totals_of,
)
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.engine.reader import Reader
from incident_engine.store.archive import archived, archived_between, open_documents
from incident_engine.store.archive_files import documents
from incident_engine.store.cases import case_row
from incident_engine.store.statistics import deliveries_by_state, first_delivered_at, incidents_between


@dataclass(frozen=True, slots=True)
class Period:
    """A range of whole days in the bank's time zone, first and last day included."""

    first: date
    last: date

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return the start of the period (inclusive) and its end (exclusive)."""
        day_after = self.last + timedelta(days=1)
        # Combined in the zone, because a day may have 23 or 25 hours.
        return datetime.combine(self.first, time(), zone), datetime.combine(day_after, time(), zone)


@dataclass(frozen=True, slots=True)
class Review:
    """The figures of a period, with those of archived incidents."""

    period: Period
    at: datetime
    totals: Totals
    figures: tuple[IncidentFigures, ...]
    archived: Mapping[str, int] = field(default_factory=dict)
    """The number of incidents from each archive file."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """The error of each archive file that cannot be read; its incidents are missing from the figures."""


def period_between(first: date | None, last: date | None, now: datetime, zone: tzinfo) -> Period:
    """Return the period of the given days; by default from January 1 of the last day's year until today.

    Raises InvalidDocumentError at `to` if the last day is before the first.
    """
    today = now.astimezone(zone).date()
    first = first or (last or today).replace(month=1, day=1)
    last = last or max(today, first)
    if last < first:
        raise InvalidDocumentError([Problem(("to",), f"{last} is before {first}", "a later day")])
    return Period(first, last)


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


def review_document(review: Review, zone: tzinfo) -> dict[str, Any]:
    """Return the figures of a period as JSON values; times are in seconds."""
    totals = review.totals
    return {
        "from": review.period.first.isoformat(),
        "to": review.period.last.isoformat(),
        "at": to_local_iso(review.at, zone),
        "archived": {"files": dict(review.archived), "unread": dict(review.unread)},
        "incidents": {
            "total": totals.incidents,
            "graded": totals.graded,
            "by_level": {level or "none": count for level, count in totals.by_level.items()},
            "by_service": dict(totals.by_service),
            "by_root_cause": {cause or "unknown": count for cause, count in totals.by_root_cause.items()},
        },
        "times": {
            milestone.value: {
                "count": spread.count,
                "median_seconds": spread.median.total_seconds(),
                "worst_seconds": spread.worst.total_seconds(),
                "worst_incident": spread.worst_incident,
            }
            for milestone, spread in totals.times.items()
        },
        "deadlines": _deadlines(totals),
        "messages": {"delivered": totals.messages.delivered, "failed": totals.messages.failed},
        "lessons": [_lesson(lesson, zone) for lesson in totals.lessons],
        "tasks": [_task(task, zone, review.at) for task in totals.tasks],
        "list": [figures_document(incident, zone, review.at) for incident in review.figures],
    }


def figures_document(figures: IncidentFigures, zone: tzinfo, now: datetime) -> dict[str, Any]:
    """Return the figures of an incident as JSON values; times are in seconds from the occurrence."""
    return {
        "incident": figures.incident,
        "level": figures.level,
        "services": list(figures.services),
        "regions": list(figures.regions),
        "root_cause": figures.root_cause,
        "occurred_at": to_local_iso(figures.occurred_at, zone),
        "seconds_to": {
            milestone.value: figures.times[milestone].total_seconds() if milestone in figures.times else None
            for milestone in Milestone
        },
        "deadlines": _deadlines(figures),
        "messages": {"delivered": figures.messages.delivered, "failed": figures.messages.failed},
        "lessons": [_lesson(lesson, zone) for lesson in figures.lessons],
        "tasks": [_task(task, zone, now) for task in figures.tasks],
    }


def _deadlines(figures: Totals | IncidentFigures) -> dict[str, int]:
    return {"met": figures.deadlines.met, "late": figures.deadlines.late, "missed": figures.deadlines.missed}


def _lesson(lesson: Learned, zone: tzinfo) -> dict[str, Any]:
    return {"incident": lesson.incident, "at": to_local_iso(lesson.at, zone), "by": lesson.by, "text": lesson.text}


def _task(task: Task, zone: tzinfo, now: datetime) -> dict[str, Any]:
    return {
        "incident": task.incident,
        "title": task.title,
        "owner": task.owner,
        "due_at": to_local_iso(task.due_at, zone),
        "done_at": to_local_iso(task.done_at, zone),
        "late": task.is_late(now),
    }
