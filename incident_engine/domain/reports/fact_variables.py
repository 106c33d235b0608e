"""The variables of a report's fields: its facts in one language.

No variable changes with the clock alone, so that equal facts give equal drafts. An outage that lasts has no length yet;
in a report of progress it has the length up to the latest fact.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.domain.events.actions import LessonRecorded
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import PlanFailed, RepairFailed
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.reporting_unit import addressee_of
from incident_engine.domain.reports.facts import ReportFacts, latest_fact
from incident_engine.domain.reports.outage_variables import OutageVariables
from incident_engine.domain.reports.timeline import Chronicle
from incident_engine.domain.reports.verdict_variables import UNGRADED, figure_text, verdict_variables


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
        latest = latest_fact(incident, self.assessment)
        outages = OutageVariables(
            incident, self.assessment, self.facts.service_names, self.locale, latest if self.progress else None
        )
        return {
            "incident": outages.incident_variables(),
            "impact": list(outages.impact()),
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
            "as_of": latest or self.assessment.at,
        }

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
