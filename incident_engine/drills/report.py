"""Draft the report on a drill (银监办发〔2008〕53号 Art. 28), for people to complete and sign."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from incident_engine.common.i18n import Translator
from incident_engine.config.scenario import Scenario
from incident_engine.config.settings import Settings
from incident_engine.documents.docx import report_docx
from incident_engine.documents.html import report_html
from incident_engine.documents.timeline_text import obligation_name
from incident_engine.documents.version_stamp import Stamp
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.reports.drafting import Report, content_hash
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.values import LOCALES
from incident_engine.drills.checks import Check, ObligationOutcome, failed
from incident_engine.engine.reader import Reader
from incident_engine.engine.report_versions import facts_of
from incident_engine.store.read_only import read_only

NAME = "drill-report"
_IMPROVEMENTS = "improvements"
"""The field that stays empty for people: tasks of the played incident are no improvements after the drill."""

FieldTexts = Mapping[str, Callable[[Translator], str]]
"""The text of each field by its id, in a reader's language; an empty text keeps the drafted facts, or a gap."""


@dataclass(frozen=True, slots=True)
class PlayedDrill:
    """A scenario that was played, with its results."""

    scenario: Scenario
    settings: Settings
    """The settings of the drill, not the bank's own."""
    rulebook: Rulebook
    incidents: Sequence[str]
    """The ids of the incidents."""
    checks: Sequence[Check]
    obligations: Sequence[ObligationOutcome]
    timelines: Mapping[str, Sequence[str]]
    """The lines of the timeline by language."""
    ended_at: datetime
    """The end of the drill on its own clock."""


def write(directory: Path, played: PlayedDrill, at: datetime) -> list[Path]:
    """Write the report into a drill's folder, as HTML and DOCX in each language; return the files.

    Writes nothing if the drill had no incident, or if the rules do not define the report.
    """
    if not played.incidents or NAME not in played.rulebook.reports.definitions:
        return []
    drafts, texts, zone = _drafts(played), _field_texts(played), played.settings.bank.zone
    reports = {
        locale: _filled(drafts[locale], texts, played.timelines[locale], Translator(locale)) for locale in LOCALES
    }
    digest = content_hash({locale: asdict(report) for locale, report in reports.items()})
    files: list[Path] = []
    for locale, report in reports.items():
        stamp = Stamp(1, "draft", None, at, digest, len(report.gaps), zone)
        for suffix, content in (("html", report_html(report, stamp).encode()), ("docx", report_docx(report, stamp))):
            file = directory / f"{NAME}.{locale}.{suffix}"
            file.write_bytes(content)
            files.append(file)
    return files


def _drafts(played: PlayedDrill) -> Mapping[str, Sequence[Report]]:
    """Draft the report of each incident from its facts; return the drafts by language."""
    settings, drafts = played.settings, []
    reader = Reader(settings, played.rulebook)
    with read_only(settings.store.url) as connection:
        for name in played.incidents:
            case = reader.case(connection, name, played.ended_at)  # on the drill's clock, not today's
            assert case is not None, name  # noqa: S101 - the daemon named it
            facts = facts_of(settings, case.incident, case.packs, case.assessments, played.rulebook.playbooks)
            drafts.append(played.rulebook.reports.draft(NAME, facts))
    return {locale: [draft.by_locale[locale] for draft in drafts] for locale in LOCALES}


def _filled(
    drafts: Sequence[Report], field_texts: FieldTexts, timeline: Sequence[str], translate: Translator
) -> Report:
    """Merge the drafts of all incidents into one report and fill in the texts of the drill."""
    facts: dict[str, list[str]] = {field.id: [] for field in drafts[0].fields}
    for draft in drafts:
        for field in draft.fields:
            if field.facts and field.id != _IMPROVEMENTS:
                facts[field.id].append(field.facts)
    texts = {name: write_text(translate) for name, write_text in field_texts.items()}
    sections = tuple(
        replace(
            section,
            fields=tuple(
                replace(
                    field,
                    facts="\n".join(timeline if field.id == "course" else facts[field.id]),
                    written=texts.get(field.id, ""),
                )
                for field in section.fields
            ),
        )
        for section in drafts[0].sections
    )
    return replace(drafts[0], incident=", ".join(draft.incident for draft in drafts), sections=sections)


def _field_texts(played: PlayedDrill) -> FieldTexts:
    scenario, plan, checks = played.scenario, played.scenario.drill, played.checks
    failures, missed = failed(checks), [outcome for outcome in played.obligations if outcome.is_missed]
    zone, pack = played.settings.bank.zone, played.rulebook.packs[0]

    def people(translate: Translator) -> str:
        separator = "、" if translate.locale.startswith("zh") else ", "
        return plan.people.in_(translate.locale) if plan.people else separator.join(scenario.speakers)

    def plan_text(translate: Translator) -> str:
        title = scenario.title.in_(translate.locale)
        return f"{title}\n{plan.plan.in_(translate.locale)}" if plan.plan else title

    def problems(translate: Translator) -> str:
        lines = [f"{translate('not as expected')} — {check.text(translate)}" for check in failures]
        lines += [
            f"{translate('overdue')} — {obligation_name(late.obligation, late.instance, late.cite, pack, translate)}, "
            f"{translate('due')} {format_local(late.due_at, zone)}"
            for late in missed
        ]
        return "\n".join(lines) or translate("no problems")

    def conclusion(translate: Translator) -> str:
        met = sum(1 for outcome in played.obligations if outcome.met_at is not None and not outcome.is_missed)
        deadlines = f"{translate('deadlines met')}: {met}; {translate('deadlines missed')}: {len(missed)}"
        verdict = translate("drill went as expected" if not failures else "drill did not go as expected")
        return f"{verdict} ({len(checks) - len(failures)}/{len(checks)}). {deadlines}."

    return {
        "purpose": lambda translate: plan.purpose.in_(translate.locale) if plan.purpose else "",
        "plan": plan_text,
        "people": people,
        "preparation": lambda translate: plan.preparation.in_(translate.locale) if plan.preparation else "",
        "problems": problems,
        "conclusion": conclusion,
    }
