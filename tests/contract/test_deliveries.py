"""Deliveries in the store: claimed with a lease, recorded by whoever holds it, released after a crash."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from support.builders import at
from support.delivery_claims import claim_each
from support.fixtures import MICROSECOND, rows

from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.store import deliveries as outgoing
from incident_engine.store.claims import Choice, ClaimedDelivery
from incident_engine.store.database import Database
from incident_engine.store.tables import attempts, cases, deliveries, steps

from .test_store import A_DELIVERY, A_STEP, AN_INCIDENT

NOW = at("10:35")
LEASE = timedelta(seconds=60)
LATER = NOW + LEASE


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    opened = Database(store_url)
    with opened.write() as connection:
        connection.execute(insert(cases).values(**AN_INCIDENT))
        connection.execute(insert(steps).values(**A_STEP | {"state": "started"}))
    yield opened
    opened.close()


def put(database: Database, name: str, due_at: datetime = NOW) -> None:
    with database.write() as connection:
        connection.execute(insert(deliveries).values(**A_DELIVERY | {"id": name, "due_at": due_at}))


def claim(database: Database, now: datetime = NOW, limit: int = 10) -> list[ClaimedDelivery]:
    with database.write() as connection:
        return claim_each(connection, now, now + LEASE, limit)


def record(
    database: Database, delivery: ClaimedDelivery, state: DeliveryState, now: datetime, retry_at: datetime | None = None
) -> bool:
    with database.write() as connection:
        return outgoing.record(connection, delivery, state, "an outcome", "a detail", now, retry_at)


def stored(database: Database, name: str = "d") -> dict[str, Any]:
    return next(row for row in rows(database, deliveries) if row["id"] == name)


def tries(database: Database) -> list[tuple[int, str | None]]:
    return sorted((row["number"], row["outcome"]) for row in rows(database, attempts))


def test_what_is_due_is_claimed_and_what_is_not_is_left(database: Database) -> None:
    put(database, "d")
    put(database, "tomorrow", NOW + MICROSECOND)
    (delivery,) = claim(database)
    assert (delivery.id, delivery.attempt) == ("d", 1)
    assert (stored(database)["state"], stored(database)["due_at"]) == ("sending", LATER)
    assert stored(database, "tomorrow")["state"] == "pending"
    assert tries(database) == [(1, None)]


def test_what_waits_longest_is_claimed_first_and_no_more_than_asked_for(database: Database) -> None:
    for place, name in enumerate(("newest", "middle", "oldest")):
        put(database, name, NOW - timedelta(minutes=place))
    assert [delivery.id for delivery in claim(database, limit=2)] == ["oldest", "middle"]
    assert [delivery.id for delivery in claim(database, limit=2)] == ["newest"]


def test_what_is_claimed_is_not_claimed_again_before_its_lease_has_run_out(database: Database) -> None:
    put(database, "d")
    claim(database)
    assert claim(database, LATER - MICROSECOND) == []
    (again,) = claim(database, LATER)
    assert (again.id, again.attempt) == ("d", 2)
    assert tries(database) == [(1, None), (2, None)]


def test_a_success_ends_the_delivery_and_completes_a_step_that_asks_nobody_for_a_deed(database: Database) -> None:
    put(database, "d")
    put(database, "e")
    first, second = claim(database)
    assert record(database, first, DeliveryState.DELIVERED, NOW)
    assert rows(database, steps)[0]["state"] == "started"  # its other message is still on its way
    assert record(database, second, DeliveryState.DELIVERED, LATER)
    step = rows(database, steps)[0]
    assert (step["state"], step["completed_at"]) == ("completed", LATER)
    found = stored(database)
    assert (found["state"], found["due_at"], found["ended_at"]) == ("delivered", None, NOW)


def test_a_step_that_a_person_must_fulfil_is_not_completed_by_its_message(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(steps).values(**A_STEP | {"id": "r", "state": "started", "fulfils": "first-report"}))
        connection.execute(insert(deliveries).values(**A_DELIVERY | {"step_id": "r"}))
    (delivery,) = claim(database)
    record(database, delivery, DeliveryState.DELIVERED, NOW)
    assert {row["id"]: row["state"] for row in rows(database, steps)}["r"] == "started"


def test_a_failure_that_may_pass_makes_the_delivery_due_again_later(database: Database) -> None:
    put(database, "d")
    (delivery,) = claim(database)
    retry_at = NOW + timedelta(seconds=5)
    assert record(database, delivery, DeliveryState.PENDING, NOW, retry_at)
    found = stored(database)
    assert (found["state"], found["due_at"], found["ended_at"]) == ("pending", retry_at, None)
    assert claim(database, retry_at - MICROSECOND) == []
    assert claim(database, retry_at)[0].attempt == 2
    assert tries(database) == [(1, "an outcome"), (2, None)]


def test_what_another_took_meanwhile_is_not_kept_for_it_by_who_was_frozen(database: Database) -> None:
    put(database, "d")
    (mine,) = claim(database)
    claim(database, LATER)
    much_later = LATER + LEASE
    for attempt, due_at in ((mine.attempt, much_later), (mine.attempt + 1, much_later + LEASE)):
        with database.write() as connection:
            under_way = [("d", attempt)]
            outgoing.claim(connection, LATER, much_later + LEASE, 10, under_way, lambda due, most: Choice([]))
        assert stored(database)["due_at"] == due_at


def test_whoever_has_lost_the_lease_decides_nothing(database: Database) -> None:
    put(database, "d")
    (slow,) = claim(database)
    (quick,) = claim(database, LATER)
    assert not record(database, slow, DeliveryState.FAILED, LATER)
    assert stored(database)["state"] == "sending"
    assert record(database, quick, DeliveryState.DELIVERED, LATER)
    assert not record(database, slow, DeliveryState.PENDING, LATER, LATER + LEASE)
    assert stored(database)["state"] == "delivered"
    # What it saw is kept all the same, for whoever reads the attempts.
    assert tries(database) == [(1, "an outcome"), (2, "an outcome")]


def test_what_a_process_that_is_gone_was_sending_is_due_at_once(database: Database) -> None:
    put(database, "d")
    put(database, "tomorrow", NOW + timedelta(days=1))
    claim(database)
    moment = NOW + timedelta(seconds=1)
    with database.write() as connection:
        assert outgoing.release_all(connection, moment) == 1
    (again,) = claim(database, moment)
    assert (again.id, again.attempt) == ("d", 2)
    assert stored(database, "tomorrow")["state"] == "pending"


def test_what_has_ended_is_neither_claimed_nor_released(database: Database) -> None:
    put(database, "d")
    (delivery,) = claim(database)
    record(database, delivery, DeliveryState.FAILED, NOW)
    with database.write() as connection:
        assert outgoing.release_all(connection, NOW) == 0
    assert claim(database, NOW + timedelta(days=365)) == []


# Priorities, the next channel, and what is no longer wanted.


def put_as(database: Database, name: str, **values: Any) -> None:
    with database.write() as connection:
        connection.execute(insert(deliveries).values(**A_DELIVERY | {"id": name, "due_at": NOW, **values}))


def cancel(database: Database, *step_ids: str) -> int:
    with database.write() as connection:
        return outgoing.cancel(connection, step_ids, NOW)


def test_what_the_law_demands_is_claimed_first_then_pages_then_the_rest(database: Database) -> None:
    put_as(database, "other", due_at=NOW - timedelta(hours=1))
    put_as(database, "page", priority=1, due_at=NOW - timedelta(minutes=1))
    put_as(database, "law", priority=0)
    claimed = claim(database)
    assert [(delivery.id, delivery.priority) for delivery in claimed] == [("law", 0), ("page", 1), ("other", 2)]


def test_what_must_wait_is_due_later_and_has_not_been_attempted(database: Database) -> None:
    put(database, "d")
    put(database, "e")

    def choose(due: Sequence[ClaimedDelivery], limit: int) -> Choice:
        assert ([delivery.id for delivery in due], limit) == (["d", "e"], 10)
        return Choice([(due[0],)], {due[1].id: LATER})

    with database.write() as connection:
        outgoing.claim(connection, NOW, NOW + LEASE, 10, (), choose)
    assert stored(database, "d")["state"] == "sending"
    found = stored(database, "e")
    assert (found["state"], found["due_at"], found["attempts"]) == ("pending", LATER, 0)
    assert tries(database) == [(1, None)]


def fails(database: Database, attempt: int, state: DeliveryState = DeliveryState.PENDING) -> None:
    (delivery,) = (each for each in claim(database) if each.id == "first")
    with database.write() as connection:
        retry_at = None if state is DeliveryState.FAILED else NOW
        outgoing.record(
            connection, replace(delivery, attempt=attempt), state, "x", "x", NOW, retry_at, fallback_after=3
        )


@pytest.mark.parametrize(
    ("attempt", "state", "due_at"),
    [
        (2, DeliveryState.PENDING, LATER),
        (3, DeliveryState.PENDING, NOW),
        (7, DeliveryState.PENDING, NOW),
        (1, DeliveryState.FAILED, NOW),
    ],
)
def test_failures_make_the_same_contacts_next_channel_due_at_once(
    database: Database, attempt: int, state: DeliveryState, due_at: datetime
) -> None:
    put_as(database, "first", attempts=attempt - 1)
    put_as(database, "next", position=1, due_at=LATER)
    put_as(database, "after it", position=2, due_at=LATER)
    put_as(database, "theirs", position=1, due_at=LATER, contact="other")
    put_as(database, "tried", position=1, due_at=LATER, attempts=1)
    fails(database, attempt, state)
    assert stored(database, "next")["due_at"] == due_at
    assert {stored(database, name)["due_at"] for name in ("after it", "theirs", "tried")} == {LATER}


@pytest.mark.parametrize(
    "asked", [{"awaits": "acknowledgement"}, {"awaits": "completion", "fulfils": "first-report"}, {"parent_id": "s"}]
)
def test_a_success_leaves_the_next_channel_as_it_is_where_somebody_must_answer(
    database: Database, asked: dict[str, str]
) -> None:
    with database.write() as connection:
        connection.execute(insert(steps).values(**A_STEP | {"id": "asks", "state": "started"} | asked))
    put_as(database, "first", step_id="asks")
    put_as(database, "next", step_id="asks", position=1, due_at=LATER)
    (delivery,) = claim(database)
    record(database, delivery, DeliveryState.DELIVERED, NOW)
    assert stored(database, "next")["due_at"] == LATER


def test_what_is_only_told_is_not_told_again_over_a_later_channel(database: Database) -> None:
    put(database, "first")
    put_as(database, "next", position=1, due_at=LATER)
    put_as(database, "theirs", position=1, due_at=LATER, contact="somebody else")
    (delivery,) = claim(database)
    record(database, delivery, DeliveryState.DELIVERED, NOW)
    assert stored(database, "next")["state"] == "cancelled"
    assert stored(database, "theirs")["due_at"] == LATER


def test_what_was_for_later_is_cancelled_and_nothing_else(database: Database) -> None:
    put_as(database, "later", position=1, due_at=LATER)
    put_as(database, "due", position=1)
    put_as(database, "tried", position=1, due_at=LATER, attempts=1)
    put_as(database, "first", position=0, due_at=LATER)
    with database.write() as connection:
        connection.execute(insert(steps).values(**A_STEP | {"id": "t", "state": "started"}))
    put_as(database, "of another step", step_id="t", position=1, due_at=LATER)
    assert cancel(database, "s") == 1
    found = stored(database, "later")
    assert (found["state"], found["due_at"], found["ended_at"]) == ("cancelled", None, NOW)
    states = {row["id"]: row["state"] for row in rows(database, deliveries)}
    assert [name for name, state in states.items() if state != "pending"] == ["later"]
    assert [delivery.id for delivery in claim(database, LATER)].count("later") == 0


@pytest.mark.parametrize(("state", "end"), [(DeliveryState.DELIVERED, "completed"), (DeliveryState.FAILED, "failed")])
def test_what_is_cancelled_counts_for_nothing_at_a_steps_end(
    database: Database, state: DeliveryState, end: str
) -> None:
    put(database, "d")
    put_as(database, "later", position=2, due_at=LATER, contact="somebody else")
    (delivery,) = claim(database)
    record(database, delivery, state, NOW)
    assert rows(database, steps)[0]["state"] == "started"
    cancel(database, "s")
    assert rows(database, steps)[0]["state"] == end


def test_a_step_of_which_everything_was_cancelled_has_not_failed(database: Database) -> None:
    put_as(database, "later", position=1, due_at=LATER)
    cancel(database, "s")
    assert rows(database, steps)[0]["state"] == "started"


def test_a_clock_that_is_set_back_leaves_no_lease_longer_than_a_new_one(database: Database) -> None:
    put(database, "d")
    put(database, "to come", NOW + timedelta(minutes=3))
    claim(database)
    earlier = NOW - timedelta(hours=5)
    with database.write() as connection:
        outgoing.set_back(connection, earlier, earlier + LEASE)
    lease_until = NOW + LEASE if database.is_shared else earlier + LEASE  # another replica's goes by another clock
    assert (stored(database)["state"], stored(database)["due_at"]) == ("sending", lease_until)
    assert stored(database, "to come")["due_at"] == earlier  # written in what is now the future


@pytest.mark.parametrize(("is_open", "looked_at"), [(True, [4]), (False, [4, 200])])
def test_as_many_are_looked_at_as_it_takes(database: Database, is_open: bool, looked_at: list[int]) -> None:
    asked: list[int] = []
    for number in range(10):
        put(database, f"{number}", NOW - timedelta(seconds=10 - number))

    def choose(due: Sequence[ClaimedDelivery], most: int) -> Choice:
        assert len(due) == min(10, looked_at[-1])
        return Choice([(delivery,) for delivery in due[:most]])

    def are_open(due: Sequence[ClaimedDelivery]) -> bool:
        asked.append(len(due))
        return is_open

    with database.write() as connection:
        choice = outgoing.claim(connection, NOW, LATER, 2, (), choose, are_open)
    assert [batch[0].id for batch in choice.batches] == ["0", "1"]
    assert asked == [4]
