"""The reports of incidents in all versions, and the review of a period."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.lazy_import import LazyModule
from incident_engine.documents.html import report_html, review_html
from incident_engine.review import documents
from incident_engine.review import period as reviews
from incident_engine.review import versions as report_versions
from incident_engine.review.text import tables
from incident_engine.store import cases
from incident_engine.web.api.report_parameters import (
    First,
    IncidentId,
    Instance,
    Lang,
    Language,
    Last,
    Number,
    ReportFormat,
    ReportId,
    ReviewFormat,
)
from incident_engine.web.context import AppContext
from incident_engine.web.problems import NoIncidentError

if TYPE_CHECKING:
    from incident_engine.documents import docx
else:
    docx = LazyModule("incident_engine.documents.docx")

_POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
}
"""A second barrier: people's texts are escaped, and if one were not, it still could not run a script."""


@dataclass(frozen=True, slots=True)
class _ReportRoutes:
    """Answers requests for reports and reviews."""

    context: AppContext

    def list(self, incident_id: str) -> Response:
        with self.context.database.read() as connection:
            if cases.case_row(connection, incident_id) is None:
                raise NoIncidentError(incident_id)
            versions = report_versions.versions(connection, incident_id)
        available = list(self.context.reader.reports.definitions)
        zone = self.context.settings.bank.zone
        return JSONResponse(documents.list_document(incident_id, versions, available, zone))

    def one(
        self, incident_id: str, request: report_versions.VersionRequest, form: ReportFormat, language: Language | None
    ) -> Response:
        """Answer with the requested version. Raises HTTPException(404) if there is none."""
        with self.context.database.read() as connection:
            if cases.case_row(connection, incident_id) is None:
                raise NoIncidentError(incident_id)
            try:
                version = report_versions.find_version(
                    connection,
                    self.context.reader,
                    self.context.settings,
                    incident_id,
                    request,
                    self.context.clock.now(),
                )
            except InvalidDocumentError as error:
                raise HTTPException(404, error.problems[0].sentence()) from None
        if version is None:
            name = f"instance '{request.instance}'" if request.number is None else f"version {request.number}"
            problem = f"there is no {name} of '{request.report}'; GET /api/v1/incidents/{incident_id}/reports lists all"
            raise HTTPException(404, problem)
        zone = self.context.settings.bank.zone
        locale = (language or Language(self.context.settings.bank.locale)).value
        if form is ReportFormat.JSON:
            return JSONResponse(documents.full_document(version, locale, zone))
        report, stamp = documents.printable(version, locale, zone)
        if form is ReportFormat.HTML:
            return HTMLResponse(report_html(report, stamp), headers=_POLICY)
        name = f"{version.case_id}-{version.instance or version.report}-v{version.version}-{locale}.docx"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(docx.report_docx(report, stamp), media_type=docx.MEDIA_TYPE, headers=headers)

    def review(self, first: date | None, last: date | None, form: ReviewFormat, language: Language | None) -> Response:
        zone, now = self.context.settings.bank.zone, self.context.clock.now()
        period = documents.period_between(first, last, now, zone)
        with self.context.database.read() as connection:
            archive = self.context.settings.retention.directory
            review = reviews.review(connection, self.context.reader, period, zone, now, archive)
        if form is ReviewFormat.JSON:
            return JSONResponse(documents.review_document(review, zone))
        locale = (language or Language(self.context.settings.bank.locale)).value
        return HTMLResponse(review_html(tables(review, self.context.settings, locale)), headers=_POLICY)


def install(app: FastAPI, context: AppContext) -> None:
    """Add the routes of reports."""
    routes = _ReportRoutes(context)
    base = "/api/v1/incidents/{incident_id}/reports"

    @app.get(
        base, tags=["reports"], summary="一个事件的报告及其所有版本 · An incident's reports with all their versions"
    )
    def reports(incident_id: IncidentId) -> Response:
        return routes.list(incident_id)

    @app.get(
        f"{base}/{{report}}",
        tags=["reports"],
        summary="一份报告：JSON、可打印网页或 DOCX · One report: JSON, a page to print, or DOCX",
    )
    def report(
        incident_id: IncidentId,
        report: ReportId,
        version: Number = None,
        lang: Lang = None,
        format: ReportFormat = ReportFormat.JSON,  # noqa: A002 - the parameter's name on the wire
    ) -> Response:
        return routes.one(incident_id, report_versions.VersionRequest(report, None, version), format, lang)

    @app.get(
        f"{base}/{{report}}/{{instance}}",
        tags=["reports"],
        summary="多次报送的报告中的一份 · One of the reports that are due several times",
    )
    def instance(
        incident_id: IncidentId,
        report: ReportId,
        instance: Instance,
        version: Number = None,
        lang: Lang = None,
        format: ReportFormat = ReportFormat.JSON,  # noqa: A002 - the parameter's name on the wire
    ) -> Response:
        return routes.one(incident_id, report_versions.VersionRequest(report, instance, version), format, lang)

    @app.get(
        "/api/v1/reports/summary",
        tags=["reports"],
        summary="一段时间的统计，供年度评估 · The figures of a period, for the yearly review",
    )
    def summary(
        first: First = None,
        last: Last = None,
        lang: Lang = None,
        format: ReviewFormat = ReviewFormat.JSON,  # noqa: A002 - the parameter's name on the wire
    ) -> Response:
        return routes.review(first, last, format, lang)
