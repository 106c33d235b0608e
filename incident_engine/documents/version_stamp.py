"""The stamp of a report's version: number, state, person, instant and hash, in the reader's language."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from incident_engine.common.i18n import Translator
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.reports.drafting import GAP, FilledField


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
        return f"{Translator(locale)('fields to be filled in')}: {self.gaps}" if self.gaps else ""


def shown(field: FilledField, locale: str) -> str:
    """Return the text of a field, the mark of a gap, or a dash."""
    return field.text or (GAP[locale] if field.is_gap else "—")


def written_by(field: FilledField, locale: str) -> str:
    """Return a line with the author of a field, or an empty text."""
    return f"{Translator(locale)('written by')}: {field.by}" if field.by else ""
