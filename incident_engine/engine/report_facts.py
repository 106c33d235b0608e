"""The facts of an incident as reports need them: the verdicts, and the bank's own names and unit."""

from collections.abc import Iterable, Mapping, Sequence

from incident_engine.config.settings import Settings
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.reporting_unit import ReportingUnit
from incident_engine.domain.reports.facts import ReportFacts
from incident_engine.domain.response.playbook import Playbook
from incident_engine.domain.values import LocalizedText

REGULATORS: Mapping[str, LocalizedText] = {
    kind: LocalizedText.model_validate({"zh-CN": chinese, "en": english})
    for kind, chinese, english in (
        ("head_office", "国家金融监督管理总局", "National Financial Regulatory Administration"),
        ("branch", "国家金融监督管理总局所在地派出机构", "the regulator's local office"),
    )
}
"""The default regulators of a head office and of a branch (银监办发〔2008〕53号 Art. 34)."""


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
    """Return the facts for the reports of an incident. The primary pack and its assessment come first."""
    return ReportFacts(
        bank_name=settings.bank.name,
        unit=reporting_unit(settings),
        service_names=settings.service_names,
        incident=incident,
        packs=packs,
        assessments=assessments,
        zone=settings.bank.zone,
        step_titles={
            step.id: step.title for playbook in playbooks for step in playbook.steps if step.title is not None
        },
    )
