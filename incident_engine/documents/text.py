"""Write a report as plain text for a terminal."""

from incident_engine.documents.version_stamp import Stamp, headings, labelled, written_by
from incident_engine.domain.reports.drafting import Report


def report_text(report: Report, stamp: Stamp) -> str:
    """Return a report as text, with an indented block per field."""
    lines = [report.title, f"{report.source} {report.cite}".strip(), ""]
    lines += [labelled(name, value, report.locale) for name, value in headings(report)]
    for section in report.sections:
        lines += ["", section.title]
        for field in section.fields:
            cite = f" ({field.cite})" if field.cite else ""
            by = written_by(field, report.locale)
            lines.append(f"  {field.label}{cite}{f' [{by}]' if by else ''}")
            lines += [f"    {line}" for line in stamp.shown(field, report.locale).splitlines()]
    lines += ["", stamp.line(report.locale), stamp.gap_line(report.locale)]
    return "\n".join(lines).rstrip() + "\n"
