"""Versions of reports: each is written once and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select

from incident_engine.store.tables import reports, steps


class ReportState(StrEnum):
    """What became of a version."""

    DRAFT = "draft"
    APPROVED = "approved"
    SUBMITTED = "submitted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a report in one state: the same version is a draft first, then perhaps approved and submitted."""

    incident_id: str
    report: str
    instance: str
    version: int
    state: ReportState
    by: str | None
    created_at: datetime
    """When it came to this state."""
    content_hash: str
    gaps: int
    document: Mapping[str, Any]
    """The report in every language."""


@dataclass(frozen=True, slots=True)
class ReportStep:
    """A step for which a report is drafted, with who did what to it."""

    id: str
    report: str
    instance: str
    state: str
    approved_at: datetime | None
    approved_by: str | None
    completed_at: datetime | None
    completed_by: str | None


_COLUMNS = tuple(Version.__slots__)


def insert_version(connection: Connection, version: Version) -> None:
    """Store a version."""
    connection.execute(insert(reports).values(**{name: getattr(version, name) for name in _COLUMNS}))


def versions_of(
    connection: Connection, incident_id: str, report: str | None = None, instance: str | None = None
) -> list[Version]:
    """Return an incident's versions in the order in which they were written; of one report or instance only."""
    query = select(reports).where(reports.c.incident_id == incident_id)
    if report is not None:
        query = query.where(reports.c.report == report)
    if instance is not None:
        query = query.where(reports.c.instance == instance)
    rows = connection.execute(query.order_by(reports.c.seq)).mappings()
    return [
        Version(**{name: row[name] for name in _COLUMNS if name != "state"}, state=ReportState(row["state"]))
        for row in rows
    ]


def report_steps(connection: Connection, incident_id: str) -> list[ReportStep]:
    """Return an incident's steps with a report, in the order in which they are due; without what was derived."""
    names = tuple(ReportStep.__slots__)
    query = (
        select(*(steps.c[name] for name in names))
        .where(steps.c.incident_id == incident_id, steps.c.report.is_not(None), steps.c.of.is_(None))
        .order_by(steps.c.due_at, steps.c.id)
    )
    return [ReportStep(**row) for row in connection.execute(query).mappings()]
