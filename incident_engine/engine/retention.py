"""Retention: incidents that were closed long ago move from the database into archive files.

A run marks the chosen incidents, writes their file and reads it back, then removes each incident in a piece of work
that checks again that the file holds exactly the stored rows. After a crash at any point the next run continues with
the marked incidents: nothing is lost, and nothing is archived twice.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from incident_engine.common.errors import ArchiveError, StoreError
from incident_engine.common.telemetry import logger
from incident_engine.config.settings import RetentionSettings, Settings
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.values import stamp
from incident_engine.engine.reader import Reader
from incident_engine.store import archive, archive_files, retention
from incident_engine.store.database import Database
from incident_engine.store.retention import ClosedCase
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer

T = TypeVar("T")
Read = Callable[[], AbstractContextManager[Connection]]

PER_FILE = 100
_PAGE = 500
_STOP_SECONDS = 60
_DUE = (ObligationState.PENDING, ObligationState.OVERDUE)


class Hold(StrEnum):
    """Why an incident is not archived, however long ago it was closed."""

    OBLIGATION_DUE = "obligation_due"
    """A report or a notice is pending or overdue."""
    STEP_OPEN = "step_open"
    """A step or a follow-up task is still open."""
    DELIVERY_UNDER_WAY = "delivery_under_way"
    SOMETHING_DUE = "something_due"
    """A timer is set."""


@dataclass(slots=True)
class ArchiveResult:
    """The result of a run."""

    archived: dict[str, list[str]] = field(default_factory=dict)
    """The ids of the archived incidents by file."""
    held: dict[str, Hold] = field(default_factory=dict)
    """The reason why an incident stays, by its id."""


def due(
    read: Read, settings: RetentionSettings, reader: Reader, now: datetime
) -> Iterator[tuple[ClosedCase, Hold | None]]:
    """Yield the incidents that were closed long enough before `now`, the earliest first, each with its hold if any."""
    if settings.closed_incidents is None:
        return
    last: ClosedCase | None = None
    while True:
        with read() as connection:
            page = retention.closed_cases(connection, now - settings.closed_incidents, last, _PAGE)
        if not page:
            return
        for closed_case in page:
            # A connection each: a long-lived snapshot would keep SQLite from checkpointing its log.
            with read() as connection:
                hold = hold_of(connection, reader, closed_case.id, now)
            yield closed_case, hold
        last = page[-1]


def hold_of(connection: Connection, reader: Reader, case_id: str, now: datetime) -> Hold | None:
    """Return the reason why a closed incident may not be archived; None if it may be."""
    case = reader.case(connection, case_id, now)
    statuses = [status for assessment in case.assessments for status in assessment.obligations] if case else []
    if any(status.state in _DUE for status in statuses):
        return Hold.OBLIGATION_DUE
    return _stored_hold(connection, case_id)


class Archiver:
    """Archives incidents whose retention period is over."""

    def __init__(
        self,
        settings: RetentionSettings,
        database: Database,
        writer: Writer,
        reader: Reader,
        is_changing: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Keep the collaborators. `is_changing` returns whether an incident has events that are not written yet."""
        self._settings = settings
        self._database = database
        self._writer = writer
        self._reader = reader
        self._is_changing = is_changing
        self._stopping = threading.Event()
        self._log = logger("retention")

    def run(self, now: datetime) -> ArchiveResult:
        """Finish an earlier run, then archive the incidents that are due at `now`.

        Raises ArchiveError if a file cannot be written or read, StoreError if the database cannot be written. An
        incident stays in the database until its file was read back.
        """
        result = ArchiveResult()
        with self._database.read() as connection:
            unfinished = archive.chosen(connection)
        for file, case_ids in unfinished.items():
            self._archive(file, case_ids, now, result)
        archivable = self._archivable(now, result)
        while not self._stopping.is_set() and (batch := list(islice(archivable, PER_FILE))):
            # The digest keeps two runs within one second, or on two replicas, from writing one file.
            digest = hashlib.sha256("\0".join(batch).encode()).hexdigest()[:8]
            file = f"incidents-{stamp(now)}-{digest}.jsonl.gz"
            self._submit(partial(_mark_chosen, case_ids=batch, file=file))
            self._archive(file, batch, now, result)
        for hold, count in Counter(result.held.values()).items():
            self._log.info("incidents_kept", reason=hold.value, count=count)
        return result

    def attempt(self, now: datetime) -> None:
        """Run, and log a failure; the next day's run tries again."""
        try:
            self.run(now)
        except (ArchiveError, StoreError, SQLAlchemyError) as error:
            self._log.warning("archive_failed", reason="archive_failed", error=str(error))

    def stop(self) -> None:
        """End a run after the incident that it is at; the next run continues."""
        self._stopping.set()

    def _archivable(self, now: datetime, result: ArchiveResult) -> Iterator[str]:
        for closed_case, hold in due(self._database.read, self._settings, self._reader, now):
            if hold is None:
                yield closed_case.id
            else:
                result.held[closed_case.id] = hold

    def _archive(self, file: str, case_ids: Sequence[str], now: datetime, result: ArchiveResult) -> None:
        """Write the file, and remove the incidents that it holds from the database."""
        path = self._settings.directory / file
        with self._database.read() as connection:
            in_use = archive.is_in_use(connection, file)
            documents = [] if in_use else [archive.document_of(connection, case_id) for case_id in case_ids]
        if not in_use:  # incidents that were removed already exist in this file only: it must not be written again
            archive_files.write(path, [archive.line_of(document) for document in documents if document is not None])
        digests = archive_files.digests(path)
        removed = result.archived.setdefault(file, [])
        for case_id in case_ids:
            if self._stopping.is_set():
                break
            if self._submit(partial(self._remove, case_id=case_id, digest=digests.get(case_id), now=now)):
                removed.append(case_id)
        self._log.info("incidents_archived", reason="retention", file=str(path), count=len(removed))

    def _remove(self, unit: UnitOfWork, case_id: str, digest: str | None, now: datetime) -> bool:
        """Remove an incident if the file holds exactly its stored rows; else leave it for a later run."""
        document = archive.document_of(unit.connection, case_id)
        if document is None:
            return False  # another replica was faster
        is_same = digest == archive_files.digest_of(archive.line_of(document))
        # Checked again in the writer's thread: the incident may have changed since it was chosen.
        is_held = self._is_changing(case_id) or _stored_hold(unit.connection, case_id) is not None
        if digest is None or not is_same or is_held:
            archive.unmark_chosen(unit.connection, case_id)
            return False
        archive.remove(unit.connection, case_id, digest, now)
        return True

    def _submit(self, work: Callable[[UnitOfWork], T]) -> T:
        return self._writer.submit(work, urgent=True).result()


def run_alone(settings: Settings, reader: Reader, now: datetime) -> ArchiveResult:
    """Archive without a daemon. Raises StoreError if a daemon holds the database."""
    database = Database(settings.store.url)
    writer = Writer(database, settings.intake.queue, lambda: None)
    writer.start()
    try:
        return Archiver(settings.retention, database, writer, reader).run(now)
    finally:
        writer.stop(_STOP_SECONDS)
        database.close()


def _mark_chosen(unit: UnitOfWork, case_ids: Sequence[str], file: str) -> None:
    for case_id in case_ids:
        archive.mark_chosen(unit.connection, case_id, file)


def _stored_hold(connection: Connection, case_id: str) -> Hold | None:
    if retention.has_delivery_under_way(connection, case_id):
        return Hold.DELIVERY_UNDER_WAY
    if retention.has_open_step(connection, case_id):
        return Hold.STEP_OPEN
    return Hold.SOMETHING_DUE if retention.has_timer(connection, case_id) else None
