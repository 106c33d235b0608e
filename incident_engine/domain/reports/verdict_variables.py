"""The variables of a report's fields that a pack's verdict gives: level, figures and obligations in one language."""

from collections.abc import Iterator, Mapping
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.domain.events.fields import Figure
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import format_cite

UNGRADED: Mapping[str, Any] = {
    "level": None,
    "classified": None,
    "provisional": False,
    "next": None,
    "figures": [],
    "obligations": [],
}
"""The variables of a pack that did not grade the incident."""


def verdict_variables(pack: Pack, assessment: Assessment, incident: Incident, locale: str) -> dict[str, Any]:
    """Return the variables of a pack that graded the incident, with the keys of `UNGRADED`."""
    changes = assessment.trajectory
    graded = [change for change in changes if change.level is not None and change.correction is None]
    return {
        "level": _level(changes[-1] if changes else None, pack, locale),
        "classified": _level(graded[0] if graded else None, pack, locale),
        "provisional": assessment.provisional,
        "next": _level(assessment.next, pack, locale),
        "figures": list(_figures(pack, incident, locale)),
        "obligations": list(_obligations(pack, assessment, locale)),
    }


def _level(change: LevelChange | None, pack: Pack, locale: str) -> dict[str, Any] | None:
    if change is None or change.level is None:
        return None
    correction = change.correction.data if change.correction is not None else None
    return {
        "id": change.level,
        "name": pack.level_names[change.level].in_(locale),
        "at": change.at,
        # No clause gives a corrected level; Art. 10 governs changes of the level (decision 12).
        "cite": format_cite("Art. 10" if correction else change.cite, locale),
        "says": f"{correction.by}: {correction.reason}"
        if correction
        else pack.rule_by_id[change.rule].says.in_(locale),
    }


def _figures(pack: Pack, incident: Incident, locale: str) -> Iterator[dict[str, Any]]:
    """Yield the latest value of each of the pack's measures."""
    figures = incident.measurements
    # In order of time: the latest value of each replaces the earlier ones.
    latest = {figure.name: figure for figure in figures if figure.name in pack.measures}
    for name, measurement in latest.items():
        measure = pack.measures[name]
        figure = {
            "says": measure.says.in_(locale),
            "unit": measure.unit or "",
            "value": figure_text(measurement.value, locale),
        }
        yield {"name": name, "at": measurement.at, "by": measurement.by} | figure


def figure_text(value: Figure, locale: str) -> str:
    """Return a figure or an answer in a language, such as 1,000 or yes."""
    return Translator(locale)("yes" if value else "no") if isinstance(value, bool) else f"{value:,}"


def _obligations(pack: Pack, assessment: Assessment, locale: str) -> Iterator[dict[str, Any]]:
    """Yield the pack's obligations that apply now or have been met."""
    texts = {obligation.id: obligation.says for obligation in pack.obligations}
    for status in assessment.obligations:
        is_met = status.state is ObligationState.MET
        applies = status.applies_at is not None and status.applies_at <= assessment.at
        if status.due_at is None or not (applies or is_met):
            continue
        yield {
            "id": status.id,
            "says": texts[status.id].in_(locale),
            "cite": format_cite(status.cite, locale),
            "due_at": status.due_at,
            "state": Translator(locale)("met late" if is_met and status.met_late else status.state.value),
            "met_at": status.met_at if is_met else None,
            "met_by": status.met_by if is_met else None,
            "is_late": status.met_late or status.state is ObligationState.OVERDUE,
            "missed": status.missed,
        }
