"""Repairs, at a start, the rows that an earlier process left behind."""

from datetime import datetime

from incident_engine.common import failpoints
from incident_engine.store import deliveries
from incident_engine.store.database import Database
from incident_engine.store.flags import RULES_TRIED, set_flag
from incident_engine.store.unit_of_work import UnitOfWork


def recover(unit: UnitOfWork, database: Database, rules_fingerprint: str, now: datetime) -> None:
    """Release deliveries that a dead process was sending, end leases from the future, and store the fingerprint."""
    if not database.is_shared:  # with several replicas, another one may be sending; a lease expires by itself
        deliveries.release_all(unit.connection, now)
    # After a clock that was ahead is set back, leases would otherwise block their deliveries for as long.
    if deliveries.is_set_back(unit.connection, now):
        deliveries.set_back(unit.connection, now, now)
    set_flag(unit.connection, RULES_TRIED, rules_fingerprint)
    failpoints.reach(failpoints.Point.DURING_RECOVERY)
