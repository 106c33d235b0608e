"""The review of a period, for the bank's yearly look back (Art. 48-49), and the reports of one incident."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from incident_engine.common.errors import ArchiveError
from incident_engine.config.settings import Settings
from incident_engine.documents.version_stamp import Stamp
from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.domain.reports.drafting import report_document, report_from
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
from incident_engine.engine.reader import Reader
from incident_engine.engine.report_versions import facts_of, preview
from incident_engine.store.archive import archived, archived_between, open_documents
from incident_engine.store.archive_files import documents
from incident_engine.store.cases import case_row
from incident_engine.store.deliveries import DeliveryState
from incident_engine.store.reports import ReportState, Version, versions_of
from incident_engine.store.statistics import deliveries_by_state, first_delivered_at, incidents_between


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in the bank's time zone, both included."""

    first: date
    last: date

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return the instants from which (inclusive) and until which (exclusive) it lasts."""
        after = self.last + timedelta(days=1)
        return datetime.combine(self.first, time(), zone), datetime.combine(after, time(), zone)


@dataclass(frozen=True, slots=True)
class Review:
    """The figures of a period, with those of its incidents that were archived since."""

    period: Period
    at: datetime
    totals: Totals
    figures: tuple[IncidentFigures, ...]
    archived: Mapping[str, int] = field(default_factory=dict)
    """How many incidents come from each archive file."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Why the incidents of a file are missing from the figures, by file."""


def this_year(now: datetime, zone: tzinfo) -> Period:
    """Return the period from the first of January until today."""
    today = now.astimezone(zone).date()
    return Period(today.replace(month=1, day=1), today)


def figures(connection: Connection, reader: Reader, incident_id: str, now: datetime) -> IncidentFigures | None:
    """Return the figures of an incident as of `now`; None if there is none."""
    case = reader.case(connection, incident_id, now)
    if case is None:
        return None
    counts = deliveries_by_state(connection, incident_id)
    told_at = first_delivered_at(connection, incident_id, reader.customers)
    messages = Messages(counts.get(DeliveryState.DELIVERED, 0), counts.get(DeliveryState.FAILED, 0), told_at)
    return figures_of(case.incident, case.assessments, messages)


def review(
    connection: Connection, reader: Reader, period: Period, zone: tzinfo, now: datetime, archive: Path
) -> Review:
    """Return the figures of the incidents that began in a period, as of `now`.

    Those that were archived are read from their files in `archive`; what cannot be read is named.
    """
    start, end = period.bounds(zone)
    found = [figures(connection, reader, name, now) for name in incidents_between(connection, start, end)]
    counts: dict[str, int] = {}
    unread: dict[str, str] = {}
    by_file: dict[str, dict[str, str]] = {}
    for each in archived_between(connection, start, end):
        by_file.setdefault(each.file, {})[each.id] = each.sha256
    for file, wanted in by_file.items():
        counts[file] = len(wanted)
        try:
            with open_documents(documents(archive / file, wanted)) as kept:
                found += [figures(kept, reader, name, now) for name in wanted]
        except ArchiveError as error:
            unread[file] = str(error)
    known = sorted((each for each in found if each is not None), key=_when)
    return Review(period, now, totals_of(known), tuple(known), counts, unread)


@contextmanager
def holding(connection: Connection, incident_id: str, archive: Path) -> Iterator[Connection | None]:
    """Open what holds an incident: the database, or the archive file that it is in. None: there is no such incident.

    Raises ArchiveError if the file cannot be read.
    """
    gone = archived(connection, incident_id)
    if gone is None:
        yield connection if case_row(connection, incident_id) is not None else None
        return
    with open_documents(documents(archive / gone.file, {gone.id: gone.sha256})) as kept:
        yield kept


def _when(found: IncidentFigures) -> tuple[datetime, str]:
    return found.occurred_at or datetime.max.replace(tzinfo=UTC), found.incident


def versions(connection: Connection, incident_id: str) -> dict[tuple[str, str], list[Version]]:
    """Return every version of an incident's reports by (report, instance)."""
    found: dict[tuple[str, str], list[Version]] = {}
    for version in versions_of(connection, incident_id):
        found.setdefault((version.report, version.instance), []).append(version)
    return found


