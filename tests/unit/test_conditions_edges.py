"""Where one condition holds another, and where a figure, a country or a wording is told apart."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from support.build import CHINA, at, incident, recorded, started

from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.conditions import Condition, exactly_one, reach
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.values import NEVER

CLOSED_AT_NIGHT = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}
CONDITION: TypeAdapter[Condition] = TypeAdapter(Condition)
DOWN = {"regions_down": {"at_least": 1, "for": {"at_least": "30m"}}}
RULES = {"down": CONDITION.validate_python(DOWN)}
FORECAST = {"forecast": {"rule": "down"}}
NEVER_HELD = {"measured": {"name": "loss", "more_than": 5}}
FAILED = recorded("repair.failed", "03:00", data={"by": "王", "reason": "备件也坏了"})


def when(condition: dict[str, Any], *events: Recorded, sure: bool = False) -> Any:
    downtime = Downtime(incident(*events), CLOSED_AT_NIGHT, "")
    return reach(CONDITION.validate_python(condition), downtime, RULES, confirmed_only=sure)


@pytest.mark.parametrize(
    "condition",
    [
        {"any": [NEVER_HELD, FORECAST]},
        {"all": [FORECAST, FORECAST]},
        {"n_of": {"at_least": 1, "of": [NEVER_HELD, FORECAST]}},
        {"any": [{"all": [FORECAST]}]},
    ],
)
def test_a_forecast_may_stand_within_other_conditions_and_is_asked_as_they_are(condition: dict[str, Any]) -> None:
    assert when(condition, started("02:00"), FAILED) == at("03:00")
    assert when(condition, started("02:00"), FAILED, sure=True) == NEVER  # nobody has said when it is to be back
    estimated = recorded("recovery.estimated", "02:30", data={"recovery_at": at("10:00")})
    assert when(condition, started("02:00"), FAILED, estimated, sure=True) == at("03:00")


def measured(value: object, at_: str = "10:00") -> Recorded:
    return recorded("impact.measured", at_, data={"by": "李", "measures": {"loss": value}})


@pytest.mark.parametrize(
    ("limit", "value", "holds"),
    [
        ({"more_than": 0}, 1, True),
        ({"more_than": 0}, 0, False),
        ({"more_than": 0}, True, False),  # an answer is no figure
        ({"at_least": 1}, True, False),
        ({"at_least": 1}, 1.0, True),
        ({"is": True}, True, True),
        ({"is": True}, 1, False),
        ({"is": False}, False, True),
    ],
)
def test_a_figure_passes_a_limit_and_an_answer_a_question(limit: dict[str, Any], value: object, holds: bool) -> None:
    found = when({"measured": {"name": "loss", **limit}}, measured(value))
    assert found == (at("10:00") if holds else NEVER)


def test_a_country_is_hit_by_the_first_of_its_regions_whatever_its_name() -> None:
    service = {"service": "payments"}  # always open
    events = [
        started("11:00", "DE-BW", **service),
        started("10:00", "DE-HE", **service),
        started("10:30", "FR-IDF", **service),
    ]
    assert when({"countries_hit": {"at_least": 1}}, *events) == at("10:00")
    assert when({"countries_hit": {"at_least": 2}}, *events) == at("10:30")
    assert when({"countries_hit": {"more_than": 2}}, *events) == NEVER


def test_a_condition_of_two_kinds_or_none_is_refused_with_both_names() -> None:
    with pytest.raises(ValidationError, match="any and harm are given"):
        CONDITION.validate_python({"any": [DOWN], "harm": {"kinds": ["bank"]}})
    with pytest.raises(ValidationError, match="must be given: none is given"):
        CONDITION.validate_python({})


@pytest.mark.parametrize(("baden", "hesse"), [("11:00", "10:00"), ("10:00", "11:00")])
def test_the_first_hit_counts_whichever_region_comes_first_by_name(baden: str, hesse: str) -> None:
    events = [started(baden, "DE-BW", service="payments"), started(hesse, "DE-HE", service="payments")]
    assert when({"countries_hit": {"at_least": 1}}, *events) == at("10:00")


def test_a_country_that_is_hit_as_a_whole_counts_as_itself_and_others_only_if_they_are_named() -> None:
    events = [started("10:00", "DE", service="payments"), started("10:30", "FR", service="payments")]
    assert when({"countries_hit": {"at_least": 2}}, *events) == at("10:30")
    among = {"at_least": 1, "among": ["FR", "IT"]}
    assert when({"countries_hit": among}, *events) == at("10:30")
    assert when({"countries_hit": among | {"at_least": 2}}, *events) == NEVER


@pytest.mark.parametrize(
    "condition",
    [
        FORECAST,
        {"any": [NEVER_HELD, FORECAST]},
        {"all": [FORECAST, FORECAST]},
        {"n_of": {"at_least": 1, "of": [NEVER_HELD, FORECAST]}},
    ],
)
def test_a_forecast_of_that_very_instant_is_not_since_it(condition: dict[str, Any]) -> None:
    found, asked = (
        Downtime(incident(started("02:00"), FAILED), CLOSED_AT_NIGHT, ""),
        CONDITION.validate_python(condition),
    )
    assert reach(asked, found, RULES, since=at("03:00")) == NEVER
    assert reach(asked, found, RULES, since=at("02:59")) == at("03:00")


def test_of_an_outage_anywhere_the_clock_that_the_limit_names_counts() -> None:
    limit = {"for": {"at_least": "30m"}}
    assert when({"outage": limit}, started("08:00")) == at("09:30")
    assert when({"outage": limit | {"clock": "wall_clock"}}, started("08:00")) == at("08:30")


@pytest.mark.parametrize(
    ("values", "said"), [({"a": 1, "b": None, "c": 0}, "a and c are given"), ({"a": None, "b": None}, "none is given")]
)
def test_of_several_values_exactly_one_is_accepted(values: dict[str, object], said: str) -> None:
    exactly_one({**values, "a": None, "c": 1})
    with pytest.raises(PydanticCustomError) as caught:
        exactly_one(values)
    names = ", ".join(values)
    assert caught.value.context == {
        "message": f"exactly one of {names} must be given: {said}",
        "expected": f"one of: {names}",
    }
