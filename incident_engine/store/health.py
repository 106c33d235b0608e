"""The store's health for the watchdog: late rows, waiting deliveries, and events from ahead of our clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Connection, Select, and_, case, func, or_, select, text, type_coerce

from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.domain.response.step import StepState
from incident_engine.store.claims import Priority
from incident_engine.store.events import last_event as newest_event
from incident_engine.store.quarantine import WaitingReports, waiting_reports
from incident_engine.store.silence import SilentCase, silent_cases
from incident_engine.store.tables import deliveries, events, steps, timers

_CLOCKS = {"postgresql": text("SELECT clock_timestamp()")}
"""Queries for the time of a database on another machine; SQLite has ours."""
EXAMPLES = 5
"""The most quarantined reports that one notice shows; it counts the others."""
_NOT_ARRIVED = [DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.FAILED]


@dataclass(frozen=True, slots=True)
class Late:
    """A number of late rows."""

    count: int
    since: datetime
    """The earliest instant among them."""
    subject: str
    """The id, channel or source of the earliest row."""
    latest: datetime | None = None
    """The latest instant among them."""


@dataclass(frozen=True, slots=True)
class Health:
    """The store at one instant; None stands for no such row."""

    timers: Late | None
    """Timers that are overdue."""
    unclaimed: Late | None
    """Due deliveries without a claim. Those that wait for a rate limit or an open circuit have a later due instant."""
    lapsed: Late | None
    """Deliveries in state `sending` whose lease has expired."""
    waiting: Late | None
    """Deliveries that were due, were never tried, and wait for a rate limit or an endpoint that does not answer."""
    at_risk: Late | None
    """Steps with a deadline near or past, of whose statutory messages some failed and none was delivered."""
    stuck: Late | None
    """Cases whose last updates failed."""
    quarantined: WaitingReports | None
    """Reports that wait in quarantine for longer than the limit."""
    isolated: WaitingReports | None
    """Events at which the engine failed, and which wait in quarantine."""
    silent: Sequence[SilentCase]
    """Cases that are down and of which nothing was heard for a while, the longest silent first."""
    ahead: Late | None
    """New events that occurred later than they were received, by more than the limit."""
    last_event: int
    """The `seq` of the newest event."""
    database_now: datetime | None
    """The database's own clock; None for SQLite."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits beyond which a row is late."""

    overdue: timedelta
    """Time after the due instant of a timer or delivery."""
    deadline: timedelta
    """Time before the deadline of a step."""
    ahead: timedelta
    """Time by which an event may lie ahead of its receipt."""
    silent_after: Mapping[str, timedelta]
    """By source: time without a report of a case that is down."""
    quarantine: timedelta
    """Time for which a report may wait in quarantine."""


def health(connection: Connection, now: datetime, limits: Limits, last_event: int | None) -> Health:
    """Return the store's health at `now`.

    `last_event` is the `seq` up to which events have been checked; None checks no events, as at the first probe.
    """
    late_since = now - limits.overdue
    return Health(
        timers=_late(connection, select(timers.c.case_id, timers.c.due_at).where(timers.c.due_at < late_since)),
        unclaimed=_late(connection, _deliveries(DeliveryState.PENDING, late_since)),
        lapsed=_late(connection, _deliveries(DeliveryState.SENDING, late_since)),
        waiting=_late(connection, _waiting(now)),
        at_risk=_late(connection, _at_risk(now, limits.deadline)),
        stuck=_late(connection, _stuck()),
        quarantined=waiting_reports(connection, now - limits.quarantine, EXAMPLES, isolated=False),
        isolated=waiting_reports(connection, now, EXAMPLES, isolated=True),
        silent=silent_cases(connection, now, limits.silent_after),
        ahead=None if last_event is None else _late(connection, _ahead(last_event, limits.ahead)),
        last_event=newest_event(connection),
        database_now=_database_now(connection),
    )


def _late(connection: Connection, query: Select[tuple[str, datetime]]) -> Late | None:
    """Return the number and the earliest row of a query of (subject, instant); None if it has no rows."""
    rows = query.subquery()
    subject, instant = rows.c
    figures = select(func.count(), func.min(instant), func.max(instant)).select_from(rows)
    count, since, latest = connection.execute(figures).one()
    if since is None:
        return None
    first = connection.scalar(select(subject).where(instant == since).order_by(subject).limit(1))
    return Late(count, since, str(first), latest)


def _stuck() -> Select[tuple[str, datetime]]:
    return select(timers.c.case_id, timers.c.failed_since).where(timers.c.failed_since.is_not(None))


def _deliveries(state: DeliveryState, late_since: datetime) -> Select[tuple[str, datetime]]:
    return select(deliveries.c.id, deliveries.c.due_at).where(
        deliveries.c.due_at.is_not(None), deliveries.c.due_at < late_since, deliveries.c.state == state
    )


def _waiting(now: datetime) -> Select[tuple[str, datetime]]:
    """Return the deliveries that were due when they were made and were put off since."""
    # A contact's fallback channels have a delay and are due later by design, so they are left out.
    return select(deliveries.c.channel, deliveries.c.created_at).where(
        deliveries.c.due_at > now,
        deliveries.c.state == DeliveryState.PENDING,
        deliveries.c.attempts == 0,
        deliveries.c.delay_seconds == 0,
    )


def _at_risk(now: datetime, near: timedelta) -> Select[tuple[str, datetime]]:
    own = and_(deliveries.c.step_id == steps.c.id, deliveries.c.priority == Priority.STATUTORY)
    # The attempt under way has not failed yet.
    has_failed = deliveries.c.attempts > case((deliveries.c.state == DeliveryState.SENDING, 1), else_=0)
    failed = select(deliveries.c.id).where(own, has_failed, deliveries.c.state.in_(_NOT_ARRIVED)).exists()
    arrived = select(deliveries.c.id).where(own, deliveries.c.state == DeliveryState.DELIVERED).exists()
    # A started step is due until a person completes it; nothing can save a failed one after its deadline.
    is_due = or_(steps.c.state == StepState.STARTED, and_(steps.c.state == StepState.FAILED, steps.c.deadline > now))
    # The list of states repeats `is_due`, so that the index on state and deadline is used.
    return select(steps.c.id, steps.c.deadline).where(
        steps.c.state.in_([StepState.STARTED, StepState.FAILED]),
        steps.c.deadline <= now + near,
        is_due,
        failed,
        ~arrived,
    )


def _ahead(last_event: int, limit: timedelta) -> Select[tuple[str, datetime]]:
    ahead = type_coerce(events.c.occurred_at, BigInteger) - type_coerce(events.c.received_at, BigInteger)
    return select(events.c.source, events.c.occurred_at).where(
        events.c.seq > last_event, ahead > limit // timedelta(microseconds=1)
    )


def _database_now(connection: Connection) -> datetime | None:
    clock = _CLOCKS.get(connection.dialect.name)
    if clock is None:
        return None
    value = connection.scalar(clock)
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value  # tests ask SQLite, which answers text
    return None if instant is None else instant.astimezone(UTC)
