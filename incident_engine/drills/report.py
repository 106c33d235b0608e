"""Draft the report on a drill (银监办发〔2008〕53号 Art. 28), for people to complete and sign."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from incident_engine.common.i18n import Translator
from incident_engine.common.private_files import write_file
from incident_engine.documents.docx import report_docx
from incident_engine.documents.html import report_html
from incident_engine.documents.version_stamp import Stamp
from incident_engine.domain.reports.drafting import Report, content_hash, draft_report
from incident_engine.domain.values import LOCALES
from incident_engine.drills.report_texts import FieldTexts, PlayedDrill, field_texts
from incident_engine.engine.factory import open_reader
from incident_engine.engine.report_facts import facts_of
from incident_engine.store.read_only import read_only

NAME = "drill-report"
_IMPROVEMENTS = "improvements"
"""The field that stays empty for people: tasks of the played incident are no improvements after the drill."""


def write(directory: Path, played: PlayedDrill, at: datetime) -> list[Path]:
    """Write the report into a drill's folder, as HTML and DOCX in each language; return the files.

    Writes nothing if the drill had no incident, or if the rules do not define the report.
    """
    if not played.incidents or NAME not in played.rulebook.reports.definitions:
        return []
    drafts, texts, zone = _drafts(played), field_texts(played), played.settings.bank.zone
    reports = {
        locale: _filled(drafts[locale], texts, played.timelines[locale], Translator(locale)) for locale in LOCALES
    }
    digest = content_hash({locale: asdict(report) for locale, report in reports.items()})
    files: list[Path] = []
    for locale, report in reports.items():
        stamp = Stamp(1, "draft", None, at, digest, len(report.gaps), zone)
        for suffix, content in (("html", report_html(report, stamp).encode()), ("docx", report_docx(report, stamp))):
            file = directory / f"{NAME}.{locale}.{suffix}"
            write_file(file, content)
            files.append(file)
    return files


def _drafts(played: PlayedDrill) -> Mapping[str, Sequence[Report]]:
    """Draft the report of each incident from its facts; return the drafts by language."""
    settings, drafts = played.settings, []
    reader = open_reader(settings, played.rulebook)
    with read_only(settings.store.url) as connection:
        for name in played.incidents:
            case = reader.case(connection, name, played.ended_at)  # on the drill's clock, not today's
            assert case is not None, name  # noqa: S101 - the daemon named it
            facts = facts_of(settings, case.incident, case.packs, case.assessments, played.rulebook.playbooks)
            drafts.append(draft_report(played.rulebook.reports, NAME, facts))
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
