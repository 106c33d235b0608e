"""Verdicts and timelines as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo

from incident_engine.cli.text.explanation import Explainer
from incident_engine.common.i18n import Translator
from incident_engine.config.settings import Settings
from incident_engine.documents.timeline_text import _level, local_time, obligation_line
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.recurring import Recurrence
from incident_engine.domain.messages.formatting import format_duration, format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.values import LocalizedText, format_cite
from incident_engine.engine.offline import Graded


def graded_text(
    graded: Sequence[Graded],
    repeated: Sequence[Recurrence],
    packs: Sequence[Pack],
    settings: Settings,
    say: Translator,
    *,
    explained: bool = False,
) -> str:
    """Return the verdicts on a history as text, with each rule taken apart if wanted."""
    by_id = {pack.pack: pack for pack in packs}
    lines = [line for found in graded for line in (*_incident(found, by_id, settings, say, explained=explained), "")]
    lines += [_recurrence(each, by_id[each.pack], settings.bank.zone, say) for each in repeated]
    return "\n".join(lines).rstrip() if lines else say("no incidents")


def _incident(
    found: Graded, packs: Mapping[str, Pack], settings: Settings, say: Translator, *, explained: bool
) -> Iterator[str]:
    incident, zone = found.incident, settings.bank.zone
    names = [_named(settings.service_names, service, say) for service in incident.services]
    regions = [region_name(region, say.locale) for region in incident.regions]
    yield f"{say('incident')} {incident.id}"
    yield f"  {say('services')}: {format_names(names, say.locale)}"
    yield f"  {say('regions')}: {format_names(regions, say.locale)}"
    ended = local_time(incident.restored_at, zone) if incident.restored_at else say("not restored")
    begun = local_time(incident.occurred_at, zone) if incident.occurred_at else "—"
    yield f"  {say('occurred')}: {begun}    {say('restored')}: {ended}"
    for assessment, rules in zip(found.assessments, found.explanations, strict=True):
        pack = packs[assessment.pack]
        yield from _assessment(assessment, pack, zone, say)
        if explained:
            explainer = Explainer(pack, settings.service_names, zone, say)
            yield from ("    " + line for line in explainer.lines(rules, assessment.at))


def _recurrence(found: Recurrence, pack: Pack, zone: tzinfo, say: Translator) -> str:
    level = _level(found.reached.level, pack, say)
    spell = f"{local_time(found.first_at, zone)} – {local_time(found.last_at, zone)}"
    about = f"{say('recurring')} ({pack.pack}, {format_cite(found.cite, say.locale)}): {found.root_cause}"
    return f"{about}\n  {spell}: {', '.join(found.incidents)}\n  {say('together')}: {level}"


def _named(names: Mapping[str, LocalizedText], service: str, say: Translator) -> str:
    return names[service].in_(say.locale) if service in names else service


def _assessment(assessment: Assessment, pack: Pack, zone: tzinfo, say: Translator) -> Iterator[str]:
    yield f"  {pack.title.in_(say.locale)} ({pack.pack}), {say('as of')} {local_time(assessment.at, zone)}"
    yield f"    {say('level')}: {_level(assessment.level, pack, say)}" + (
        f" — {say('level retained')}" if assessment.level_retained else ""
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
        left = format_duration(upcoming.at - assessment.at, say.locale)
        yield (
            f"    {say('next')}: {_level(upcoming.level, pack, say)}  {local_time(upcoming.at, zone)}"
            f"  ({say('in')} {left})  {format_cite(upcoming.cite, say.locale)}"
        )
    for status in (each for each in assessment.obligations if each.applies_at is not None):
        yield f"    {say('obligation')}: {obligation_line(status, pack, zone, say)}"
    for region in assessment.evidence.regions:
        out = format_duration(region.counted, say.locale)
        clock = f"({say('clock')}: {say(pack.interpretation.clock.value)})"
        yield f"    {say('evidence')}: {region_name(region.region, say.locale)}  {say('counted')} {out} {clock}"


def _persons_and_readings(assessment: Assessment, pack: Pack, zone: tzinfo, say: Translator) -> Iterator[str]:
    changes = {rise.correction for rise in assessment.trajectory}
    for said in (said for said in assessment.evidence.corrections if said not in changes):
        level = _level(said.level, pack, say)
        yield f"      {local_time(said.at, zone)}  {say('confirmed')}: {level}  {said.by}: {said.reason}"
    for other in assessment.evidence.interpretations:
        point = f"{say(other.point)} = {say(other.value)}"
        yield f"    {say('other reading')} {_level(other.level, pack, say)}: {point}"


def _ground(rise: LevelChange, say: Translator) -> str:
    """Return on what a rise rests: a clause, or a person's word."""
    if rise.correction is not None:
        return f"{say('corrected')}: {rise.correction.by}: {rise.correction.reason}"
    return f"{format_cite(rise.cite, say.locale)} ({rise.rule})"
