"""Replicas keep incidents in memory; each must see what another wrote, or it would grade what is not so any more."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.builders import at, restored_json, started_json
from support.fixtures import bank, rulebook_of
from support.postgresql import new_database, shared_server

from incident_engine.common.telemetry import Metrics
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.factory import open_reader
from incident_engine.engine.service import Engine
from incident_engine.intake.native import parse_events
from incident_engine.store.database import Database
from incident_engine.store.events import events_of
from incident_engine.store.tables import cases
from incident_engine.store.writer import Writer

KEY = {"incident": "outage"}


@dataclass(slots=True)
class Replica:
    """The engine as the daemon wires it, without a clock of its own."""

    settings: Settings
    database: Database
    engine: Engine
    writer: Writer

    def report(self, now: str, *documents: dict[str, Any]) -> None:
        """Report events at an instant."""
        events = parse_events(list(documents), self.settings.service_names)
        self.writer.submit(lambda unit: self.engine.report(unit, events, at(now))).result(30)


Replicas = list[Replica]


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    settings = bank(tmp_path, STORE__URL=new_database(shared_server()))
    with ExitStack() as stack:
        found = []
        for _ in range(3):
            database = Database(settings.store.url)
            stack.callback(database.close)
            rulebook = rulebook_of(settings)
            engine = Engine(settings, rulebook, open_reader(settings, rulebook), Metrics())
            seen = engine.cache
            writer = Writer(database, 100, lambda: None, seen.begin, [seen.end])
            writer.start()
            stack.callback(writer.stop, 10)
            found.append(Replica(settings, database, engine, writer))
        yield found


def stored(replica: Replica) -> dict[str, Any]:
    with replica.database.read() as connection:
        return dict(connection.execute(select(cases)).mappings().one())


def recomputed(replica: Replica, book: Rulebook, now: str) -> tuple[str | None, list[str]]:
    with replica.database.read() as connection:
        incident = fold("outage", events_of(connection, "outage"))
    verdict = assess(incident, book.packs[0], book.hours, at(now), (), book.calendars)
    return verdict.level, list(incident.regions)


def test_a_replica_sees_what_another_wrote(replicas: Replicas) -> None:
    one, two, _ = replicas
    one.report("10:35", started_json("1", at("10:35"), "CN-GD", **KEY))
    two.report("10:40", started_json("2", at("10:40"), "CN-HN", **KEY))
    one.report("10:41", started_json("3", at("10:41"), "CN-BJ", **KEY))
    assert stored(one)["regions"] == ["CN-BJ", "CN-GD", "CN-HN"]


def test_a_replica_opens_no_second_incident_beside_one_that_another_opened(replicas: Replicas) -> None:
    one, two, three = replicas
    one.report("01:00", started_json("0", at("01:00"), "CN-GD"))
    for number, replica in enumerate(replicas):  # each knows by now which incidents are open
        replica.report("01:10", restored_json(f"0-{number}", at("01:10"), "CN-GD"))
    one.report("10:35", started_json("1", at("10:35"), "CN-GD"))
    two.report("10:36", started_json("2", at("10:36"), "CN-HN"))
    three.report("10:50", restored_json("3", at("10:50"), "CN-GD"))
    with one.database.read() as connection:
        regions = connection.scalars(select(cases.c.regions).order_by(cases.c.first_at)).all()
    assert regions == [["CN-GD"], ["CN-GD", "CN-HN"]]


@pytest.mark.parametrize("seed", range(4))
def test_whoever_takes_which_event_the_incident_is_what_all_events_say(replicas: Replicas, seed: int) -> None:
    world = random.Random(seed)
    book = rulebook_of(replicas[0].settings)
    minute = 0
    kinds: list[Callable[..., dict[str, Any]]] = [started_json, restored_json]
    for number in range(25):
        minute += world.randrange(1, 9)
        now = f"{10 + minute // 60:02}:{minute % 60:02}"
        region = world.choice(["CN-GD", "CN-HN", "CN-BJ"])
        kind = started_json if number == 0 else world.choice(kinds)
        replica = world.choice(replicas)
        replica.report(now, kind(str(number), at(now), region, **KEY))
        row = stored(replica)
        assert (row["level"], row["regions"]) == recomputed(replica, book, now), number
