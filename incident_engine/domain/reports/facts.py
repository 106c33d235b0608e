"""What a report can tell: the variables of its fields, spelled for one language from what is known.

Nothing in them changes with the clock alone: what lasts has no length yet, except in a report of progress, where it is
measured up to the latest fact.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.domain.calendar.service_hours import union
from incident_engine.domain.events.actions import LessonRecorded
from incident_engine.domain.events.fields import Figure
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import PlanFailed, RepairFailed
from incident_engine.domain.events.types import EventType
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.grading.obligation_status import ObligationState, ObligationStatus
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.messages.formatting import format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.reporting_unit import ReportingUnit, addressee_of
from incident_engine.domain.reports.timeline import Chronicle
from incident_engine.domain.values import NEVER, LocalizedText, format_cite


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All that a report can tell. The primary pack's assessment is the first; packs and assessments go together."""

    bank_name: LocalizedText
    unit: ReportingUnit
    service_names: Mapping[str, LocalizedText]
    incident: Incident
    packs: Sequence[Pack]
    assessments: Sequence[Assessment]
    zone: tzinfo
    """The bank's, in which it tells the time."""
    step_titles: Mapping[str, LocalizedText] = field(default_factory=dict)
    """What the steps of the playbooks are called."""

    def of_pack(self, name: str | None) -> tuple[Pack, Assessment, bool]:
        """Return a pack with its assessment, the primary one if none is named; and whether it graded the incident.

        If it did not, the primary one stands in: what it knows of the outages holds for every pack, its level does not.
        """
        pairs = list(zip(self.packs, self.assessments, strict=True))
        found = next((pair for pair in pairs if name in (None, pair[0].pack)), None)
        return (*(found or pairs[0]), found is not None)


class _Figures(dict[str, Any]):
    """Figures by name; one that nobody gave is none, so that a field that asks for it is empty."""

    def __missing__(self, name: str) -> None:
        return None


def report_variables(
    facts: ReportFacts, pack_name: str | None, addressee: Recipient, locale: str, *, progress: bool
) -> dict[str, Any]:
    """Return the variables of a report in a language, as `report_variables.REPORT_VARIABLES` documents them."""
    pack, assessment, is_graded = facts.of_pack(pack_name)
    teller = _VariableBuilder(facts, pack, assessment, locale, progress)
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
        **teller.variables(),
        **({} if is_graded else _UNGRADED),
    }


_UNGRADED: Mapping[str, Any] = {
    "level": None,
    "classified": None,
    "provisional": False,
    "next": None,
    "figures": [],
    "obligations": [],
}
"""What a pack says that did not grade the incident."""


_AGING = (
    EventType.HARM_ASSESSED,
    EventType.IMPACT_MEASURED,
    EventType.LEVEL_CORRECTED,
    EventType.NOTE_ADDED,
    EventType.PLAN_FAILED,
    EventType.RECOVERY_ESTIMATED,
    EventType.REPAIR_FAILED,
    EventType.STEP_COMPLETED,
)
"""The reported facts with which the content of a report changes."""


def latest_fact(incident: Incident, assessment: Assessment) -> datetime | None:
    """Return the instant of the latest fact up to the assessment: what is as of it does not age with the clock."""
    instants = [i for o in incident.outages for v in o.intervals for i in (v.start, v.end)]
    instants += incident.reported.instants(_AGING)
    instants += [rise.at for rise in assessment.trajectory]
    instants += [] if incident.closing is None else [incident.closing.at]
    return max((at for at in instants if at <= assessment.at), default=incident.first_event_at)


