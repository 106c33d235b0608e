"""Playing a script: time goes from one thing to the next, and after each every invariant is checked."""

import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import structlog
from sqlalchemy import select, text

from incident_engine.common.errors import ConflictError, InvalidDocumentError
from incident_engine.engine.receipts import Receipt
from incident_engine.store import steps
from incident_engine.store.tables import cases, metadata
from simulation import people
from simulation.bank import bank_of, new_database
from simulation.channels import Net, Sending
from simulation.clock import HOUR, SECOND, Agenda, WorldClock
from simulation.invariants import Invariants, ViolationError
from simulation.machine import Crashed, FragileDatabase, Machine, store_failure
from simulation.scratch import down_as_defined, nothing_overslept, unchanged_by_another_look, worked_out_anew
from simulation.script import Act, Script

_EXPECTED_WARNINGS = frozenset(
    {
        "delivery_given_up",
        "delivery_not_recorded",
        "claim_failed",
        "commit_failed",
        "circuit_open",
        "circuit_half_open",
    }
)
NO_WARNING = "the engine warns of nothing but channels that fail and a store that fails (decision_log.py)"
NOT_QUIET = "when everything works again, everything that is due goes out (decision 15)"
RESTLESS = "the work of one instant comes to an end (nothing polls)"
_RESTLESS = 200
_QUIET = 2 * HOUR + 90 * SECOND
"""After the end everything works for so long; not until a full minute, at which updates fall due."""


@dataclass(slots=True)
class Result:
    """What came of a world."""

    script: Script
    trace: list[str] = field(default_factory=list)
    violation: ViolationError | None = None
    incident_days: float = 0.0
    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    digest: str = ""


