"""Write obligations and timeline entries as lines of text."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.domain.grading.obligation_status import ObligationStatus
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.messages.formatting import format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.step_id import StepId
from incident_engine.domain.values import format_cite


def level_name(level: str | None, pack: Pack, translate: Translator) -> str:
    """Return a level's id and name; None is below the lowest level."""
    return translate("below") if level is None else f"{level} {pack.level_names[level].in_(translate.locale)}"


def obligation_line(status: ObligationStatus, pack: Pack, zone: tzinfo, translate: Translator) -> str:
    """Return an obligation on one line: text, clause, due instant, state."""
    obligation = next(obligation for obligation in pack.obligations if obligation.id == status.id)
    state = translate("met late") if status.met_late else translate(status.state.value)
    if status.missed > 1:
        state = f"{state} ({status.missed} {translate('times missed')})"
    due = f"  {translate('due')} {local_time(status.due_at, zone)}" if status.due_at else ""
    number = f" #{status.instance}" if status.instance and obligation.every else ""
    text = obligation.says.in_(translate.locale)
    return f"{text}{number} ({format_cite(status.cite, translate.locale)}){due}  {state}"


def obligation_name(name: str, instance: str, cite: str, pack: Pack, translate: Translator) -> str:
    """Return the text of an obligation with its number and clause."""
    obligation = next(obligation for obligation in pack.obligations if obligation.id == name)
    number = f" #{instance}" if instance and obligation.every else ""
    return f"{obligation.says.in_(translate.locale)}{number} ({format_cite(cite, translate.locale)})"


def local_time(instant: datetime, zone: tzinfo) -> str:
    """Return an instant in local time to the second, with its offset."""
    return instant.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def timeline_line(entry: Mapping[str, Any], packs: Mapping[str, Pack], translate: Translator) -> str | None:
    """Return an entry of GET /api/v1/incidents/ID/timeline as one line; None for kinds that are not shown."""
    # Without the offset, because all lines have the bank's.
    at = datetime.fromisoformat(entry["at"]).isoformat(sep=" ", timespec="seconds")[:19]
    pack = packs[entry["pack"]] if "pack" in entry else next(iter(packs.values()))
    locale = translate.locale
    match entry["kind"]:
        case "event":
            text = _event_text(entry, translate)
        case "level" if entry["corrected_by"] is not None:
            reason = f"{entry['corrected_by']}: {entry['reason']}"
            text = f"▲  {translate('corrected')} {level_name(entry['level'], pack, translate)}  {reason}"
        case "level":
            rule = f"{format_cite(entry['cite'], locale)}: {pack.rule_by_id[entry['rule']].says.in_(locale)}"
            text = f"▲  {translate('level reached')} {level_name(entry['level'], pack, translate)}  {rule}"
        case "obligation":
            name, _, instance = entry["obligation"].partition(".")
            mark = "✔" if entry["state"] == "met" and not entry.get("late") else "✘"
            state = translate("met late") if entry.get("late") else translate(entry["state"])
            obligation = obligation_name(name, instance, entry["cite"], pack, translate)
            text = f"{mark}  {translate('obligation')}: {obligation}  {state}"
        case "delivery":
            outcome = translate(entry["outcome"]) if entry["outcome"] else "…"
            endpoint = f"{entry['contact']} ({entry['channel']}, {outcome})"
            text = f"✉  {translate('notice')} → {endpoint}: {entry['subject']}"
        case _:
            return None
    return f"{at}  {text}"


def _event_text(entry: Mapping[str, Any], translate: Translator) -> str:
    where = format_names([region_name(region, translate.locale) for region in entry["regions"]], translate.locale)
    scope = f"  {entry['service'] or ''}  {where}" if entry["regions"] else ""
    data = entry["data"] if isinstance(entry["data"], Mapping) else {}
    details = ""
    for key in ("step", "fulfils", "report", "title", "text", "reason"):
        value = data.get(key)
        # A step says enough of the obligation that it fulfils.
        if isinstance(value, str) and value and not (key == "fulfils" and data.get("step")):
            step_id = StepId.parse(value) if key == "step" else None
            details += f"  {step_id.short if step_id is not None else value}"  # without incident and playbook
    by = data.get("by")
    # Everybody with a link can use it, so the record says whose it was.
    if by and data.get("link_of"):
        by = f"{by}; {translate('link of')} {data['link_of']}"
    return f"·  {translate(entry['type'])}{scope}{details}" + (f"  ({by})" if by else "")
