"""What becomes of an incident's steps: planned, begun, approved, completed, skipped, handed over, withdrawn."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime

from incident_engine.common.signed_links import Links
from incident_engine.config.settings import Settings
from incident_engine.domain.events.actions import StepAcknowledged, StepCompleted
from incident_engine.domain.grading.obligation_status import ObligationState, ObligationStatus
from incident_engine.domain.handling import Handling
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.messages.context import BankContext, MessageContext, ReportSummary
from incident_engine.domain.messages.drill_marks import marked_wording
from incident_engine.domain.reports.facts import ReportFacts
from incident_engine.domain.response.closing import not_before_closing
from incident_engine.domain.response.reconcile import reconcile, why_withdrawn
from incident_engine.domain.response.step import Awaits, Step, StepState
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.step_id import number_in_series
from incident_engine.domain.values import LocalizedText
from incident_engine.engine import messages as drafts
from incident_engine.engine.case_types import GradedCase
from incident_engine.engine.decision_log import Reason, log_after_commit, warn
from incident_engine.engine.report_versions import facts_of, keep_versions, outlook, reporting_unit
from incident_engine.store import cases, held_texts, steps
from incident_engine.store import deliveries as outgoing
from incident_engine.store.deliveries import insert_deliveries
from incident_engine.store.unit_of_work import UnitOfWork


class StepRunner:
    """Keeps an incident's steps as the playbooks want them."""

    def __init__(self, settings: Settings, rulebook: Rulebook, links: Links, *, drill: bool = False) -> None:
        self._settings = settings
        self._rulebook = rulebook
        self._links = links
        self._drill = drill
        self._bank = bank_context(settings)
        self._templates = {
            (playbook.playbook, step.id): step for playbook in rulebook.playbooks for step in playbook.steps
        }

    def advance(self, unit: UnitOfWork, case: GradedCase, now: datetime) -> None:
        """Store the plan, take in what people did, and begin what is due."""
        stored = steps.steps_of(unit.connection, case.incident.id)
        begun = steps.started_steps(stored)
        planned = case.type.plan(case.incident, case.assessments, now, begun)
        wanted = {step.id: step for step in planned}
        if self._reconcile(unit, case.incident, wanted, stored):
            stored = steps.steps_of(unit.connection, case.incident.id)
        for name in self._apply_actions(unit, case, stored, now):
            del stored[name]
        self._withdraw_unplanned(unit, case.incident, wanted, stored, now)
        facts = facts_of(self._settings, case.incident, case.packs, case.assessments, self._rulebook.playbooks)
        self._start_due(unit, case, wanted, stored, facts, now)
        keep_versions(unit, facts, self._rulebook.reports, now)

    def _reconcile(
        self,
        unit: UnitOfWork,
        incident: Incident,
        wanted: Mapping[str, Step],
        stored: Mapping[str, steps.StoredStep],
    ) -> bool:
        """Store how what is wanted differs from what is stored; return whether it does."""
        given_up = {name for name, each in stored.items() if each.state is StepState.WITHDRAWN}
        anew = {name for name, each in stored.items() if given_up & {name, each.step.parent_id} and name in wanted}
        existing = {
            name: (
                StepState.WITHDRAWN if name in anew and each.step.parent_id in anew else each.state,
                each.step.due_at,
            )
            for name, each in stored.items()
        }
        allowed: Iterable[Step] = wanted.values()
        closing = incident.closing
        # Only if the case was closed before this update: the update that closes it may still plan what was due.
        if closing is not None and cases.closed_at(unit.connection, incident.id) == closing.at:
            allowed = not_before_closing(allowed, stored, closing)
        changes = reconcile(existing, allowed)
        reasons = {name: why_withdrawn(stored[name].step, incident, wanted.values()).value for name in changes.withdraw}
        steps.apply_changes(unit.connection, incident.id, changes, reasons, anew)
        differs = bool(changes)
        for name, each in stored.items():
            if each.state is StepState.PENDING and name in wanted and wanted[name].audience != each.step.audience:
                steps.readdress_step(unit.connection, name, wanted[name].audience)
                differs = True
            is_open = each.state in (StepState.PENDING, StepState.AWAITING, StepState.STARTED)
            if is_open and name in wanted and wanted[name].deadline != each.step.deadline:
                steps.move_deadline(unit.connection, name, wanted[name].deadline)
                differs = True
        for name in changes.withdraw:
            log_after_commit(unit, Reason.STEP_WITHDRAWN, incident=incident.id, step=name, because=reasons[name])
        return differs

    def _apply_actions(
        self, unit: UnitOfWork, case: GradedCase, stored: Mapping[str, steps.StoredStep], now: datetime
    ) -> set[str]:
        """Take in what people did: approvals, acknowledgements, completions, skips. Return the steps they ended."""
        ended: set[str] = set()
        handling = case.incident.handling
        met = {
            status.key: status
            for assessment in case.assessments
            for status in assessment.obligations
            if status.state is ObligationState.MET
        }
        for name, each in stored.items():
            if each.state is StepState.AWAITING:
                self._approve(unit, case.incident, each.step, now)
            elif each.state is StepState.STARTED:
                approval = handling.approval_of(name) if each.step.report is not None else None
                if approval is not None and not each.approved:
                    steps.approve_step(unit.connection, name, approval.occurred_at, approval.data.by)
                if self._end(unit, case.incident, each.step, met, stored, now):
                    ended.add(name)
            skipped = handling.skip_of(name)
            is_open = each.state in (StepState.PENDING, StepState.AWAITING, StepState.STARTED, StepState.WITHDRAWN)
            if skipped is not None and is_open and each.step.parent_id is None:
                steps.skip_step(unit.connection, name, skipped.occurred_at, skipped.data.by, skipped.data.reason)
                self._cancel_deliveries(unit, name, stored, now)
                ended.add(name)
            owner = handling.assignment_of(name)
            if owner is not None and owner.data.to != each.assignee and each.step.parent_id is None:
                steps.assign_step(unit.connection, name, owner.data.to)
        return ended

    def _withdraw_unplanned(
        self,
        unit: UnitOfWork,
        incident: Incident,
        wanted: Mapping[str, Step],
        stored: Mapping[str, steps.StoredStep],
        now: datetime,
    ) -> None:
        """What was asked for and nobody did, and is no longer wanted, waits for nobody any more."""
        for name, each in stored.items():
            asks = each.step.awaits is not None or each.step.fulfils is not None
            if each.state is StepState.STARTED and asks and name not in wanted:
                reason = why_withdrawn(each.step, incident, wanted.values()).value
                steps.withdraw_step(unit.connection, name, reason)
                self._cancel_deliveries(unit, name, stored, now)
                log_after_commit(unit, Reason.STEP_WITHDRAWN, incident=incident.id, step=name, because=reason)

    def _approve(self, unit: UnitOfWork, incident: Incident, step: Step, now: datetime) -> None:
        approval = incident.handling.approval_of(step.id)
        if approval is None:
            return
        texts = approval.data.texts
        wording = marked_wording(texts) if self._drill else texts
        released = held_texts.release_held(unit.connection, step.id, now, wording)
        steps.start_step(unit.connection, step, now)
        steps.approve_step(unit.connection, step.id, approval.occurred_at, approval.data.by)
        log_after_commit(
            unit, Reason.STEP_APPROVED, incident=incident.id, step=step.id, by=approval.data.by, deliveries=released
        )

    def _end(
        self,
        unit: UnitOfWork,
        incident: Incident,
        step: Step,
        met: Mapping[str, ObligationStatus],
        stored: Mapping[str, steps.StoredStep],
        now: datetime,
    ) -> bool:
        done_at, done_by = _done(step, incident.handling, met)
        template = self._templates.get((step.playbook, step.step))
        if done_at is None and incident.closing is not None and template is not None and template.on.observed:
            done_at, done_by = incident.closing.at, incident.closing.by  # what asks for the closing is done by it
        if done_at is None:
            return False
        steps.complete_step(unit.connection, step.id, done_at, done_by)
        self._cancel_deliveries(unit, step.id, stored, now)
        return True

    def _cancel_deliveries(
        self, unit: UnitOfWork, step_id: str, stored: Mapping[str, steps.StoredStep], now: datetime
    ) -> None:
        """Whoever was to hear of it over a later channel, or in a tier, need not any more."""
        family = [name for name, each in stored.items() if step_id in (name, each.step.parent_id)]
        outgoing.cancel(unit.connection, family, now)

    def _start_due(
        self,
        unit: UnitOfWork,
        case: GradedCase,
        wanted: Mapping[str, Step],
        stored: Mapping[str, steps.StoredStep],
        facts: ReportFacts,
        now: datetime,
    ) -> None:
        """Begin what is due, as the playbooks want it now: they may have been changed since the step was stored."""
        due = [name for name, each in stored.items() if each.state is StepState.PENDING and each.step.due_at <= now]
        for name in sorted(due, key=lambda name: (stored[name].step.due_at, name)):
            step = self._addressed(wanted[name], now)
            base = stored.get(step.parent_id or "")
            if base is not None and base.state is StepState.AWAITING and base.step.id in wanted:
                self._refresh(unit, case, wanted[base.step.id], facts, base.generation, now)
            is_held = step.approval is not None
            situation = self._situation(unit, case, step, facts, now)
            rows = drafts.build_deliveries(
                situation,
                self._settings,
                self._rulebook.messages,
                self._links,
                held=is_held,
                generation=stored[name].generation,
            )
            insert_deliveries(unit.connection, rows)
            if is_held:
                steps.await_approval(unit.connection, step)
            else:
                steps.start_step(unit.connection, step, now)
            log_after_commit(
                unit,
                Reason.STEP_AWAITS_APPROVAL if is_held else Reason.STEP_STARTED,
                incident=case.incident.id,
                step=name,
                incident_level=case.assessments[0].level,
                deliveries=len(rows),
            )

    def _refresh(
        self, unit: UnitOfWork, case: GradedCase, step: Step, facts: ReportFacts, generation: int, now: datetime
    ) -> None:
        """Write the words anew that still wait: whoever is asked again must not approve what has grown old."""
        situation = self._situation(unit, case, self._addressed(step, now), facts, now)
        rows = drafts.build_deliveries(
            situation, self._settings, self._rulebook.messages, self._links, held=True, generation=generation
        )
        held_texts.refresh_held_texts(unit.connection, rows)

    def _addressed(self, step: Step, now: datetime) -> Step:
        """Return a step for somebody: if its audience is gone from the configuration, for those of the playbook."""
        if self._settings.people.members(step.audience, now):
            return step
        audience = self._templates[step.playbook, step.step].audience
        warn(Reason.AUDIENCE_GONE, LookupError(step.audience), step=step.id, instead=audience)
        return replace(step, audience=audience)

    def _situation(
        self, unit: UnitOfWork, case: GradedCase, step: Step, facts: ReportFacts, now: datetime
    ) -> MessageContext:
        waiting: Iterable[held_texts.HeldText] = (
            held_texts.held_texts_of(unit.connection, step.parent_id) if step.parent_id is not None else ()
        )
        return MessageContext(
            bank=self._bank,
            service_names=self._settings.service_names,
            incident=case.incident,
            packs=case.packs,
            assessments=case.assessments,
            step=step,
            now=now,
            drafts=[asdict(draft) for draft in waiting],
            report=self._report(case, step, facts),
            drill=self._drill,
        )

    def _report(self, case: GradedCase, step: Step, facts: ReportFacts) -> ReportSummary | None:
        """Return how the report stands for which a step, or the one it is derived of, asks."""
        name = self._templates[step.playbook, step.step].report
        current = outlook(facts, self._rulebook.reports, name, step.instance) if name is not None else None
        if current is None:
            return None
        url = None
        if self._settings.server.public_url is not None:
            base = self._settings.server.public_url.rstrip("/")
            url = f"{base}/api/v1/incidents/{case.incident.id}/reports/{current.report}?format=html"
        return ReportSummary(current.report, LocalizedText.model_validate(current.titles), current.gaps, url)


