"""The table of reports: versions that are written once and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, insert, literal, select

from incident_engine.store.prepared import Prepared, insert_row
from incident_engine.store.tables import Instant, reports


class ReportState(StrEnum):
    """The state of a version."""

    DRAFT = "draft"
    APPROVED = "approved"
    SUBMITTED = "submitted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a report in one state: the same version is a draft first, then perhaps approved and submitted."""

    case_id: str
    report: str
    instance: str
    version: int
    state: ReportState
    by: str | None
    """The person who approved, submitted or withdrew it; None for a draft."""
    created_at: datetime
    """The instant at which it entered this state."""
    content_hash: str
    gaps: int
    """Fields without a value, in the language that has the most of them."""
    document: Mapping[str, Any]
    """The report by language (`zh-CN`, `en`); for its shape see `domain.reports.drafting`."""


@dataclass(frozen=True, slots=True)
class Head:
    """A version without its document."""

    report: str
    instance: str
    version: int
    state: ReportState
    created_at: datetime
    content_hash: str
    gaps: int


_COLUMNS = tuple(Version.__slots__)


_HEAD = tuple(Head.__slots__)


def insert_version(connection: Connection, version: Version) -> None:
    """Store a version."""
    insert_row(connection, reports, {name: getattr(version, name) for name in _COLUMNS})


def insert_state(
    connection: Connection, case_id: str, head: Head, state: ReportState, by: str | None, at: datetime
) -> None:
    """Store that a version entered another state, with the same document."""
    changed: dict[str, ColumnElement[Any]] = {
        "state": literal(state),
        "by": literal(by),
        "created_at": literal(at, Instant),
    }
    columns: list[ColumnElement[Any]] = [changed.get(name, reports.c[name]) for name in _COLUMNS]
    # Copied within the database: the document in all languages need not be read and parsed.
    source = select(*columns).where(
        reports.c.case_id == case_id,
        reports.c.report == head.report,
        reports.c.instance == head.instance,
        reports.c.version == head.version,
        reports.c.state == head.state,
    )
    connection.execute(insert(reports).from_select(_COLUMNS, source))


def heads_of(connection: Connection, case_id: str) -> dict[tuple[str, str], list[Head]]:
    """Return the heads of a case's versions by (report, instance), in the order in which they were written."""
    heads: dict[tuple[str, str], list[Head]] = {}
    for row in _HEADS.rows(connection, id=case_id):
        head = Head(**{**row._asdict(), "state": ReportState(row.state)})
        heads.setdefault((head.report, head.instance), []).append(head)
    return heads


_HEADS = Prepared(
    select(*(reports.c[name] for name in _HEAD)).where(reports.c.case_id == bindparam("id")).order_by(reports.c.seq)
)


def versions_of(
    connection: Connection, case_id: str, report: str | None = None, instance: str | None = None
) -> list[Version]:
    """Return a case's versions in the order in which they were written; optionally of one report or instance."""
    query = select(reports).where(reports.c.case_id == case_id)
    if report is not None:
        query = query.where(reports.c.report == report)
    if instance is not None:
        query = query.where(reports.c.instance == instance)
    rows = connection.execute(query.order_by(reports.c.seq)).mappings()
    return [
        Version(**{name: row[name] for name in _COLUMNS if name != "state"}, state=ReportState(row["state"]))
        for row in rows
    ]
