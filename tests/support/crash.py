"""A bank whose daemon is killed repeatedly under load, and the checks after every kill."""

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from incident_engine.common.clock import SystemClock
from incident_engine.common.failpoints import VARIABLE, Point
from support.crash_checks import StoredState, read_state, wrong_after_a_kill, wrong_in_the_end
from support.fake_receiver import FakeReceiver, fake_receiver
from support.fast_bank import SETTLED_SECONDS, write_bank
from support.load_senders import Sender
from support.process import DaemonProcess, Starter, kill, wait_ready
from support.servers import PATIENCE, free_port

_SENDERS = 2
_REACHED_WITHIN_SECONDS = 4.0
"""Seconds after which a kill at a named point that was not reached is given up."""


class Where(StrEnum):
    """The work that a kill interrupts."""

    STARTING = "starting"
    BOTH = "requests and messages under way"
    REQUESTS = "requests under way"
    MESSAGES = "messages under way"
    QUIET = "nothing under way"


@dataclass(frozen=True, slots=True)
class Kill:
    """The end of one process: seconds after its start, seconds after it was ready, or at a named failpoint."""

    seconds: float
    is_starting: bool = False
    point: Point | None = None
    time: int = 1


class ViolationError(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Tally:
    """Counts over the kills of a world."""

    kills: int = 0
    where: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    refused: int = 0
    deliveries: int = 0
    repeats: int = 0
    """Messages that were sent twice because the process ended before they were on record."""
    restarts: list[float] = field(default_factory=list)
    """Seconds from the start of a process to ready."""

    def add(self, other: "Tally") -> None:
        """Add the counts of another world."""
        for name in ("kills", "acknowledged", "refused", "deliveries", "repeats"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("where", "points", "missed"):
            getattr(self, name).update(getattr(other, name))
        self.restarts += other.restarts


def schedule(seed: int, kills: int, startup_seconds: float) -> list[Kill]:
    """Return random kills: one in five during the start-up, the others within the second after it."""
    chance = random.Random(f"{seed}/kills")
    return [
        Kill(chance.uniform(0, startup_seconds), is_starting=True)
        if chance.random() < 0.2
        else Kill(min(1.0, chance.expovariate(3.0)))
        for _ in range(kills)
    ]


class World:
    """A bank with its daemon, the monitors that report to it and the receiver of its messages."""

    def __init__(self, folder: Path, seed: int, starter: Starter, desk: FakeReceiver) -> None:
        self.tally = Tally()
        self._folder = folder
        self._port = free_port()
        self._starter = starter
        self._desk = desk
        self._config = write_bank(folder, desk.address(0))
        self._database = folder / "engine.db"
        self._senders = [Sender(f"monitor-{number}", seed, self._port, 0.02) for number in range(_SENDERS)]
        self._life = 0
        self._before = StoredState(Counter(), frozenset(), frozenset(), {}, 0)
        self._seen = 0
        self._living: DaemonProcess | None = None

    def start_senders(self) -> None:
        """Let the monitors report; they are refused until the daemon runs."""
        for sender in self._senders:
            sender.start()

    def run_and_kill(self, end: Kill) -> None:
        """Run the daemon until the kill, and check the database that is left. Raises ViolationError."""
        begun = time.monotonic()
        life = self._start(end)
        is_ready = not end.is_starting and wait_ready(life, self._port)
        if is_ready:
            self.tally.restarts.append(time.monotonic() - begun)
        if end.point is not None:
            died = life.wait(_REACHED_WITHIN_SECONDS) is not None
            (self.tally.points if died else self.tally.missed)[end.point] += 1
        else:
            time.sleep(end.seconds)
        waiting = any(sender.is_waiting for sender in self._senders)
        code = kill(life)
        if code != -9:
            raise ViolationError(f"the daemon ended by itself with {code}:\n{self.logged()[-3000:]}")
        self._check(is_ready, waiting, by_point=end.point is not None)

    def settle(self) -> None:
        """Run the daemon until no work is left, stop it, and check everything. Raises ViolationError."""
        life = self._start(Kill(0))
        if not wait_ready(life, self._port):
            raise ViolationError(f"the daemon does not start:\n{self.logged()[-3000:]}")
        for sender in self._senders:
            sender.finish()
        time.sleep(SETTLED_SECONDS)
        now = self._quiet_at()
        kill(life)
        self._check(True, False, by_point=True)
        arrivals = list(self._desk.arrivals)
        self._raise(wrong_in_the_end(self._config, self._database, self._folder / "look", arrivals, now))
        self.tally.acknowledged = sum(len(sender.acknowledged) for sender in self._senders)
        self.tally.refused = sum(len(sender.refused) for sender in self._senders)
        taken = Counter(arrival.id for arrival in arrivals if arrival.taken)
        self.tally.deliveries = len(taken)
        self.tally.repeats = sum(times - 1 for times in taken.values())

    def logged(self) -> str:
        """Return the log of all processes of the daemon."""
        return (self._folder / "daemon.log").read_text(encoding="utf-8", errors="replace")

    def _start(self, end: Kill) -> DaemonProcess:
        self._life += 1
        changes = {
            "INCIDENT_ENGINE__SERVER__PORT": str(self._port),
            "INCIDENT_ENGINE__CHANNELS__DESK__URL": self._desk.address(self._life),
            VARIABLE: f"{end.point}:{end.time}:kill" if end.point else "",
        }
        arguments = ["serve", "--config", str(self._config), "--lang", "en"]
        self._living = self._starter.start(arguments, changes, self._folder / "daemon.log")
        return self._living

    def close(self) -> None:
        """End the monitors and the daemon."""
        for sender in self._senders:
            sender.give_up()
        if self._living is not None:
            kill(self._living)

    def _check(self, is_ready: bool, waiting: bool, *, by_point: bool) -> None:
        while self._desk.under_way:
            time.sleep(0.005)  # what was sent before the kill is still arriving
        arrivals, self._seen = self._desk.arrivals[self._seen :], len(self._desk.arrivals)
        found = read_state(self._database, self._folder / "look") if self._database.exists() else self._before
        if not by_point:
            self.tally.kills += 1
            self.tally.where[_where(is_ready, waiting, bool(found.sending))] += 1
        self._raise(wrong_after_a_kill(found, self._before, self._senders, arrivals))
        self._before = found

    def _quiet_at(self) -> datetime:
        """Return an instant at which nothing is due. Raises ViolationError if there is none in time."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            now = SystemClock().now()
            microseconds = int((now - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
            with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
                [[due]] = connection.execute("SELECT count(*) FROM timers WHERE due_at <= ?", [microseconds]).fetchall()
                [[open_]] = connection.execute("SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL").fetchall()
            if not due and not open_:
                return now
            time.sleep(0.1)
        raise ViolationError(f"after {PATIENCE:g} s {due} timers are overdue and {open_} deliveries open")

    def _raise(self, wrong: Iterator[str]) -> None:
        told = list(wrong)
        if told:
            raise ViolationError(f"after life {self._life}: " + "; ".join(told[:10]))


def _where(is_ready: bool, waiting: bool, sending: bool) -> Where:
    if not is_ready:
        return Where.STARTING
    if waiting and sending:
        return Where.BOTH
    return Where.REQUESTS if waiting else Where.MESSAGES if sending else Where.QUIET


@contextmanager
def world(folder: Path, seed: int, starter: Starter) -> Iterator[World]:
    """Open a world; its processes end with it."""
    with ExitStack() as open_things:
        told = open_things.enter_context(fake_receiver(seed))
        folder.mkdir(parents=True, exist_ok=True)
        found = World(folder, seed, starter, told)
        open_things.callback(found.close)
        yield found


def play(folder: Path, seed: int, starter: Starter, kills: Sequence[Kill]) -> Tally:
    """Run the kills in a world of their own, then let it settle. Raises ViolationError."""
    with world(folder, seed, starter) as found:
        found.start_senders()
        for end in kills:
            found.run_and_kill(end)
        found.settle()
        return found.tally
