"""The report on a drill (银监办发〔2008〕53号 Art. 28): drafted from what was played, to be completed and signed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from incident_engine.common.i18n import Translator
from incident_engine.config.rulebook import Rulebook
from incident_engine.config.scenario import Scenario
from incident_engine.config.settings import Settings
from incident_engine.documents.docx import report_docx
from incident_engine.documents.html import report_html
from incident_engine.documents.timeline_text import obligation_name
from incident_engine.documents.version_stamp import Stamp
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.reports.drafting import Report, content_hash
from incident_engine.domain.values import LOCALES
from incident_engine.drills.checks import Check, ObligationOutcome, failed
from incident_engine.engine.reader import Reader
from incident_engine.engine.report_versions import facts_of
from incident_engine.store.read_only import read_only

NAME = "drill-report"
_IMPROVEMENTS = "improvements"
"""The field that is always left to people: tasks of what was played are no improvements after the drill."""

Words = Mapping[str, Callable[[Translator], str]]
"""What stands in a field, in a reader's language; an empty text leaves what the facts say, or a gap."""


@dataclass(frozen=True, slots=True)
class Played:
    """What was played, and what came of it."""

    scenario: Scenario
    settings: Settings
    """Those of the drill."""
    rulebook: Rulebook
    incidents: Sequence[str]
    checks: Sequence[Check]
    dues: Sequence[ObligationOutcome]
    told: Mapping[str, Sequence[str]]
    """The timeline by language."""
    ended_at: datetime
    """The instant in the drill at which it ended."""


def write(directory: Path, played: Played, at: datetime) -> list[Path]:
    """Write the report into a drill's folder, as HTML and DOCX in each language; return the files.

    Without an incident, or without the definition of the report, there is none.
    """
    if not played.incidents or NAME not in played.rulebook.reports.definitions:
        return []
    drafts, words, zone = _drafts(played), _words(played), played.settings.bank.zone
    reports = {locale: _filled(drafts[locale], words, played.told[locale], Translator(locale)) for locale in LOCALES}
    mark = content_hash({locale: asdict(report) for locale, report in reports.items()})
    files: list[Path] = []
    for locale, report in reports.items():
        stamp = Stamp(1, "draft", None, at, mark, len(report.gaps), zone)
        for suffix, content in (("html", report_html(report, stamp).encode()), ("docx", report_docx(report, stamp))):
            file = directory / f"{NAME}.{locale}.{suffix}"
            file.write_bytes(content)
            files.append(file)
    return files


def _drafts(played: Played) -> Mapping[str, Sequence[Report]]:
    """Return the reports as they follow from the facts of each incident, by language."""
    settings, found = played.settings, []
    reader = Reader(settings, played.rulebook)
    with read_only(settings.store.url) as connection:
        for name in played.incidents:
            case = reader.case(connection, name, played.ended_at)
            assert case is not None, name  # noqa: S101 - the daemon named it
            facts = facts_of(settings, case.incident, case.packs, case.assessments, played.rulebook.playbooks)
            found.append(played.rulebook.reports.draft(NAME, facts))
    return {locale: [draft.by_locale[locale] for draft in found] for locale in LOCALES}


def _filled(drafts: Sequence[Report], words: Words, told: Sequence[str], translate: Translator) -> Report:
    """Return one report of those of all incidents, with the words that the facts do not have."""
    facts: dict[str, list[str]] = {field.id: [] for field in drafts[0].fields}
    for draft in drafts:
        for field in draft.fields:
            if field.facts and field.id != _IMPROVEMENTS:
                facts[field.id].append(field.facts)
    said = {name: word(translate) for name, word in words.items()}
    sections = tuple(
        replace(
            section,
            fields=tuple(
                replace(
                    field,
                    facts="\n".join(told if field.id == "course" else facts[field.id]),
                    written=said.get(field.id, ""),
                )
                for field in section.fields
            ),
        )
        for section in drafts[0].sections
    )
    return replace(drafts[0], incident=", ".join(draft.incident for draft in drafts), sections=sections)


def _words(played: Played) -> Words:
    scenario, plan, checks = played.scenario, played.scenario.drill, played.checks
    wrong, missed = failed(checks), [due for due in played.dues if due.is_missed]
    zone, pack = played.settings.bank.zone, played.rulebook.packs[0]

    def people(translate: Translator) -> str:
        joint = "、" if translate.locale.startswith("zh") else ", "
        return plan.people.in_(translate.locale) if plan.people else joint.join(scenario.speakers)

    def arranged(translate: Translator) -> str:
        title = scenario.title.in_(translate.locale)
        return f"{title}\n{plan.plan.in_(translate.locale)}" if plan.plan else title

    def problems(translate: Translator) -> str:
        lines = [f"{translate('not as expected')} — {check.text(translate)}" for check in wrong]
        lines += [
            f"{translate('overdue')} — {obligation_name(due.obligation, due.instance, due.cite, pack, translate)}, "
            f"{translate('due')} {format_local(due.due_at, zone)}"
            for due in missed
        ]
        return "\n".join(lines) or translate("no problems")

    def conclusion(translate: Translator) -> str:
        met = sum(1 for due in played.dues if due.met_at is not None and not due.is_missed)
        counted = f"{translate('deadlines met')}: {met}; {translate('deadlines missed')}: {len(missed)}"
        verdict = translate("drill went as expected" if not wrong else "drill did not go as expected")
        return f"{verdict} ({len(checks) - len(wrong)}/{len(checks)}). {counted}."

    return {
        "purpose": lambda translate: plan.purpose.in_(translate.locale) if plan.purpose else "",
        "plan": arranged,
        "people": people,
        "preparation": lambda translate: plan.preparation.in_(translate.locale) if plan.preparation else "",
        "problems": problems,
        "conclusion": conclusion,
    }
