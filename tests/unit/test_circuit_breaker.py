"""The circuit breaker on a clock set by hand."""

from datetime import datetime, timedelta

import pytest
from support.builders import at

from incident_engine.common.telemetry import CircuitState
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.circuit_breaker import FAILURES, LONGEST, SHORTEST, CircuitBreaker

NOW = at("10:35")
CLOSED, HALF_OPEN, OPEN = CircuitState


def opened(now: datetime = NOW) -> CircuitBreaker:
    circuit = CircuitBreaker()
    for _ in range(FAILURES):
        circuit.record(DeliveryOutcome.TIMED_OUT, now)
    return circuit


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    circuit = CircuitBreaker()
    for _ in range(FAILURES - 1):
        circuit.record(DeliveryOutcome.CONNECTION_FAILED, NOW)
    assert (circuit.state, circuit.ready_at(NOW)) == (CLOSED, NOW)
    circuit.record(DeliveryOutcome.SERVER_ERROR, NOW)
    assert (circuit.state, circuit.ready_at(NOW)) == (OPEN, NOW + SHORTEST)


@pytest.mark.parametrize("answer", [DeliveryOutcome.DELIVERED, DeliveryOutcome.REFUSED, DeliveryOutcome.RATE_LIMITED,
                                    DeliveryOutcome.AUTHENTICATION_FAILED])  # fmt: skip
def test_any_answer_shows_that_somebody_is_there(answer: DeliveryOutcome) -> None:
    circuit = CircuitBreaker()
    for outcome in (
        [DeliveryOutcome.TIMED_OUT] * (FAILURES - 1) + [answer] + [DeliveryOutcome.TIMED_OUT] * (FAILURES - 1)
    ):
        circuit.record(outcome, NOW)
    assert circuit.state is CLOSED


def test_when_its_time_is_over_one_message_goes_to_see_and_others_wait() -> None:
    circuit = opened()
    later = NOW + SHORTEST
    assert circuit.ready_at(later) == later
    circuit.probe(later)
    assert circuit.state is HALF_OPEN
    assert circuit.ready_at(later) > later
    circuit.record(DeliveryOutcome.DELIVERED, later)
    assert (circuit.state, circuit.ready_at(later)) == (CLOSED, later)


def test_it_stays_open_twice_as_long_after_each_probe_that_fails_and_five_minutes_at_most() -> None:
    circuit, now, waits = opened(), NOW, []
    for _ in range(6):
        wait = circuit.ready_at(now) - now
        waits.append(wait)
        now += wait
        circuit.probe(now)
        circuit.record(DeliveryOutcome.TIMED_OUT, now)
    assert waits == [SHORTEST, 2 * SHORTEST, 4 * SHORTEST, 8 * SHORTEST, LONGEST, LONGEST]
    circuit.record(DeliveryOutcome.DELIVERED, now)
    for _ in range(FAILURES):
        circuit.record(DeliveryOutcome.TIMED_OUT, now)
    assert circuit.ready_at(now) == now + SHORTEST


def test_a_statutory_message_that_fails_while_it_is_open_keeps_it_open_no_longer() -> None:
    circuit = opened()
    now = NOW + timedelta(seconds=10)
    circuit.probe(now)
    circuit.record(DeliveryOutcome.TIMED_OUT, now)
    assert (circuit.state, circuit.ready_at(now)) == (OPEN, NOW + SHORTEST)


def test_a_statutory_message_that_arrives_closes_it() -> None:
    circuit = opened()
    circuit.record(DeliveryOutcome.DELIVERED, NOW)
    assert (circuit.state, circuit.is_cut) == (CLOSED, False)


def test_a_clock_that_is_set_back_by_hours_does_not_keep_it_open_for_hours() -> None:
    circuit = opened()
    hours_before = NOW - timedelta(hours=5)
    assert circuit.ready_at(hours_before) == hours_before
    assert circuit.ready_at(NOW - timedelta(minutes=1)) == NOW - timedelta(minutes=1)


def test_a_clock_that_is_set_forward_by_hours_lets_one_message_see() -> None:
    circuit = opened()
    later = NOW + timedelta(hours=5)
    assert circuit.ready_at(later) == later
    circuit.probe(later)
    assert circuit.state is HALF_OPEN
