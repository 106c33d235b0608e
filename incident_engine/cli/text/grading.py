"""Write verdicts as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo

from incident_engine.cli.text.explanation import Explainer
from incident_engine.common.i18n import Translator
from incident_engine.config.settings import Settings
from incident_engine.documents.timeline_text import level_name, local_time, obligation_line
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.recurring import Recurrence
from incident_engine.domain.messages.formatting import format_duration, format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.values import format_cite
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
    """Return the verdicts on a history as text; with `explained`, each rule is taken apart."""
    by_id = {pack.pack: pack for pack in packs}
    lines: list[str] = []
    for incident in graded:
        lines += [*_incident(incident, by_id, settings, translate, explained=explained), ""]
    for recurrence in repeated:
        pack, zone = by_id[recurrence.pack], settings.bank.zone
        period = f"{local_time(recurrence.first_at, zone)} – {local_time(recurrence.last_at, zone)}"
        source = f"{pack.pack}, {format_cite(recurrence.cite, translate.locale)}"
        lines += [
            f"{translate('recurring')} ({source}): {recurrence.root_cause}",
            f"  {period}: {', '.join(recurrence.incidents)}",
            f"  {translate('graded together')}: {level_name(recurrence.reached.level, pack, translate)}",
        ]
    return "\n".join(lines).rstrip() if lines else translate("no incidents")


def _incident(
    graded: Graded, packs: Mapping[str, Pack], settings: Settings, translate: Translator, *, explained: bool
) -> Iterator[str]:
    incident, zone, services = graded.incident, settings.bank.zone, settings.service_names
    # A history may name services that the bank has removed since.
    names = [services[id_].in_(translate.locale) if id_ in services else id_ for id_ in incident.services]
    regions = [region_name(region, translate.locale) for region in incident.regions]
    yield f"{translate('incident')} {incident.id}"
    yield f"  {translate('services')}: {format_names(names, translate.locale)}"
    yield f"  {translate('regions')}: {format_names(regions, translate.locale)}"
    ended = local_time(incident.restored_at, zone) if incident.restored_at else translate("not restored")
    started = local_time(incident.occurred_at, zone) if incident.occurred_at else "—"
    yield f"  {translate('occurred')}: {started}    {translate('restored')}: {ended}"
    for assessment, rules in zip(graded.assessments, graded.explanations, strict=True):
        pack = packs[assessment.pack]
        yield from _assessment(assessment, pack, zone, translate)
        if explained:
            explainer = Explainer(pack, settings.service_names, zone, translate)
            yield from ("    " + line for line in explainer.lines(rules, assessment.at))


def _assessment(assessment: Assessment, pack: Pack, zone: tzinfo, translate: Translator) -> Iterator[str]:
    yield f"  {pack.title.in_(translate.locale)} ({pack.pack}), {translate('as of')} {local_time(assessment.at, zone)}"
    yield f"    {translate('level')}: {level_name(assessment.level, pack, translate)}" + (
        f" — {translate('level retained')}" if assessment.level_retained else ""
    )
    if not assessment.evidence.in_force:
        yield f"    {translate('not in force')}"
    for year in assessment.evidence.guessed_years:
        yield f"    {translate('not published')}: {year}"
    if assessment.provisional:
        yield f"    {translate('provisional')}"
    for change in assessment.trajectory:
        level = level_name(change.level, pack, translate)
        correction = change.correction
        ground = (
            f"{format_cite(change.cite, translate.locale)} ({change.rule})"
            if correction is None
            else f"{translate('corrected')}: {correction.data.by}: {correction.data.reason}"
        )
        yield f"      {local_time(change.at, zone)}  {level}  {ground}"
    yield from _confirmations_and_alternatives(assessment, pack, zone, translate)
    upcoming = assessment.next
    if upcoming is None:
        yield f"    {translate('next')}: {translate('none')}"
    else:
        left = format_duration(upcoming.at - assessment.at, translate.locale)
        yield (
            f"    {translate('next')}: {level_name(upcoming.level, pack, translate)}  {local_time(upcoming.at, zone)}"
            f"  ({translate('time left')} {left})  {format_cite(upcoming.cite, translate.locale)}"
        )
    for status in assessment.obligations:
        if status.applies_at is not None:
            yield f"    {translate('obligation')}: {obligation_line(status, pack, zone, translate)}"
    for region in assessment.evidence.regions:
        counted = f"{translate('counted')} {format_duration(region.counted, translate.locale)}"
        clock = f"({translate('clock')}: {translate(pack.interpretation.clock.value)})"
        yield f"    {translate('evidence')}: {region_name(region.region, translate.locale)}  {counted} {clock}"


def _confirmations_and_alternatives(
    assessment: Assessment, pack: Pack, zone: tzinfo, translate: Translator
) -> Iterator[str]:
    """Yield corrections that changed no level, and the levels under other interpretations."""
    effective = {change.correction for change in assessment.trajectory}
    for correction in assessment.evidence.corrections:
        if correction not in effective:
            level = level_name(correction.data.level, pack, translate)
            person = f"{correction.data.by}: {correction.data.reason}"
            yield f"      {local_time(correction.occurred_at, zone)}  {translate('confirmed')}: {level}  {person}"
    for other in assessment.evidence.interpretations:
        point = f"{translate(other.point)} = {translate(other.value)}"
        yield f"    {translate('other interpretation')} {level_name(other.level, pack, translate)}: {point}"
