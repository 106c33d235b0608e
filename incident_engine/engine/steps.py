"""The steps of a case: planned, started, approved, completed, skipped, assigned, withdrawn."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime

from incident_engine.common.signed_links import Links
from incident_engine.config.settings import Settings
from incident_engine.domain.events.actions import StepApproved
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.reports.facts import ReportFacts
from incident_engine.domain.response.after_closing import not_before_closing
from incident_engine.domain.response.completion import completion_of, met_obligations
from incident_engine.domain.response.reconcile import reconcile, why_withdrawn
from incident_engine.domain.response.step import Step, StepState
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.case_types import GradedCase
from incident_engine.engine.decision_log import Reason, log_after_commit, warn
from incident_engine.engine.messages import StepMessages
from incident_engine.engine.report_facts import facts_of
from incident_engine.engine.report_versions import update_versions
from incident_engine.store import cases, held_texts, steps
from incident_engine.store.deliveries import cancel, insert_deliveries
from incident_engine.store.unit_of_work import UnitOfWork

_OPEN = (StepState.PENDING, StepState.AWAITING, StepState.STARTED)

StoredSteps = Mapping[str, steps.StoredStep]
"""The stored steps of a case by id."""


class StepRunner:
    """Keeps stored steps in line with the plan and with people's actions, and starts those that are due."""

    def __init__(self, settings: Settings, rulebook: Rulebook, links: Links, *, drill: bool = False) -> None:
        self._settings = settings
        self._rulebook = rulebook
        self._messages = StepMessages(settings, rulebook, links, drill=drill)
        self._templates = {
            (playbook.playbook, step.id): step for playbook in rulebook.playbooks for step in playbook.steps
        }

    def advance(self, unit: UnitOfWork, case: GradedCase, now: datetime) -> None:
        """Store the plan of a case, apply people's actions, start due steps and draft reports."""
        stored = steps.steps_of(unit.connection, case.incident.id)
        plan = case.type.plan(case.incident, case.assessments, now, steps.started_steps(stored))
        planned = {step.id: step for step in plan}
        if self._reconcile(unit, case.incident, planned, stored):
            stored = steps.steps_of(unit.connection, case.incident.id)
        for step_id in self._apply_actions(unit, case, stored, now):
            del stored[step_id]  # an ended step is neither withdrawn nor started below
        self._withdraw_unplanned(unit, case.incident, planned, stored, now)
        facts = facts_of(self._settings, case.incident, case.packs, case.assessments, self._rulebook.playbooks)
        self._start_due(unit, case, planned, stored, facts, now)
        # Last, because a report is drafted once its step has started.
        update_versions(unit, facts, self._rulebook.reports, now)

    def _reconcile(
        self, unit: UnitOfWork, incident: Incident, planned: Mapping[str, Step], stored: StoredSteps
    ) -> bool:
        """Store the difference between the planned and the stored steps. Return True if there was any."""
        withdrawn = {step_id for step_id, row in stored.items() if row.state is StepState.WITHDRAWN}
        # A withdrawn step that is planned again starts over with all its derived steps, whatever became of them.
        restarted = {
            step_id
            for step_id, row in stored.items()
            if step_id in planned and (step_id in withdrawn or row.step.parent_id in withdrawn)
        }
        existing = {
            step_id: (
                StepState.WITHDRAWN if step_id in restarted and row.step.parent_id in restarted else row.state,
                row.step.due_at,
            )
            for step_id, row in stored.items()
        }
        allowed: Iterable[Step] = planned.values()
        closing = incident.closing
        # Only if the case was closed before this update: the update that closes it may still plan what was due.
        if closing is not None and cases.closed_at(unit.connection, incident.id) == closing.at:
            allowed = not_before_closing(allowed, stored, closing)
        changes = reconcile(existing, allowed)
        # The reasons are stored, because the facts that explain them may have changed when somebody asks.
        reasons = {
            step_id: why_withdrawn(stored[step_id].step, incident, planned.values()).value
            for step_id in changes.withdraw
        }
        steps.apply_changes(unit.connection, incident.id, changes, reasons, restarted)
        differs = bool(changes)
        for step_id, row in stored.items():
            step = planned.get(step_id)
            if step is None:
                continue
            if row.state is StepState.PENDING and step.audience != row.step.audience:
                steps.readdress_step(unit.connection, step_id, step.audience)
                differs = True
            if row.state in _OPEN and step.deadline != row.step.deadline:
                steps.move_deadline(unit.connection, step_id, step.deadline)
                differs = True
        for step_id, reason in reasons.items():
            log_after_commit(unit, Reason.STEP_WITHDRAWN, incident=incident.id, step=step_id, because=reason)
        return differs

    def _apply_actions(self, unit: UnitOfWork, case: GradedCase, stored: StoredSteps, now: datetime) -> set[str]:
        """Apply approvals, acknowledgements, completions, skips and assignments. Return the ids of ended steps."""
        ended: set[str] = set()
        handling = case.incident.handling
        met = met_obligations(case.assessments)
        for step_id, row in stored.items():
            is_approvable = row.state in (StepState.AWAITING, StepState.STARTED)
            approval = handling.approval_of(step_id) if is_approvable else None
            if row.state is StepState.AWAITING and approval is not None:
                self._approve(unit, case.incident, row.step, approval, now)
            elif row.state is StepState.STARTED:
                # A report is approved after its step has started; the step goes on until it is submitted.
                if approval is not None and row.step.report is not None and not row.approved:
                    steps.approve_step(unit.connection, step_id, approval.occurred_at, approval.data.by)
                template = self._templates.get((row.step.playbook, row.step.step))
                done_at, done_by = completion_of(row.step, template, case.incident, met)
                if done_at is not None:
                    steps.complete_step(unit.connection, step_id, done_at, done_by)
                    _cancel_deliveries(unit, step_id, stored, now)
                    ended.add(step_id)
            if row.step.parent_id is not None:
                continue  # a person skips or assigns the step itself, with all that derives from it
            skip = handling.skip_of(step_id)
            if skip is not None and row.state in (*_OPEN, StepState.WITHDRAWN):
                steps.skip_step(unit.connection, step_id, skip.occurred_at, skip.data.by, skip.data.reason)
                _cancel_deliveries(unit, step_id, stored, now)
                ended.add(step_id)
            assignment = handling.assignment_of(step_id)
            if assignment is not None and assignment.data.to != row.assignee:
                steps.assign_step(unit.connection, step_id, assignment.data.to)
        return ended

    def _withdraw_unplanned(
        self,
        unit: UnitOfWork,
        incident: Incident,
        planned: Mapping[str, Step],
        stored: StoredSteps,
        now: datetime,
    ) -> None:
        """Withdraw started steps that still await an action but are no longer planned."""
        for step_id, row in stored.items():
            asks = row.step.awaits is not None or row.step.fulfils is not None
            if row.state is StepState.STARTED and asks and step_id not in planned:
                reason = why_withdrawn(row.step, incident, planned.values()).value
                steps.withdraw_step(unit.connection, step_id, reason)
                _cancel_deliveries(unit, step_id, stored, now)
                log_after_commit(unit, Reason.STEP_WITHDRAWN, incident=incident.id, step=step_id, because=reason)

    def _approve(self, unit: UnitOfWork, incident: Incident, step: Step, approval: StepApproved, now: datetime) -> None:
        texts = self._messages.approved_texts(approval.data.texts)
        released = held_texts.release_held(unit.connection, step.id, now, texts)
        steps.start_step(unit.connection, step, now)
        steps.approve_step(unit.connection, step.id, approval.occurred_at, approval.data.by)
        log_after_commit(
            unit, Reason.STEP_APPROVED, incident=incident.id, step=step.id, by=approval.data.by, deliveries=released
        )

    def _start_due(
        self,
        unit: UnitOfWork,
        case: GradedCase,
        planned: Mapping[str, Step],
        stored: StoredSteps,
        facts: ReportFacts,
        now: datetime,
    ) -> None:
        """Start due steps as they are planned now: the playbooks may have changed since a step was stored."""
        due = [step_id for step_id, row in stored.items() if row.state is StepState.PENDING and row.step.due_at <= now]
        for step_id in sorted(due, key=lambda step_id: (stored[step_id].step.due_at, step_id)):
            step = self._addressed(planned[step_id], now)
            parent = stored.get(step.parent_id or "")
            if parent is not None and parent.state is StepState.AWAITING and parent.step.id in planned:
                # A reminder asks for approval of the held texts: they must say what is known now.
                held_step = self._addressed(planned[parent.step.id], now)
                context = self._messages.context(held_step, facts, now)
                rows = self._messages.build_deliveries(context, held=True, generation=parent.generation)
                held_texts.refresh_held_texts(unit.connection, rows)
            is_held = step.approval is not None
            drafts = [] if step.parent_id is None else held_texts.held_texts_of(unit.connection, step.parent_id)
            context = self._messages.context(step, facts, now, [asdict(draft) for draft in drafts])
            rows = self._messages.build_deliveries(context, held=is_held, generation=stored[step_id].generation)
            insert_deliveries(unit.connection, rows)
            if is_held:
                steps.await_approval(unit.connection, step)
            else:
                steps.start_step(unit.connection, step, now)
            log_after_commit(
                unit,
                Reason.STEP_AWAITS_APPROVAL if is_held else Reason.STEP_STARTED,
                incident=case.incident.id,
                step=step_id,
                incident_level=case.assessments[0].level,
                deliveries=len(rows),
            )

    def _addressed(self, step: Step, now: datetime) -> Step:
        """Return a step with an audience that has members: the playbook's if its own is no longer configured."""
        if self._settings.people.members(step.audience, now):
            return step
        audience = self._templates[step.playbook, step.step].audience
        warn(Reason.AUDIENCE_GONE, LookupError(step.audience), step=step.id, instead=audience)
        return replace(step, audience=audience)


def _cancel_deliveries(unit: UnitOfWork, step_id: str, stored: StoredSteps, now: datetime) -> None:
    """Cancel the open deliveries of a step and of the steps that derive from it."""
    family = [other for other, row in stored.items() if step_id in (other, row.step.parent_id)]
    cancel(unit.connection, family, now)
