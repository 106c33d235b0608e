"""Both catalogues of texts: every key that the code can ask for is there, and no key is unused."""

import ast
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from incident_engine.common.i18n import PHRASES, TERMS, Translator
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.domain.events.harm import HarmCause, HarmKind, Seriousness
from incident_engine.domain.events.types import EventType
from incident_engine.domain.grading.conditions import Condition
from incident_engine.domain.grading.interpretation import Interpretation
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.incident import Impairment
from incident_engine.domain.messages.templates import MessageForm
from incident_engine.domain.reports.statistics import Milestone
from incident_engine.engine.decision_log import Reason
from incident_engine.engine.retention import Hold
from incident_engine.intake.alertmanager import QuarantineReason
from incident_engine.store.reports import ReportState
from incident_engine.web.links.errors import LinkError

PACKAGE = Path(__file__).parents[2] / "incident_engine"
INTERPRETATIONS = {name: field.annotation for name, field in Interpretation.model_fields.items()}
ENUMS: tuple[type[StrEnum], ...] = (
    EventType,
    ObligationState,
    HarmKind,
    Seriousness,
    HarmCause,
    Impairment,
    MessageForm,
    DeliveryOutcome,
    Milestone,
    Hold,
    QuarantineReason,
)
CONDITIONS_WITH_PARTS = {"any", "all", "n_of", "forecast"}
STATES_OF_INCIDENTS = {"open", "restored", "closed"}
MADE_AT_RUN_TIME = {
    *(f"to {recipient.value}" for recipient in Recipient if recipient is not Recipient.REGULATOR),
    *(f"{state.value} version" for state in ReportState),
    *(f"{error.value} advice" for error in LinkError),
    *("at least", "more than"),  # of at_least and more_than in a rule's limits
}


def sources() -> Iterator[ast.Module]:
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name != "i18n.py" and ("Translator" in text or "translat" in text or "Check(" in text):
            yield ast.parse(text, str(path))


def asked_in(module: ast.Module) -> Iterator[str]:
    """Yield the texts in the first argument of `translate(...)`, `Translator(...)(...)` and `Check(...)`."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and node.args and is_asking(node.func):
            choices = node.args[0]
            parts = [choices.body, choices.orelse] if isinstance(choices, ast.IfExp) else [choices]
            yield from (part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def is_asking(function: ast.expr) -> bool:
    if isinstance(function, ast.Call):
        return isinstance(function.func, ast.Name) and function.func.id == "Translator"
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    return name in {"translate", "_translate", "Check"}


def texts_in(module: ast.Module) -> Iterator[str]:
    yield from (
        node.value for node in ast.walk(module) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def terms() -> set[str]:
    values = {member.value for kind in ENUMS for member in kind} | CONDITIONS_WITH_PARTS | STATES_OF_INCIDENTS
    values |= {Reason.EVENT_CONFLICT.value, Reason.EVENT_ISOLATED.value}  # the engine's own reasons of the quarantine
    for name, kind in INTERPRETATIONS.items():
        assert isinstance(kind, type)
        assert issubclass(kind, StrEnum)
        values |= {name, *(member.value for member in kind)}
    return values


def test_every_key_in_the_code_has_a_text() -> None:
    asked = {key for module in sources() for key in asked_in(module)}
    assert len(asked) > 150
    assert asked - PHRASES.keys() - TERMS.keys() == set()


def test_the_terms_are_the_values_of_the_enumerations_and_no_others() -> None:
    assert TERMS.keys() == terms()
    assert Condition.model_fields.keys() >= CONDITIONS_WITH_PARTS


def test_keys_made_at_run_time_have_a_text() -> None:
    assert PHRASES.keys() >= MADE_AT_RUN_TIME


def test_no_phrase_is_unused() -> None:
    used = {text for module in sources() for text in texts_in(module)}
    assert PHRASES.keys() - used - MADE_AT_RUN_TIME == set()


def test_no_key_is_in_both_catalogues() -> None:
    assert PHRASES.keys() & TERMS.keys() == set()


@pytest.mark.parametrize("locale", ["zh-CN", "en"])
def test_every_text_exists_in_both_languages(locale: str) -> None:
    translate = Translator(locale)
    assert all(translate(key).strip() for key in (*PHRASES, *TERMS))


def test_a_key_without_a_text_is_an_error() -> None:
    with pytest.raises(KeyError, match="no such key"):
        Translator("en")("no such key")
