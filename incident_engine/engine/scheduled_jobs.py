"""The jobs that no event triggers: recovery at the start, archiving each day, recurring incidents each month."""

from collections.abc import Callable

from incident_engine.common.clock import Clock
from incident_engine.common.telemetry import logger
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.recurring import recurrence_document
from incident_engine.domain.values import months_later
from incident_engine.engine.reader import Reader
from incident_engine.engine.retention import Archiver
from incident_engine.store.database import Database
from incident_engine.store.recovery import recover
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer


class ScheduledJobs:
    """Runs the job of the start, and the daily and the monthly one, which the timers call once for all replicas."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        is_changing: Callable[[str], bool],
    ) -> None:
        """Keep the collaborators. `is_changing` returns whether a case has events that are not written yet."""
        self._zone = settings.bank.zone
        self._database = database
        self._reader = reader
        self._clock = clock
        self._archiver = Archiver(settings.retention, database, writer, reader, is_changing)

    def at_start(self, unit: UnitOfWork, rules_fingerprint: str) -> None:
        """Repair the rows that an earlier process left behind, before anything is sent."""
        recover(unit, self._database, rules_fingerprint, self._clock.now())

    def daily(self) -> None:
        """Archive the incidents whose retention period is over."""
        self._archiver.attempt(self._clock.now())

    def monthly(self) -> None:
        """Log the recurring incidents that became known within the last two months; older ones were logged before."""
        now = self._clock.now()
        with self._database.read() as connection:
            recurrences = self._reader.recurring(connection, now)
        for recurrence in recurrences:
            if recurrence.known_at > months_later(now, -2):
                fields = recurrence_document(recurrence, self._zone)
                fields["incident_level"] = fields.pop("level")  # `level` is the log's own
                logger("daemon").warning("recurring_incidents", reason="assessed_monthly", **fields)

    def stop(self) -> None:
        """End archiving after the incident that it is at."""
        self._archiver.stop()
