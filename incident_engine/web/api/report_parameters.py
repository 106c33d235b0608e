"""The parameters of requests for reports and reviews: formats, languages, days, versions."""

import re
from datetime import date
from enum import StrEnum
from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator

from incident_engine.common.validation import invalid
from incident_engine.domain.values import plausible_day


class ReportFormat(StrEnum):
    """The format of a report."""

    JSON = "json"
    HTML = "html"
    DOCX = "docx"


class ReviewFormat(StrEnum):
    """The format of the review of a period."""

    JSON = "json"
    HTML = "html"


class Language(StrEnum):
    """The languages of reports."""

    CHINESE = "zh-CN"
    ENGLISH = "en"


def _written_day(value: object) -> object:
    # pydantic also reads seconds since 1970, so that a mistyped year would be taken for 1 January 1970.
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise invalid(f"not a day: {value!r}", "a day such as 2026-12-31")
    return value


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
Day = Annotated[date, BeforeValidator(_written_day, json_schema_input_type=date), AfterValidator(plausible_day)]
IncidentId = Annotated[str, Path(description="The incident's id.")]
ReportId = Annotated[str, Path(description="The report's id, such as cbrc-formal-report.")]
Instance = Annotated[str, Path(description="One of several instances, such as progress-report.2. Default: the latest.")]
Number = Annotated[
    int | None, Query(ge=1, le=100_000, description="The version. Default: the submitted one, else the newest.")
]
First = Annotated[Day | None, Query(alias="from", description="The first day. Default: 1 January.")]
Last = Annotated[Day | None, Query(alias="to", description="The last day, included. Default: today.")]
Lang = Annotated[Language | None, Query(description="Default: the language of the bank (bank.locale).")]
