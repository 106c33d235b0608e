"""The rules that a bank has chosen: packs, playbooks, messages, service hours, calendars and reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.messages.templates import MessageBook
from incident_engine.domain.reports.report_book import ReportBook
from incident_engine.domain.response.playbook import Playbook


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules that the engine applies. The first pack is the primary one."""

    packs: tuple[Pack, ...]
    playbooks: tuple[Playbook, ...]
    messages: MessageBook
    hours: Mapping[str, ServiceHours]
    """The service hours of each service."""
    calendars: Mapping[str, Calendar]
    """The calendars that operators have corrected, by country."""
    reports: ReportBook
    fingerprint: str = ""
    """A digest of these rules, the settings and the program's version."""

    def bank_calendar(self, country: str | None) -> Calendar | None:
        """Return the calendar of a country with the operators' corrections; None without a country."""
        return None if country is None else self.calendars.get(country) or Calendar(country)

    def guessed_years(self, country: str | None, now: datetime) -> dict[str, list[int]]:
        """Return the years with unpublished days off, from this year until 365 days from now, by the place that counts.

        Keys are services, packs that count working days, and `bank.calendar` if a playbook counts them. `country` is
        that of `bank.calendar`.
        """
        end = now + timedelta(days=365)
        years = guessed_years(self.hours, now)
        calendars = {pack.pack: self.bank_calendar(pack.calendar) for pack in self.packs if pack.counts_working_days}
        if any(step.counts_working_days for playbook in self.playbooks for step in playbook.steps):
            calendars["bank.calendar"] = self.bank_calendar(country)
        for name, calendar in calendars.items():
            guessed = [] if calendar is None else calendar.guessed_years(now.date(), end.date())
            if guessed:
                years[name] = sorted(guessed)
        return years


def guessed_years(hours: Mapping[str, ServiceHours], now: datetime) -> dict[str, list[int]]:
    """Return the years with unpublished days off, from this year until 365 days from now, by service with any."""
    end = now + timedelta(days=365)
    years = {service: sorted(own_hours.guessed_years(now, end)) for service, own_hours in hours.items()}
    return {service: guessed for service, guessed in years.items() if guessed}
