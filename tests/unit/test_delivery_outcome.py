"""The consequences of a delivery's outcome: the end of its step, and the contact's other channels."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from support.builders import at

from incident_engine.domain.response.delivery_outcome import (
    Consequences,
    DeliveredStep,
    DeliveryState,
    StepDelivery,
    after_answer,
    after_attempt,
    after_postponement,
    has_consequences,
)
from incident_engine.domain.response.step import StepState

NOW = at("10:35")
LATER = NOW + timedelta(minutes=5)
CANCELLED, DELIVERED, FAILED = DeliveryState.CANCELLED, DeliveryState.DELIVERED, DeliveryState.FAILED
HELD, PENDING, SENDING = DeliveryState.HELD, DeliveryState.PENDING, DeliveryState.SENDING


def message(name: str, state: DeliveryState, position: int = 0, contact: str = "duty") -> StepDelivery:
    """Return a delivery; one that is pending is for later and untried."""
    due_at: datetime | None = LATER if state in {PENDING, SENDING} else None
    return StepDelivery(name, contact, position, state, 0 if state in {PENDING, HELD} else 1, due_at)


def step(*deliveries: StepDelivery, **changes: str | None) -> DeliveredStep:
    """Return a started step that informs only."""
    plain = DeliveredStep(StepState.STARTED, None, None, None, deliveries)
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "end"),
    [
        ([DELIVERED], StepState.COMPLETED),
        ([DELIVERED, FAILED], StepState.COMPLETED),
        ([FAILED, FAILED], StepState.FAILED),
        ([FAILED, CANCELLED], StepState.FAILED),
        ([DELIVERED, SENDING], None),
        ([FAILED, PENDING], None),
        ([DELIVERED, HELD], None),
    ],
)
def test_an_informational_step_ends_with_its_last_message(states: list[DeliveryState], end: StepState | None) -> None:
    messages = [message(f"d{index}", state, contact=f"c{index}") for index, state in enumerate(states)]
    assert after_attempt(step(*messages), "d0", NOW).step_state is end


def test_messages_to_other_contacts_keep_a_step_going_and_make_it_complete() -> None:
    failed = step(message("d", FAILED))
    assert after_attempt(replace(failed, other_states=frozenset({SENDING})), "d", NOW).step_state is None
    done = replace(failed, other_states=frozenset({DELIVERED, CANCELLED}))
    assert after_attempt(done, "d", NOW).step_state is StepState.COMPLETED


@pytest.mark.parametrize("changes", [{"awaits": "acknowledgement"}, {"fulfils": "first-report"}])
def test_a_step_that_a_person_must_answer_does_not_end_with_its_messages(changes: dict[str, str]) -> None:
    assert after_attempt(step(message("d", DELIVERED), **changes), "d", NOW) == Consequences()
    assert after_attempt(step(message("d", FAILED), **changes), "d", NOW) == Consequences()


@pytest.mark.parametrize("state", [state for state in StepState if state is not StepState.STARTED])
def test_a_step_that_is_not_under_way_keeps_its_state(state: StepState) -> None:
    assert after_attempt(step(message("d", DELIVERED), state=state), "d", NOW) == Consequences()


def test_a_step_of_which_all_was_cancelled_has_not_failed() -> None:
    assert after_answer(step(message("d", CANCELLED)), NOW) == Consequences()
    assert after_answer(step(message("d", PENDING, 1)), NOW) == Consequences(cancelled=("d",))


def test_a_delivered_message_makes_the_same_contacts_later_channels_needless() -> None:
    messages = (
        message("first", FAILED, 0),
        message("second", DELIVERED, 1),
        message("third", PENDING, 2),
        message("other", PENDING, 2, contact="head"),
    )
    assert after_attempt(step(*messages), "second", NOW) == Consequences(cancelled=("third",))
    assert after_attempt(step(*messages[:3]), "second", NOW) == Consequences(("third",), (), StepState.COMPLETED)


@pytest.mark.parametrize("changes", [{"awaits": "acknowledgement"}, {"fulfils": "first-report"}, {"parent_id": "page"}])
def test_where_an_answer_is_awaited_a_delivered_message_leaves_the_later_channels(changes: dict[str, str]) -> None:
    assert after_attempt(step(message("d", DELIVERED), message("e", PENDING, 1), **changes), "d", NOW) == Consequences()


@pytest.mark.parametrize("state", [FAILED, PENDING])
def test_a_failing_message_makes_the_contacts_next_channel_due_and_no_other(state: DeliveryState) -> None:
    failed = replace(message("first", state), attempts=3)
    messages = (failed, message("next", PENDING, 1), message("last", PENDING, 2), message("x", PENDING, 1, "head"))
    assert after_attempt(step(*messages), "first", NOW) == Consequences(due_now=("next",))
    assert after_postponement(step(*messages), "first", NOW) == Consequences(due_now=("next",))


def test_a_channel_that_is_due_already_or_was_tried_is_left_alone() -> None:
    due = replace(message("due", PENDING, 1), due_at=NOW)
    tried = replace(message("tried", PENDING, 1), attempts=1)
    for other in (due, tried, message("sent", SENDING, 1), message("held", HELD, 1)):
        assert after_attempt(step(message("d", FAILED), other), "d", NOW) == Consequences()
        assert after_answer(step(other), NOW) == Consequences()


def test_an_answer_cancels_fallbacks_and_no_first_message() -> None:
    messages = (message("first", PENDING), message("fallback", PENDING, 1), message("head", PENDING, 1, "head"))
    assert after_answer(step(*messages, awaits="acknowledgement"), NOW) == Consequences(("fallback", "head"))


@pytest.mark.parametrize(
    ("state", "attempt", "fallback_after", "expected"),
    [
        (PENDING, 2, 3, False),
        (PENDING, 3, 3, True),
        (PENDING, 99, None, False),
        (DELIVERED, 1, 3, True),
        (FAILED, 1, None, True),
    ],
)
def test_an_attempt_that_will_be_repeated_has_no_consequences_until_the_fallback(
    state: DeliveryState, attempt: int, fallback_after: int | None, expected: bool
) -> None:
    assert has_consequences(state, attempt, fallback_after) is expected
