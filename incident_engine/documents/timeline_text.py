"""Obligations and timeline entries as lines of text."""

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.domain.grading.obligation_status import ObligationStatus
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.messages.formatting import format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.step_id import StepId
from incident_engine.domain.values import format_cite


def _level(level: str | None, pack: Pack, translate: Translator) -> str:
    return translate("below") if level is None else f"{level} {pack.level_names[level].in_(translate.locale)}"


def obligation_line(status: ObligationStatus, pack: Pack, zone: tzinfo, translate: Translator) -> str:
    """Return an obligation on one line: what, by when, how it stands."""
    demand = next(demand for demand in pack.obligations if demand.id == status.id)
    state = translate("met late") if status.met_late else translate(status.state.value)
    if status.missed > 1:
        state = f"{state} ({status.missed} {translate('missed')})"
    due = f"  {translate('due')} {local_time(status.due_at, zone)}" if status.due_at else ""
    number = f" #{status.instance}" if status.instance and demand.every else ""
    return f"{demand.says.in_(translate.locale)}{number} ({format_cite(status.cite, translate.locale)}){due}  {state}"


def obligation_name(name: str, instance: str, cite: str, pack: Pack, translate: Translator) -> str:
    """Return what an obligation demands, with its number and clause."""
    demand = next(demand for demand in pack.obligations if demand.id == name)
    number = f" #{instance}" if instance and demand.every else ""
    return f"{demand.says.in_(translate.locale)}{number} ({format_cite(cite, translate.locale)})"


def local_time(instant: datetime, zone: tzinfo) -> str:
    """Return an instant in local time to the second, with its offset."""
    return instant.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def timeline_line(entry: Mapping[str, Any], packs: Mapping[str, Pack], translate: Translator) -> str | None:
    """Return an entry of an incident's timeline as one line; None for what tells a reader nothing new."""
    at = datetime.fromisoformat(entry["at"]).isoformat(sep=" ", timespec="seconds")[:19]
    kinds = {"event": _event_line, "level": _level_line, "obligation": _obligation_entry, "delivery": _delivery_line}
    write = kinds.get(entry["kind"])
    pack = packs[entry["pack"]] if "pack" in entry else next(iter(packs.values()))
    text = write(entry, pack, translate) if write else None
    return None if text is None else f"{at}  {text}"


def _event_line(entry: Mapping[str, Any], _: Pack, translate: Translator) -> str:
    where = format_names([region_name(region, translate.locale) for region in entry["regions"]], translate.locale)
    about = f"  {entry['service'] or ''}  {where}" if entry["regions"] else ""
    data = entry["data"] if isinstance(entry["data"], Mapping) else {}
    about += "".join(f"  {said}" for said in _said(data))
    by = data.get("by")
    return f"·  {translate(entry['type'])}{about}" + (f"  ({by})" if by else "")


def _said(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an event is about: a step without its incident and playbook, an obligation, a report, or words."""
    for key in ("step", "fulfils", "report", "title", "text", "reason"):
        given = data.get(key)
        if isinstance(given, str) and given and not (key == "fulfils" and data.get("step")):
            step_id = StepId.parse(given) if key == "step" else None
            yield step_id.short if step_id is not None else given


def _level_line(entry: Mapping[str, Any], pack: Pack, translate: Translator) -> str:
    if entry["corrected_by"] is not None:
        said = f"{entry['corrected_by']}: {entry['reason']}"
        return f"▲  {translate('corrected')} {_level(entry['level'], pack, translate)}  {said}"
    name = pack.level_names[entry["level"]].in_(translate.locale)
    says = pack.rule_by_id[entry["rule"]].says.in_(translate.locale)
    return f"▲  {translate('level reached')} {entry['level']} {name}  {format_cite(entry['cite'], translate.locale)}: {says}"


def _obligation_entry(entry: Mapping[str, Any], pack: Pack, translate: Translator) -> str:
    name, _, instance = entry["obligation"].partition(".")
    demand = next(demand for demand in pack.obligations if demand.id == name)
    mark = "✔" if entry["state"] == "met" and not entry.get("late") else "✘"
    state = translate("met late") if entry.get("late") else translate(entry["state"])
    return (
        f"{mark}  {translate('obligation')}: {demand.says.in_(translate.locale)}{f' #{instance}' if demand.every else ''}"
        f" ({format_cite(entry['cite'], translate.locale)})  {state}"
    )


def _delivery_line(entry: Mapping[str, Any], _: Pack, translate: Translator) -> str:
    outcome = translate(entry["outcome"]) if entry["outcome"] else "…"
    return f"✉  {translate('notice')} → {entry['contact']} ({entry['channel']}, {outcome}): {entry['subject']}"