def play(script: Script, *, share: float = 0.1) -> Result:
    """Play a script; look at a share of what changes from scratch, and at everything at the end."""
    result = Result(script)
    shared_memory = Path("/dev/shm")
    place = shared_memory if shared_memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=place) as folder, _warnings() as warned:
        world = _World(script, Path(folder), result, warned, share)
        try:
            world.run()
        except ViolationError as violation:
            result.violation = violation
            result.trace.append(f"{world.stamp()} VIOLATION {violation}")
        finally:
            world.close()
    result.digest = sha256("\n".join(result.trace).encode()).hexdigest()
    return result


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what is logged as a warning; the rest is dropped."""
    found: list[str] = []

    def note(_: object, __: str, entry: Any) -> Any:
        if entry["event"] not in _EXPECTED_WARNINGS:
            found.append(repr(entry))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[note], wrapper_class=structlog.make_filtering_bound_logger(30))
    try:
        yield found
    finally:
        structlog.configure(**before)


class _World:
    def __init__(self, script: Script, folder: Path, result: Result, warned: list[str], share: float) -> None:
        self._script = script
        self._result = result
        self._warned = warned
        self._share = share
        self._bank = bank_of(script.bank)
        self._rng = Random(f"{script.seed}/order")
        self._looks = Random(f"{script.seed}/looks")
        self._clock = WorldClock(script.start)
        self._agenda = Agenda(self._clock)
        self._net = Net(script.seed, self._clock, self._agenda)
        file = new_database(folder)
        self._database = FragileDatabase(f"sqlite:///{file}")
        self._machine = Machine(self._bank, self._database, self._clock, self._agenda, self._net)
        self._outside = sqlite3.connect(file, isolation_level=None)
        self._invariants = Invariants(self._bank, self._clock, self._outside)
        self._net.on_sending = self._sending
        self._net.on_arrival = self._arrived
        self._incidents: dict[str, str] = {}
        self._alerts: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._read: set[str] = set()
        self._highest = self._clock.now()

    def stamp(self) -> str:
        """Return when it is: true days, hours, minutes and seconds of this world."""
        return str(timedelta(microseconds=self._clock.true))

    def close(self) -> None:
        """Let go of everything."""
        if self._machine.up:
            self._machine.crash()
        self._database.close()
        self._outside.close()

    def run(self) -> None:
        """Play it to its end and until all is quiet."""
        for story in self._script.stories:
            for act in story.acts:
                self._agenda.put(act.at, partial(self._do, act))
        self._boot()
        self._go_on_until(self._script.lasts)
        self._note("end: everything works again")
        self._net.clear()
        self._database.repair()
        self._script_over = True
        self._go_on_until(self._script.lasts + _QUIET)
        self._all_is_quiet()
        self._measure()

    def _go_on_until(self, end: int) -> None:
        steps_here = 0
        while True:
            instants = [at for at in (self._agenda.next_at, self._machine.wakes_at) if at is not None]
            at = min(instants, default=end + 1)
            if at > end:
                break
            if at > self._clock.true:
                self._before(at)
                self._clock.true = at
                steps_here = 0
            steps_here += 1
            if steps_here > _RESTLESS:
                raise ViolationError(RESTLESS, f"{steps_here} steps at {self._clock.now().isoformat()}")
            self._step()
        self._clock.true = end

    def _step(self) -> None:
        """Do what happens now, all of it, and then the work that follows."""
        try:
            while (at := self._agenda.next_at) is not None and at <= self._clock.true:
                self._agenda.pop()()
            wakes_at = self._machine.wakes_at
            if wakes_at is not None and wakes_at <= self._clock.true:
                self._machine.ring()
            self._machine.settle(self._rng)
        except Crashed:
            self._crash(self._down)
        self._highest = max(self._highest, self._clock.now())
        self._check()

    _down = 10 * SECOND
    _hidden: BaseException | None = None
    _script_over = False

    def _check(self) -> None:
        self._result.steps += 1
        if self._hidden is not None:
            raise self._hidden
        self._invariants.check()
        if self._warned:
            raise ViolationError(NO_WARNING, self._warned[0])
        if not self._machine.up:
            return
        now = self._clock.now()
        for incident in self._invariants.touched:
            if self._looks.random() < self._share:
                self._look(incident, now)

    def _look(self, incident: str, now: datetime) -> None:
        self._result.counts["looks"] += 1
        with self._database.read() as connection:
            worked_out_anew(self._bank, connection, incident, now)
        unchanged_by_another_look(self._machine, incident, now)

    def _before(self, at: int) -> None:
        """Check that nothing is left to do before the next thing happens; wake an incident just before it."""
        if self._machine.up:
            self._invariants.nothing_overdue(self._clock.shown_at(at - 1))
        now = self._clock.shown_at(at - 1)
        if not self._machine.up or self._looks.random() >= self._share / 2 or now < self._highest:
            return
        names = self._names()
        if names:
            self._result.counts["early looks"] += 1
            nothing_overslept(self._machine, self._looks.choice(names), now)

    def _names(self) -> list[str]:
        return [name for (name,) in self._outside.execute("SELECT id FROM cases ORDER BY id")]

    # What happens

    def _do(self, act: Act) -> None:
        kind, data = act.kind, act.data
        if kind == "event":
            self._post(dict(data["document"]), data["story"])
        elif kind == "alert":
            self._alerts[data["story"]].append(data["alert"])
            if len(self._alerts[data["story"]]) == 1:
                self._notify(data["story"])
        elif kind == "person":
            self._says(data["story"], data["says"], data["dice"])
        elif kind in ("crash", "crash_within", "crash_after", "restart"):
            self._trouble(kind, data["down"], data["after"])
        elif kind == "store_fails":
            self._note("the store is going to fail")
            self._database.break_after(data["after"], store_failure)
        elif kind == "clock":
            self._clock.offset += data["by"]
            self._note(f"the clock is set by {data['by'] / SECOND} s to {self._clock.now().isoformat()}")
        else:
            self._weather(kind, data)

    def _weather(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind == "weather":
            self._note(f"{data['channel']}: {data['fate']} for {data['share']:.0%}")
            self._net.set_weather(data["channel"], data["fate"], data["share"])
        elif kind == "fair":
            self._note(f"{data['channel']} works again")
            self._net.clear(data["channel"])

    def _trouble(self, kind: str, down: int, after: int) -> None:
        if not self._machine.up or self._script_over:
            return
        self._down = down
        if kind == "crash":
            self._crash(down)
        elif kind == "restart":
            self._note("restart")
            self._machine.stop(self._rng)
            self._agenda.after(down, self._boot)
        elif kind == "crash_within":
            self._database.break_after(after, Crashed)
        else:
            self._database.crash_after_commit()

    def _crash(self, down: int) -> None:
        self._note("CRASH")
        self._result.counts["crashes"] += 1
        self._machine.crash()
        self._agenda.after(down, self._boot)

    def _boot(self) -> None:
        self._note("start")
        self._machine.start()

    def _says(self, story: str, says: str, dice: float) -> None:
        incident = self._incidents.get(story)
        if incident is not None:
            kind, data = people.unasked(says, dice, self._clock.now(), self._bank.settings)
            self._person(kind, data, incident, f"{story}/{says}/{dice}")

    def _person(self, kind: str, data: Mapping[str, Any], incident: str, name: str) -> None:
        document = {"source": "people", "id": sha256(name.encode()).hexdigest()[:24], "type": kind, "data": data}
        self._post(document | {"incident": incident, "occurred_at": self._clock.now().isoformat()}, None)

    def _post(self, document: dict[str, Any], story: str | None, attempt: int = 1) -> None:
        def hear(answer: list[Receipt] | Exception) -> None:  # later: whatever calls us swallows errors
            self._agenda.after(0, partial(self._answered, document, story, attempt, answer))

        self._machine.report(document, hear)

    def _notify(self, story: str, attempt: int = 1) -> None:
        """Send the first of the alerts that wait, again and again until it is answered; then the next."""
        alert = self._alerts[story][0]
        said = f"{alert['status']} {alert['fingerprint']} {alert['endsAt']}"

        def heard(answer: list[Receipt] | Exception) -> None:
            if isinstance(answer, Exception):
                self._note(f"unanswered: {said}: {answer}")
                self._agenda.after(min(2**attempt, 60) * SECOND, partial(self._notify, story, attempt + 1))
                return
            self._result.counts["alerts"] += 1
            self._note(f"{'+'.join(row.outcome.value for row in answer)}: {said} of {answer[-1].incident}")
            self._invariants.notified(alert)
            if answer[-1].incident is not None:
                self._incidents[story] = answer[-1].incident
            self._alerts[story].pop(0)
            if self._alerts[story]:
                self._notify(story)

        self._machine.notify(alert, lambda answer: self._agenda.after(0, partial(heard, answer)))

    def _answered(
        self, document: dict[str, Any], story: str | None, attempt: int, answer: list[Receipt] | Exception
    ) -> None:
        said = f"{document['type']} {document['source']}/{document['id']}"
        if not isinstance(answer, Exception) or isinstance(answer, ConflictError):
            outcome = "conflict" if isinstance(answer, ConflictError) else answer[0].outcome.value
            self._invariants.told(document, outcome)
        if isinstance(answer, ConflictError):
            self._note(f"conflict: {said}: {answer.problems[0].message}")
            self._result.counts["conflict"] += 1
        elif isinstance(answer, InvalidDocumentError):
            self._note(f"refused: {said}: {answer.problems[0].message}")
            self._result.counts["refused"] += 1
        elif isinstance(answer, Exception):
            self._note(f"unanswered: {said}: {answer}")
            self._result.counts["unanswered"] += 1
            delay = int(2 ** min(attempt, 8) * Random(f"{self._script.seed}/{said}/{attempt}").uniform(1, 3) * SECOND)
            self._agenda.after(delay, partial(self._post, document, story, attempt + 1))
        else:
            receipt = answer[0]
            self._result.counts[receipt.outcome.value] += 1
            self._invariants.acknowledged.add((receipt.source, receipt.id))
            self._note(f"{receipt.outcome.value}: {said} of {receipt.incident} {_told(document)}")
            if story is not None and receipt.incident is not None:
                self._incidents[story] = receipt.incident

    def _sending(self, sending: Sending) -> None:
        try:
            self._invariants.sending(sending)
        except BaseException as error:
            self._hidden = self._hidden or error  # the dispatcher takes it for a failure of the channel
            raise

    def _arrived(self, sending: Sending) -> None:
        self._result.counts["arrived"] += 1
        names = ", ".join(f"{each.step_id} ({each.id[-6:]})" for each in sending.batch)
        digest = sha256(f"{sending.message.subject}\0{sending.message.body}".encode()).hexdigest()[:8]
        self._note(f"arrives over {sending.message.channel} attempt {sending.message.attempt} {digest}: {names}")
        for delivery in sending.batch:
            if delivery.id not in self._read:
                self._read.add(delivery.id)
                self._react(delivery)

    def _react(self, delivery: Any) -> None:
        with self._database.read() as connection:
            step = steps.stored_step(connection, delivery.step_id)
            base = steps.stored_step(connection, step.step.base) if step else None
        if step is None or base is None:
            raise ViolationError("what is sent has a step", delivery.step_id)
        rng = Random(f"{self._script.seed}/{delivery.id}")
        for after, kind, data in people.answers(rng, self._script.diligence, delivery, step, base):
            name = f"{kind}/{delivery.id}"
            self._agenda.after(after, partial(self._person, kind, data, delivery.case_id, name))

    # The end

    def _all_is_quiet(self) -> None:
        now = self._clock.now()
        with self._database.read() as connection:
            late = connection.execute(
                text("SELECT id, state FROM deliveries WHERE due_at <= :at OR state = 'sending' ORDER BY id"),
                {"at": (now - timedelta(minutes=12) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)},
            ).all()
        if late:
            raise ViolationError(NOT_QUIET, f"{[tuple(row) for row in late]}")
        for incident in self._names():
            with self._database.read() as connection:
                worked_out_anew(self._bank, connection, incident, now)
                down_as_defined(connection, incident)
        with self._database.read() as connection:
            self._invariants.alerts_counted(connection)

    def _measure(self) -> None:
        now = self._clock.now()
        with self._database.read() as connection:
            for row in connection.execute(select(cases)):
                self._result.counts["incidents"] += 1
                lasted = (row.closed_at or now) - row.opened_at
                self._result.incident_days += max(lasted / timedelta(days=1), 0.0)
            self._result.trace.append(_stored(connection, list(metadata.sorted_tables)))

    def _note(self, said: str) -> None:
        self._result.trace.append(f"{self.stamp()} {said}")


def _told(document: Mapping[str, Any]) -> str:
    parts = [document["occurred_at"], *document.get("regions", ()), *map(str, document.get("data", {}).values())]
    return " ".join(parts)


def _stored(connection: Any, tables: Sequence[Any]) -> str:
    """Return a mark of everything that is stored."""
    digest = sha256()
    for table in tables:
        rows = connection.execute(text(f"SELECT * FROM {table.name}")).all()
        digest.update("\n".join(sorted(map(repr, rows))).encode())
    return f"stored {digest.hexdigest()}"


Player = Callable[[Script], Result]
