"""Write a report, or the review of a period, as one self-contained HTML page for screen and print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from incident_engine.common.i18n import Translator
from incident_engine.documents.version_stamp import Stamp, headings, signature_lines, written_by
from incident_engine.domain.reports.drafting import Report

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,  # text that people wrote must never become markup
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def report_html(report: Report, stamp: Stamp) -> str:
    """Return a report as a page with all texts escaped."""
    locale = report.locale
    return _PAGES.get_template("report.html.j2").render(
        report=report,
        heads=[(Translator(locale)(name), value) for name, value in headings(report)],
        stamp=stamp.footer(locale),
        gaps="" if stamp.is_final else stamp.gap_line(locale),
        is_final=stamp.is_final,
        shown=lambda field: stamp.shown(field, locale),
        written_by=lambda field: written_by(field, locale),
        signature=signature_lines(report),
    )


def review_html(tables: Mapping[str, Any]) -> str:
    """Return the review of a period as a page; `tables` is the result of `review.text.tables`."""
    return _PAGES.get_template("review.html.j2").render(**tables)
