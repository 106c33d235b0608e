"""The monthly check for incidents with one root cause that reach a level only together."""

from datetime import tzinfo

from incident_engine.common.clock import Clock
from incident_engine.common.telemetry import logger
from incident_engine.domain.grading.recurring import recurrence_document
from incident_engine.domain.values import months_later
from incident_engine.engine.reader import Reader
from incident_engine.store.database import Database


def log_recurring(reader: Reader, database: Database, clock: Clock, zone: tzinfo) -> None:
    """Log the recurring incidents that became known within the last two months; older ones have been logged before."""
    now = clock.now()
    with database.read() as connection:
        recurrences = reader.recurring(connection, now)
    for recurrence in recurrences:
        if recurrence.known_at > months_later(now, -2):
            fields = recurrence_document(recurrence, zone)
            fields["incident_level"] = fields.pop("level")  # `level` is the log's own
            logger("daemon").warning("recurring_incidents", reason="assessed_monthly", **fields)
