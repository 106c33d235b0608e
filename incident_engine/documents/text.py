"""Write a report as plain text for a terminal."""

from incident_engine.common.i18n import Translator
from incident_engine.documents.version_stamp import Stamp, shown, written_by
from incident_engine.domain.reports.drafting import Report


def report_text(report: Report, stamp: Stamp) -> str:
    """Return a report as text, with an indented block per field."""
    translate = Translator(report.locale)
    lines = [report.title, f"{report.source} {report.cite}".strip(), ""]
    lines += [f"{translate(name)}: {value}" for name, value in headings(report)]
    for section in report.sections:
        lines += ["", section.title]
        for field in section.fields:
            cite = f" ({field.cite})" if field.cite else ""
            by = written_by(field, report.locale)
            lines.append(f"  {field.label}{cite}{f' [{by}]' if by else ''}")
            lines += [f"    {line}" for line in shown(field, report.locale).splitlines()]
    lines += ["", stamp.line(report.locale), stamp.gap_line(report.locale)]
    return "\n".join(lines).rstrip() + "\n"


def headings(report: Report) -> tuple[tuple[str, str], ...]:
    """Return the head of a report as pairs of (key of a phrase, value)."""
    return (("addressee", report.addressee), ("reporting unit", report.unit), ("incident", report.incident))
