"""The unit of the bank that reports, and its regulator."""

from dataclasses import dataclass

from incident_engine.common.i18n import Translator
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.values import LocalizedText


@dataclass(frozen=True, slots=True)
class ReportingUnit:
    """The unit of the bank that reports; it decides the regulator (银监办发〔2008〕53号 Art. 34)."""

    name: LocalizedText
    regulator: LocalizedText
    is_branch: bool
    """False for the head office."""
    reporter: str
    """The person filed with the regulator; empty if there is none."""
    contact: str
    """The reporter's telephone; empty if there is none."""


def addressee_of(unit: ReportingUnit, addressee: str, locale: str) -> str:
    """Return the name of a recipient (a value of Recipient) in a language: the unit's regulator, or its kind."""
    return unit.regulator.in_(locale) if addressee == Recipient.REGULATOR else Translator(locale)(f"to {addressee}")
