"""What a start does to the rows that an earlier process left behind."""

from datetime import datetime

from incident_engine.common import failpoints as faults
from incident_engine.store import deliveries as outgoing
from incident_engine.store.database import Database
from incident_engine.store.flags import RULES_TRIED, set_flag
from incident_engine.store.unit_of_work import UnitOfWork


def recover(unit: UnitOfWork, database: Database, rules_fingerprint: str, now: datetime) -> None:
    """Release deliveries that a dead process was sending, undo leases from the future, note the rules in use."""
    if not database.is_shared:  # with several replicas the lease of a delivery ends by itself
        outgoing.release_all(unit.connection, now)
    if outgoing.is_set_back(unit.connection, now):
        outgoing.set_back(unit.connection, now, now)
    set_flag(unit.connection, RULES_TRIED, rules_fingerprint)
    faults.reach(faults.Point.DURING_RECOVERY)
