"""Three replicas on one PostgreSQL: one is killed, one frozen and thawed, the database restarted. Nothing is lost."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, select
from support.bank import contacts, write_config, write_rules
from support.budget import thorough
from support.postgresql import new_database, start_server
from support.servers import LOOPBACK, Daemon, Posted, Receiver, client, daemon, http_receiver, wait_for

from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import Settings, load_settings
from incident_engine.delivery.dispatcher import AT_ONCE
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.incidents.fold import fold
from incident_engine.store.events import events_of
from incident_engine.store.read_only import read_only
from incident_engine.store.tables import attempts, cases, deliveries, events, steps, timers

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgYWNjZXB0YW5jZSB0ZXN0"
LEASE, LOST_AFTER = 3, 2
REGIONS = ("CN-GD", "CN-HN")
MESSAGES = 5
"""What one incident of level III has sent: two on duty, the reporter, the customers in two languages."""


class Monitors:
    """Push one outage after the other to whichever replica answers, and remember which were acknowledged."""

    def __init__(self, replicas: Sequence[Daemon]) -> None:
        self.acknowledged: list[str] = []
        self._replicas = replicas
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._push, daemon=True)

    def __enter__(self) -> "Monitors":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Push what was begun until it is acknowledged, and no more."""
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _push(self) -> None:
        number = 0
        while not self._over.wait(0.1):
            number += 1
            for turn, region in enumerate(REGIONS):  # the second half of each outage is told to another replica
                begun = datetime.now(UTC).isoformat()
                document = {"source": "test", "type": "outage.started", "service": "core-banking", "occurred_at": begun}
                name = f"{number}-{region}"
                about = {"id": name, "regions": [region], "incident": f"outage-{number}"}
                self._push_one(document | about, number + turn)
                self.acknowledged.append(name)

    def _push_one(self, document: dict[str, Any], turn: int) -> None:
        while True:
            with httpx2.Client(base_url=self._replicas[turn % 3].url, trust_env=False, timeout=2) as http:
                turn += 1
                try:
                    if http.post("/api/v1/events", json=document).status_code == 202:
                        return
                except httpx2.TransportError:
                    pass  # dead, frozen or waiting for the database: the next one is asked
            time.sleep(0.05)


@pytest.fixture
def desk() -> Iterator[Receiver]:
    def answer(_: Posted) -> int:
        time.sleep(0.1)  # so that something is always under way
        return 200

    with http_receiver(answer) as receiver:
        yield receiver


def recomputed(connection: Connection, settings: Settings, config: Path) -> dict[str, tuple[str | None, list[str]]]:
    """Return the levels and regions that follow from the stored events alone."""
    book = load_rulebook(settings, config)
    now = datetime.now(UTC)
    found = {}
    for name in connection.scalars(select(cases.c.id)):
        incident = fold(name, events_of(connection, name))
        level = assess(incident, book.packs[0], book.hours, now, (), book.calendars).level
        found[name] = level, list(incident.regions)
    return found


def is_doubled_only_in_flight(tries: Sequence[Any]) -> bool:
    """Return whether whoever tried again could not know that the attempt before had been delivered."""
    return not any(
        first.outcome == "delivered" and first.ended_at <= later.started_at
        for place, first in enumerate(tries)
        for later in tries[place + 1 :]
    )


def settled(url: str) -> bool:
    with read_only(url) as connection:
        states = set(connection.scalars(select(deliveries.c.state)))
        due = connection.scalars(select(timers.c.due_at).where(timers.c.due_at <= datetime.now(UTC))).all()
        levels = set(connection.scalars(select(cases.c.level)))
    return (states, due, levels) == ({"delivered"}, [], {"III"})


@thorough
def test_what_a_fleet_was_told_is_done_once_whatever_befalls_its_parts(tmp_path: Path, desk: Receiver) -> None:
    server = start_server()
    url = new_database(server)
    rules = write_rules(tmp_path, one_province_iii="1s", two_provinces_ii="30m")
    everybody = contacts({"": [{"channel": "desk"}]})
    configs = [
        write_config(
            tmp_path / f"replica-{number}",
            rules,
            store={"url": url, "lost_after": f"{LOST_AFTER}s"},
            retry={"lease": f"{LEASE}s", "first": "1s"},
            outgoing={"allow": [LOOPBACK]},
            channels={"desk": {"type": "webhook", "url": desk.url, "secret": {"value": SECRET}}},
            contacts=everybody,
        )
        for number in range(3)
    ]
    with ExitStack() as stack:
        killed, frozen, steady = [stack.enter_context(daemon(config, ready=False)) for config in configs]
        for replica in (killed, frozen, steady):
            replica.wait_until_up(replica.url, "/readyz")
        monitors = stack.enter_context(Monitors((killed, frozen, steady)))
        wait_for("messages go out", lambda: len(desk.got) > 2 * MESSAGES)
        killed.kill()
        frozen.send(signal.SIGSTOP)
        time.sleep(LEASE + 1)
        server.stop()
        with client(steady.url) as http:
            wait_for("it says that it is not ready", lambda: http.get("/readyz").status_code == 503)
            assert http.get("/healthz").status_code == 200
            assert "incident_engine_events_total" in http.get("/metrics").text
            assert http.get("/api/v1/incidents").status_code == 503
        server.start()
        steady.wait_until_up(steady.url, "/readyz")
        frozen.send(signal.SIGCONT)
        frozen.wait_until_up(frozen.url, "/readyz")
        time.sleep(1)
        monitors.stop()
        # A replica that was thawed may find that nobody answered it, and rest its channel for half a minute.
        wait_for("everything is done", lambda: settled(url), 60)
        killed.start()
        killed.wait_until_up(killed.url, "/readyz")
        assert "Traceback" not in "".join(replica.logged for replica in (killed, frozen, steady))
    settings = load_settings(configs[0], {})
    with read_only(url) as connection:
        stored = Counter(connection.scalars(select(events.c.event_id).where(events.c.source == "test")))
        assert stored == Counter(monitors.acknowledged)  # none is lost, none is there twice
        kept = {row.id: (row.level, row.regions) for row in connection.execute(select(cases))}
        assert kept == recomputed(connection, settings, configs[0])
        sent = connection.execute(select(deliveries)).all()
        tries = connection.execute(select(attempts).order_by(attempts.c.delivery_id, attempts.c.number)).all()
        begun = Counter(connection.scalars(select(steps.c.state)))
    assert len(kept) * len(REGIONS) == len(monitors.acknowledged)
    assert set(Counter((row.step_id, row.contact) for row in sent).values()) == {1}
    # Where the second half was told late, those on duty hear of it as news.
    assert len([row for row in sent if ":duty-update:" not in row.step_id]) == MESSAGES * len(kept)
    assert begun["failed"] == 0
    received = Counter(posted.headers["webhook-id"] for posted in desk.got)
    assert set(received) == {row.id for row in sent}
    made = {row.id: row.attempts for row in sent}
    assert all(times <= made[name] for name, times in received.items())
    for name in made:
        assert is_doubled_only_in_flight([row for row in tries if row.delivery_id == name]), name
    doubled = sum(times - 1 for times in received.values())
    assert doubled <= 3 * AT_ONCE  # what three replicas can have had under way
    server.cleanup()
