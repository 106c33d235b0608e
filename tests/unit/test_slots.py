"""Slots of the dispatcher: how many messages are in progress, which attempts are under way, and who waits."""

from typing import Any

from support.builders import at

from incident_engine.delivery.slots import Batch, Slots
from incident_engine.store.claims import ClaimedDelivery


def batch(*names: str, attempt: int = 1) -> Batch:
    values: dict[str, Any] = dict.fromkeys(
        ("step_id", "case_id", "contact", "channel", "locale", "subject", "body"), "x"
    )
    return tuple(
        ClaimedDelivery(id=name, address=None, created_at=at("10:35"), attempt=attempt, **values) for name in names
    )


def test_a_batch_takes_one_slot_until_it_is_released() -> None:
    slots = Slots(2)
    slots.take([batch("a", "b", "c")], has_more=False)
    assert (slots.free, slots.has_free()) == (1, True)
    slots.take([batch("d")], has_more=False)
    assert slots.free == 0
    slots.release([batch("a", "b", "c")])
    assert slots.free == 1


def test_only_attempts_that_were_begun_are_under_way() -> None:
    slots = Slots(2)
    slots.take([batch("a", "b"), batch("c")], has_more=False)
    assert slots.under_way == frozenset()
    assert slots.begin(batch("a", "b"), lambda: True)
    assert slots.under_way == {("a", 1), ("b", 1)}
    slots.release([batch("a", "b")])
    assert slots.under_way == frozenset()


def test_a_batch_whose_lease_is_over_is_not_begun_and_its_release_wakes_the_dispatcher() -> None:
    slots = Slots(2)
    slots.take([batch("a")], has_more=False)
    assert not slots.begin(batch("a"), lambda: False)
    assert slots.under_way == frozenset()
    assert slots.release([batch("a")])


def test_the_first_release_after_a_full_claim_wakes_the_dispatcher_and_the_next_does_not() -> None:
    slots = Slots(2)
    slots.take([batch("a"), batch("b")], has_more=True)
    assert slots.release([batch("a")])
    assert not slots.release([batch("b")])


def test_whoever_finds_no_slot_is_woken_by_the_next_release() -> None:
    slots = Slots(1)
    slots.take([batch("a")], has_more=False)
    assert not slots.has_free()
    assert slots.release([batch("a")])
    assert slots.has_free()


def test_a_claim_that_found_all_ends_the_waiting() -> None:
    slots = Slots(2)
    slots.take([batch("a"), batch("b")], has_more=True)
    slots.vacate(batch("a"))
    slots.take([batch("c")], has_more=False)
    assert not slots.release([batch("a")])


def test_a_vacated_slot_is_free_while_its_attempt_is_still_under_way() -> None:
    slots = Slots(1)
    slots.take([batch("a")], has_more=False)
    slots.begin(batch("a"), lambda: True)
    assert slots.vacate(batch("a"))
    assert not slots.vacate(batch("a"))
    assert slots.free == 1
    assert slots.under_way == {("a", 1)}
    slots.reoccupy(batch("a"))
    assert slots.free == 0


def test_two_attempts_of_one_delivery_have_slots_of_their_own() -> None:
    slots = Slots(2)
    slots.take([batch("a", attempt=1)], has_more=False)
    slots.take([batch("a", attempt=2)], has_more=False)  # its first lease ran out while this process was frozen
    slots.release([batch("a", attempt=1)])
    assert slots.free == 1
