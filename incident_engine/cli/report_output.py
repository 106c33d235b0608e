"""Produce the output of `report`: the review of a period, the figures of an incident, or one of its reports."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.config.settings import Settings
from incident_engine.documents.docx import report_docx
from incident_engine.documents.html import report_html, review_html
from incident_engine.documents.text import report_text
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.factory import open_reader
from incident_engine.engine.reader import Reader
from incident_engine.review import documents
from incident_engine.review import period as reviews
from incident_engine.review import versions as report_versions
from incident_engine.review.text import figures_text, review_text, tables, versions_text


class OutputFormat(StrEnum):
    """The format of the output."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    DOCX = "docx"


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Names a period, an incident, or one of an incident's reports."""

    period: documents.Period
    incident: str | None = None
    report: report_versions.VersionRequest | None = None


def produce(
    connection: Connection,
    settings: Settings,
    rulebook: Rulebook,
    request: ReportRequest,
    form: OutputFormat,
    locale: str,
    now: datetime,
) -> str | bytes:
    """Return the requested output in one format and language.

    Raises InvalidDocumentError if there is no such incident, report or version, or if the output has no such format.
    """
    reader = open_reader(settings, rulebook)
    archive = settings.retention.directory
    if request.incident is None:
        return _review(connection, reader, settings, request.period, form, locale, now)
    # An archived incident is a database in memory, which is gone after this block.
    with reviews.holding(connection, request.incident, archive) as rows:
        if rows is None:
            raise InvalidDocumentError([Problem((), f"there is no incident '{request.incident}'")])
        if request.report is None:
            return _overview(rows, reader, settings, request.incident, form, locale, now)
        version = report_versions.find_version(rows, reader, settings, request.incident, request.report, now)
    if version is None:
        name = request.report.instance or f"version {request.report.number}"
        problem = f"incident '{request.incident}' has no {name} of report '{request.report.report}'"
        raise InvalidDocumentError([Problem((), problem)])
    if form is OutputFormat.JSON:
        return _json(documents.full_document(version, locale, settings.bank.zone))
    report, stamp = documents.printable(version, locale, settings.bank.zone)
    if form is OutputFormat.DOCX:
        return report_docx(report, stamp)
    return report_html(report, stamp) if form is OutputFormat.HTML else report_text(report, stamp)


def _review(
    connection: Connection,
    reader: Reader,
    settings: Settings,
    period: documents.Period,
    form: OutputFormat,
    locale: str,
    now: datetime,
) -> str:
    _refuse_form(form, OutputFormat.TEXT, OutputFormat.JSON, OutputFormat.HTML)
    zone = settings.bank.zone
    review = reviews.review(connection, reader, period, zone, now, settings.retention.directory)
    if form is OutputFormat.HTML:
        return review_html(tables(review, settings, locale))
    if form is OutputFormat.JSON:
        return _json(documents.review_document(review, zone))
    return review_text(review, settings, locale)


def _overview(
    connection: Connection,
    reader: Reader,
    settings: Settings,
    incident: str,
    form: OutputFormat,
    locale: str,
    now: datetime,
) -> str:
    """Return an incident's figures and the list of its reports."""
    _refuse_form(form, OutputFormat.TEXT, OutputFormat.JSON)
    zone = settings.bank.zone
    figures = reviews.figures(connection, reader, incident, now)
    versions = report_versions.versions(connection, incident)
    if figures is None or form is OutputFormat.JSON:
        head = documents.figures_document(figures, zone, now) if figures else {}
        available = list(reader.reports.definitions)
        return _json(head | documents.list_document(incident, versions, available, zone))
    return figures_text(figures, settings, locale) + versions_text(versions, settings, locale)


def _refuse_form(form: OutputFormat, *allowed: OutputFormat) -> None:
    if form not in allowed:
        problem = f"{form} is only for a single report (--incident with --report)"
        raise InvalidDocumentError([Problem((), problem, f"--format {' or '.join(allowed)}")])


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
