"""The use cases of the quarantine: rejected reports enter it, and people map or dismiss them.

All run in the writer's transaction. A mapped report is replayed through its own format, with its own times.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from incident_engine.common.errors import IncidentEngineError, InvalidDocumentError, Problem
from incident_engine.common.telemetry import EventOutcome, Metrics
from incident_engine.domain.events.model import EVENT, Event, Repeats
from incident_engine.domain.events.types import API, EventType
from incident_engine.engine.decision_log import Reason, log, log_after_commit, warn
from incident_engine.engine.receipts import EventReporter, Receipt
from incident_engine.intake.base import Batch, Format, IntakeContext, Overrides, Rejected
from incident_engine.store.quarantine import (
    NATIVE_REASONS,
    QuarantinedReport,
    QuarantineState,
    end_quarantine,
    is_anything_in_quarantine,
    put_in_quarantine,
    quarantined_report,
    release_from_quarantine,
)
from incident_engine.store.unit_of_work import UnitOfWork


class NotInQuarantineError(IncidentEngineError):
    """No report with this source and key is in quarantine."""


class AlreadyAnsweredError(IncidentEngineError):
    """A person has answered the report in another way before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's answer to a quarantined report, for the record."""

    by: str
    reason: str | None = None


class Quarantine:
    """Keeps the reports that could not become events until a person maps or dismisses them."""

    def __init__(self, engine: EventReporter, formats: Sequence[Format], metrics: Metrics) -> None:
        self._engine = engine
        self._formats: Mapping[str, Format] = {format_.source: format_ for format_ in formats}
        self._native = next((format_ for format_ in formats if not format_.has_quarantine), None)
        self._metrics = metrics

    def receive(self, unit: UnitOfWork, batch: Batch, context: IntakeContext) -> tuple[list[Event], list[Rejected]]:
        """Quarantine the rejected reports of a batch, and release those that its events replace.

        Return the events of reports that a person has mapped before, and the reports that remain in quarantine.
        """
        # First the release: a report that was resolved and is rejected in the same body waits in quarantine.
        if batch.resolved and is_anything_in_quarantine(unit.connection):
            release_from_quarantine(unit.connection, batch.source, batch.resolved)
        mapped: list[Event] = []
        remaining: list[Rejected] = []
        new: list[Rejected] = []
        for report in batch.rejected:
            row = put_in_quarantine(
                unit.connection,
                batch.source,
                report.key,
                report.reason,
                report.detail,
                dict(report.document),
                context.received_at,
                times=report.times,
            )
            # The end of a mapped alert has the same wrong labels as its start, and must not wait for a person again.
            events = self._replay(unit, row, context) if row.state is QuarantineState.MAPPED else []
            mapped += events
            if not events:
                remaining.append(report)
            if row.times == report.times:
                new.append(report)
        if remaining:
            times = sum(report.times for report in remaining)
            count = partial(self._metrics.count_events, batch.source, EventOutcome.QUARANTINED, times)
            unit.after_commit.append(count)
        if new:
            unit.after_commit.append(partial(self._log_new, batch.source, new))
        return mapped, remaining

    def map(
        self, unit: UnitOfWork, source: str, key: str, overrides: Overrides, answer: Answer, context: IntakeContext
    ) -> list[Receipt]:
        """Report the events of a quarantined report with the service and regions of a person; it leaves the quarantine.

        The same answer again changes nothing. Later notifications of the same report are mapped alike, so that its end
        is taken, too. Raises NotInQuarantineError, AlreadyAnsweredError if it was mapped otherwise, and
        InvalidDocumentError if the report cannot become events.
        """
        row = _found(unit, source, key)
        is_mapped = row.state is QuarantineState.MAPPED
        if is_mapped and _overrides(row) != overrides:
            raise AlreadyAnsweredError(
                f"{row.ended_by} has mapped it to {row.service} in {', '.join(row.regions or ())}; "
                "report outage.restored or a correction instead"
            )
        events = self._events(row, overrides, context)
        format_ = self._formats.get(source)
        repeats = format_.repeats if format_ else Repeats.EXACT
        receipts = self._engine.report(unit, events, context.received_at, (), repeats)
        if any(receipt.outcome is EventOutcome.QUARANTINED for receipt in receipts):
            message = "it is known under this key with other services or regions, and its events are stored; "
            raise AlreadyAnsweredError(message + "report outage.restored for those that work, or dismiss it")
        if is_mapped:
            return receipts
        if overrides == Overrides():
            release_from_quarantine(unit.connection, source, [key])
        else:
            end_quarantine(
                unit.connection,
                source,
                key,
                QuarantineState.MAPPED,
                service=overrides.service,
                regions=list(overrides.regions) if overrides.regions else None,
                ended_by=answer.by,
                ended_reason=answer.reason,
                ended_at=context.received_at,
            )
        notes = [
            _mapping_note(row, event, answer, incident, context) for event, incident in _by_incident(events, receipts)
        ]
        self._engine.report(unit, notes, context.received_at)
        log_after_commit(unit, Reason.REPORT_MAPPED, source=source, key=key, events=len(events))
        return receipts

    def dismiss(self, unit: UnitOfWork, source: str, key: str, answer: Answer, context: IntakeContext) -> None:
        """Set a report aside, with the person's name and reason; its row stays on record.

        The same report stays dismissed when it comes again; the next start of the same alert has another key. The same
        answer again changes nothing. Raises NotInQuarantineError, and AlreadyAnsweredError after another answer.
        """
        row = _found(unit, source, key)
        if row.state is QuarantineState.MAPPED:
            message = f"{row.ended_by} has mapped it, and its events are stored; report outage.restored instead"
            raise AlreadyAnsweredError(message)
        if row.state is QuarantineState.DISMISSED:
            if (row.ended_by, row.ended_reason) != (answer.by, answer.reason):
                raise AlreadyAnsweredError(f"{row.ended_by} has dismissed it before; the first reason stays on record")
            return
        end_quarantine(
            unit.connection,
            source,
            key,
            QuarantineState.DISMISSED,
            ended_by=answer.by,
            ended_reason=answer.reason,
            ended_at=context.received_at,
        )
        log_after_commit(unit, Reason.REPORT_DISMISSED, source=source, key=key)

    def labels_for(self, source: str, overrides: Overrides) -> Mapping[str, str]:
        """Return the labels by which the sender's next report of this kind would be taken without a person."""
        format_ = self._formats.get(source)
        return format_.labels_for(overrides) if format_ else {}

    def _replay(self, unit: UnitOfWork, row: QuarantinedReport, context: IntakeContext) -> Sequence[Event]:
        try:
            return self._events(row, _overrides(row), context)
        except InvalidDocumentError as error:
            # Such as a service that was removed since: a person must look at it again.
            end_quarantine(unit.connection, row.source, row.key, QuarantineState.WAITING, ended_at=None)
            warn(Reason.REPORT_UNMAPPABLE, error, source=row.source, key=row.key)
            return []

    def _events(self, row: QuarantinedReport, overrides: Overrides, context: IntakeContext) -> Sequence[Event]:
        format_ = self._native if row.reason in NATIVE_REASONS else self._formats.get(row.source)
        if format_ is None:
            message = f"this version has no format for reports of '{row.source}'"
            raise InvalidDocumentError(
                [Problem((), message, "report the outage by POST /api/v1/events, and dismiss it")]
            )
        return format_.map_document(row.document, overrides, context)

    def _log_new(self, source: str, reports: Sequence[Rejected]) -> None:
        for reason, count in Counter(report.reason for report in reports).items():
            self._metrics.count_quarantined(source, reason, count)
            first = next(report for report in reports if report.reason == reason)
            # One line for each reason: a wrong label may reject thousands of alerts at once.
            log(Reason.REPORT_QUARANTINED, source=source, why=reason, key=first.key[:_LONGEST_KEY], count=count)


