"""The clock as machines have it: set back and forward, leaping with summer time, and standing still for a process."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from support.builders import event_json
from support.fake_receiver import fake_receiver
from support.fast_bank import write_bank
from support.fixtures import MICROSECOND, House, bank, house
from support.servers import client, daemon, wait_for

from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import load_settings
from incident_engine.store.tables import assessments, cases, deliveries, timers

KEY = "outage-1"
HALF_AN_HOUR = timedelta(minutes=30)
SPRING = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 02:00 in Berlin becomes 03:00
AUTUMN = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)  # 03:00 in Berlin becomes 02:00


def down(at: datetime, service: str = "core-banking") -> dict[str, Any]:
    return event_json("down", "outage.started", at, service=service, regions=["CN-GD"], incident=KEY)


def level(engine: House) -> str | None:
    [row] = engine.rows(cases)
    found: str | None = row["level"]
    return found


BERLIN = {"BANK__TIMEZONE": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("leap", "said"),
    [(SPRING, "2026-03-29T03:10:00+02:00"), (AUTUMN, "2026-10-25T02:10:00+01:00")],
    ids=["spring", "autumn"],
)
def test_an_outage_over_a_leap_of_summer_time_is_graded_by_the_time_that_passed(
    tmp_path: Path, leap: datetime, said: str
) -> None:
    begun = leap - timedelta(minutes=20)
    reached = begun + HALF_AN_HOUR  # one province for half an hour (Art. 9(3)2), ten minutes after the leap
    with house(tmp_path, bank(tmp_path, **BERLIN)) as engine:
        engine.report(begun, down(begun))
        assert [row["due_at"] for row in engine.rows(timers)] == [reached]
        assert engine.fire(reached - MICROSECOND) == 0
        assert level(engine) is None
    with house(tmp_path, bank(tmp_path, **BERLIN)) as engine:  # started anew between the leap and the level
        assert engine.fire(reached) == 1
        assert level(engine) == "III"
        # The first report is due 60 minutes after the occurrence (Art. 35(5)), however often the clock shows two.
        document = engine.rows(assessments)[-1]["document"]
        assert [rise["at"] for rise in document["trajectory"]] == [said]
        [due] = [each["due_at"] for each in document["obligations"] if each["id"] == "first-report"]
        assert datetime.fromisoformat(due) == begun + timedelta(hours=1)


@pytest.mark.parametrize(
    ("leap", "reached"),
    [
        # Open from 01:30 to 04:00, which in spring is an hour and a half: 00:30 to 02:00 in UTC.
        (SPRING, datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        # In autumn it is three hours and a half: 01:30 in summer time is 23:30 in UTC of the day before.
        (AUTUMN, datetime(2026, 10, 25, 0, 0, tzinfo=UTC)),
    ],
    ids=["spring", "autumn"],
)
def test_service_hours_over_a_leap_of_summer_time_have_the_length_that_they_had(
    tmp_path: Path, leap: datetime, reached: datetime
) -> None:
    night = '{"night": {"timezone": "Europe/Berlin", "open": {"mon-sun": ["01:30-04:00"]}}}'
    services = '[{"id": "batch", "name": {"zh-CN": "批量", "en": "Batch"}, "hours": "night"}]'
    begun = leap - timedelta(hours=3)  # before they open
    with house(tmp_path, bank(tmp_path, HOURS=night, SERVICES=services)) as engine:
        engine.report(begun, down(begun, "batch"))
        assert engine.fire(reached - MICROSECOND) == 0
        assert engine.fire(reached) == 1
        assert level(engine) == "III"


def test_a_clock_that_was_set_back_while_the_daemon_was_stopped_leaves_nothing_waiting_for_hours(
    tmp_path: Path,
) -> None:
    """The event and its messages are of what is now the future; so is the instant of the next attempt."""
    with fake_receiver(1, refused=0) as told:
        config = write_bank(tmp_path, told.address(1))
        settings = load_settings(config, {})
        ahead = datetime.now(UTC) + timedelta(hours=5)
        with house(tmp_path, settings, load_rulebook(settings, config)) as engine:
            engine.report(ahead, down(ahead - timedelta(seconds=2)))
            again = ahead + timedelta(seconds=10)
            engine.work(lambda unit: unit.connection.execute(update(deliveries).values(attempts=1, due_at=again)))
            waiting = {row["id"] for row in engine.rows(deliveries)}
        assert waiting
        with daemon(config):
            wait_for("they are sent", lambda: {each.id for each in told.arrivals} >= waiting)


def test_a_process_that_stands_still_does_what_fell_due_as_soon_as_it_goes_on(tmp_path: Path) -> None:
    with (
        fake_receiver(1, refused=0) as told,
        daemon(write_bank(tmp_path, told.address(1))) as ours,
        client(ours.url) as http,
    ):
        begun = datetime.now(UTC)
        assert http.post("/api/v1/events", json=down(begun)).status_code == 202
        ours.send(signal.SIGSTOP)
        try:
            # III after one second, I after four, the report overdue after three: nothing of it while it stands still.
            wait_for("five seconds have passed", lambda: datetime.now(UTC) > begun + timedelta(seconds=5))
            before = len(told.arrivals)
        finally:
            ours.send(signal.SIGCONT)
        wait_for("level I is told", lambda: [each for each in told.arrivals if ":notice:I" in each.step])
        wait_for("that the report is overdue is told", lambda: [a for a in told.arrivals if ":overdue:" in a.step])
        found = http.get(f"/api/v1/incidents/{KEY}").json()
        assert http.get("/readyz").status_code == 200
    assert before == 0
    course = {
        rise["level"]: datetime.fromisoformat(rise["at"]) - begun for rise in found["assessments"][0]["trajectory"]
    }
    assert course == {"III": timedelta(seconds=1), "I": timedelta(seconds=4)}
    assert len({each.id for each in told.arrivals}) == len(told.arrivals)  # nothing was sent twice
