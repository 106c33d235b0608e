"""Verdicts and timelines as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from incident_engine.configuration.settings import Settings
from incident_engine.explanation_text import Explainer
from incident_engine.facts.regions import region_name
from incident_engine.facts.values import LocalizedText, spell_cite
from incident_engine.grading.assess import Assessment
from incident_engine.grading.course import Reached
from incident_engine.grading.obligations import ObligationStatus
from incident_engine.grading.pack import Pack
from incident_engine.grading.recurring import Recurrence
from incident_engine.history import Graded
from incident_engine.response.spelling import spell_duration, spell_names
from incident_engine.wording import Wording


def graded_text(
    graded: Sequence[Graded],
    repeated: Sequence[Recurrence],
    packs: Sequence[Pack],
    settings: Settings,
    say: Wording,
    *,
    explained: bool = False,
) -> str:
    """Return the verdicts on a history as text, with each rule taken apart if wanted."""
    by_id = {pack.pack: pack for pack in packs}
    lines = [line for found in graded for line in (*_incident(found, by_id, settings, say, explained=explained), "")]
    lines += [_recurrence(each, by_id[each.pack], settings.bank.zone, say) for each in repeated]
    return "\n".join(lines).rstrip() if lines else say("no incidents")


def _incident(
    found: Graded, packs: Mapping[str, Pack], settings: Settings, say: Wording, *, explained: bool
) -> Iterator[str]:
    incident, zone = found.incident, settings.bank.zone
    names = [_named(settings.service_names, service, say) for service in incident.services]
    regions = [region_name(region, say.locale) for region in incident.regions]
    yield f"{say('incident')} {incident.id}"
    yield f"  {say('services')}: {spell_names(names, say.locale)}"
    yield f"  {say('regions')}: {spell_names(regions, say.locale)}"
    ended = local_time(incident.restored_at, zone) if incident.restored_at else say("not restored")
    begun = local_time(incident.occurred_at, zone) if incident.occurred_at else "—"
    yield f"  {say('occurred')}: {begun}    {say('restored')}: {ended}"
    for assessment, rules in zip(found.assessments, found.explanations, strict=True):
        pack = packs[assessment.pack]
        yield from _assessment(assessment, pack, zone, say)
        if explained:
            explainer = Explainer(pack, settings.service_names, zone, say)
            yield from ("    " + line for line in explainer.lines(rules, assessment.at))


def _recurrence(found: Recurrence, pack: Pack, zone: tzinfo, say: Wording) -> str:
    level = _level(found.reached.level, pack, say)
    spell = f"{local_time(found.first_at, zone)} – {local_time(found.last_at, zone)}"
    about = f"{say('recurring')} ({pack.pack}, {spell_cite(found.cite, say.locale)}): {found.root_cause}"
    return f"{about}\n  {spell}: {', '.join(found.incidents)}\n  {say('together')}: {level}"


def _named(names: Mapping[str, LocalizedText], service: str, say: Wording) -> str:
    return names[service].in_(say.locale) if service in names else service


def _assessment(assessment: Assessment, pack: Pack, zone: tzinfo, say: Wording) -> Iterator[str]:
    yield f"  {pack.title.in_(say.locale)} ({pack.pack}), {say('as of')} {local_time(assessment.at, zone)}"
    yield f"    {say('level')}: {_level(assessment.level, pack, say)}" + (
        f" — {say('held')}" if assessment.held else ""
    )
    if not assessment.evidence.in_force:
        yield f"    {say('not in force')}"
    for year in assessment.evidence.guessed_years:
        yield f"    {say('not published')}: {year}"
    if assessment.provisional:
        yield f"    {say('provisional')}"
    for rise in assessment.trajectory:
        yield f"      {local_time(rise.at, zone)}  {_level(rise.level, pack, say)}  {_ground(rise, say)}"
    yield from _persons_and_readings(assessment, pack, zone, say)
    upcoming = assessment.next
    if upcoming is None:
        yield f"    {say('next')}: {say('none')}"
    else:
        left = spell_duration(upcoming.at - assessment.at, say.locale)
        yield (
            f"    {say('next')}: {_level(upcoming.level, pack, say)}  {local_time(upcoming.at, zone)}"
            f"  ({say('in')} {left})  {spell_cite(upcoming.cite, say.locale)}"
        )
    for status in (each for each in assessment.obligations if each.applies_at is not None):
        yield f"    {say('obligation')}: {obligation_line(status, pack, zone, say)}"
    for region in assessment.evidence.regions:
        out = spell_duration(region.counted, say.locale)
        clock = f"({say('clock')}: {say(pack.reading.clock.value)})"
        yield f"    {say('evidence')}: {region_name(region.region, say.locale)}  {say('counted')} {out} {clock}"


def _persons_and_readings(assessment: Assessment, pack: Pack, zone: tzinfo, say: Wording) -> Iterator[str]:
    changes = {rise.correction for rise in assessment.trajectory}
    for said in (said for said in assessment.evidence.corrections if said not in changes):
        level = _level(said.level, pack, say)
        yield f"      {local_time(said.at, zone)}  {say('confirmed')}: {level}  {said.by}: {said.reason}"
    for other in assessment.evidence.readings:
        point = f"{say(other.point)} = {say(other.value)}"
        yield f"    {say('other reading')} {_level(other.level, pack, say)}: {point}"


def _ground(rise: Reached, say: Wording) -> str:
    """Return on what a rise rests: a clause, or a person's word."""
    if rise.correction is not None:
        return f"{say('corrected')}: {rise.correction.by}: {rise.correction.reason}"
    return f"{spell_cite(rise.cite, say.locale)} ({rise.rule})"


