"""The variables of a message, spelled for one reader from what is known and what it means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_engine.domain.events.actions import LessonRecorded, NoteAdded
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import PlanFailed, RecoveryEstimated
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.regions import region_name
from incident_engine.domain.reporting_unit import ReportingUnit, addressee_of
from incident_engine.domain.response.step import Step
from incident_engine.domain.step_id import StepId
from incident_engine.domain.values import NEVER, LocalizedText, format_cite

_MOST = 200
"""How many notes a message can tell, the latest: a template loops over them, and must come to an end."""


@dataclass(frozen=True, slots=True)
class BankContext:
    """What messages say of the bank itself."""

    name: LocalizedText
    unit: ReportingUnit
    """The unit that reports."""
    hotline: str | None = None
    status_page: str | None = None
    compensation: LocalizedText | None = None

    def variables(self, locale: str) -> dict[str, Any]:
        """Return the parts of `bank` for a reader."""
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
    """What messages say of a report that is to be handed in."""

    id: str
    title: LocalizedText
    gaps: int
    url: str | None


@dataclass(frozen=True, slots=True)
class MessageContext:
    """All that a message can speak of. The primary pack and its assessment come first."""

    bank: BankContext
    service_names: Mapping[str, LocalizedText]
    incident: Incident
    packs: Sequence[Pack]
    assessments: Sequence[Assessment]
    step: Step
    now: datetime
    drafts: Sequence[Mapping[str, str]] = ()
    """Locale, subject and body of the words that wait for an approval."""
    report: ReportSummary | None = None
    drill: bool = False

    @property
    def assessment(self) -> Assessment:
        """Return the primary pack's verdict."""
        return self.assessments[0]

    @property
    def pack(self) -> Pack:
        """Return the primary pack."""
        return self.packs[0]

    def variables(self, locale: str, recipient: str, links: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the variables for a reader, as `messages.VARIABLES` documents them; `links` are the reader's own."""
        rises = self.assessment.trajectory
        awaits = self.step.base_awaits or self.step.awaits
        return {
            "bank": self.bank.variables(locale),
            "incident": self._incident(locale),
            "level": self._rise(self._level(), locale),
            "current": self._rise(rises[-1] if rises and rises[-1].level else self._level(), locale),
            "provisional": self.assessment.provisional,
            "correction": self._correction(locale),
            "next": self._rise(self.assessment.next, locale),
            "obligation": self._obligation(locale),
            "recipient": {"name": recipient},
            "step": {
                "id": self.step.base,
                "level": self.step.level,
                "awaits": awaits.value if awaits is not None else None,
            },
            "deadline": self.step.deadline,
            "next_update_at": self.step.next_update_at,
            "escalation": self._escalation(),
            "drafts": self.drafts,
            "links": links,
            "task": self._task(),
            "handover": self._handover(),
            "report": self._report(locale),
            "drill": self.drill,
            "now": self.now,
        }

    def _escalation(self) -> dict[str, Any] | None:
        told = self.step.escalation
        if told is None:
            return None
        waited = max(self.now - told.since, timedelta(0))
        return {"round": told.round, "tier": told.tier, "since": told.since, "waited": waited}

    def _task(self) -> dict[str, Any] | None:
        task = self.step.task.data if self.step.task is not None else None
        if task is None:
            return None
        return {"title": task.title, "by": task.by, "reason": task.reason, "due_at": task.due_at}

    def _handover(self) -> dict[str, Any] | None:
        given = self.step.handover
        return None if given is None else {"by": given.by, "reason": given.reason, "at": given.at}

    def _report(self, locale: str) -> dict[str, Any] | None:
        report = self.report
        if report is None:
            return None
        return {"id": report.id, "title": report.title.in_(locale), "gaps": report.gaps, "url": report.url}

    def _incident(self, locale: str) -> dict[str, Any]:
        """Return what the message tells of the incident: of the stretch that the step is about, or of the whole."""
        known = self.incident
        begun = known.occurred_at or known.first_event_at or self.now
        start, end = self.step.episode or (begun, known.restored_at or NEVER)
        hit = [o for o in known.outages if any(i.start < end and start < i.end for i in o.intervals)]
        services, regions = {o.service for o in hit}, {o.region for o in hit}
        harms, estimates = known.events(HarmAssessed), known.events(RecoveryEstimated)
        lessons = [lesson.data for lesson in known.events(LessonRecorded)]
        if not known.outages:  # what people say is harmed
            services = {harm.service for harm in harms if harm.service is not None}
            regions = {region for harm in harms for region in harm.regions}
        return {
            "id": known.id,
            "services": [self._service(service, locale) for service in sorted(services)],
            "regions": [region_name(region, locale) for region in sorted(regions)],
            "occurred_at": start,
            "detected_at": known.detected_at or start,
            "restored_at": None if end == NEVER else end,
            "duration": (self.now if end == NEVER else end) - start,
            "recovery_at": known.recovery_at,
            "previous_recovery_at": estimates[-2].data.recovery_at if len(estimates) > 1 else None,
            "notes": [note.data.text for note in known.events(NoteAdded)[-_MOST:]],
            "has_outage": bool(known.outages),
            "harms": [f"{harm.data.by}: {harm.data.reason}" for harm in harms],
            "plan_failures": [f"{failure.data.by}: {failure.data.reason}" for failure in known.events(PlanFailed)],
            "lessons": [lesson.text for lesson in lessons],
            "customer_lessons": [lesson.for_customers for lesson in lessons if lesson.for_customers],
            "closed_at": known.closing.at if known.closing else None,
        }

    def _service(self, service: str, locale: str) -> str:
        name = self.service_names.get(service)
        return name.in_(locale) if name else service

    def _level(self) -> LevelChange | None:
        """Return the rise that the step is about, else the present level."""
        rises = self.assessment.trajectory
        about = [rise for rise in rises if rise.level == self.step.level and rise.correction is None]
        graded = [rise for rise in rises if rise.level is not None]
        return next(iter([*reversed(about), *reversed(graded)]), None)

    def _rise(self, rise: LevelChange | None, locale: str) -> dict[str, Any] | None:
        if rise is None or rise.level is None:
            return None
        said = rise.correction
        return {
            "id": rise.level,
            "name": self.pack.level_names[rise.level].in_(locale),
            "at": rise.at,
            "cite": format_cite("Art. 10", locale) if said else format_cite(rise.cite, locale),
            "is_worst": rise.level == self.pack.levels[0].id,
            "says": f"{said.data.by}: {said.data.reason}" if said else self.pack.rule_by_id[rise.rule].says.in_(locale),
        }

    def _correction(self, locale: str) -> dict[str, Any] | None:
        """Return the correction that the step is about, else the latest; `level` is none below the lowest."""
        said = [rise for rise in self.assessment.trajectory if rise.correction is not None]
        about = [rise for rise in said if rise.at == self.step.due_at] or said
        if not about or about[-1].correction is None:
            return None
        level = about[-1].level
        return {
            "level": level,
            "name": self.pack.level_names[level].in_(locale) if level else None,
            "at": about[-1].at,
            "by": about[-1].correction.data.by,
            "reason": about[-1].correction.data.reason,
        }

    def _obligation(self, locale: str) -> dict[str, Any] | None:
        wanted = self.step.obligation
        demands = {demand.id: demand for pack in self.packs for demand in pack.obligations}
        statuses = [s for each in self.assessments for s in each.obligations if s.due_at is not None]
        step_id = StepId.parse(self.step.base)
        instance = step_id.instance if step_id is not None else ""
        of_step = [s for s in statuses if s.key == instance] or [s for s in statuses if s.id == wanted]
        status = next(iter(of_step), statuses[0] if statuses and not wanted else None)
        if status is None:
            return None
        return {
            "id": status.id,
            "says": demands[status.id].says.in_(locale),
            "cite": format_cite(status.cite, locale),
            "due_at": status.due_at,
            "state": status.state.value,
            "to": addressee_of(self.bank.unit, Recipient(status.to), locale),
        }
