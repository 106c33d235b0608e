"""The context of a message: the incident, its assessments and the step, as template variables for one reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_engine.domain.events.actions import LessonRecorded, NoteAdded
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import PlanFailed, RecoveryEstimated
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.regions import region_name
from incident_engine.domain.reporting_unit import ReportingUnit, addressee_of
from incident_engine.domain.response.step import Step
from incident_engine.domain.step_id import StepId
from incident_engine.domain.values import NEVER, LocalizedText, format_cite

_MOST = 200
"""The number of latest notes in a message: templates loop over them, and rendering must end in time."""


@dataclass(frozen=True, slots=True)
class BankContext:
    """The bank's part of each message."""

    name: LocalizedText
    unit: ReportingUnit
    """The unit that reports."""
    hotline: str | None = None
    status_page: str | None = None
    compensation: LocalizedText | None = None

    def variables(self, locale: str) -> dict[str, Any]:
        """Return the parts of the variable `bank` in a language."""
        return {
            "name": self.name.in_(locale),
            "unit": self.unit.name.in_(locale),
            "regulator": self.unit.regulator.in_(locale),
            "reporter": self.unit.reporter or None,
            "reporter_phone": self.unit.contact or None,
            "hotline": self.hotline,
            "status_page": self.status_page,
            "compensation": self.compensation.in_(locale) if self.compensation else None,
        }


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """A report that is to be handed in, as messages name it."""

    id: str
    title: LocalizedText
    gaps: int
    """The number of required fields that are still empty."""
    url: str | None


