"""What the watchdog asks of the store: what is late, what waits, and what came from ahead of our clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Connection, Select, and_, case, func, or_, select, text, type_coerce

from incident_engine.domain.response.step import StepState
from incident_engine.store.deliveries import DeliveryState, Priority
from incident_engine.store.events import last_event as newest_event
from incident_engine.store.tables import deliveries, events, steps, timers

_CLOCKS = {"postgresql": text("SELECT clock_timestamp()")}
"""How a database that runs elsewhere is asked for its time; SQLite has ours."""
_NOT_ARRIVED = [DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.FAILED]


@dataclass(frozen=True, slots=True)
class Late:
    """How many rows are late, the earliest instant among them, and what the row with it is about."""

    count: int
    since: datetime
    subject: str


@dataclass(frozen=True, slots=True)
class Health:
    """The store at one instant. None: there is no such row."""

    timers: Late | None
    unclaimed: Late | None
    """Due, and nobody has claimed them. What waits for a rate limit or an open circuit is due later."""
    lapsed: Late | None
    """Being sent, by their state, longer than their lease."""
    waiting: Late | None
    """Was due, was never tried, and waits on purpose: for a rate limit, or a target that does not answer."""
    at_risk: Late | None
    """Steps with a deadline near or past, of whose statutory messages some failed and none was delivered."""
    ahead: Late | None
    """Events newer than the last look that occurred later than they were received, by more than the limit."""
    last_event: int
    database_now: datetime | None


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on a row is late."""

    overdue: timedelta
    deadline: timedelta
    ahead: timedelta


def health(connection: Connection, now: datetime, limits: Limits, last_event: int | None) -> Health:
    """Return what is late at `now`. `last_event`: the `seq` up to which events were looked at; None: all of them."""
    late_since = now - limits.overdue
    return Health(
        timers=_late(connection, _timers(late_since)),
        unclaimed=_late(connection, _deliveries(DeliveryState.PENDING, late_since)),
        lapsed=_late(connection, _deliveries(DeliveryState.SENDING, late_since)),
        waiting=_late(connection, _waiting(now)),
        at_risk=_late(connection, _at_risk(now, limits.deadline)),
        ahead=None if last_event is None else _late(connection, _ahead(last_event, limits.ahead)),
        last_event=newest_event(connection),
        database_now=_database_now(connection),
    )


def _late(connection: Connection, query: Select[tuple[str, datetime]]) -> Late | None:
    """Return the rows of a query of (about, instant) as what is late."""
    rows = query.subquery()
    about, instant = rows.c
    count, since = connection.execute(select(func.count(), func.min(instant)).select_from(rows)).one()
    if since is None:
        return None
    first = connection.scalar(select(about).where(instant == since).order_by(about).limit(1))
    return Late(count, since, str(first))


def _timers(late_since: datetime) -> Select[tuple[str, datetime]]:
    return select(timers.c.case_id, timers.c.due_at).where(timers.c.due_at < late_since)


def _deliveries(state: DeliveryState, late_since: datetime) -> Select[tuple[str, datetime]]:
    return select(deliveries.c.id, deliveries.c.due_at).where(
        deliveries.c.due_at.is_not(None), deliveries.c.due_at < late_since, deliveries.c.state == state
    )


def _waiting(now: datetime) -> Select[tuple[str, datetime]]:
    """Those that were due when they were made; a contact's later channels are due only after a delay."""
    return select(deliveries.c.channel, deliveries.c.created_at).where(
        deliveries.c.due_at > now,
        deliveries.c.state == DeliveryState.PENDING,
        deliveries.c.attempts == 0,
        deliveries.c.delay_seconds == 0,
    )


def _at_risk(now: datetime, near: timedelta) -> Select[tuple[str, datetime]]:
    mine = and_(deliveries.c.step_id == steps.c.id, deliveries.c.priority == Priority.STATUTORY)
    again = deliveries.c.attempts > case((deliveries.c.state == DeliveryState.SENDING, 1), else_=0)
    failed = select(deliveries.c.id).where(mine, again, deliveries.c.state.in_(_NOT_ARRIVED)).exists()
    arrived = select(deliveries.c.id).where(mine, deliveries.c.state == DeliveryState.DELIVERED).exists()
    # A step that waits for a person is owed until somebody does it; one that has failed, until it is too late.
    owed = or_(steps.c.state == StepState.STARTED, and_(steps.c.state == StepState.FAILED, steps.c.deadline > now))
    return select(steps.c.id, steps.c.deadline).where(
        steps.c.state.in_([StepState.STARTED, StepState.FAILED]), steps.c.deadline <= now + near, owed, failed, ~arrived
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
    found = connection.scalar(clock)
    instant = datetime.fromisoformat(found) if isinstance(found, str) else found
    return None if instant is None else instant.astimezone(UTC)
