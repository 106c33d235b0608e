"""Checks of a database after its daemon was killed, and after all work is done."""

import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import load_settings
from incident_engine.domain.response.incident_view import PlanSettings
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.playbook import Playbook
from incident_engine.domain.response.step import StepState
from incident_engine.store import steps
from incident_engine.store.tables import cases, deliveries
from support.fake_receiver import Arrival
from support.fixtures import House, house
from support.load_senders import Key, Sender
from support.reproduction import reproduced


@dataclass(frozen=True, slots=True)
class StoredState:
    """Events and deliveries in a database file."""

    events: Counter[Key]
    delivered: frozenset[str]
    sending: frozenset[str]
    attempts: dict[str, int]
    pending: int
    """Number of deliveries that are not yet begun."""


@contextmanager
def copied(database: Path, folder: Path) -> Iterator[Path]:
    """Copy a closed database as it was left: opening the original would recover it in place of its daemon."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for suffix in ("", "-wal"):
        if Path(f"{database}{suffix}").exists():
            shutil.copy(f"{database}{suffix}", folder / f"engine.db{suffix}")
    yield folder / "engine.db"
    shutil.rmtree(folder)


def read_state(database: Path, folder: Path) -> StoredState:
    """Return the state of a database. One whose first migration was not committed is empty."""
    with copied(database, folder) as copy, closing(sqlite3.connect(copy)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchall():
            return StoredState(Counter(), frozenset(), frozenset(), {}, 0)
        stored = Counter(connection.execute("SELECT source, event_id FROM events").fetchall())
        rows = connection.execute("SELECT id, state, attempts FROM deliveries").fetchall()
    by_state: defaultdict[str, set[str]] = defaultdict(set)
    for name, state, _ in rows:
        by_state[state].add(name)
    return StoredState(
        stored,
        frozenset(by_state["delivered"]),
        frozenset(by_state["sending"]),
        {name: attempts for name, _, attempts in rows},
        len(by_state["pending"]),
    )


def wrong_after_a_kill(
    found: StoredState, before: StoredState, senders: Sequence[Sender], arrivals: Sequence[Arrival]
) -> Iterator[str]:
    """Yield each broken invariant after a kill; `before` is the state after the kill before.

    `arrivals` are the messages of the process that was killed.
    """
    acknowledged = {key for sender in senders for key in list(sender.acknowledged)}
    lost = acknowledged - found.events.keys()
    if lost:
        yield f"{len(lost)} acknowledged events are lost: {sorted(lost)[:5]}"
    stored_though_refused = [key for sender in senders for key in sender.refused if key in found.events]
    if stored_though_refused:
        yield f"refused and yet stored: {stored_though_refused[:5]}"
    yield from (f"event {key} is stored {times} times" for key, times in found.events.items() if times > 1)
    for arrival in arrivals:
        if arrival.id in before.delivered:
            yield f"{arrival.id} was on record as delivered, and was sent again in life {arrival.life}"
        if not found.attempts.get(arrival.id):
            yield f"{arrival.id} was sent before its claim was on disk"
    yield from _twice_in_a_life(arrivals)


def _twice_in_a_life(arrivals: Sequence[Arrival]) -> Iterator[str]:
    taken: set[str] = set()
    for arrival in arrivals:
        if arrival.id in taken:
            yield f"{arrival.id} was sent again in life {arrival.life} although it had been taken there"
        if arrival.taken:
            taken.add(arrival.id)


def wrong_in_the_end(
    config: Path, database: Path, folder: Path, arrivals: Sequence[Arrival], now: datetime
) -> Iterator[str]:
    """Yield each difference of levels, steps and messages from those computed from the events."""
    yield from _wrong_messages(arrivals)
    with copied(database, folder) as copy:
        settings = load_settings(config, {"INCIDENT_ENGINE__STORE__URL": f"sqlite:///{copy}"})
        rulebook = load_rulebook(settings, config)
        with house(folder, settings, rulebook) as engine:
            yield from _wrong_levels(engine, now)
            yield from _wrong_steps(engine, rulebook.playbooks, arrivals, now)
            yield from _wrong_verdicts(engine)


def _wrong_messages(arrivals: Sequence[Arrival]) -> Iterator[str]:
    """Yield messages that have several keys, and keys that have several messages."""
    texts: defaultdict[str, set[str]] = defaultdict(set)
    keys: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for arrival in arrivals:
        texts[arrival.id].add(arrival.text)
        keys[arrival.step, arrival.contact].add(arrival.id)
    yield from (f"{name} came with different texts" for name, said in texts.items() if len(said) > 1)
    yield from (f"{step} came to {to} under several keys: {ids}" for (step, to), ids in keys.items() if len(ids) > 1)


def _wrong_verdicts(engine: House) -> Iterator[str]:
    try:
        reproduced(engine)
    except AssertionError as error:
        yield f"a stored verdict cannot be worked out again: {error}"


def _wrong_levels(engine: House, now: datetime) -> Iterator[str]:
    with engine.database.read() as connection:
        for row in connection.execute(select(cases.c.id, cases.c.level)):
            case = engine.reader.case(connection, row.id, now)
            level = case.assessments[0].level if case else None
            if row.level != level:
                yield f"incident {row.id} is stored with level {row.level}; its events say {level}"


def _wrong_steps(
    engine: House, playbooks: Sequence[Playbook], arrivals: Sequence[Arrival], now: datetime
) -> Iterator[str]:
    taken = {arrival.id for arrival in arrivals if arrival.taken}
    settings = engine.settings
    basis = PlanSettings(settings.bank.zone, None, settings.closing.observation, settings.intake.confirm_after)
    with engine.database.read() as connection:
        rows = connection.execute(
            select(deliveries.c.id, deliveries.c.step_id, deliveries.c.contact, deliveries.c.state)
        )
        sent: defaultdict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        for row in rows:
            sent[row.step_id][row.contact] = row.id, row.state
        for name in list(connection.scalars(select(cases.c.id))):
            case = engine.reader.case(connection, name, now)
            assert case is not None
            stored = steps.steps_of(connection, name)
            begun = steps.started_steps(stored)
            for step in plan(case.incident, case.assessments, playbooks, now, basis, begun):
                if step.due_at > now:
                    continue
                state = stored[step.id].state if step.id in stored else None
                if state in (None, StepState.PENDING, StepState.AWAITING, StepState.WITHDRAWN, StepState.FAILED):
                    yield f"step {step.id} was due at {step.due_at.isoformat()} and is {state or 'not stored'}"
                    continue
                for contact in engine.settings.people.members(step.audience, now):
                    key, how = sent[step.id].get(contact.id, ("", "not stored"))
                    if how != "delivered" or key not in taken:
                        yield f"step {step.id}: the message to {contact.id} is {how}, arrived: {key in taken}"