def bank_context(settings: Settings) -> BankContext:
    """Return what messages say of the bank."""
    bank = settings.bank
    return BankContext(
        name=bank.name,
        unit=reporting_unit(settings),
        hotline=bank.customers.hotline,
        status_page=bank.customers.status_page,
        compensation=bank.customers.compensation,
    )


def _done(step: Step, handling: Handling, met: Mapping[str, ObligationStatus]) -> tuple[datetime | None, str | None]:
    """Return when and by whom a step was done, by its id or by the obligation that it fulfils."""
    fulfils = step.fulfils
    if fulfils is not None and fulfils == step.obligation:
        status = met.get(step.instance) or _met_with_later(met, fulfils, step.instance)
        return (status.met_at, status.met_by) if status else (None, None)
    answer: StepAcknowledged | StepCompleted | None
    if step.awaits is None and fulfils is None:  # of a derived step's completion the step itself hears nothing
        answer = next((done for done in handling.completions if done.data.step == step.id), None)
    else:
        answer = handling.answer_to(step.id, by_acknowledgement=step.awaits is Awaits.ACKNOWLEDGEMENT)
        if answer is None and fulfils is not None:
            answer = next(iter(handling.completions_of(fulfils)), None)
    return (answer.occurred_at, answer.data.by) if answer is not None else (None, None)


def _met_with_later(met: Mapping[str, ObligationStatus], name: str, instance: str) -> ObligationStatus | None:
    """Return the fulfilment of a later instance of a recurring obligation: it settles those missed before, too."""
    number = number_in_series(instance, name)
    if number is None:
        return None
    later = [s for s in met.values() if s.id == name and s.instance.isdigit() and int(s.instance) > number]
    return min(later, key=lambda status: int(status.instance), default=None)
