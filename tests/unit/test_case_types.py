"""The registry of the kinds of cases."""

from dataclasses import replace
from typing import Literal

import pytest
from support.builders import at
from support.fixtures import CONFIG, LEAST, shipped_rulebook

from incident_engine.config.settings import load_settings
from incident_engine.domain.events.model import EVENT
from incident_engine.domain.events.types import BaseEvent, EventType
from incident_engine.engine.case_types import CaseType, CaseTypes
from incident_engine.engine.incident_type import incident_type


class PraiseReceived(BaseEvent):
    """An event of a second kind of case."""

    type: Literal["praise.received"] = "praise.received"


@pytest.fixture
def incidents() -> CaseType:
    return incident_type(load_settings(CONFIG, LEAST), shipped_rulebook())


@pytest.fixture
def praises(incidents: CaseType) -> CaseType:
    return replace(incidents, kind="praise", events=frozenset({PraiseReceived}))


def test_a_case_type_is_found_by_its_kind_and_by_the_class_of_an_event(incidents: CaseType, praises: CaseType) -> None:
    types = CaseTypes([incidents, praises])
    closing = EVENT.validate_python(
        {
            "source": "console",
            "id": "1",
            "type": EventType.INCIDENT_CLOSED,
            "incident": "a",
            "occurred_at": at("10:00"),
            "data": {"by": "wang.wei"},
        }
    )
    praise = PraiseReceived(source="branch", id="1", occurred_at=at("10:00"))
    assert types.of_kind("incident") is incidents
    assert types.of_kind("praise") is praises
    assert types.of_event(closing) is incidents
    assert types.of_event(praise) is praises


def test_an_event_that_no_case_type_claims_is_not_found(incidents: CaseType) -> None:
    with pytest.raises(KeyError):
        CaseTypes([incidents]).of_event(PraiseReceived(source="branch", id="1", occurred_at=at("10:00")))


def test_two_case_types_cannot_have_one_kind(incidents: CaseType) -> None:
    with pytest.raises(ValueError, match="two case types are of kind 'incident'"):
        CaseTypes([incidents, replace(incidents, events=frozenset({PraiseReceived}))])


def test_two_case_types_cannot_claim_one_event_class(incidents: CaseType, praises: CaseType) -> None:
    with pytest.raises(ValueError, match="two case types claim the event class PraiseReceived"):
        CaseTypes([incidents, praises, replace(praises, kind="thanks")])