@dataclass(frozen=True, slots=True)
class MessageContext:
    """All facts for a message. `packs` and `assessments` correspond; the primary pack comes first."""

    bank: BankContext
    service_names: Mapping[str, LocalizedText]
    incident: Incident
    packs: Sequence[Pack]
    assessments: Sequence[Assessment]
    step: Step
    now: datetime
    drafts: Sequence[Mapping[str, str]] = ()
    """Locale, subject and body of each text that waits for an approval."""
    report: ReportSummary | None = None
    drill: bool = False

    @property
    def assessment(self) -> Assessment:
        """Return the primary pack's assessment."""
        return self.assessments[0]

    @property
    def pack(self) -> Pack:
        """Return the primary pack."""
        return self.packs[0]

    def variables(self, locale: str, recipient: str, links: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the variables in `variables.VARIABLES` for a reader. `links` are the reader's own signed links."""
        changes, step, report = self.assessment.trajectory, self.step, self.report
        escalation, handover, task = step.escalation, step.handover, step.task.data if step.task else None
        late = step.late_start
        awaits = self.step.base_awaits or self.step.awaits
        return {
            "bank": self.bank.variables(locale),
            "incident": self._incident(locale),
            "level": self._level(self._change_of_step(), locale),
            "current": self._level(changes[-1] if changes and changes[-1].level else self._change_of_step(), locale),
            "provisional": self.assessment.provisional,
            "correction": self._correction(locale),
            "next": self._level(self._next_change(), locale),
            "obligation": self._obligation(locale),
            "recipient": {"name": recipient},
            "step": {
                "id": self.step.base,
                "level": self.step.level,
                "awaits": awaits.value if awaits is not None else None,
            },
            "deadline": self.step.deadline,
            "next_update_at": self.step.next_update_at,
            "escalation": escalation
            and {
                "round": escalation.round,
                "tier": escalation.tier,
                "since": escalation.since,
                "waited": max(self.now - escalation.since, timedelta(0)),
            },
            "drafts": self.drafts,
            "links": links,
            "task": task and {"title": task.title, "by": task.by, "reason": task.reason, "due_at": task.due_at},
            "late": late
            and {
                "began_at": late.began_at,
                "known_at": late.known_at,
                "delay": late.known_at - late.began_at,
                "source": late.event[0],
                "id": late.event[1],
            },
            "handover": handover and {"by": handover.by, "reason": handover.reason, "at": handover.at},
            "report": report
            and {"id": report.id, "title": report.title.in_(locale), "gaps": report.gaps, "url": report.url},
            "drill": self.drill,
            "now": self.now,
        }

    def _incident(self, locale: str) -> dict[str, Any]:
        """Return the variable `incident`: the episode of the step, or the whole incident."""
        incident = self.incident
        started = incident.occurred_at or incident.first_event_at or self.now
        start, end = self.step.episode or (started, incident.restored_at or NEVER)
        # Only what was out in the step's episode: customers were notified of the end of earlier ones already.
        hit = [o for o in incident.outages if any(i.start < end and start < i.end for i in o.intervals)]
        services, regions = {o.service for o in hit}, {o.region for o in hit}
        harms, estimates = incident.events(HarmAssessed), incident.events(RecoveryEstimated)
        lessons = [lesson.data for lesson in incident.events(LessonRecorded)]
        if not incident.outages:  # an incident of harm alone
            services = {harm.service for harm in harms if harm.service is not None}
            regions = {region for harm in harms for region in harm.regions}
        return {
            "id": incident.id,
            "services": [
                self.service_names[service].in_(locale) if service in self.service_names else service
                for service in sorted(services)
            ],
            "regions": [region_name(region, locale) for region in sorted(regions)],
            "occurred_at": start,
            "detected_at": incident.detected_at or start,
            "restored_at": None if end == NEVER else end,
            "duration": (self.now if end == NEVER else end) - start,
            "recovery_at": incident.recovery_at,
            "previous_recovery_at": estimates[-2].data.recovery_at if len(estimates) > 1 else None,
            "notes": [note.data.text for note in incident.events(NoteAdded)[-_MOST:]],
            "has_outage": bool(incident.outages),
            "harms": [f"{harm.data.by}: {harm.data.reason}" for harm in harms],
            "plan_failures": [f"{failure.data.by}: {failure.data.reason}" for failure in incident.events(PlanFailed)],
            "lessons": [lesson.text for lesson in lessons],
            "customer_lessons": [lesson.for_customers for lesson in lessons if lesson.for_customers],
            "closed_at": incident.closing.at if incident.closing else None,
        }

    def _change_of_step(self) -> LevelChange | None:
        """Return the latest change to the step's level, else the latest change to any level."""
        changes = self.assessment.trajectory
        of_step = [change for change in changes if change.level == self.step.level and change.correction is None]
        graded = [change for change in changes if change.level is not None]
        return next(iter([*reversed(of_step), *reversed(graded)]), None)

    def _next_change(self) -> LevelChange | None:
        """Return the change to come to the step's level, else the next change to any level."""
        level, forecast = self.step.level, self.assessment.forecast
        of_step = (change for change in forecast if level is not None and change.level == level)
        return next(of_step, self.assessment.next)

    def _level(self, change: LevelChange | None, locale: str) -> dict[str, Any] | None:
        if change is None or change.level is None:
            return None
        correction = change.correction.data if change.correction else None
        if correction is not None:
            says = f"{correction.by}: {correction.reason}"
        else:
            says = self.pack.rule_by_id[change.rule].says.in_(locale)
        return {
            "id": change.level,
            "name": self.pack.level_names[change.level].in_(locale),
            "at": change.at,
            # No clause gives a corrected level; Art. 10 governs changes of the level (decision 12).
            "cite": format_cite("Art. 10", locale) if correction else format_cite(change.cite, locale),
            "is_worst": change.level == self.pack.levels[0].id,
            "says": says,
        }

    def _correction(self, locale: str) -> dict[str, Any] | None:
        """Return the variable `correction`: the step's correction, else the latest."""
        corrections = [change for change in self.assessment.trajectory if change.correction is not None]
        of_step = [change for change in corrections if change.at == self.step.due_at] or corrections
        if not of_step or of_step[-1].correction is None:
            return None
        level = of_step[-1].level
        return {
            "level": level,
            "name": self.pack.level_names[level].in_(locale) if level else None,
            "at": of_step[-1].at,
            "by": of_step[-1].correction.data.by,
            "reason": of_step[-1].correction.data.reason,
        }

    def _obligation(self, locale: str) -> dict[str, Any] | None:
        name = self.step.obligation
        obligations = {obligation.id: obligation for pack in self.packs for obligation in pack.obligations}
        # A step about a level may still speak of an obligation: then the first that applies stands for all.
        statuses = [s for assessment in self.assessments for s in assessment.obligations if s.due_at is not None]
        step_id = StepId.parse(self.step.base)
        instance = step_id.instance if step_id is not None else ""
        of_step = [s for s in statuses if s.key == instance] or [s for s in statuses if s.id == name]
        status = next(iter(of_step), statuses[0] if statuses and not name else None)
        if status is None:
            return None
        return {
            "id": status.id,
            "says": obligations[status.id].says.in_(locale),
            "cite": format_cite(status.cite, locale),
            "due_at": status.due_at,
            "state": status.state.value,
            "to": addressee_of(self.bank.unit, status.to, locale),
        }
