"""The stamp of a report's version: number, state, person, instant and hash, in the reader's language."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from incident_engine.common.i18n import Translator
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.reports.drafting import GAP, FilledField, Report


@dataclass(frozen=True, slots=True)
class Stamp:
    """Identifies a version of a report. Version 0 was drafted on request and is not stored."""

    version: int
    state: str
    by: str | None
    at: datetime
    content_hash: str
    gaps: int
    """The number of required fields without a text."""
    zone: tzinfo

    @property
    def is_final(self) -> bool:
        """Return whether the version was approved or handed in: it goes to others, without marks for its authors."""
        return self.state in _FINAL

    def footer(self, locale: str) -> str:
        """Return the footer of a document: the line of a draft; of a final version only its number and hash."""
        if not self.is_final:
            return self.line(locale)
        return f"{Translator(locale)('version')} {self.version} · SHA-256 {self.content_hash[:16]}"

    def line(self, locale: str) -> str:
        """Return version, state, person, instant and hash on one line."""
        translate = Translator(locale)
        number = f"{translate('version')} {self.version}" if self.version else translate("not stored")
        parts = [number, translate(f"{self.state} version")]
        if self.by:
            parts.append(self.by)
        parts += [format_local(self.at, self.zone), f"SHA-256 {self.content_hash[:16]}"]
        return " · ".join(parts)

    def gap_line(self, locale: str) -> str:
        """Return a line with the number of required fields still empty, or an empty text."""
        return labelled("fields to be filled in", str(self.gaps), locale) if self.gaps else ""

    def gap_mark(self, field: FilledField, locale: str) -> str:
        """Return the mark of a required field that is empty; an empty text for other fields and final versions."""
        return GAP[locale] if field.is_gap and not self.is_final else ""

    def shown(self, field: FilledField, locale: str) -> str:
        """Return the text of a field, the mark of a gap, or a dash."""
        return field.text or self.gap_mark(field, locale) or "—"


_FINAL = ("approved", "submitted")


def labelled(phrase: str, value: str, locale: str) -> str:
    """Return the text of a phrase and a value, with the colon of the language."""
    return f"{Translator(locale)(phrase)}{'：' if locale.startswith('zh') else ': '}{value}"


def written_by(field: FilledField, locale: str) -> str:
    """Return a line with the author of a field, or an empty text."""
    return labelled("written by", field.by, locale) if field.by else ""


def signature_lines(report: Report) -> tuple[str, ...]:
    """Return the lines at the end of a document, with places for seal, signature and date."""
    return tuple(
        labelled(phrase, value, report.locale)
        for phrase, value in (
            ("unit and seal", report.unit),
            ("signatory", ""),
            ("contact", report.contact),
            ("date of the report", Translator(report.locale)("place for a date")),
        )
    )


def headings(report: Report) -> tuple[tuple[str, str], ...]:
    """Return the head of a report as pairs of (key of a phrase, value)."""
    return (("addressee", report.addressee), ("reporting unit", report.unit), ("incident", report.incident))