@dataclass(frozen=True, slots=True)
class _VariableBuilder:
    """Spells what is known for readers of one language."""

    facts: ReportFacts
    pack: Pack
    assessment: Assessment
    locale: str
    progress: bool

    def variables(self) -> dict[str, Any]:
        known, rises = self.facts.incident, self.assessment.trajectory
        chronicle = Chronicle(
            known,
            self.pack,
            self.facts.packs,
            rises,
            self.facts.service_names,
            self.facts.zone,
            self.locale,
            self.facts.step_titles,
        )
        graded = [rise for rise in rises if rise.level is not None and rise.correction is None]
        return {
            "incident": self._incident(),
            "level": self._rise(rises[-1] if rises else None),
            "classified": self._rise(graded[0] if graded else None),
            "provisional": self.assessment.provisional,
            "next": self._rise(self.assessment.next),
            "impact": list(self._impact()),
            "course": chronicle.course(),
            "measures": chronicle.measures(),
            "failures": [_said(each) for each in known.events(RepairFailed)],
            "plan_failures": [_said(each) for each in known.events(PlanFailed)],
            "harms": list(self._harms()),
            "figures": list(self._figures()),
            "measured": _Figures({found.name: self._value(found.value) for found in known.measurements}),
            "root_causes": [{"at": at, "text": text} for at, text in known.root_causes],
            "obligations": list(self._obligations()),
            "lessons": [
                {"at": lesson.occurred_at, **lesson.data.model_dump()} for lesson in known.events(LessonRecorded)
            ],
            "tasks": list(self._tasks()),
            "as_of": latest_fact(known, self.assessment) or self.assessment.at,
        }

    def _incident(self) -> dict[str, Any]:
        known = self.facts.incident
        harms = known.events(HarmAssessed)
        services = set(known.services) or {harm.service for harm in harms if harm.service is not None}
        regions = set(known.regions) or {region for harm in harms for region in harm.regions}
        return {
            "id": known.id,
            "services": [self._service(service) for service in sorted(services)],
            "regions": [region_name(region, self.locale) for region in sorted(regions)],
            "occurred_at": known.occurred_at,
            "detected_at": known.detected_at,
            "restored_at": known.restored_at,
            "duration": self._length(known.occurred_at, known.restored_at),
            "recovery_at": known.recovery_at,
            "has_outage": bool(known.outages),
            "is_down": known.is_down,
            "closed_at": known.closing.at if known.closing else None,
            "closed_by": known.closing.by if known.closing else None,
        }

    def _length(self, start: datetime | None, end: datetime | None) -> timedelta | None:
        """Return how long something lasted; while it lasts only a report of progress says so, as of the latest fact."""
        if end is None and self.progress:
            end = latest_fact(self.facts.incident, self.assessment)
        return None if start is None or end is None else max(end - start, timedelta(0))

    def _service(self, service: str) -> str:
        name = self.facts.service_names.get(service)
        return name.in_(self.locale) if name else service

    def _rise(self, rise: LevelChange | None) -> dict[str, Any] | None:
        if rise is None or rise.level is None:
            return None
        correction = rise.correction.data if rise.correction is not None else None
        return {
            "id": rise.level,
            "name": self.pack.level_names[rise.level].in_(self.locale),
            "at": rise.at,
            "cite": format_cite("Art. 10" if correction else rise.cite, self.locale),
            "says": f"{correction.by}: {correction.reason}"
            if correction
            else self.pack.rule_by_id[rise.rule].says.in_(self.locale),
        }

    def _impact(self) -> Iterator[dict[str, Any]]:
        """Yield each service hit, and how long it could not do business; regions hit alike stand together."""
        alike: dict[tuple[object, ...], list[str]] = {}
        for hit in self._impact_by_region():
            alike.setdefault(tuple(value for name, value in hit.items() if name != "region"), []).append(hit["region"])
        for (service, start, end, lasted, in_service), regions in alike.items():
            hit = {"service": service, "start": start, "end": end, "lasted": lasted, "in_service": in_service}
            yield hit | {"region": format_names(regions, self.locale)}

    def _impact_by_region(self) -> Iterator[dict[str, Any]]:
        in_service = {region.region: region.in_service for region in self.assessment.evidence.regions}
        alone = {region.region for region in self.assessment.evidence.regions if len(region.services) == 1}
        for outage in sorted(self.facts.incident.outages, key=lambda each: (each.intervals[0].start, each.region)):
            spans = list(union([iter([(i.start, i.end) for i in outage.intervals])]))
            end = None if spans[-1][1] == NEVER else spans[-1][1]
            lengths = [self._length(start, None if until == NEVER else until) for start, until in spans]
            yield {
                "service": self._service(outage.service),
                "region": region_name(outage.region, self.locale),
                "start": spans[0][0],
                "end": end,
                "lasted": None if None in lengths else sum((each for each in lengths if each), timedelta(0)),
                "in_service": in_service.get(outage.region) if end is not None and outage.region in alone else None,
            }

    def _harms(self) -> Iterator[dict[str, Any]]:
        say = Translator(self.locale)
        for harm in self.facts.incident.events(HarmAssessed):
            judged = harm.data
            words = {name: say(getattr(judged, name).value) for name in ("kind", "seriousness", "cause")}
            yield {"at": harm.occurred_at, "by": judged.by, "reason": judged.reason} | words

    def _figures(self) -> Iterator[dict[str, Any]]:
        """Yield the latest value of each figure that the pack knows."""
        latest = {found.name: found for found in self.facts.incident.measurements if found.name in self.pack.measures}
        for name, found in latest.items():
            measure = self.pack.measures[name]
            about = {
                "says": measure.says.in_(self.locale),
                "unit": measure.unit or "",
                "value": self._value(found.value),
            }
            yield {"name": name, "at": found.at, "by": found.by} | about

    def _value(self, value: Figure) -> str:
        return Translator(self.locale)("yes" if value else "no") if isinstance(value, bool) else f"{value:,}"

    def _obligations(self) -> Iterator[dict[str, Any]]:
        """Yield what the pack demands now, or was done for it."""
        for status in self.assessment.obligations:
            applies = status.applies_at is not None and status.applies_at <= self.assessment.at
            if status.due_at is not None and (applies or status.state is ObligationState.MET):
                yield self._obligation(status)

    def _obligation(self, status: ObligationStatus) -> dict[str, Any]:
        demand = next(demand for demand in self.pack.obligations if demand.id == status.id)
        is_met = status.state is ObligationState.MET
        return {
            "id": status.id,
            "says": demand.says.in_(self.locale),
            "cite": format_cite(status.cite, self.locale),
            "due_at": status.due_at,
            "state": Translator(self.locale)("met late" if is_met and status.met_late else status.state.value),
            "met_at": status.met_at if is_met else None,
            "met_by": status.met_by if is_met else None,
            "is_late": status.met_late or status.state is ObligationState.OVERDUE,
            "missed": status.missed,
        }

    def _tasks(self) -> Iterator[dict[str, Any]]:
        known = self.facts.incident
        for task in known.handling.tasks:
            done = known.handling.completion_of_task(task)
            yield {
                "title": task.data.title,
                "owner": task.data.assignee,
                "due_at": task.data.due_at,
                "by": task.data.by,
                "reason": task.data.reason,
                "done_at": done.occurred_at if done else None,
                "done_by": done.data.by if done else None,
            }


def _said(failure: RepairFailed | PlanFailed) -> dict[str, Any]:
    return {"at": failure.occurred_at, "by": failure.data.by, "reason": failure.data.reason}
