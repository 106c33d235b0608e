"""Laws of the consequences of a delivery's outcome."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.budget import examples
from support.builders import at

from incident_engine.domain.response.delivery_outcome import (
    Consequences,
    DeliveredStep,
    DeliveryState,
    StepDelivery,
    after_answer,
    after_attempt,
    after_postponement,
)
from incident_engine.domain.response.step import StepState

NOW = at("10:35")
THOROUGH = examples(full=500, quick=100)
IS_DUE = {DeliveryState.PENDING, DeliveryState.SENDING}


@st.composite
def steps(draw: st.DrawFn) -> DeliveredStep:
    channels = draw(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1, max_size=6, unique=True))
    deliveries = []
    for contact, position in channels:
        state = draw(st.sampled_from(DeliveryState))
        minutes = draw(st.sampled_from([-1, 0, 1, 5]))
        due_at = NOW + timedelta(minutes=minutes) if state in IS_DUE else None
        attempts = draw(st.integers(0, 4))
        deliveries.append(StepDelivery(f"{contact}{position}", contact, position, state, attempts, due_at))
    names = st.sampled_from([None, None, "x"])
    return DeliveredStep(draw(st.sampled_from(StepState)), draw(names), draw(names), draw(names), deliveries)


def outcomes(step: DeliveredStep) -> list[Consequences]:
    """Return the consequences of all that can happen to a step's deliveries."""
    names = [delivery.id for delivery in step.deliveries]
    attempts = [after_attempt(step, name, NOW) for name in names]
    return [*attempts, *(after_postponement(step, name, NOW) for name in names), after_answer(step, NOW)]


@THOROUGH
@given(steps())
def test_only_deliveries_that_are_for_later_and_untried_are_changed(step: DeliveredStep) -> None:
    untried = {
        delivery.id
        for delivery in step.deliveries
        if delivery.state is DeliveryState.PENDING and delivery.attempts == 0 and (delivery.due_at or NOW) > NOW
    }
    for outcome in outcomes(step):
        assert {*outcome.cancelled, *outcome.due_now} <= untried
        assert not set(outcome.cancelled) & set(outcome.due_now)


@THOROUGH
@given(steps())
def test_a_step_never_ends_while_a_message_is_on_its_way_or_an_answer_is_awaited(step: DeliveredStep) -> None:
    for outcome in outcomes(step):
        if outcome.step_state is None:
            continue
        assert step.state is StepState.STARTED
        assert (step.awaits, step.fulfils) == (None, None)
        left = {delivery.state for delivery in step.deliveries if delivery.id not in outcome.cancelled}
        assert left <= {DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.CANCELLED}
        assert (outcome.step_state is StepState.COMPLETED) == (DeliveryState.DELIVERED in left)


@THOROUGH
@given(steps())
def test_a_contact_loses_no_channel_before_a_message_arrived_or_somebody_answered(step: DeliveredStep) -> None:
    for delivery in step.deliveries:
        outcome = after_attempt(step, delivery.id, NOW)
        if delivery.state is not DeliveryState.DELIVERED:
            assert outcome.cancelled == ()
        else:
            assert outcome.due_now == ()
            assert all(step.delivery(name).contact == delivery.contact for name in outcome.cancelled)


@THOROUGH
@given(steps())
def test_other_contacts_matter_to_an_attempt_by_their_states_alone(step: DeliveredStep) -> None:
    for delivery in step.deliveries:
        own = [other for other in step.deliveries if other.contact == delivery.contact]
        others = frozenset(other.state for other in step.deliveries if other.contact != delivery.contact)
        of_contact = replace(step, deliveries=own, other_states=others)
        assert after_attempt(of_contact, delivery.id, NOW) == after_attempt(step, delivery.id, NOW)
        assert after_postponement(of_contact, delivery.id, NOW) == after_postponement(step, delivery.id, NOW)


@THOROUGH
@given(steps())
def test_an_answer_that_is_repeated_changes_nothing_more(step: DeliveredStep) -> None:
    first = after_answer(step, NOW)
    after = DeliveredStep(
        first.step_state or step.state,
        step.awaits,
        step.fulfils,
        step.parent_id,
        [delivery for delivery in step.deliveries if delivery.id not in first.cancelled],
    )
    assert after_answer(after, NOW) == Consequences()
