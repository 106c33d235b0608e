"""The variables of a message, spelled for one reader from what is known and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incident_engine.facts.incident import Incident
from incident_engine.facts.regions import region_name
from incident_engine.facts.values import NEVER, LocalizedText, spell_cite
from incident_engine.grading.assess import Assessment
from incident_engine.grading.course import Reached
from incident_engine.grading.pack import Pack
from incident_engine.response.plan import Step


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a message can speak of."""

    bank_name: LocalizedText
    service_names: Mapping[str, LocalizedText]
    incident: Incident
    assessment: Assessment
    pack: Pack
    step: Step
    now: datetime

    def variables(self, locale: str, recipient: str) -> dict[str, Any]:
        """Return the variables for a reader, as `messages.VARIABLES` documents them."""
        rises = self.assessment.trajectory
        return {
            "bank": {"name": self.bank_name.in_(locale)},
            "incident": self._incident(locale),
            "level": self._rise(self._level(), locale),
            "current": self._rise(rises[-1] if rises and rises[-1].level else self._level(), locale),
            "provisional": self.assessment.provisional,
            "correction": self._correction(locale),
            "next": self._rise(self.assessment.next, locale),
            "obligation": self._obligation(locale),
            "recipient": {"name": recipient},
            "step": {"id": self.step.id},
            "now": self.now,
        }

    def _incident(self, locale: str) -> dict[str, Any]:
        """Return what the message tells of the incident: of the stretch that the step is about, or of the whole."""
        known = self.incident
        begun = known.occurred_at or known.first_event_at or self.now
        start, end = self.step.stretch or (begun, known.restored_at or NEVER)
        hit = [o for o in known.outages if any(i.start < end and start < i.end for i in o.intervals)]
        services, regions = {o.service for o in hit}, {o.region for o in hit}
        if not known.outages:  # what people say is harmed
            services = {harm.service for harm in known.harms if harm.service is not None}
            regions = {region for harm in known.harms for region in harm.regions}
        return {
            "id": known.id,
            "services": [self._service(service, locale) for service in sorted(services)],
            "regions": [region_name(region, locale) for region in sorted(regions)],
            "occurred_at": start,
            "detected_at": known.detected_at or start,
            "restored_at": None if end == NEVER else end,
            "duration": (self.now if end == NEVER else end) - start,
            "recovery_at": known.estimate.recovery_at if known.estimate else None,
            "notes": [text for _, text in known.notes],
            "has_outage": bool(known.outages),
            "harms": [f"{harm.judged.by}: {harm.judged.reason}" for harm in known.harms],
        }

    def _service(self, service: str, locale: str) -> str:
        name = self.service_names.get(service)
        return name.in_(locale) if name else service

    def _level(self) -> Reached | None:
        """Return the rise that the step is about, else the present level."""
        rises = self.assessment.trajectory
        about = [rise for rise in rises if rise.level == self.step.level and rise.correction is None]
        graded = [rise for rise in rises if rise.level is not None]
        return next(iter([*reversed(about), *reversed(graded)]), None)

    def _rise(self, rise: Reached | None, locale: str) -> dict[str, Any] | None:
        if rise is None or rise.level is None:
            return None
        said = rise.correction
        return {
            "id": rise.level,
            "name": self.pack.level_names[rise.level].in_(locale),
            "at": rise.at,
            "cite": spell_cite("Art. 10", locale) if said else spell_cite(rise.cite, locale),
            "is_worst": rise.level == self.pack.levels[0].id,
            "says": f"{said.by}: {said.reason}" if said else self.pack.rule_by_id[rise.rule].says.in_(locale),
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
            "by": about[-1].correction.by,
            "reason": about[-1].correction.reason,
        }

    def _obligation(self, locale: str) -> dict[str, Any] | None:
        wanted = self.step.obligation
        statuses = [status for status in self.assessment.obligations if status.due_at is not None]
        of_step = [s for s in statuses if s.key == self.step.instance] or [s for s in statuses if s.id == wanted]
        status = next(iter(of_step), statuses[0] if statuses and not wanted else None)
        if status is None:
            return None
        says = next(demand.says for demand in self.pack.obligations if demand.id == status.id)
        return {
            "id": status.id,
            "says": says.in_(locale),
            "cite": spell_cite(status.cite, locale),
            "due_at": status.due_at,
            "state": status.state.value,
        }
