"""The table of timers: the instant at which each case must be updated next."""

from datetime import datetime
from functools import cache

from sqlalchemy import Connection, bindparam, delete, func, null, select, type_coerce, update

from incident_engine.store.deliveries import earliest_due
from incident_engine.store.dialect import upsert
from incident_engine.store.prepared import Prepared
from incident_engine.store.tables import timers


def set_timer(connection: Connection, case_id: str, due_at: datetime | None) -> None:
    """Set the instant at which a case must be updated next after an update that succeeded; None removes its timer."""
    if due_at is None:
        _DELETE_TIMER.run(connection, {"id": case_id})
        return
    _set_timer(connection.dialect.name).run(connection, {"case_id": case_id, "due_at": due_at})


_DELETE_TIMER = Prepared(delete(timers).where(timers.c.case_id == bindparam("id")))


@cache
def _set_timer(dialect: str) -> Prepared:
    statement = upsert(dialect, timers)
    new = {"due_at": statement.excluded.due_at, "failed_since": null()}
    return Prepared(statement.on_conflict_do_update(index_elements=["case_id"], set_=new), ("case_id", "due_at"))


def postpone_failed(connection: Connection, case_id: str, due_at: datetime, now: datetime) -> None:
    """Set the instant at which a case is tried again after its update has failed, and keep the first failure's."""
    since = func.coalesce(timers.c.failed_since, type_coerce(now, timers.c.failed_since.type))
    connection.execute(update(timers).where(timers.c.case_id == case_id).values(due_at=due_at, failed_since=since))


def due_timers(connection: Connection, now: datetime, limit: int) -> list[tuple[str, datetime]]:
    """Return (case id, due instant) of the timers that are due, the longest overdue first."""
    return [(row.case_id, row.due_at) for row in _DUE.rows(connection, now=now, limit=limit)]


_DUE = Prepared(
    select(timers.c.case_id, timers.c.due_at)
    .where(timers.c.due_at <= bindparam("now"))
    .order_by(timers.c.due_at)
    .limit(bindparam("limit"))
)


def next_due(connection: Connection) -> tuple[datetime | None, datetime | None]:
    """Return the earliest instants at which (a case must be updated, a delivery must be attempted)."""
    return _NEXT_TIMER.value(connection), earliest_due(connection)


_NEXT_TIMER = Prepared(select(func.min(timers.c.due_at)))
