"""What the watchdog reads from the store, with rows as they are after a fault; and a store that fails or hangs."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text, update
from support.builders import at, started_json
from support.fixtures import INCIDENT, House, house, rows

from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.domain.response.step import StepState
from incident_engine.engine.update import CaseUpdater
from incident_engine.store import health as store_health
from incident_engine.store.claims import Priority
from incident_engine.store.health import Health, Late, Limits, health
from incident_engine.store.tables import deliveries, steps, timers
from incident_engine.watchdog import store_probe
from incident_engine.watchdog.findings import FOR_DUTY, ClockReading, Kind
from incident_engine.watchdog.store_probe import StoreProbe

BEGAN = at("10:35")
NOW = at("11:30")
LIMITS = Limits(timedelta(seconds=30), timedelta(minutes=15), timedelta(minutes=1), {}, timedelta(minutes=2))
SECOND = timedelta(seconds=1)
STEP = "a-step"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as found:
        found.report(BEGAN, started_json("down", BEGAN, incident=INCIDENT))
        with found.database.write() as connection:
            connection.execute(update(timers).values(due_at=NOW + SECOND))
            connection.execute(
                insert(steps).values(
                    id=STEP,
                    case_id=INCIDENT,
                    playbook="p",
                    step="s",
                    instance="",
                    due_at=BEGAN,
                    audience="reporter",
                    template="t",
                    fulfils="first-report",
                    state=StepState.STARTED,
                    deadline=NOW + timedelta(minutes=10),
                )
            )
        yield found


def plant(engine: House, **values: Any) -> None:
    """Put a delivery into the store."""
    row = {
        "id": f"msg_{len(rows(engine.database, deliveries))}",
        "step_id": STEP,
        "case_id": INCIDENT,
        "contact": "reporter",
        "channel": "desk",
        "locale": "en",
        "subject": "s",
        "body": "b",
        "priority": Priority.OTHER,
        "position": 0,
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "due_at": NOW,
        "created_at": BEGAN,
    }
    with engine.database.write() as connection:
        connection.execute(insert(deliveries).values(**{**row, **values}))


def read_health(engine: House, last_event: int | None = None, now: datetime = NOW) -> Health:
    with engine.database.read() as connection:
        return health(connection, now, LIMITS, last_event)


def kinds(found: Health) -> list[Kind]:
    return [fault.kind for fault in store_probe.find_late(found)]


def test_a_store_in_which_all_is_in_time_has_nothing_late(engine: House) -> None:
    plant(engine, due_at=NOW - 30 * SECOND)  # as late as the limit is not later than it
    plant(engine, state=DeliveryState.SENDING, attempts=1, due_at=NOW + SECOND)
    plant(engine, state=DeliveryState.DELIVERED, attempts=1, due_at=None)
    assert kinds(read_health(engine)) == []


def test_an_overdue_timer_is_named_with_its_incident(engine: House) -> None:
    with engine.database.write() as connection:
        connection.execute(update(timers).values(due_at=NOW - 31 * SECOND))
    (fault,) = store_probe.find_late(read_health(engine))
    assert (fault.kind, fault.since) == (Kind.TIMER_OVERDUE, NOW - 31 * SECOND)
    assert fault.detail.en == f"1 timer(s) are due and were not fired, the first of incident {INCIDENT}"


def test_messages_that_nobody_takes_are_counted_and_the_oldest_is_named(engine: House) -> None:
    plant(engine, due_at=NOW - 40 * SECOND)
    plant(engine, due_at=NOW - 50 * SECOND)
    (fault,) = store_probe.find_late(read_health(engine))
    assert (fault.kind, fault.since) == (Kind.DELIVERY_UNCLAIMED, NOW - 50 * SECOND)
    assert fault.detail.en == "2 message(s) are due and nobody takes them, the first is msg_1"


def test_a_message_whose_lease_has_run_out_hangs(engine: House) -> None:
    plant(engine, state=DeliveryState.SENDING, attempts=1, due_at=NOW - 31 * SECOND)
    assert kinds(read_health(engine)) == [Kind.DELIVERY_LEASE_LAPSED]


def test_what_waits_on_purpose_is_no_finding_but_is_counted(engine: House) -> None:
    plant(engine, due_at=NOW + 40 * SECOND)  # was due when it was made and has been put off
    plant(engine, due_at=NOW + 50 * SECOND, created_at=BEGAN + SECOND)
    plant(engine, due_at=NOW + 50 * SECOND, delay_seconds=180, position=1)  # a later channel: not due yet
    plant(engine, due_at=NOW + 50 * SECOND, attempts=2)  # failed, and is tried again
    found = read_health(engine)
    assert kinds(found) == []
    assert found.waiting is not None
    assert (found.waiting.count, found.waiting.since) == (2, BEGAN)
    plant(engine, due_at=NOW - 40 * SECOND)
    (fault,) = store_probe.find_late(read_health(engine))
    assert fault.detail.en.endswith(
        "; 2 more wait for a rate limit or an open circuit, the oldest since 2013-06-23T02:35:00+00:00"
    )


FAILED = {"priority": Priority.STATUTORY, "state": DeliveryState.FAILED, "attempts": 20, "due_at": None}
AGAIN = {"priority": Priority.STATUTORY, "attempts": 3, "due_at": NOW + SECOND}
FIRST_TRY = {"priority": Priority.STATUTORY, "state": DeliveryState.SENDING, "attempts": 1, "due_at": NOW + SECOND}
ARRIVED = {"priority": Priority.STATUTORY, "state": DeliveryState.DELIVERED, "attempts": 1, "due_at": None}


@pytest.mark.parametrize(
    ("planted", "step", "is_at_risk"),
    [
        ([FAILED], {}, True),
        ([AGAIN], {}, True),
        ([FIRST_TRY], {}, False),  # nothing has failed yet
        ([FIRST_TRY | {"attempts": 2}], {}, True),
        ([FAILED, ARRIVED], {}, False),  # somebody has heard of it
        ([FAILED | {"priority": Priority.OTHER}], {}, False),
        ([FAILED], {"deadline": NOW + timedelta(minutes=15)}, True),
        ([FAILED], {"deadline": NOW + timedelta(minutes=15) + SECOND}, False),
        ([FAILED], {"deadline": NOW - timedelta(hours=9)}, True),  # still owed
        ([FAILED], {"state": StepState.COMPLETED}, False),
        ([FAILED], {"state": StepState.WITHDRAWN}, False),
        ([FAILED], {"state": StepState.FAILED}, True),
        ([FAILED], {"state": StepState.FAILED, "deadline": NOW}, False),  # too late, and nobody waits for it
        ([FAILED], {"deadline": None}, False),
    ],
)
def test_a_statutory_notice_that_fails_while_its_deadline_is_near_is_at_risk(
    engine: House, planted: list[dict[str, Any]], step: dict[str, Any], is_at_risk: bool
) -> None:
    for each in planted:
        plant(engine, **each)
    with engine.database.write() as connection:
        connection.execute(update(steps).where(steps.c.id == STEP).values(**{"state": StepState.STARTED, **step}))
    assert kinds(read_health(engine)) == ([Kind.STATUTORY_AT_RISK] if is_at_risk else [])


def test_deadlines_are_found_by_an_index_however_many_steps_there_are(engine: House) -> None:
    query = store_health._at_risk(NOW, LIMITS.deadline)
    with engine.database.read() as connection:
        sql = str(query.compile(connection.engine, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
    assert any("ix_steps_deadline (state=? AND deadline<?)" in line for line in plan), plan
    assert not any(line.startswith("SCAN") for line in plan), plan


@pytest.mark.parametrize(("seconds", "is_ahead"), [(0, False), (60, False), (61, True)])
def test_a_new_event_from_ahead_of_the_clock_is_found_once(engine: House, seconds: int, is_ahead: bool) -> None:
    last = read_health(engine).last_event
    engine.report(NOW, started_json("next", NOW + seconds * SECOND, "CN-HN", incident=INCIDENT))
    found = read_health(engine, last)
    reading_now = ClockReading(NOW, 0)
    assert [fault.kind for fault in store_probe.find_events_ahead(found, 0, reading_now)] == (
        [Kind.EVENTS_AHEAD] if is_ahead else []
    )
    assert list(store_probe.find_events_ahead(read_health(engine, found.last_event), 0, reading_now)) == []


def test_events_that_were_refused_for_their_time_are_found_as_well(engine: House) -> None:
    (fault,) = store_probe.find_events_ahead(read_health(engine, 0), 3, ClockReading(NOW, 0))
    assert fault.detail.en == "0 new event(s) occurred ahead of this machine's clock; 3 too far ahead were refused"


@pytest.mark.parametrize(("database", "said"), [(6, "6 s ahead of ours"), (-6, "6 s behind ours"), (5, ""), (None, "")])
def test_a_databases_clock_that_differs_from_ours_is_found(engine: House, database: int | None, said: str) -> None:
    now = None if database is None else NOW + database * SECOND
    found = replace(read_health(engine), database_now=now)
    faults = list(store_probe.find_clock_skew(found, ClockReading(NOW, 0), timedelta(seconds=5)))
    assert [fault.detail.en for fault in faults] == ([f"the database's clock is {said}"] if said else [])


def test_a_database_that_has_a_clock_of_its_own_is_asked_for_it(engine: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_health(engine).database_now is None  # SQLite has ours
    monkeypatch.setitem(store_health._CLOCKS, "sqlite", text("SELECT '2013-06-23T11:29:00+08:00'"))
    assert read_health(engine).database_now == at("11:29")


# A store that fails or hangs


def reading(seconds: float) -> ClockReading:
    return ClockReading(NOW + seconds * SECOND, seconds)


def test_a_store_that_cannot_be_read_is_found() -> None:
    def fail(_: ClockReading) -> Health:
        raise OSError("disk I/O error")

    fault = StoreProbe(fail, 20 * SECOND, 5 * SECOND).probe(reading(0))
    assert not isinstance(fault, Health)
    assert fault is not None
    assert (fault.kind, fault.detail.en) == (
        Kind.STORE_UNREADABLE,
        "the store cannot be read: disk I/O error",
    )


def test_a_store_that_hangs_keeps_no_probe_waiting_and_is_found_after_the_limit(engine: House) -> None:
    go_on = threading.Event()

    def hang(_: ClockReading) -> Health:
        go_on.wait(30)
        return read_health(engine)

    watch = StoreProbe(hang, 20 * SECOND, timedelta(milliseconds=20))
    assert watch.probe(reading(0)) is None
    assert watch.probe(reading(20)) is None
    fault = watch.probe(reading(21))
    assert not isinstance(fault, Health)
    assert fault is not None
    assert (fault.kind, fault.since) == (Kind.STORE_UNREADABLE, NOW)
    go_on.set()
    watch = replace_patience(watch)
    assert isinstance(watch.probe(reading(30)), Health)


def replace_patience(watch: StoreProbe) -> StoreProbe:
    """Let the next probe wait for as long as it takes."""
    watch._patience = 30
    return watch


def test_an_incident_whose_update_fails_is_stuck_since_its_first_failure_until_one_succeeds(
    engine: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def failing(*_: object) -> None:
            raise ZeroDivisionError("a fault of the engine")

        patched.setattr(CaseUpdater, "update_case", failing)
        assert engine.fire(NOW + SECOND) == 1
        assert engine.fire(NOW + 61 * SECOND) == 1
        stuck = read_health(engine, now=NOW + 70 * SECOND).stuck
        assert stuck == Late(1, NOW + SECOND, INCIDENT, NOW + SECOND)
        observations = store_probe.find_late(read_health(engine, now=NOW + 70 * SECOND))
        (found,) = [each for each in observations if each.kind is Kind.INCIDENT_STUCK]
        assert (found.kind, found.renewed_at) == (Kind.INCIDENT_STUCK, NOW + SECOND)
        assert found.kind in FOR_DUTY
        assert INCIDENT in found.detail.en
    assert engine.fire(NOW + 121 * SECOND) == 1
    assert read_health(engine, now=NOW + 122 * SECOND).stuck is None
