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
    translate: Translator,
    *,
    explained: bool = False,
) -> str:
    """Return the verdicts on a history as text, with each rule taken apart if wanted."""
    by_id = {pack.pack: pack for pack in packs}
    lines = [
        line for found in graded for line in (*_incident(found, by_id, settings, translate, explained=explained), "")
    ]
    lines += [_recurrence(each, by_id[each.pack], settings.bank.zone, translate) for each in repeated]
    return "\n".join(lines).rstrip() if lines else translate("no incidents")


def _incident(
    found: Graded, packs: Mapping[str, Pack], settings: Settings, translate: Translator, *, explained: bool
) -> Iterator[str]:
    incident, zone = found.incident, settings.bank.zone
    names = [_named(settings.service_names, service, translate) for service in incident.services]
    regions = [region_name(region, translate.locale) for region in incident.regions]
    yield f"{translate('incident')} {incident.id}"
    yield f"  {translate('services')}: {format_names(names, translate.locale)}"
    yield f"  {translate('regions')}: {format_names(regions, translate.locale)}"
    ended = local_time(incident.restored_at, zone) if incident.restored_at else translate("not restored")
    begun = local_time(incident.occurred_at, zone) if incident.occurred_at else "—"
    yield f"  {translate('occurred')}: {begun}    {translate('restored')}: {ended}"
    for assessment, rules in zip(found.assessments, found.explanations, strict=True):
        pack = packs[assessment.pack]
        yield from _assessment(assessment, pack, zone, translate)
        if explained:
            explainer = Explainer(pack, settings.service_names, zone, translate)
            yield from ("    " + line for line in explainer.lines(rules, assessment.at))


def _recurrence(found: Recurrence, pack: Pack, zone: tzinfo, translate: Translator) -> str:
    level = _level(found.reached.level, pack, translate)
    spell = f"{local_time(found.first_at, zone)} – {local_time(found.last_at, zone)}"
    about = f"{translate('recurring')} ({pack.pack}, {format_cite(found.cite, translate.locale)}): {found.root_cause}"
    return f"{about}\n  {spell}: {', '.join(found.incidents)}\n  {translate('together')}: {level}"


def _named(names: Mapping[str, LocalizedText], service: str, translate: Translator) -> str:
    return names[service].in_(translate.locale) if service in names else service


def _assessment(assessment: Assessment, pack: Pack, zone: tzinfo, translate: Translator) -> Iterator[str]:
    yield f"  {pack.title.in_(translate.locale)} ({pack.pack}), {translate('as of')} {local_time(assessment.at, zone)}"
    yield f"    {translate('level')}: {_level(assessment.level, pack, translate)}" + (
        f" — {translate('level retained')}" if assessment.level_retained else ""
    )
    if not assessment.evidence.in_force:
        yield f"    {translate('not in force')}"
    for year in assessment.evidence.guessed_years:
        yield f"    {translate('not published')}: {year}"
    if assessment.provisional:
        yield f"    {translate('provisional')}"
    for rise in assessment.trajectory:
        yield f"      {local_time(rise.at, zone)}  {_level(rise.level, pack, translate)}  {_ground(rise, translate)}"
    yield from _persons_and_readings(assessment, pack, zone, translate)
    upcoming = assessment.next
    if upcoming is None:
        yield f"    {translate('next')}: {translate('none')}"
    else:
        left = format_duration(upcoming.at - assessment.at, translate.locale)
        yield (
            f"    {translate('next')}: {_level(upcoming.level, pack, translate)}  {local_time(upcoming.at, zone)}"
            f"  ({translate('in')} {left})  {format_cite(upcoming.cite, translate.locale)}"
        )
    for status in (each for each in assessment.obligations if each.applies_at is not None):
        yield f"    {translate('obligation')}: {obligation_line(status, pack, zone, translate)}"
    for region in assessment.evidence.regions:
        out = format_duration(region.counted, translate.locale)
        clock = f"({translate('clock')}: {translate(pack.interpretation.clock.value)})"
        yield f"    {translate('evidence')}: {region_name(region.region, translate.locale)}  {translate('counted')} {out} {clock}"


def _persons_and_readings(assessment: Assessment, pack: Pack, zone: tzinfo, translate: Translator) -> Iterator[str]:
    changes = {rise.correction for rise in assessment.trajectory}
    for said in (said for said in assessment.evidence.corrections if said not in changes):
        level = _level(said.data.level, pack, translate)
        when, person = local_time(said.occurred_at, zone), f"{said.data.by}: {said.data.reason}"
        yield f"      {when}  {translate('confirmed')}: {level}  {person}"
    for other in assessment.evidence.interpretations:
        point = f"{translate(other.point)} = {translate(other.value)}"
        yield f"    {translate('other reading')} {_level(other.level, pack, translate)}: {point}"


def _ground(rise: LevelChange, translate: Translator) -> str:
    """Return on what a rise rests: a clause, or a person's word."""
    if rise.correction is not None:
        return f"{translate('corrected')}: {rise.correction.data.by}: {rise.correction.data.reason}"
    return f"{format_cite(rise.cite, translate.locale)} ({rise.rule})"
