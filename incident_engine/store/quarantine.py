"""The table of quarantined reports, which could not become events, and of people's answers to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, delete, func, null, select, update

from incident_engine.store.dialect import fetch, upsert
from incident_engine.store.events import IDS_AT_ONCE
from incident_engine.store.tables import quarantine

ISOLATED = "event_isolated"
"""The reason of an event at which the engine itself failed."""
CONFLICT = "event_conflict"
"""The reason of an event under a known key with another content."""
NATIVE_REASONS = frozenset({ISOLATED, CONFLICT})
"""Reasons of events, whose documents are in the native format; all others are as their senders sent them."""


class QuarantineState(StrEnum):
    """The state of a quarantined report."""

    WAITING = "waiting"
    MAPPED = "mapped"
    """A person gave service and regions; later notifications of the same report are mapped alike."""
    DISMISSED = "dismissed"
    """A person set it aside; later notifications of the same report change nothing."""


@dataclass(frozen=True, slots=True)
class QuarantinedReport:
    """One row of the table."""

    source: str
    key: str
    reason: str
    detail: str
    document: Any
    first_received_at: datetime
    last_received_at: datetime
    times: int
    state: QuarantineState
    service: str | None = None
    regions: Sequence[str] | None = None
    ended_by: str | None = None
    ended_reason: str | None = None
    ended_at: datetime | None = None


_COLUMNS = tuple(quarantine.c[name] for name in QuarantinedReport.__slots__)
_IS_WAITING = quarantine.c.state == QuarantineState.WAITING


def _report(row: Row[Any]) -> QuarantinedReport:
    values = row._asdict()
    return QuarantinedReport(**{**values, "state": QuarantineState(values["state"])})


def put_in_quarantine(
    connection: Connection,
    source: str,
    key: str,
    reason: str,
    detail: str,
    document: Any,
    now: datetime,
    *,
    times: int = 1,
) -> QuarantinedReport:
    """Store a report that came `times` times, or count up and keep its newest document. Return its row.

    A mapped report at whose events the engine fails waits again.
    """
    statement = upsert(connection.dialect.name, quarantine).values(
        source=source,
        key=key,
        reason=reason,
        detail=detail,
        document=document,
        first_received_at=now,
        last_received_at=now,
        times=times,
        state=QuarantineState.WAITING,
    )
    latest: dict[str, ColumnElement[Any]] = {
        name: statement.excluded[name] for name in ("last_received_at", "reason", "detail", "document")
    }
    if reason == ISOLATED:
        is_mapped = quarantine.c.state == QuarantineState.MAPPED
        latest["state"] = case((is_mapped, QuarantineState.WAITING), else_=quarantine.c.state)
        latest["ended_at"] = case((is_mapped, null()), else_=quarantine.c.ended_at)
    row = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["source", "key"], set_={"times": quarantine.c.times + times, **latest}
        ).returning(*_COLUMNS)
    ).one()
    return _report(row)


def quarantined_report(connection: Connection, source: str, key: str) -> QuarantinedReport | None:
    """Return a report in any state; None if it never was in quarantine or has become an event by itself."""
    query = select(*_COLUMNS).where(quarantine.c.source == source, quarantine.c.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _report(row)


def end_quarantine(connection: Connection, source: str, key: str, state: QuarantineState, **values: object) -> None:
    """Record a person's answer; `values` are columns such as `ended_by` and `ended_at`."""
    is_it = (quarantine.c.source == source) & (quarantine.c.key == key)
    connection.execute(update(quarantine).where(is_it).values(state=state, **values))


def waiting_keys(connection: Connection, source: str, limit: int) -> Sequence[str]:
    """Return the keys of a source's waiting reports, the latest first."""
    query = select(quarantine.c.key).where(_IS_WAITING, quarantine.c.source == source)
    return list(connection.scalars(query.order_by(quarantine.c.seq.desc()).limit(limit)))


@dataclass(frozen=True, slots=True)
class WaitingReports:
    """The reports that wait for a person, in numbers, and the first of them."""

    count: int
    since: datetime
    """The receipt of the oldest."""
    latest_at: datetime
    """The receipt of the newest."""
    by_reason: Mapping[str, int]
    first: Sequence[QuarantinedReport]


def waiting_reports(
    connection: Connection, before: datetime, examples: int, *, isolated: bool
) -> WaitingReports | None:
    """Return the waiting reports received before an instant, `examples` of them as they are; None if there are none.

    `isolated` chooses between events at which the engine failed and reports that could not become events.
    """
    is_isolated = quarantine.c.reason == ISOLATED
    chosen = (_IS_WAITING, quarantine.c.first_received_at <= before, is_isolated if isolated else ~is_isolated)
    received_at = quarantine.c.first_received_at
    query = select(quarantine.c.reason, func.count(), func.min(received_at), func.max(received_at)).where(*chosen)
    groups = connection.execute(query.group_by(quarantine.c.reason)).all()
    if not groups:
        return None
    # The newest first: what is known already was in an earlier notice.
    newest = select(*_COLUMNS).where(*chosen).order_by(received_at.desc(), quarantine.c.seq.desc()).limit(examples)
    return WaitingReports(
        sum(row[1] for row in groups),
        min(row[2] for row in groups),
        max(row[3] for row in groups),
        {row[0]: row[1] for row in groups},
        [_report(row) for row in connection.execute(newest)],
    )


def is_anything_in_quarantine(connection: Connection) -> bool:
    """Return whether any report waits."""
    # Asked before each release: the quarantine is nearly always empty, and this is cheaper than the deletion.
    return bool(fetch(connection, "SELECT 1 FROM quarantine WHERE state = 'waiting' LIMIT 1"))


def release_from_quarantine(connection: Connection, source: str, keys: Iterable[str]) -> None:
    """Remove the waiting reports with these keys, as far as they are there; people's answers stay on record."""
    ordered = list(keys)
    for start in range(0, len(ordered), IDS_AT_ONCE):
        part = ordered[start : start + IDS_AT_ONCE]
        connection.execute(
            delete(quarantine).where(_IS_WAITING, quarantine.c.source == source, quarantine.c.key.in_(part))
        )
