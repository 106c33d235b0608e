"""Reports drafted from events in few words."""

from functools import cache

from incident_engine.common.errors import Finding
from incident_engine.config.report_loader import load_reports
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.reports.drafting import Drafted, Report, draft_report
from incident_engine.domain.reports.facts import ReportFacts
from incident_engine.domain.reports.report_book import ReportBook
from incident_engine.engine.report_facts import facts_of
from support.builders import CHINA, RULES, cbrc, incident, recorded, settings, started, verdict

TWO_PROVINCES = (started("10:35"), started("11:20", "CN-HN"))


@cache
def book() -> ReportBook:
    """Return the shipped definitions."""
    findings: list[Finding] = []
    found = load_reports(RULES, CHINA, findings)
    assert findings == []
    return found


def facts(now: str, *events: Recorded) -> ReportFacts:
    """Return the facts of reports on the events, by the shipped pack and bank."""
    return facts_of(settings(), incident(*events), [cbrc()], [verdict(now, *events)])


def drafted(name: str, now: str, *events: Recorded) -> Drafted:
    """Return a report in every language."""
    found = draft_report(book(), name, facts(now, *events))
    assert found.failures == ()
    return found


def report(name: str, now: str, *events: Recorded, locale: str = "en") -> Report:
    """Return a report in one language."""
    return drafted(name, now, *events).by_locale[locale]


def text(found: Report, field: str) -> str:
    """Return the text of a field."""
    return next(each.text for each in found.fields if each.id == field)


def wrote(when: str, report: str, by: str = "Wang Min", **fields: str) -> Recorded:
    """Return that a person wrote into a report; the fields' ids with _ for -."""
    written = {name.replace("_", "-"): said for name, said in fields.items()}
    return recorded("report.written", when, data={"by": by, "report": report, "fields": written})
