"""What is chosen of what is due: the order, the limits, bundles, and what waits."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.builders import at

from incident_engine.common.telemetry import CircuitState
from incident_engine.config.channels import (
    ChannelSettings,
    EmailSettings,
    OutboxSettings,
    WebhookSettings,
    WecomSettings,
)
from incident_engine.config.common import Rate
from incident_engine.config.secret import Secret
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.wecom import WecomChannel
from incident_engine.delivery.circuit_breaker import FAILURES, SHORTEST
from incident_engine.delivery.digest import digest_of
from incident_engine.delivery.endpoints import Endpoints, PostponeReason
from incident_engine.store.claims import ClaimedDelivery

NOW = at("10:35")
SECOND = timedelta(seconds=1)
ROBOT = WecomSettings(type="wecom", url=Secret(value="https://robot.example/send?key=k"), rate=Rate(per_minute=4))


def waiting(name: str, priority: int = 2, **changes: Any) -> ClaimedDelivery:
    values: dict[str, Any] = {
        "id": name,
        "step_id": "s",
        "case_id": "i",
        "contact": "c",
        "channel": "ops",
        "address": None,
        "locale": "en",
        "subject": f"subject of {name}",
        "body": f"body of {name}\n",
        "created_at": NOW,
        "attempt": 1,
        "priority": priority,
    }
    return ClaimedDelivery(**{**values, **changes})


def several(count: int, first: int = 0, **changes: Any) -> list[ClaimedDelivery]:
    return [waiting(f"d{number}", **changes) for number in range(first, first + count)]


def targets(**more: ChannelSettings) -> Endpoints:
    return Endpoints({"ops": ROBOT, **more})


def chosen(of: Endpoints, due: Sequence[ClaimedDelivery], now: datetime = NOW, limit: int = 16) -> list[list[str]]:
    choice, _ = of.choose(due, limit, now)
    return [[delivery.id for delivery in batch] for batch in choice.batches]


def test_what_the_limit_allows_goes_out_message_by_message() -> None:
    ours = targets()
    choice, why = ours.choose(several(1), 16, NOW)
    assert [len(batch) for batch in choice.batches] == [1]
    assert (choice.later, why) == ({}, {})


def test_with_the_last_token_goes_all_that_waits_as_one() -> None:
    assert chosen(targets(), several(9)) == [["d0"], [f"d{number}" for number in range(1, 9)]]


def test_what_does_not_fit_into_the_bundle_waits_for_the_next_token() -> None:
    ours = targets()
    due = several(9, body="x" * 1_500)
    choice, why = ours.choose(due, 16, NOW)
    assert [len(batch) for batch in choice.batches] == [1, 2]
    assert set(choice.later) == {f"d{number}" for number in range(3, 9)}
    assert set(choice.later.values()) == {NOW + 30 * SECOND}
    assert choice.unreachable == set()
    assert set(why.values()) == {PostponeReason.RATE}
    (batch,) = ours.choose(due[3:], 16, NOW + 30 * SECOND)[0].batches
    assert WecomChannel.measure(digest_of(batch).body) <= WecomChannel.max_length


def test_statutory_messages_go_first_and_alone() -> None:
    ours = targets()
    due = [*several(3, priority=0), *several(5, first=3)]
    assert chosen(ours, due) == [["d0"], ["d1"]]
    assert chosen(ours, due[2:], NOW + 30 * SECOND) == [["d2"]]
    assert chosen(ours, due[3:], NOW + 60 * SECOND) == [["d3", "d4", "d5", "d6", "d7"]]


def test_only_messages_for_the_same_readers_are_bundled() -> None:
    ours = targets()
    due = [*several(2), *several(2, first=2, locale="zh-CN"), *several(2, first=4)]
    assert chosen(ours, due) == [["d0"], ["d1", "d4", "d5"]]


def test_a_bundle_says_what_it_is_in_the_readers_language() -> None:
    bundle = digest_of(several(3))
    assert bundle.subject == "3 messages"
    assert bundle.body == (
        "**subject of d0**\n\nbody of d0\n\n**subject of d1**\n\nbody of d1\n\n**subject of d2**\n\nbody of d2\n"
    )
    assert digest_of(several(3, locale="zh-CN")).subject == "3 条消息"
    assert bundle.id == digest_of(several(3)).id != digest_of(several(2)).id


def test_a_long_message_takes_a_token_for_each_part() -> None:
    ours = targets()
    assert chosen(ours, [waiting("long", body="x" * 9_000)]) == [["long"]]
    choice, _ = ours.choose(several(1), 16, NOW)
    assert choice.later == {"d0": NOW + 60 * SECOND}


def test_one_target_at_its_limit_does_not_hold_up_the_others() -> None:
    mail = EmailSettings(type="email", host="h", port=25, sender="a@b.example", rate=Rate(per_minute=2))
    ours = targets(mail=mail)
    due = [
        *several(4, body="x" * 4_000),
        waiting("a1", channel="mail", address="a@b.example"),
        waiting("a2", channel="mail", address="a@b.example"),
        waiting("b1", channel="mail", address="b@b.example"),
    ]
    assert chosen(ours, due) == [["d0"], ["d1"], ["a1", "a2"], ["b1"]]


@pytest.mark.parametrize("settings", [
    OutboxSettings(type="outbox", rate=Rate(per_minute=2)),
    WebhookSettings(type="webhook", url="https://h.example/x", secret=Secret(value="x"), rate=Rate(per_minute=2)),
])  # fmt: skip
def test_what_machines_read_is_never_bundled(settings: ChannelSettings) -> None:
    ours = Endpoints({"ops": settings})
    choice, _ = ours.choose(several(3), 16, NOW)
    assert [len(batch) for batch in choice.batches] == [1]
    assert set(choice.later) == {"d1", "d2"}


def test_no_more_is_chosen_than_may_be_under_way_and_the_rest_stays_due() -> None:
    choice, _ = Endpoints({}).choose(several(5), 3, NOW)
    assert ([batch[0].id for batch in choice.batches], choice.later) == (["d0", "d1", "d2"], {})


def test_a_target_that_asked_for_a_wait_gets_nothing_not_even_what_is_statutory() -> None:
    ours = targets()
    ours.record(waiting("d"), DeliveryOutcome.RATE_LIMITED, NOW, 90 * SECOND)
    choice, why = ours.choose([waiting("a", priority=0), waiting("b")], 16, NOW)
    assert choice.batches == []
    assert set(choice.later.values()) == {NOW + 90 * SECOND}
    assert set(why.values()) == {PostponeReason.RATE}
    assert choice.unreachable == {"a", "b"}  # 90 seconds are long


def fail(ours: Endpoints, now: datetime = NOW) -> list[CircuitState | None]:
    return [ours.record(waiting("d"), DeliveryOutcome.TIMED_OUT, now, None) for _ in range(FAILURES)]


def test_while_a_circuit_is_open_others_wait_and_statutory_messages_go() -> None:
    ours = Endpoints({})
    assert fail(ours) == [None] * (FAILURES - 1) + [CircuitState.OPEN]
    choice, why = ours.choose([waiting("law", priority=0), *several(2)], 16, NOW)
    assert [batch[0].id for batch in choice.batches] == ["law"]
    assert choice.later == {"d0": NOW + SHORTEST, "d1": NOW + SHORTEST}
    assert set(why.values()) == {PostponeReason.CIRCUIT}
    assert choice.unreachable == {"d0", "d1"}
    assert ours.state("ops") is CircuitState.OPEN
    assert ours.state("mail") is CircuitState.CLOSED


def test_targets_are_open_while_all_that_waits_can_go_and_a_token_is_left() -> None:
    ours = targets(hook=WebhookSettings(type="webhook", url="https://h.example/x", secret=Secret(value="x")))
    assert ours.are_open([*several(1), *several(30, channel="hook")], NOW)  # two tokens, and no limit
    assert not ours.are_open(several(2), NOW)  # with the last token goes a bundle, of all that waits
    fail(ours)
    assert not ours.are_open(several(1), NOW + SECOND)
    assert ours.are_open(several(30, channel="hook"), NOW + SECOND)


def test_when_its_time_is_over_one_goes_to_see_alone() -> None:
    ours = Endpoints({})
    fail(ours)
    later = NOW + SHORTEST
    choice, _ = ours.choose(several(3), 16, later)
    assert [[delivery.id for delivery in batch] for batch in choice.batches] == [["d0"]]
    assert ours.state("ops") is CircuitState.HALF_OPEN
    assert ours.record(waiting("d0"), DeliveryOutcome.DELIVERED, later, None) is CircuitState.CLOSED
    assert chosen(ours, several(2, first=1), later) == [["d1"], ["d2"]]


def test_of_very_many_targets_those_that_answer_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incident_engine.delivery.endpoints.MAX_ENDPOINTS", 3)
    mail = EmailSettings(type="email", host="h", port=25, sender="a@b.example", tls="none")
    found = targets(mail=mail)
    silent = waiting("silent", channel="mail", address="silent@bank.example")
    for _ in range(FAILURES):
        found.record(silent, DeliveryOutcome.TIMED_OUT, NOW, None)
    for number in range(20):
        found.record(
            waiting("d", channel="mail", address=f"{number}@bank.example"), DeliveryOutcome.DELIVERED, NOW, None
        )
    assert len(found._endpoints) == 3
    assert found.state("mail") is CircuitState.OPEN  # who does not answer is not forgotten
