"""The versions of reports: drafted when facts change, approved, submitted or withdrawn with the step that asks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from incident_engine.domain.reports.drafting import content_hash, draft_report, report_from
from incident_engine.domain.reports.facts import ReportFacts
from incident_engine.domain.reports.report_book import ReportBook
from incident_engine.domain.response.step import StepState
from incident_engine.domain.values import LocalizedText
from incident_engine.engine.decision_log import Reason, log_after_commit, warn
from incident_engine.store.reports import (
    Head,
    ReportState,
    Version,
    heads_of,
    insert_state,
    insert_version,
    versions_of,
)
from incident_engine.store.steps import ReportStep, report_steps
from incident_engine.store.unit_of_work import UnitOfWork

_DRAFTED = (StepState.AWAITING, StepState.STARTED, StepState.FAILED, StepState.COMPLETED)
_GIVEN_UP = (StepState.SKIPPED, StepState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class CurrentReport:
    """The state of a report, for the message of the step that asks for it."""

    report: str
    instance: str
    version: int
    title: LocalizedText
    gaps: int
    """Fields without a value, in the language that has the most of them."""


def update_versions(unit: UnitOfWork, facts: ReportFacts, book: ReportBook, now: datetime) -> dict[str, Head]:
    """Store changes of an incident's reports. Return the latest version by the id of the step that asks for it.

    A report is drafted for each step that has started and is not done, and for each report into which a person wrote
    before any step asked for it. Submitted and withdrawn reports never change.
    """
    latest: dict[str, Head] = {}
    updated: set[tuple[str, str]] = set()
    submitted_at: dict[str, datetime] = {}
    asking = report_steps(unit.connection, facts.incident.id)
    written = facts.incident.handling.reports
    # Most incidents have no report at all, and this runs at each of their updates.
    heads = heads_of(unit.connection, facts.incident.id) if asking or written else {}
    for step in asking:
        key = step.report, step.instance
        if step.report in book.definitions and key not in updated and step.state in (*_DRAFTED, *_GIVEN_UP):
            updated.add(key)
            history = _History(unit, facts, book, now, *key, heads.get(key, []), submitted_at.get(step.report))
            head = history.update(step)
            if head is not None:
                latest[step.id] = head
        if step.completed_at is not None:
            submitted_at[step.report] = step.completed_at
    asked_for = {report for report, _ in updated}
    for report in written:
        if report in book.definitions and report not in asked_for:
            _History(unit, facts, book, now, report, "", heads.get((report, ""), []), None).draft()
    return latest


def outlook(facts: ReportFacts, book: ReportBook, name: str, instance: str) -> CurrentReport | None:
    """Return the state that a report would have if it were drafted now; None if there is no such definition.

    The message with which a step starts is written before its report is drafted.
    """
    if name not in book.definitions:
        return None
    version = preview(facts, book, name)
    title = LocalizedText.model_validate({locale: str(part["title"]) for locale, part in version.document.items()})
    return CurrentReport(version.report, instance, 1, title, version.gaps)


def empty_fields(
    connection: Connection, case_id: str, report: str, instance: str, *, is_submission: bool
) -> dict[str, list[str]]:
    """Return by locale the labels of the required fields that are empty in the version that an action takes.

    A submission takes the version approved last, else the newest draft; an approval takes the newest draft. Empty if
    there are no such fields, no version is drafted, or the report is submitted.
    """
    heads = heads_of(connection, case_id).get((report, instance), [])
    if any(head.state is ReportState.SUBMITTED for head in heads):
        return {}
    approved = [head for head in heads if head.state is ReportState.APPROVED]
    drafts = [head for head in heads if head.state is ReportState.DRAFT]
    head = next(reversed(approved if approved and is_submission else drafts), None)
    if head is None or head.gaps == 0:
        return {}
    versions = versions_of(connection, case_id, report, instance)
    document = next(version.document for version in versions if version.version == head.version)
    reports = {locale: report_from(part) for locale, part in document.items()}
    # A text may render in one language and fail in another: the field is then named in both.
    empty = {field.id for part in reports.values() for field in part.gaps}
    return {locale: [field.label for field in part.fields if field.id in empty] for locale, part in reports.items()}


def preview(facts: ReportFacts, book: ReportBook, name: str) -> Version:
    """Return a report as it would be drafted now, as version 0, which is not stored. Raises KeyError if unknown."""
    document = draft_report(book, name, facts).document()
    return _version(facts.incident.id, name, "", 0, facts.assessments[0].at, document)


@dataclass(slots=True)
class _History:
    """The versions of one instance of a report."""

    unit: UnitOfWork
    facts: ReportFacts
    book: ReportBook
    now: datetime
    report: str
    instance: str
    heads: list[Head]
    """The versions so far, in the order in which they were written."""
    since: datetime | None
    """When the instance before it was submitted: earlier entries by people belong to that one."""

    def update(self, step: ReportStep) -> Head | None:
        """Draft, approve, submit or withdraw the report as its step demands. Return the latest version, if any."""
        if any(head.state is ReportState.SUBMITTED for head in self.heads):
            return self.heads[-1]
        if step.state in _GIVEN_UP:
            if self.heads and self.heads[-1].state is not ReportState.WITHDRAWN:
                self._set_state(self.heads[-1], ReportState.WITHDRAWN, step.completed_by, step.completed_at)
            return None
        # A step that no person completed was ended by its deliveries; the report itself is still open.
        is_submitted = step.state == StepState.COMPLETED and step.completed_by is not None
        if not is_submitted or not self.heads:
            self.draft()
        approved = [head for head in self.heads if head.state is ReportState.APPROVED]
        if step.approved_at is not None and step.approved_at not in {head.created_at for head in approved}:
            draft = _draft_at(self.heads, step.approved_at)
            if not any(head.version == draft.version for head in approved):
                self._set_state(draft, ReportState.APPROVED, step.approved_by, step.approved_at)
        if is_submitted and step.completed_at is not None:
            # The person submitted the version approved last, or the draft of that time if none was approved.
            until = step.completed_at
            approved = [h for h in self.heads if h.state is ReportState.APPROVED and h.created_at <= until]
            submitted = approved[-1] if approved else _draft_at(self.heads, until)
            self._set_state(submitted, ReportState.SUBMITTED, step.completed_by, until)
        return self.heads[-1]

    def draft(self) -> None:
        """Draft the report, and store the draft if its content is new."""
        draft = draft_report(self.book, self.report, self.facts, self.since)
        for field, error in draft.failures:
            warn(Reason.TEMPLATE_FAILED, RuntimeError(error), report=self.report, field=field)
        number = max((head.version for head in self.heads), default=0)
        latest = next((head for head in reversed(self.heads) if head.version == number), None)
        version = _version(self.facts.incident.id, self.report, self.instance, number + 1, self.now, draft.document())
        if latest is None or latest.content_hash != version.content_hash:
            insert_version(self.unit.connection, version)
            self._append(Head(**{name: getattr(version, name) for name in Head.__slots__}), None)

    def _set_state(self, head: Head, state: ReportState, by: str | None, at: datetime | None) -> None:
        changed = replace(head, state=state, created_at=at or self.now)
        insert_state(self.unit.connection, self.facts.incident.id, head, state, by, changed.created_at)
        self._append(changed, by)

    def _append(self, head: Head, by: str | None) -> None:
        self.heads.append(head)
        log_after_commit(
            self.unit,
            Reason.REPORT_VERSION,
            incident=self.facts.incident.id,
            report=head.report,
            instance=head.instance,
            version=head.version,
            state=head.state.value,
            by=by,
            gaps=head.gaps,
        )


def _draft_at(heads: Iterable[Head], at: datetime) -> Head:
    """Return the draft in force at an instant; the first one for earlier instants."""
    drafts = [head for head in heads if head.state is ReportState.DRAFT]
    return next((head for head in reversed(drafts) if head.created_at <= at), drafts[0])


def _version(
    case_id: str, report: str, instance: str, number: int, at: datetime, document: Mapping[str, dict[str, Any]]
) -> Version:
    return Version(
        case_id=case_id,
        report=report,
        instance=instance,
        version=number,
        state=ReportState.DRAFT,
        by=None,
        created_at=at,
        content_hash=content_hash(document),
        gaps=max(len(report_from(part).gaps) for part in document.values()),
        document=document,
    )
