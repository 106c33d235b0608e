"""The facts of a report: one incident with its assessments, and the bank's names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from incident_engine.domain.events.types import EventType
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.reporting_unit import ReportingUnit
from incident_engine.domain.values import LocalizedText


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """All facts for the reports of an incident. `packs` and `assessments` correspond; the primary pack comes first."""

    bank_name: LocalizedText
    unit: ReportingUnit
    service_names: Mapping[str, LocalizedText]
    incident: Incident
    packs: Sequence[Pack]
    assessments: Sequence[Assessment]
    zone: tzinfo
    """The bank's time zone."""
    step_titles: Mapping[str, LocalizedText] = field(default_factory=dict)
    """Titles of the playbooks' steps, by step id."""

    def of_pack(self, name: str | None) -> tuple[Pack, Assessment, bool]:
        """Return the named or else the primary pack, its assessment, and whether it graded the incident.

        For a pack that did not grade it, the primary pack is returned: its evidence on outages holds for every pack,
        its level does not.
        """
        pairs = list(zip(self.packs, self.assessments, strict=True))
        graded = next((pair for pair in pairs if name in (None, pair[0].pack)), None)
        return (*(graded or pairs[0]), graded is not None)


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
    """Return the instant of the latest fact up to the assessment; None if there is none."""
    instants = [i for o in incident.outages for v in o.intervals for i in (v.start, v.end)]
    instants += incident.reported.instants(_AGING)
    instants += [change.at for change in assessment.trajectory]
    instants += [] if incident.closing is None else [incident.closing.at]
    return max((at for at in instants if at <= assessment.at), default=incident.first_event_at)
