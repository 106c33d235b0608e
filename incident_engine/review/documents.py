"""The review of a period (银监办发〔2008〕53号 Art. 48-49), and the documents of reviews and of reports' versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.documents.version_stamp import Stamp
from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.domain.reports.drafting import Report, report_document, report_from
from incident_engine.domain.reports.statistics import (
    IncidentFigures,
    Learned,
    Milestone,
    Task,
    Totals,
)
from incident_engine.store.reports import Version


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


def stamp_of(version: Version, zone: tzinfo) -> Stamp:
    """Return the stamp that documents print on a version."""
    return Stamp(
        version=version.version,
        state=version.state.value,
        by=version.by,
        at=version.created_at,
        content_hash=version.content_hash,
        gaps=version.gaps,
        zone=zone,
    )


def printable(version: Version, locale: str, zone: tzinfo) -> tuple[Report, Stamp]:
    """Return the content of a version in one language, and the stamp that documents print on it."""
    return report_from(version.document[locale]), stamp_of(version, zone)


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
    incident_id: str, by_report: Mapping[tuple[str, str], Sequence[Version]], available: Sequence[str], zone: tzinfo
) -> dict[str, Any]:
    """Return an incident's reports with all their versions, and the ids of all reports that can be drafted."""
    reports = [
        {
            "report": report,
            "instance": instance,
            # A title may change between versions: list the latest.
            "title": {locale: part["title"] for locale, part in rows[-1].document.items()},
            "versions": [version_document(row, zone) for row in rows],
        }
        for (report, instance), rows in by_report.items()
    ]
    return {"incident": incident_id, "reports": reports, "available": list(available)}


def full_document(version: Version, locale: str, zone: tzinfo) -> dict[str, Any]:
    """Return a version with its content in one language: sections with their fields, and the texts by their ids."""
    report = report_document(report_from(version.document[locale]))
    gaps = report.pop("gaps")  # here a list of fields; version_document has their number under the same key
    head = version_document(version, zone) | {"instance": version.instance}
    return {"report": report.pop("id"), **head, **report, "gaps": gaps}
