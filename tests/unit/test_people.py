"""Who is meant by an audience at an instant, and what is wrong between contacts, rotations and audiences."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from incident_engine.config.people import ContactSettings, People, RotationSettings, people_problems


def contact(name: str) -> ContactSettings:
    said = {"id": name, "name": {"zh-CN": name, "en": name}, "via": [{"channel": "outbox"}]}
    return ContactSettings.model_validate(said)


def rotation(**given: Any) -> RotationSettings:
    said = {"id": "shift", "timezone": "Asia/Shanghai", "starts": "2026-01-05T09:00", "members": ["a", "b", "c"]}
    return RotationSettings.model_validate(said | given)


def local(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("when", "who"),
    [
        ("2026-01-05T09:00", "a"),
        ("2026-01-12T08:59:59", "a"),
        ("2026-01-12T09:00", "b"),
        ("2026-01-19T09:00", "c"),
        ("2026-01-26T09:00", "a"),
        ("2026-01-05T08:59:59", "c"),  # before the first turn the order goes on backwards
    ],
)
def test_a_rotation_is_handed_over_every_week_at_the_same_time(when: str, who: str) -> None:
    assert rotation().on_duty(local(when)) == who


def test_a_change_of_the_clock_does_not_move_the_hand_over() -> None:
    berlin = rotation(timezone="Europe/Berlin", starts="2026-03-23T09:00")
    summer = datetime(2026, 3, 30, 7, 0, tzinfo=UTC)  # 09:00 in summer time; in winter it would be 08:00
    assert berlin.on_duty(summer - timedelta(seconds=1)) == "a"
    assert berlin.on_duty(summer) == "b"


def test_the_repeated_hour_has_one_hand_over() -> None:
    # London, 2026-10-25: 01:30 is at 00:30 UTC and again at 01:30 UTC.
    london = rotation(timezone="Europe/London", starts="2026-10-22T01:30", days=1)
    days = [datetime(2026, 10, 25, 0, 29, 59, tzinfo=UTC) + timedelta(minutes=minutes) for minutes in range(0, 121, 15)]
    assert [london.on_duty(instant) for instant in days] == ["c", *"aaaaaaaa"]
    assert london.on_duty(datetime(2026, 10, 26, 1, 30, tzinfo=UTC)) == "b"


@pytest.mark.parametrize(
    ("zone", "starts"),
    [
        ("Europe/London", "2025-12-31T01:30"),  # twice in autumn, never in spring
        ("Europe/London", "2025-12-31T01:00"),
        ("Europe/London", "2025-12-31T02:00"),
        ("Australia/Lord_Howe", "2025-12-31T01:45"),  # clocks move by half an hour
        ("America/Havana", "2025-12-31T00:00"),  # midnight itself is repeated
        ("Africa/Casablanca", "2025-12-31T02:30"),  # clocks change for Ramadan
        ("Asia/Shanghai", "2025-12-31T09:00"),
    ],
)
def test_a_daily_rotation_has_one_hand_over_each_day_of_the_year(zone: str, starts: str) -> None:
    daily = rotation(timezone=zone, starts=starts, days=1)
    start = datetime(2026, 1, 1, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    quarters = [start + timedelta(minutes=15) * index for index in range(365 * 96)]
    on_duty = [daily.on_duty(instant) for instant in quarters]
    changes = [(one, other) for one, other in pairwise(on_duty) if one != other]
    assert len(changes) == 365  # from 2 January to 1 January
    assert set(changes) == {("a", "b"), ("b", "c"), ("c", "a")}


def test_who_stands_in_comes_before_the_turn_and_the_later_word_before_the_earlier() -> None:
    overrides = [
        {"from": "2026-01-06T00:00+08:00", "until": "2026-01-08T00:00+08:00", "contact": "b"},
        {"from": "2026-01-07T00:00+08:00", "until": "2026-01-09T00:00+08:00", "contact": "c"},
    ]
    shift = rotation(overrides=overrides)
    days = ("2026-01-05T12:00", "2026-01-06T12:00", "2026-01-07T12:00", "2026-01-08T23:59:59", "2026-01-09T00:00")
    assert [shift.on_duty(local(day)) for day in days] == ["a", "b", "c", "c", "a"]


def test_an_audience_means_contacts_and_whoever_has_the_turn_each_once() -> None:
    people = People([contact(name) for name in "abc"], [rotation()], {"team": ("shift", "b", "a")})
    assert [each.id for each in people.members("team", local("2026-01-05T10:00"))] == ["a", "b"]
    assert [each.id for each in people.members("team", local("2026-01-19T10:00"))] == ["c", "b", "a"]
    assert [each.id for each in people.members("c", local("2026-01-05T10:00"))] == ["c"]
    assert [each.id for each in people.members("shift", local("2026-01-12T10:00"))] == ["b"]
    assert people.members("nobody", local("2026-01-05T10:00")) == []


def test_names_that_are_nobodys_are_said_with_the_nearest() -> None:
    shift = rotation(
        members=["a", "bb"],
        overrides=[{"from": "2026-01-06T00:00Z", "until": "2026-01-07T00:00Z", "contact": "x"}],
    )
    found = list(people_problems([contact("a"), contact("bbb")], [shift], {"team": ("a", "shfit")}))
    assert [(problem.path, problem.nearest) for problem in found] == [
        (("rotations", 0, "members", 1), "bbb"),
        (("rotations", 0, "overrides", 0, "contact"), ""),
        (("audiences", "team", 1), "shift"),
    ]


def test_a_rotation_cannot_have_the_name_of_a_contact() -> None:
    found = list(people_problems([contact("a"), contact("b"), contact("c"), contact("shift")], [rotation()], {}))
    assert [(problem.path, problem.sentence()) for problem in found] == [
        (("rotations", 0, "id"), "'shift' is a contact; expected an id of its own")
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"starts": "2026-01-05T09:00+08:00"}, "has an offset"),
        ({"days": 0}, "greater than or equal to 1"),
        ({"members": []}, "at least 1 item"),
        ({"overrides": [{"from": "2026-01-06T00:00Z", "until": "2026-01-06T00:00Z", "contact": "a"}]}, "ends at"),
        ({"overrides": [{"from": "2026-01-06T00:00", "until": "2026-01-07T00:00Z", "contact": "a"}]}, "timezone"),
    ],
)
def test_a_wrong_rotation_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rotation(**given)
