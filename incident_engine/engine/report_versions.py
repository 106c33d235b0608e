"""Keeping versions of reports: a new one when the facts change, and which of them a person approved and submitted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from incident_engine.config.settings import Settings
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.reporting_unit import ReportingUnit
from incident_engine.domain.reports.drafting import ReportBook, content_hash, report_from
from incident_engine.domain.reports.facts import ReportFacts
from incident_engine.domain.response.playbook import Playbook
from incident_engine.domain.response.step import StepState
from incident_engine.domain.values import LocalizedText
from incident_engine.engine.decision_log import Reason, log_after_commit, warn
from incident_engine.store.reports import Head, ReportState, Version, heads_of, insert_state, insert_version
from incident_engine.store.steps import ReportStep, report_steps
from incident_engine.store.unit_of_work import UnitOfWork

REGULATORS: Mapping[str, LocalizedText] = {
    kind: LocalizedText.model_validate({"zh-CN": chinese, "en": english})
    for kind, chinese, english in (
        ("head_office", "国家金融监督管理总局", "National Financial Regulatory Administration"),
        ("branch", "国家金融监督管理总局所在地派出机构", "the regulator's local office"),
    )
}
"""To whom a head office and a branch report unless the configuration says otherwise (银监办发〔2008〕53号 Art. 34)."""

_OPEN = (StepState.AWAITING, StepState.STARTED, StepState.FAILED, StepState.COMPLETED)
_GIVEN_UP = (StepState.SKIPPED, StepState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class CurrentReport:
    """How a report stands: what messages say of it."""

    report: str
    instance: str
    version: int
    titles: Mapping[str, str]
    """By locale."""
    gaps: int


def reporting_unit(settings: Settings) -> ReportingUnit:
    """Return the part of the bank that reports, with its regulator."""
    unit, bank = settings.bank.unit, settings.bank
    return ReportingUnit(
        name=unit.name or bank.name,
        regulator=unit.regulator or REGULATORS[unit.kind],
        is_branch=unit.kind == "branch",
        reporter=unit.reporter.name or "",
        contact=unit.reporter.phone or "",
    )


def facts_of(
    settings: Settings,
    incident: Incident,
    packs: Sequence[Pack],
    assessments: Sequence[Assessment],
    playbooks: Iterable[Playbook] = (),
) -> ReportFacts:
    """Return all that a report can tell of an incident. The primary pack stands first."""
    unit = reporting_unit(settings)
    titles = {step.id: step.title for playbook in playbooks for step in playbook.steps if step.title is not None}
    return ReportFacts(
        bank_name=settings.bank.name,
        unit=unit,
        service_names=settings.service_names,
        incident=incident,
        packs=packs,
        assessments=assessments,
        zone=settings.bank.zone,
        step_titles=titles,
    )


def keep_versions(unit: UnitOfWork, facts: ReportFacts, book: ReportBook, now: datetime) -> dict[str, Head]:
    """Store what has changed of an incident's reports; return how they stand, by the id of the step that asks for them.

    A report is drafted for each step that has begun and is not done, and for each report into which somebody wrote
    before any step asked for it. What was submitted or withdrawn does not change any more.
    """
    found: dict[str, Head] = {}
    seen: set[tuple[str, str]] = set()
    handed_in: dict[str, datetime] = {}
    asking = report_steps(unit.connection, facts.incident.id)
    written = facts.incident.handling.reports
    kept = heads_of(unit.connection, facts.incident.id) if asking or written else {}
    for step in asking:
        known = step.report in book.definitions and (step.report, step.instance) not in seen
        if known and (step.state in _OPEN or step.state in _GIVEN_UP):
            seen.add((step.report, step.instance))
            about = step.report, step.instance
            keeper = _Keeper(unit, facts, book, now, *about, kept.get(about, []), handed_in.get(step.report))
            current = keeper.keep(step)
            if current is not None:
                found[step.id] = current
        if step.completed_at is not None:
            handed_in[step.report] = step.completed_at
    asked = {report for report, _ in seen}
    for name in written:
        if name in book.definitions and name not in asked:
            _Keeper(unit, facts, book, now, name, "", kept.get((name, ""), []), None).draft()
    return found


def outlook(facts: ReportFacts, book: ReportBook, name: str, instance: str) -> CurrentReport | None:
    """Return how a report would stand if it were drafted now: for the message with which its step begins.

    None if there is no such definition.
    """
    if name not in book.definitions:
        return None
    found = preview(facts, book, name)
    titles = {locale: str(part["title"]) for locale, part in found.document.items()}
    return CurrentReport(found.report, instance, 1, titles, found.gaps)


def preview(facts: ReportFacts, book: ReportBook, name: str) -> Version:
    """Return a report as it would be drafted now, as version 0, which is not kept. Raises KeyError if unknown."""
    document = book.draft(name, facts).document()
    return _version(facts.incident.id, name, "", 0, facts.assessments[0].at, document)


@dataclass(slots=True)
class _Keeper:
    """Keeps the versions of one instance of a report."""

    unit: UnitOfWork
    facts: ReportFacts
    book: ReportBook
    now: datetime
    report: str
    instance: str
    heads: list[Head]
    """Its versions so far."""
    since: datetime | None
    """When the instance before it was handed in: what was written until then is not for this one."""

    def keep(self, step: ReportStep) -> Head | None:
        """Bring the versions up to date with a step; return how the report stands, or None if there is none."""
        if any(head.state is ReportState.SUBMITTED for head in self.heads):
            return self.heads[-1]
        if step.state in _GIVEN_UP:
            if self.heads and self.heads[-1].state is not ReportState.WITHDRAWN:
                self._turn(self.heads[-1], ReportState.WITHDRAWN, step.completed_by, step.completed_at)
            return None
        is_submitted = step.state == StepState.COMPLETED and step.completed_by is not None
        if not is_submitted or not self.heads:
            self.draft()
        self._approve(step)
        if is_submitted and step.completed_at is not None:
            self._submit(step.completed_at, step.completed_by)
        return self.heads[-1]

    def draft(self) -> None:
        """Draft the report; store it if it says something new."""
        drafted = self.book.draft(self.report, self.facts, self.since)
        for field, error in drafted.failures:
            warn(Reason.TEMPLATE_FAILED, RuntimeError(error), report=self.report, field=field)
        number = max((head.version for head in self.heads), default=0)
        latest = next((head for head in reversed(self.heads) if head.version == number), None)
        found = _version(self.facts.incident.id, self.report, self.instance, number + 1, self.now, drafted.document())
        if latest is None or latest.content_hash != found.content_hash:
            insert_version(self.unit.connection, found)
            self._note(_head(found), None)

    def _approve(self, step: ReportStep) -> None:
        approved = [head for head in self.heads if head.state is ReportState.APPROVED]
        if step.approved_at is not None and step.approved_at not in {head.created_at for head in approved}:
            chosen = _at(self.heads, step.approved_at)
            if not any(head.version == chosen.version for head in approved):
                self._turn(chosen, ReportState.APPROVED, step.approved_by, step.approved_at)

    def _submit(self, at: datetime, by: str | None) -> None:
        """Freeze what was handed in: the version approved last, else the draft of that time."""
        approved = [head for head in self.heads if head.state is ReportState.APPROVED and head.created_at <= at]
        chosen = approved[-1] if approved else _at(self.heads, at)
        self._turn(chosen, ReportState.SUBMITTED, by, at)

    def _turn(self, head: Head, state: ReportState, by: str | None, at: datetime | None) -> None:
        turned = replace(head, state=state, created_at=at or self.now)
        insert_state(self.unit.connection, self.facts.incident.id, head, state, by, turned.created_at)
        self._note(turned, by)

    def _note(self, head: Head, by: str | None) -> None:
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


def _at(heads: Iterable[Head], at: datetime) -> Head:
    """Return the draft as it was at an instant; the first one if it is older than all."""
    drafts = [head for head in heads if head.state is ReportState.DRAFT]
    return next((head for head in reversed(drafts) if head.created_at <= at), drafts[0])


def _version(
    case_id: str,
    report: str,
    instance: str,
    number: int,
    at: datetime,
    document: Mapping[str, dict[str, Any]],
) -> Version:
    gaps = max(len(report_from(part).gaps) for part in document.values())
    mark = content_hash(document)
    return Version(case_id, report, instance, number, ReportState.DRAFT, None, at, mark, gaps, document)


def _head(version: Version) -> Head:
    return Head(**{name: getattr(version, name) for name in Head.__slots__})
