"""Draft reports: fields filled from the facts and by people, and the gaps that are left.

Equal facts give equal drafts, so that a report has a new version only when its facts change.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from incident_engine.domain.reporting_unit import addressee_of
from incident_engine.domain.reports.definition import ReportDefinition, ReportField
from incident_engine.domain.reports.fact_variables import report_variables
from incident_engine.domain.reports.facts import ReportFacts
from incident_engine.domain.reports.report_book import FieldTexts, ReportBook
from incident_engine.domain.values import LOCALES, format_cite

GAP: Mapping[str, str] = {"zh-CN": "【待填写】", "en": "[to be filled in]"}
"""The text of a required field that is empty."""


@dataclass(frozen=True, slots=True)
class FilledField:
    """A field with the text from the facts, and below it the text that a person wrote."""

    id: str
    label: str
    cite: str
    required: bool
    facts: str
    """Empty if the facts give nothing."""
    written: str
    """Empty if no person wrote anything."""
    by: str | None
    """The person who wrote."""

    @property
    def is_gap(self) -> bool:
        """Return whether the field is required and empty."""
        return self.required and not self.text

    @property
    def text(self) -> str:
        """Return the whole text; empty for an empty field."""
        return "\n".join(part for part in (self.facts, self.written) if part)


@dataclass(frozen=True, slots=True)
class FilledSection:
    """A section with its filled fields."""

    id: str
    title: str
    fields: tuple[FilledField, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A report in one language."""

    id: str
    locale: str
    title: str
    source: str
    cite: str
    incident: str
    bank: str
    addressee: str
    unit: str
    sections: tuple[FilledSection, ...]
    contact: str = ""
    """The person filed with the regulator, with the telephone; empty if there is none."""

    @property
    def fields(self) -> tuple[FilledField, ...]:
        """Return the fields of all sections, in order."""
        return tuple(field for section in self.sections for field in section.fields)

    @property
    def gaps(self) -> tuple[FilledField, ...]:
        """Return the required fields that are empty."""
        return tuple(field for field in self.fields if field.is_gap)


@dataclass(frozen=True, slots=True)
class Drafted:
    """A report in all languages."""

    by_locale: Mapping[str, Report]
    failures: tuple[tuple[str, str], ...]
    """(field id, error) of each text that failed to render."""

    def document(self) -> dict[str, Any]:
        """Return the reports as JSON values, by locale."""
        return {locale: _json(report) for locale, report in self.by_locale.items()}


def _json(report: Report) -> dict[str, Any]:
    # Not `asdict`, which copies each text deeply: a report is drafted at each update of its incident.
    sections = [
        {"id": part.id, "title": part.title, "fields": [_flat(field) for field in part.fields]}
        for part in report.sections
    ]
    return {**_flat(report), "sections": sections}


def _flat(value: FilledField | Report) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def content_hash(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a report's content in all languages, which identifies its version."""
    # In one fixed form: the hash must not depend on the order of keys or on spaces.
    content = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def report_from(document: Mapping[str, Any]) -> Report:
    """Return the report in one language's part of `Drafted.document`."""
    sections = tuple(
        FilledSection(part["id"], part["title"], tuple(FilledField(**field) for field in part["fields"]))
        for part in document["sections"]
    )
    return Report(**{**document, "sections": sections})


def report_document(report: Report) -> dict[str, Any]:
    """Return a report as JSON values for the API: its sections, its gaps, and the texts by section and field."""
    sections = [
        {
            "id": section.id,
            "title": section.title,
            "fields": [{**asdict(field), "text": field.text, "is_gap": field.is_gap} for field in section.fields],
        }
        for section in report.sections
    ]
    texts = {section.id: {field.id: field.text or None for field in section.fields} for section in report.sections}
    gaps = [field.id for field in report.gaps]
    return {**asdict(report), "sections": sections, "fields": texts, "gaps": gaps}


def draft_report(book: ReportBook, name: str, facts: ReportFacts, since: datetime | None = None) -> Drafted:
    """Return a report in all languages as it follows from the facts. Raises KeyError for an unknown name.

    Only texts that people wrote after `since` are used: each instance of a repeated report has its own.
    """
    definition = book.definitions[name]
    entries = facts.incident.handling.entries_in(name, since)
    failures: list[tuple[str, str]] = []
    reports = {locale: _draft(book.texts, definition, facts, entries, locale, failures) for locale in LOCALES}
    return Drafted(reports, tuple(failures))


def _draft(
    texts: FieldTexts,
    definition: ReportDefinition,
    facts: ReportFacts,
    entries: Mapping[str, tuple[str, str]],
    locale: str,
    failures: list[tuple[str, str]],
) -> Report:
    variables = report_variables(facts, definition.pack, definition.addressee, locale, progress=definition.progress)

    def fill(field: ReportField) -> FilledField:
        try:
            facts_text = texts.render(field, locale, variables)
        except Exception as error:  # noqa: BLE001 - a field whose text fails must not stop the report: it is a gap
            failures.append((field.id, repr(error)))
            facts_text = ""
        text, author = entries.get(field.id, ("", None))
        text = text.strip()
        by = author if text else None
        label, cite = field.label.in_(locale), format_cite(field.cite, locale)
        return FilledField(field.id, label, cite, field.required, facts_text, text, by)

    return Report(
        id=definition.report,
        locale=locale,
        title=definition.title.in_(locale),
        source=definition.source,
        cite=format_cite(definition.cite, locale),
        incident=facts.incident.id,
        bank=facts.bank_name.in_(locale),
        addressee=addressee_of(facts.unit, definition.addressee, locale),
        unit=facts.unit.name.in_(locale),
        contact=f"{facts.unit.reporter} {facts.unit.contact}".strip(),
        sections=tuple(
            FilledSection(section.id, section.title.in_(locale), tuple(fill(field) for field in section.fields))
            for section in definition.sections
        ),
    )
