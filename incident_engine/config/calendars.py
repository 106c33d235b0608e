"""Load the calendars of countries from rules/calendars, where they differ from the built-in ones."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from incident_engine.common.errors import Finding, InvalidFilesError, Problem
from incident_engine.common.validation import Strict, nearest, problems_of
from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.calendar.holidays import Calendar, DayKind, known_countries


class CalendarFile(Strict):
    """Corrections of a country's calendar, where it differs from the built-in one."""

    calendar: str
    """The ISO 3166 code of the country."""
    published: tuple[int, ...] = ()
    """Years whose days off are published and complete; no warning about estimates is given for them."""
    days: dict[date, DayKind] = {}
    """Single days and their kinds."""


def load_calendar(path: Path) -> Calendar:
    """Return the calendar of a file. Raises InvalidFilesError with every finding."""
    document = load_file(path)
    try:
        calendar = CalendarFile.model_validate(document.data)
    except ValidationError as error:
        raise document.refuse(problems_of(error, CalendarFile, document.data)) from None
    countries = known_countries()
    if calendar.calendar not in countries:
        message, near = f"unknown country '{calendar.calendar}'", nearest(calendar.calendar, countries)
        raise document.refuse([Problem(("calendar",), message, "the ISO 3166 code of a country, such as CN", near)])
    return Calendar(calendar.calendar, calendar.days, frozenset(calendar.published))


def load_calendars(rules: Path, findings: list[Finding]) -> Mapping[str, Calendar]:
    """Return the corrected calendars in a folder of rules, by country; add their problems to `findings`."""
    calendars: dict[str, Calendar] = {}
    for path in sorted((rules / "calendars").glob("*.yaml")):
        try:
            calendar = load_calendar(path)
        except InvalidFilesError as error:
            findings += error.findings
            continue
        if calendar.country in calendars:
            findings.append(Finding(str(path), 1, 1, f"calendar '{calendar.country}' has a file already"))
        calendars[calendar.country] = calendar
    return calendars
