"""Harm that a person reports: its kind, seriousness and cause."""

from enum import StrEnum
from typing import Literal

from incident_engine.common.validation import Strict
from incident_engine.domain.events.fields import PersonName, Text
from incident_engine.domain.events.types import EventType, PersonEvent


class HarmKind(StrEnum):
    """The kinds of harm, by the party that is hit (银监办发〔2008〕53号 Art. 9, clause 1)."""

    ECONOMIC_DISORDER = "economic_disorder"
    FINANCIAL_STABILITY = "financial_stability"
    """A major economic loss that affects financial stability."""
    PUBLIC = "public"
    BANK = "bank"
    CUSTOMERS = "customers"


class Seriousness(StrEnum):
    """How serious a harm is, the least first."""

    CONSIDERABLE = "considerable"
    SERIOUS = "serious"
    PARTICULARLY_SERIOUS = "particularly_serious"

    @property
    def rank(self) -> int:
        """Return the position in order of seriousness, 0 for the least."""
        return list(Seriousness).index(self)


class HarmCause(StrEnum):
    """The causes of a harm (Art. 9, clause 1)."""

    SYSTEM_INTERRUPTION = "system_interruption"
    DATA_DAMAGE = "data_damage"
    DATA_LOSS = "data_loss"
    DATA_LEAK = "data_leak"


class HarmData(Strict):
    """A person's judgement of a harm: kind, seriousness, cause, and the reason for it."""

    kind: HarmKind
    seriousness: Seriousness
    cause: HarmCause
    by: PersonName
    reason: Text


class HarmAssessed(PersonEvent):
    """A person judged the harm; nothing infers it from figures."""

    type: Literal[EventType.HARM_ASSESSED]
    data: HarmData
