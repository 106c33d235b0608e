"""The part of the bank that reports, and its regulator."""

from dataclasses import dataclass

from incident_engine.common.i18n import Translator
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.values import LocalizedText


@dataclass(frozen=True, slots=True)
class ReportingUnit:
    """The part of the bank that reports: it decides who the regulator is (银监办发〔2008〕53号 Art. 34)."""

    name: LocalizedText
    regulator: LocalizedText
    is_branch: bool
    reporter: str
    contact: str


def addressee_of(unit: ReportingUnit, addressee: Recipient, locale: str) -> str:
    """Return who gets a report: the regulator of the bank's unit, or others by their kind."""
    return (
        unit.regulator.in_(locale) if addressee is Recipient.REGULATOR else Translator(locale)(f"to {addressee.value}")
    )
