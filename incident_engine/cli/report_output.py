"""Produce the output of `report`: a review of a period, the figures of an incident, or one of its reports."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.validation import unknown_problems
from incident_engine.config.rulebook import Rulebook
from incident_engine.config.settings import Settings
from incident_engine.documents.docx import report_docx
from incident_engine.documents.html import report_html, review_html
from incident_engine.documents.text import report_text
from incident_engine.domain.reports.drafting import report_from
from incident_engine.engine.reader import Reader
from incident_engine.review import period as review
from incident_engine.review.text import figures_text, review_text, tables, versions_text
from incident_engine.store.reports import Version


class OutputFormat(StrEnum):
    """How it is written."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    DOCX = "docx"


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What is asked for: a period, an incident, or one of its reports in one version."""

    period: review.Period
    incident: str | None = None
    report: str | None = None
    instance: str | None = None
    version: int | None = None


def produce(
    connection: Connection,
    settings: Settings,
    rulebook: Rulebook,
    wanted: ReportRequest,
    form: OutputFormat,
    locale: str,
    now: datetime,
) -> str | bytes:
    """Return what is asked for, in a form and a language.

    Raises InvalidDocumentError if there is no such incident, report or version, or the form is not one of it.
    """
    reader = Reader(settings, rulebook)
    zone = settings.bank.zone
    if wanted.incident is None:
        found = review.review(connection, reader, wanted.period, zone, now, settings.retention.directory)
        _refuse_form(form, OutputFormat.TEXT, OutputFormat.JSON, OutputFormat.HTML)
        if form is OutputFormat.HTML:
            return review_html(tables(found, settings, locale))
        return (
            _json(review.review_document(found, zone))
            if form is OutputFormat.JSON
            else review_text(found, settings, locale)
        )
    with review.holding(connection, wanted.incident, settings.retention.directory) as held:
        if held is None:
            raise InvalidDocumentError([Problem((), f"there is no incident '{wanted.incident}'")])
        if wanted.report is not None:
            return _report(_version(held, reader, settings, wanted, now), form, locale, settings)
        _refuse_form(form, OutputFormat.TEXT, OutputFormat.JSON)
        return _overview(held, reader, settings, wanted.incident, form, locale, now)


def _overview(
    connection: Connection,
    reader: Reader,
    settings: Settings,
    incident: str,
    form: OutputFormat,
    locale: str,
    now: datetime,
) -> str:
    """Return an incident's figures, and which reports there are."""
    zone = settings.bank.zone
    figures = review.figures(connection, reader, incident, now)
    found = review.versions(connection, incident)
    if figures is None or form is OutputFormat.JSON:
        figures_part = review.figures_document(figures, zone, now) if figures else {}
        return _json(figures_part | review.list_document(incident, found, list(reader.reports.definitions), zone))
    return figures_text(figures, settings, locale) + versions_text(found, settings, locale)


def _version(
    connection: Connection, reader: Reader, settings: Settings, wanted: ReportRequest, now: datetime
) -> Version:
    incident, report = wanted.incident or "", wanted.report or ""
    found = review.versions(connection, incident)
    mine = [rows for key, rows in found.items() if key[0] == report and wanted.instance in (None, key[1])]
    problems = [] if mine else list(unknown_problems((), "report", report, reader.reports.definitions))
    if problems:
        raise InvalidDocumentError(problems)
    version = review.chosen_version(mine[-1], wanted.version) if mine else None
    if not mine and wanted.version is None and wanted.instance is None:
        version = review.drafted_now(connection, reader, settings, incident, report, now)
    if version is None:
        about = wanted.instance or f"version {wanted.version}"
        raise InvalidDocumentError([Problem((), f"incident '{incident}' has no {about} of report '{report}'")])
    return version


def _report(version: Version, form: OutputFormat, locale: str, settings: Settings) -> str | bytes:
    zone = settings.bank.zone
    if form is OutputFormat.JSON:
        return _json(review.full_document(version, locale, zone))
    report, stamp = report_from(version.document[locale]), review.stamp_of(version, zone)
    if form is OutputFormat.DOCX:
        return report_docx(report, stamp)
    return report_html(report, stamp) if form is OutputFormat.HTML else report_text(report, stamp)


def _refuse_form(form: OutputFormat, *allowed: OutputFormat) -> None:
    if form not in allowed:
        said = f"{form} is a form of one report alone (--incident with --report)"
        raise InvalidDocumentError([Problem((), said, f"--format {' or '.join(allowed)}")])


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
