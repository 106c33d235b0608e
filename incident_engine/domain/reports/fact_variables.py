"""The variables of a report's fields: its facts in one language.

No variable changes with the clock alone, so that equal facts give equal drafts. An outage that lasts has no length yet;
in a report of progress it has the length up to the latest fact.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.domain.events.actions import LessonRecorded
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import PlanFailed, RepairFailed
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import segments_of
from incident_engine.domain.messages.formatting import format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.reporting_unit import addressee_of
from incident_engine.domain.reports.facts import ReportFacts, latest_fact
from incident_engine.domain.reports.timeline import Chronicle
from incident_engine.domain.reports.verdict_variables import UNGRADED, figure_text, verdict_variables
from incident_engine.domain.values import NEVER


class _Figures(dict[str, Any]):
    """Figures by name. A figure that was not reported is None, so that a field with it is empty."""

    def __missing__(self, name: str) -> None:
        return None


def report_variables(
    facts: ReportFacts, pack_name: str | None, addressee: Recipient, locale: str, *, progress: bool
) -> dict[str, Any]:
    """Return the variables in `variables.REPORT_VARIABLES` in a language."""
    pack, assessment, is_graded = facts.of_pack(pack_name)
    builder = _VariableBuilder(facts, pack, assessment, locale, progress)
    return {
        "bank": {"name": facts.bank_name.in_(locale)},
        "unit": {
            "name": facts.unit.name.in_(locale),
            "is_branch": facts.unit.is_branch,
            "addressee": addressee_of(facts.unit, addressee, locale),
            "reporter": facts.unit.reporter,
            "contact": facts.unit.contact,
        },
        "pack": {"title": pack.title.in_(locale), "source": pack.source},
        **builder.variables(),
        **(verdict_variables(pack, assessment, facts.incident, locale) if is_graded else UNGRADED),
    }


@dataclass(frozen=True, slots=True)
class _VariableBuilder:
    """Builds the variables in one language."""

    facts: ReportFacts
    pack: Pack
    assessment: Assessment
    locale: str
    progress: bool

    def variables(self) -> dict[str, Any]:
        incident = self.facts.incident
        translate = Translator(self.locale)
        chronicle = Chronicle(
            incident=incident,
            pack=self.pack,
            packs=self.facts.packs,
            level_changes=self.assessment.trajectory,
            service_names=self.facts.service_names,
            zone=self.facts.zone,
            locale=self.locale,
            step_titles=self.facts.step_titles,
        )
        return {
            "incident": self._incident(),
            "impact": list(self._impact()),
            "timeline": chronicle.all_entries(),
            "measures": chronicle.people_entries(),
            "failures": [_failure(failure) for failure in incident.events(RepairFailed)],
            "plan_failures": [_failure(failure) for failure in incident.events(PlanFailed)],
            "harms": [
                {
                    "at": harm.occurred_at,
                    "by": harm.data.by,
                    "reason": harm.data.reason,
                    "kind": translate(harm.data.kind.value),
                    "seriousness": translate(harm.data.seriousness.value),
                    "cause": translate(harm.data.cause.value),
                }
                for harm in incident.events(HarmAssessed)
            ],
            "measured": _Figures(
                {figure.name: figure_text(figure.value, self.locale) for figure in incident.measurements}
            ),
            "root_causes": [{"at": at, "text": text} for at, text in incident.root_causes],
            "lessons": [
                {"at": lesson.occurred_at, **lesson.data.model_dump()} for lesson in incident.events(LessonRecorded)
            ],
            "tasks": list(self._tasks()),
            "as_of": latest_fact(incident, self.assessment) or self.assessment.at,
        }

    def _incident(self) -> dict[str, Any]:
        incident = self.facts.incident
        harms = incident.events(HarmAssessed)
        services = set(incident.services) or {harm.service for harm in harms if harm.service is not None}
        regions = set(incident.regions) or {region for harm in harms for region in harm.regions}
        return {
            "id": incident.id,
            "services": [self._service(service) for service in sorted(services)],
            "regions": [region_name(region, self.locale) for region in sorted(regions)],
            "occurred_at": incident.occurred_at,
            "detected_at": incident.detected_at,
            "restored_at": incident.restored_at,
            "duration": self._length(incident.occurred_at, incident.restored_at),
            "recovery_at": incident.recovery_at,
            "has_outage": bool(incident.outages),
            "is_down": incident.is_down,
            "closed_at": incident.closing.at if incident.closing else None,
            "closed_by": incident.closing.by if incident.closing else None,
        }

    def _length(self, start: datetime | None, end: datetime | None) -> timedelta | None:
        """Return the length of an outage. While it lasts: up to the latest fact in a report of progress, else None."""
        if end is None and self.progress:  # not up to now: the draft would change every second
            end = latest_fact(self.facts.incident, self.assessment)
        return None if start is None or end is None else max(end - start, timedelta(0))

    def _service(self, service: str) -> str:
        name = self.facts.service_names.get(service)
        return name.in_(self.locale) if name else service

    def _impact(self) -> Iterator[dict[str, Any]]:
        """Yield the outage of each service; regions with the same times share an entry."""
        regions_by_times: dict[tuple[object, ...], list[str]] = defaultdict(list)
        in_service = {region.region: region.in_service for region in self.assessment.evidence.regions}
        # Of several services in a region the evidence has one total, which belongs to none of them alone.
        alone = {region.region for region in self.assessment.evidence.regions if len(region.services) == 1}
        outages = sorted(self.facts.incident.outages, key=lambda outage: (outage.intervals[0].start, outage.region))
        for outage in outages:
            segments = segments_of([outage])
            end = None if segments[-1][1] == NEVER else segments[-1][1]
            lengths = [self._length(start, None if until == NEVER else until) for start, until in segments]
            lasted = None if None in lengths else sum((length for length in lengths if length), timedelta(0))
            served = in_service.get(outage.region) if end is not None and outage.region in alone else None
            times = self._service(outage.service), segments[0][0], end, lasted, served
            regions_by_times[times].append(region_name(outage.region, self.locale))
        names = "service", "start", "end", "lasted", "in_service"
        for values, regions in regions_by_times.items():
            yield {**dict(zip(names, values, strict=True)), "region": format_names(regions, self.locale)}

    def _tasks(self) -> Iterator[dict[str, Any]]:
        incident = self.facts.incident
        for task in incident.handling.tasks:
            completion = incident.handling.completion_of_task(task)
            yield {
                "title": task.data.title,
                "owner": task.data.assignee,
                "due_at": task.data.due_at,
                "by": task.data.by,
                "reason": task.data.reason,
                "done_at": completion.occurred_at if completion else None,
                "done_by": completion.data.by if completion else None,
            }


def _failure(failure: RepairFailed | PlanFailed) -> dict[str, Any]:
    return {"at": failure.occurred_at, "by": failure.data.by, "reason": failure.data.reason}