_LONGEST_KEY = 200
"""The most characters of a key in the log; a sender chooses it."""


def _found(unit: UnitOfWork, source: str, key: str) -> QuarantinedReport:
    row = quarantined_report(unit.connection, source, key)
    if row is None:
        raise NotInQuarantineError(f"nothing of '{source}' with the key '{key}' is in quarantine")
    return row


def _overrides(row: QuarantinedReport) -> Overrides:
    return Overrides(row.service, tuple(row.regions) if row.regions else None)


def _by_incident(events: Sequence[Event], receipts: Sequence[Receipt]) -> list[tuple[Event, str]]:
    """Return the first new event of each incident, with the incident."""
    first: dict[str, Event] = {}
    for event, receipt in zip(events, receipts, strict=True):
        if receipt.outcome is EventOutcome.ACCEPTED and receipt.incident is not None:
            first.setdefault(receipt.incident, event)
    return [(event, incident) for incident, event in first.items()]


def _mapping_note(row: QuarantinedReport, event: Event, answer: Answer, incident: str, context: IntakeContext) -> Event:
    """Return the note that records in the incident who mapped the report, and why."""
    zh_cn = f"由隔离区归入：{row.source} {row.key}（原因：{row.reason}）。"
    en = f"Mapped from quarantine: {row.source} {row.key} ({row.reason})."
    digest = hashlib.sha256(f"{row.source}\0{row.key}\0{context.received_at}".encode()).hexdigest()[:32]
    document: dict[str, Any] = {
        "source": API,
        "id": f"quarantine/{digest}/{hashlib.sha256(incident.encode()).hexdigest()[:8]}",
        "type": EventType.NOTE_ADDED,
        "incident": incident,
        "occurred_at": max(context.received_at, event.occurred_at),
        "data": {"by": answer.by, "text": " ".join([zh_cn, en, *([answer.reason] if answer.reason else [])])[:10_000]},
    }
    return EVENT.validate_python(document)
