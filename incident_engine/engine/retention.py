"""Retention: incidents that have been closed for long go from the database into archive files.

A choice is noted first, then the file is written and read back, then each incident is removed by a piece of work that
checks once more that the file holds exactly what it removes. Wherever a crash comes between, the next run goes on with
the noted choice: nothing is lost, and nothing is archived twice.
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
from incident_engine.store import archive as archives
from incident_engine.store import archive_files
from incident_engine.store import retention as retained
from incident_engine.store.database import Database
from incident_engine.store.retention import ClosedCase
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer

T = TypeVar("T")
Read = Callable[[], AbstractContextManager[Connection]]

PER_FILE = 100
_LOOKED_AT = 500
_STOP_SECONDS = 60
_OWED = (ObligationState.PENDING, ObligationState.OVERDUE)


class Hold(StrEnum):
    """Why an incident stays, however long ago it was closed."""

    OBLIGATION_OWED = "obligation_owed"
    """A report or a notice is pending or overdue."""
    STEP_OPEN = "step_open"
    """A step or a follow-up task is still to be done."""
    DELIVERY_UNDER_WAY = "delivery_under_way"
    SOMETHING_DUE = "something_due"
    """A timer is set."""


@dataclass(slots=True)
class ArchiveResult:
    """What a run did: the incidents that are in files now, by file, and those that stay, with the reason."""

    archived: dict[str, list[str]] = field(default_factory=dict)
    held: dict[str, Hold] = field(default_factory=dict)


def due(
    read: Read, settings: RetentionSettings, reader: Reader, now: datetime
) -> Iterator[tuple[ClosedCase, Hold | None]]:
    """Yield each incident that was closed long enough before `now`, with what keeps it, the first closed first."""
    if settings.closed_incidents is None:
        return
    last: ClosedCase | None = None
    while True:
        with read() as connection:
            page = retained.closed_cases(connection, now - settings.closed_incidents, last, _LOOKED_AT)
        if not page:
            return
        for ended in page:
            with read() as connection:
                hold = hold_of(connection, reader, ended.id, now)
            yield ended, hold
        last = page[-1]


def hold_of(connection: Connection, reader: Reader, case_id: str, now: datetime) -> Hold | None:
    """Return what keeps a closed incident from being archived; None if nothing does."""
    found = _stored_hold(connection, case_id)
    case = reader.case(connection, case_id, now)
    if case is not None and any(
        status.state in _OWED for assessment in case.assessments for status in assessment.obligations
    ):
        return Hold.OBLIGATION_OWED
    return found


class Archiver:
    """Archives what is due."""

    def __init__(
        self,
        settings: RetentionSettings,
        database: Database,
        writer: Writer,
        reader: Reader,
        is_changing: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Keep the collaborators. `is_changing` tells of incidents with events that are not written yet."""
        self._settings = settings
        self._database = database
        self._writer = writer
        self._reader = reader
        self._is_changing = is_changing
        self._stopping = threading.Event()
        self._log = logger("retention")

    def run(self, now: datetime) -> ArchiveResult:
        """Archive what was closed long enough before `now`, after what an earlier run left unfinished.

        Raises ArchiveError if a file cannot be written or read, StoreError if the database cannot take it. What is not
        in a file that was read back stays in the database.
        """
        outcome = ArchiveResult()
        with self._database.read() as connection:
            unfinished = archives.chosen(connection)
        for file, names in unfinished.items():
            self._archive(file, names, now, outcome)
        for batch in _batches(self._free(now, outcome)):
            if self._stopping.is_set():
                break
            file = _file_name(batch, now)
            self._do(partial(_choose, names=batch, file=file))
            self._archive(file, batch, now, outcome)
        for hold, count in Counter(outcome.held.values()).items():
            self._log.info("incidents_kept", reason=hold.value, count=count)
        return outcome

    def attempt(self, now: datetime) -> None:
        """Run, and log what keeps it from it: it is tried again the next day."""
        try:
            self.run(now)
        except (ArchiveError, StoreError, SQLAlchemyError) as error:
            self._log.warning("archive_failed", reason="archive_failed", error=str(error))

    def stop(self) -> None:
        """Let a run under way end after the incident that it is at; the next one goes on."""
        self._stopping.set()

    def _free(self, now: datetime, outcome: ArchiveResult) -> Iterator[str]:
        for ended, hold in due(self._database.read, self._settings, self._reader, now):
            if hold is None:
                yield ended.id
            else:
                outcome.held[ended.id] = hold

    def _archive(self, file: str, names: Sequence[str], now: datetime, outcome: ArchiveResult) -> None:
        """Write the file, unless incidents were removed for it already, and remove those that it holds."""
        path = self._settings.directory / file
        with self._database.read() as connection:
            in_use = archives.is_in_use(connection, file)
            found = [] if in_use else [archives.document_of(connection, name) for name in names]
        if not in_use:
            archive_files.write(path, [archives.line_of(document) for document in found if document is not None])
        digests = archive_files.digests(path)
        removed = outcome.archived.setdefault(file, [])
        for name in names:
            if self._stopping.is_set():
                break
            if self._do(partial(self._remove, name=name, digest=digests.get(name), now=now)):
                removed.append(name)
        self._log.info("incidents_archived", reason="retention", file=str(path), count=len(removed))

    def _remove(self, unit: UnitOfWork, name: str, digest: str | None, now: datetime) -> bool:
        """Remove an incident if the file holds exactly what is stored of it; else it stays for another day."""
        document = archives.document_of(unit.connection, name)
        if document is None:
            return False  # another replica was here first
        is_same = digest == archive_files.digest_of(archives.line_of(document))
        if digest is None or not is_same or self._is_changing(name) or _stored_hold(unit.connection, name) is not None:
            archives.unmark_chosen(unit.connection, name)
            return False
        archives.remove(unit.connection, name, digest, now)
        return True

    def _do(self, work: Callable[[UnitOfWork], T]) -> T:
        return self._writer.submit(work, urgent=True).result()


def run_alone(settings: Settings, reader: Reader, now: datetime) -> ArchiveResult:
    """Archive without a daemon. Raises StoreError if one holds the database."""
    database = Database(settings.store.url)
    writer = Writer(database, settings.intake.queue, lambda: None)
    writer.start()
    try:
        return Archiver(settings.retention, database, writer, reader).run(now)
    finally:
        writer.stop(_STOP_SECONDS)
        database.close()


def _choose(unit: UnitOfWork, names: Sequence[str], file: str) -> None:
    for name in names:
        archives.mark_chosen(unit.connection, name, file)


def _stored_hold(connection: Connection, case_id: str) -> Hold | None:
    if retained.has_delivery_under_way(connection, case_id):
        return Hold.DELIVERY_UNDER_WAY
    if retained.has_open_step(connection, case_id):
        return Hold.STEP_OPEN
    return Hold.SOMETHING_DUE if retained.has_timer(connection, case_id) else None


def _batches(names: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(names, PER_FILE)):
        yield batch


def _file_name(names: Sequence[str], now: datetime) -> str:
    """Return a name that no other choice of incidents has."""
    digest = hashlib.sha256("\0".join(names).encode()).hexdigest()[:8]
    return f"incidents-{stamp(now)}-{digest}.jsonl.gz"