def chosen_version(found: Sequence[Version], number: int | None) -> Version | None:
    """Return a version in its latest state: the one of that number, else what was submitted, else the newest."""
    if number is None:
        final = [each for each in found if each.state in (ReportState.SUBMITTED, ReportState.WITHDRAWN)]
        number = (final or [max(found, key=lambda each: each.version)])[-1].version
    return next((each for each in reversed(found) if each.version == number), None)


def drafted_now(
    connection: Connection, reader: Reader, settings: Settings, incident_id: str, report: str, now: datetime
) -> Version | None:
    """Return a report that no step has asked for, as it would be drafted now (version 0); None: no such incident."""
    case = reader.case(connection, incident_id, now)
    if case is None:
        return None
    return preview(facts_of(settings, case.incident, case.packs, case.assessments), reader.reports, report)


# As documents


def stamp_of(version: Version, zone: tzinfo) -> Stamp:
    """Return what marks a version wherever it is read."""
    given = (version.version, version.state.value, version.by, version.created_at, version.content_hash)
    return Stamp(*given, version.gaps, zone)


def version_document(version: Version, zone: tzinfo) -> dict[str, Any]:
    """Return a version without its content."""
    return {
        "version": version.version,
        "state": version.state.value,
        "by": version.by,
        "at": to_local_iso(version.created_at, zone),
        "content_hash": version.content_hash,
        "gaps": version.gaps,
    }


def list_document(
    incident_id: str, found: Mapping[tuple[str, str], Sequence[Version]], available: Sequence[str], zone: tzinfo
) -> dict[str, Any]:
    """Return an incident's reports with all their versions, and the ids of all reports that can be drafted."""
    reports = [
        {
            "report": report,
            "instance": instance,
            "title": {locale: part["title"] for locale, part in rows[-1].document.items()},
            "versions": [version_document(row, zone) for row in rows],
        }
        for (report, instance), rows in found.items()
    ]
    return {"incident": incident_id, "reports": reports, "available": list(available)}


def full_document(version: Version, locale: str, zone: tzinfo) -> dict[str, Any]:
    """Return a version with its content in one language: sections with their fields, and the texts by their ids."""
    report = report_document(report_from(version.document[locale]))
    gaps = report.pop("gaps")
    about = version_document(version, zone) | {"instance": version.instance}
    return {"report": report.pop("id"), **about, **report, "gaps": gaps}


def review_document(found: Review, zone: tzinfo) -> dict[str, Any]:
    """Return the figures of a period as JSON values; times are in seconds."""
    totals = found.totals
    return {
        "from": found.period.first.isoformat(),
        "to": found.period.last.isoformat(),
        "at": to_local_iso(found.at, zone),
        "archived": {"files": dict(found.archived), "unread": dict(found.unread)},
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
        "tasks": [_task(task, zone, found.at) for task in totals.tasks],
        "list": [figures_document(each, zone, found.at) for each in found.figures],
    }


def figures_document(found: IncidentFigures, zone: tzinfo, now: datetime) -> dict[str, Any]:
    """Return the figures of an incident as JSON values; times are in seconds from the occurrence."""
    return {
        "incident": found.incident,
        "level": found.level,
        "services": list(found.services),
        "regions": list(found.regions),
        "root_cause": found.root_cause,
        "occurred_at": to_local_iso(found.occurred_at, zone),
        "seconds_to": {
            milestone.value: found.times[milestone].total_seconds() if milestone in found.times else None
            for milestone in Milestone
        },
        "deadlines": _deadlines(found),
        "messages": {"delivered": found.messages.delivered, "failed": found.messages.failed},
        "lessons": [_lesson(lesson, zone) for lesson in found.lessons],
        "tasks": [_task(task, zone, now) for task in found.tasks],
    }


def _deadlines(found: Totals | IncidentFigures) -> dict[str, int]:
    return {"met": found.deadlines.met, "late": found.deadlines.late, "missed": found.deadlines.missed}


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
