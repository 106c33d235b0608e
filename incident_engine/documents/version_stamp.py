"""What marks a version of a report wherever it is read: number, state, who, when, hash; in the reader's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

from incident_engine.common.i18n import Translator
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.reports.drafting import GAP, FilledField

_STATES: Mapping[str, str] = {
    "draft": "draft version",
    "approved": "approved version",
    "submitted": "submitted version",
    "withdrawn": "withdrawn version",
}


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which version of a report this is. Version 0 was made for this look alone and is not kept."""

    version: int
    state: str
    by: str | None
    at: datetime
    content_hash: str
    gaps: int
    zone: tzinfo

    def line(self, locale: str) -> str:
        """Return version, state, person, instant and hash on one line."""
        translate = Translator(locale)
        number = f"{translate('version')} {self.version}" if self.version else translate("not kept")
        parts = [number, translate(_STATES[self.state])]
        if self.by:
            parts.append(self.by)
        parts += [format_local(self.at, self.zone), f"SHA-256 {self.content_hash[:16]}"]
        return " · ".join(parts)

    def gap_line(self, locale: str) -> str:
        """Return how many fields must still be filled in; empty if none."""
        return f"{Translator(locale)('fields to be filled in')}: {self.gaps}" if self.gaps else ""


def shown(field: FilledField, locale: str) -> str:
    """Return what stands in a field: its text, the mark of a gap, or a dash."""
    return field.text or (GAP[locale] if field.is_gap else "—")


def written_by(field: FilledField, locale: str) -> str:
    """Return who wrote in a field; empty if nobody."""
    return f"{Translator(locale)('written by')}: {field.by}" if field.by else ""