def _level(level: str | None, pack: Pack, say: Wording) -> str:
    return say("below") if level is None else f"{level} {pack.level_names[level].in_(say.locale)}"


def obligation_line(status: ObligationStatus, pack: Pack, zone: tzinfo, say: Wording) -> str:
    """Return an obligation on one line: what, by when, how it stands."""
    demand = next(demand for demand in pack.obligations if demand.id == status.id)
    state = say("met late") if status.met_late else say(status.state.value)
    if status.missed > 1:
        state = f"{state} ({status.missed} {say('missed')})"
    due = f"  {say('due')} {local_time(status.due_at, zone)}" if status.due_at else ""
    number = f" #{status.instance}" if status.instance and demand.every else ""
    return f"{demand.says.in_(say.locale)}{number} ({spell_cite(status.cite, say.locale)}){due}  {state}"


def obligation_name(name: str, instance: str, cite: str, pack: Pack, say: Wording) -> str:
    """Return what an obligation demands, with its number and clause."""
    demand = next(demand for demand in pack.obligations if demand.id == name)
    number = f" #{instance}" if instance and demand.every else ""
    return f"{demand.says.in_(say.locale)}{number} ({spell_cite(cite, say.locale)})"


def local_time(instant: datetime, zone: tzinfo) -> str:
    """Return an instant in local time to the second, with its offset."""
    return instant.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def timeline_line(entry: Mapping[str, Any], packs: Mapping[str, Pack], say: Wording) -> str | None:
    """Return an entry of an incident's timeline as one line; None for what tells a reader nothing new."""
    at = datetime.fromisoformat(entry["at"]).isoformat(sep=" ", timespec="seconds")[:19]
    kinds = {"event": _event_line, "level": _level_line, "obligation": _obligation_entry, "delivery": _delivery_line}
    write = kinds.get(entry["kind"])
    pack = packs[entry["pack"]] if "pack" in entry else next(iter(packs.values()))
    text = write(entry, pack, say) if write else None
    return None if text is None else f"{at}  {text}"


def _event_line(entry: Mapping[str, Any], _: Pack, say: Wording) -> str:
    where = spell_names([region_name(region, say.locale) for region in entry["regions"]], say.locale)
    about = f"  {entry['service'] or ''}  {where}" if entry["regions"] else ""
    data = entry["data"] if isinstance(entry["data"], Mapping) else {}
    about += "".join(f"  {said}" for said in _said(data))
    by = data.get("by")
    return f"·  {say(entry['type'])}{about}" + (f"  ({by})" if by else "")


def _said(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an event is about: a step without its incident and playbook, an obligation, a report, or words."""
    for key in ("step", "fulfils", "report", "title", "text", "reason"):
        given = data.get(key)
        if isinstance(given, str) and given and not (key == "fulfils" and data.get("step")):
            yield "/".join(given.split(":")[2:]) if key == "step" and given.count(":") > 2 else given


def _level_line(entry: Mapping[str, Any], pack: Pack, say: Wording) -> str:
    if entry["corrected_by"] is not None:
        said = f"{entry['corrected_by']}: {entry['reason']}"
        return f"▲  {say('corrected')} {_level(entry['level'], pack, say)}  {said}"
    name = pack.level_names[entry["level"]].in_(say.locale)
    says = pack.rule_by_id[entry["rule"]].says.in_(say.locale)
    return f"▲  {say('level reached')} {entry['level']} {name}  {spell_cite(entry['cite'], say.locale)}: {says}"


def _obligation_entry(entry: Mapping[str, Any], pack: Pack, say: Wording) -> str:
    name, _, instance = entry["obligation"].partition(".")
    demand = next(demand for demand in pack.obligations if demand.id == name)
    mark = "✔" if entry["state"] == "met" and not entry.get("late") else "✘"
    state = say("met late") if entry.get("late") else say(entry["state"])
    return (
        f"{mark}  {say('obligation')}: {demand.says.in_(say.locale)}{f' #{instance}' if demand.every else ''}"
        f" ({spell_cite(entry['cite'], say.locale)})  {state}"
    )


def _delivery_line(entry: Mapping[str, Any], _: Pack, say: Wording) -> str:
    outcome = say(entry["outcome"]) if entry["outcome"] else "…"
    return f"✉  {say('notice')} → {entry['contact']} ({entry['channel']}, {outcome}): {entry['subject']}"
