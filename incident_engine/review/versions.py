"""The versions of an incident's reports."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.validation import unknown_problems
from incident_engine.config.settings import Settings
from incident_engine.engine.reader import Reader
from incident_engine.engine.report_facts import facts_of
from incident_engine.engine.report_versions import preview
from incident_engine.store.reports import ReportState, Version, versions_of


@dataclass(frozen=True, slots=True)
class VersionRequest:
    """Names a version of one of an incident's reports."""

    report: str
    instance: str | None = None
    """None: the latest instance."""
    number: int | None = None
    """None: the submitted version, else the newest."""


def versions(connection: Connection, incident_id: str) -> dict[tuple[str, str], list[Version]]:
    """Return every version of an incident's reports by (report, instance)."""
    by_report: dict[tuple[str, str], list[Version]] = {}
    for version in versions_of(connection, incident_id):
        by_report.setdefault((version.report, version.instance), []).append(version)
    return by_report


def find_version(
    connection: Connection,
    reader: Reader,
    settings: Settings,
    incident_id: str,
    request: VersionRequest,
    now: datetime,
) -> Version | None:
    """Return the requested version in its latest state; None if there is none.

    A report that no step has asked for yet is drafted now, as version 0, unless the request names an instance or a
    number. Raises InvalidDocumentError if the incident has no such report and the rules do not define it.
    """
    instances = [
        rows
        for (report, instance), rows in versions(connection, incident_id).items()
        if report == request.report and request.instance in (None, instance)
    ]
    if instances:
        rows, number = instances[-1], request.number
        if number is None:
            # A withdrawn version was submitted once: it stays the answer until a newer one is submitted.
            final = [row for row in rows if row.state in (ReportState.SUBMITTED, ReportState.WITHDRAWN)]
            number = (final or [max(rows, key=lambda row: row.version)])[-1].version
        return next((row for row in reversed(rows) if row.version == number), None)
    problems = list(unknown_problems((), "report", request.report, reader.reports.definitions))
    if problems:
        raise InvalidDocumentError(problems)
    case = reader.case(connection, incident_id, now)
    if case is None or request.instance is not None or request.number is not None:
        return None
    return preview(facts_of(settings, case.incident, case.packs, case.assessments), reader.reports, request.report)
