"""What must hold in every world after every step, each with what it rests on."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from incident_engine.domain.calendar.service_hours import union
from incident_engine.domain.events.model import EVENT, wire
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.domain.response.step import StepState
from incident_engine.domain.values import NEVER
from incident_engine.store.claims import ClaimedDelivery
from incident_engine.store.events import events_of
from simulation.bank import Bank, changed
from simulation.channels import Sending
from simulation.clock import WorldClock


class ViolationError(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, found: str) -> None:
        super().__init__(f"{invariant}: {found}")
        self.invariant = invariant
        self.found = found

    def __reduce__(self) -> tuple[type["ViolationError"], tuple[str, str]]:
        """Let another process have it: an error is put together again by its arguments."""
        return type(self), (self.invariant, self.found)


EVENTS_KEPT = "an acknowledged event is stored, once, for good (decision 2)"
KNOWN_KEY = "a known key repeats the stored event or is refused, whatever the engine remembers (decision 9)"
ALERTS_COUNT = "an alert is down from its start to its latest end, however often it fires again (decision 26)"
LEVEL_FALLS = "the level falls by a person's correction only (Art. 10, decisions 7 and 12)"
LEVEL_LOST = "no level that was reached is lost from the trajectory (Art. 10, decision 7)"
TIMER_OVERDUE = "what is due has been done when all work is done (decisions 1 and 6)"
BEGUN_TWICE = "a step begins once in each of its lives (decision 17)"
STEP_REVIVED = "what ended comes back only as a new life (decision 17, Time for an answer)"
DELIVERED_TWICE = "what is known to be delivered is not sent again (decision 15)"
SENT_UNCLAIMED = "nothing is sent without a claim, nor twice at one time (decision 15)"
SENT_UNAPPROVED = "words that need an approval go out once it is given, as approved (decision 18, Art. 41)"
CHANGED_AFTERWARDS = "what was delivered is not worded anew (decision 18: its id stands for one message)"
DEADLINE_MOVED = "an obligation moves only by new facts, and goes on only forwards by itself (Art. 35)"
CALLED_AFTER_CLOSING = "nobody is called to what was known to be over when the step began (Art. 42)"
OBLIGATION_FORGOTTEN = "what is due by law has a step that asks for it, and is marked when it is overdue (Art. 35)"
_ENDED = {StepState.COMPLETED, StepState.SKIPPED, StepState.FAILED}


@dataclass(slots=True)
class Invariants:
    """Watches a database from outside, by what its triggers wrote down, and the net beyond the channels."""

    bank: Bank
    clock: WorldClock
    connection: sqlite3.Connection
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    touched: dict[str, None] = field(default_factory=dict)
    """The incidents that the latest step brought up to date."""
    _stored: set[tuple[str, str]] = field(default_factory=set)
    _last_event: int = 0
    _last_verdict: int = 0
    _last_change: int = 0
    _verdicts: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _corrected: dict[str, int] = field(default_factory=dict)
    _under_way: dict[str, int] = field(default_factory=dict)
    _ended_deliveries: dict[str, str] = field(default_factory=dict)
    _alerts: dict[tuple[str, str, str], tuple[str, str | None]] = field(default_factory=dict)
    """The start and the latest end of each alert, by service, region and fingerprint."""
    changes: int = 0

    def check(self) -> None:
        """Check what the latest step did."""
        self.touched = {}
        self._events()
        self._verdicts_rise()
        self._changes()

    def sending(self, sending: Sending) -> None:
        """Check, as an attempt begins, that it is ours to make."""
        for each in sending.batch:
            row = self._row("SELECT state, attempts FROM deliveries WHERE id = ?", each.id)
            if row is None or row[0] != DeliveryState.SENDING or row[1] != each.attempt:
                raise ViolationError(SENT_UNCLAIMED, f"{each.id} is sent as attempt {each.attempt}, stored: {row}")
            if self._ended_deliveries.get(each.id) == DeliveryState.DELIVERED:
                raise ViolationError(DELIVERED_TWICE, f"{each.id} of {each.step_id}")
            self._approved(each)

    def _approved(self, delivery: ClaimedDelivery) -> None:
        step_id = delivery.step_id
        row = self._row("SELECT approval, approved_at, case_id FROM steps WHERE id = ?", step_id)
        assert row is not None
        if row[0] is None:
            return
        said = self.connection.execute(
            "SELECT document FROM events WHERE case_id = ? AND type = 'step.approved' ORDER BY occurred_at",
            (row[2],),
        ).fetchall()
        deeds = [json.loads(text)["data"] for (text,) in said]
        about = [deed for deed in deeds if deed["step"] == step_id or deed["step"].startswith(f"{step_id}~")]
        if row[1] is None or not about:
            raise ViolationError(SENT_UNAPPROVED, f"{delivery.id} of {step_id}")
        own = about[0].get("wording", {}).get(delivery.locale)
        if own is not None and (delivery.subject, delivery.body) != (own["subject"], own["body"]):
            raise ViolationError(SENT_UNAPPROVED, f"{delivery.id} of {step_id} says: {delivery.body[:80]}")

    def told(self, document: Mapping[str, Any], outcome: str) -> None:
        """Check, when an event is answered, that it is what is stored under its key, or was refused."""
        key = document["source"], document["id"]
        row = self._row("SELECT document FROM events WHERE source = ? AND event_id = ?", *key)
        if row is None:
            if outcome == "conflict":
                raise ViolationError(KNOWN_KEY, f"{key} was refused, and nothing is stored")
            return  # it was lost; EVENTS_KEPT says so
        if "type" not in (stored := json.loads(row[0])):
            return  # archived
        sent = wire(EVENT.validate_python(dict(document)))
        same = all(stored[name] == sent[name] for name in ("type", "service", "occurred_at"))
        same = same and sorted(stored["regions"]) == sorted(sent["regions"])
        if same is (outcome == "conflict"):
            raise ViolationError(KNOWN_KEY, f"{key} was answered with {outcome}: {sent}, stored {stored}")

    def notified(self, alert: Mapping[str, Any]) -> None:
        """Remember that Alertmanager's alert was taken."""
        key = alert["labels"]["service"], alert["labels"]["region"], alert["fingerprint"]
        start, before = self._alerts.get(key, (alert["startsAt"], None))
        end = alert["endsAt"] if alert["status"] == "resolved" else None
        if end is None or before is None or end >= before:
            self._alerts[key] = start, end

    def alerts_counted(self, connection: Connection) -> None:
        """Check at the end that each alert's time is down, and no other time."""
        expected: dict[tuple[str, str], list[tuple[datetime, datetime]]] = {}
        for (service, region, _), (start, end) in self._alerts.items():
            until = NEVER if end is None else datetime.fromisoformat(end)
            expected.setdefault((service, region), []).append((datetime.fromisoformat(start), until))
        names = [name for (name,) in self.connection.execute("SELECT id FROM cases")]
        outages = [outage for name in names for outage in fold(name, events_of(connection, name)).outages]
        for line, times in expected.items():
            intervals = [(i.start, i.end) for o in outages if (o.service, o.region) == line for i in o.intervals]
            found = list(union(iter([interval]) for interval in intervals))
            if found != list(union(iter([interval]) for interval in times)):
                raise ViolationError(ALERTS_COUNT, f"{line}: {found}, told {times}")

    def _events(self) -> None:
        rows = self.connection.execute(
            "SELECT seq, source, event_id FROM events WHERE seq > ? ORDER BY seq", (self._last_event,)
        ).fetchall()
        for seq, source, name in rows:
            self._last_event = seq
            if (source, name) in self._stored:
                raise ViolationError(EVENTS_KEPT, f"{source}/{name} is stored twice")
            self._stored.add((source, name))
        lost = self.acknowledged - self._stored
        if lost:
            raise ViolationError(EVENTS_KEPT, f"lost: {sorted(lost)}")
        self.acknowledged.clear()

    def _verdicts_rise(self) -> None:
        rows = self.connection.execute(
            "SELECT seq, case_id, pack, events_until, document FROM assessments WHERE seq > ? ORDER BY seq",
            (self._last_verdict,),
        ).fetchall()
        for seq, incident, pack, known, text in rows:
            self._last_verdict = seq
            verdict = json.loads(text) | {"events_until": known}
            before = self._verdicts.get((incident, pack))
            self._verdicts[incident, pack] = verdict
            if before is not None:
                where = f"{incident} by {pack} at {verdict['at']}"
                self._level_stays(where, before, verdict)
                if not self._new_events(incident, before["events_until"], known):
                    _deadlines_stay(where, before, verdict)

    def _new_events(self, incident: str, since: int, until: int) -> bool:
        query = "SELECT 1 FROM events WHERE seq > ? AND seq <= ? AND (case_id = ? OR case_id IS NULL) LIMIT 1"
        return self.connection.execute(query, (since, until, incident)).fetchone() is not None

    def _level_stays(self, where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        corrected = [step for step in after["trajectory"] if "corrected_by" in step]
        if after["severity"] < before["severity"] and not corrected:
            raise ViolationError(LEVEL_FALLS, f"{where}: {before['level']} → {after['level']}")
        if corrected:
            return
        kept = {(step["level"]) for step in after["trajectory"]}
        reached = max((step["at"] for step in after["trajectory"]), default="")
        lost = [step for step in before["trajectory"] if step["level"] not in kept and step["at"] > reached]
        if lost:
            raise ViolationError(LEVEL_LOST, f"{where}: {lost}")

    def _changes(self) -> None:
        rows = self.connection.execute(
            "SELECT seq, kind, id, incident_id, step_id, before, after FROM watched WHERE seq > ? ORDER BY seq",
            (self._last_change,),
        ).fetchall()
        self.changes += len(rows)
        for seq, kind, name, incident, step, before, after in rows:
            self._last_change = seq
            if kind == "cases" and before is not None:
                self.touched.setdefault(incident)
            elif kind == "steps":
                self._step_changed(name, incident, changed(before), changed(after))
            elif kind == "deliveries":
                self._delivery_changed(name, step, changed(before), changed(after))

    def _step_changed(self, name: str, incident: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        if not before:
            return
        same_life = before["generation"] == after["generation"]
        if same_life and before["started_at"] is not None and after["started_at"] != before["started_at"]:
            raise ViolationError(BEGUN_TWICE, f"{name}: {before} → {after}")
        if same_life and before["state"] in _ENDED and after["state"] not in {before["state"]} | _MORE[before["state"]]:
            raise ViolationError(STEP_REVIVED, f"{name}: {before} → {after}")
        if after["state"] in (StepState.STARTED, StepState.AWAITING) and before["state"] == StepState.PENDING:
            self._called(name, incident)

    def _called(self, name: str, incident: str) -> None:
        """Check a step that begins in an incident of which the closing is known."""
        row = self._row(
            "SELECT i.closed_at, s.awaits, s.started_at, s.due_at, s.level FROM cases i, steps s "
            "WHERE i.id = ? AND s.id = ?",
            incident,
            name,
        )
        if row is None or row[0] is None:
            return
        closed_at, awaits, started_at, due_at, _ = row
        if awaits == "acknowledgement" and started_at is not None and due_at <= closed_at < started_at:
            raise ViolationError(CALLED_AFTER_CLOSING, f"{name}, due {_at(due_at)}, closed {_at(closed_at)}")

    def _delivery_changed(self, name: str, step: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        state = after.get("state", "")
        if before.get("state") == DeliveryState.DELIVERED and after != before:
            raise ViolationError(CHANGED_AFTERWARDS, f"{name} of {step}: {before} → {after}")
        if before.get("attempts", 0) > 0 and after.get("body") != before.get("body"):
            raise ViolationError(CHANGED_AFTERWARDS, f"{name} of {step}")
        self._ended_deliveries[name] = state

    def nothing_overdue(self, now: datetime) -> None:
        """Check that no alarm was missed."""
        late = (now - _RETRIED - _EPOCH) // timedelta(microseconds=1)
        row = self._row("SELECT case_id, due_at FROM timers WHERE due_at <= ? LIMIT 1", late)
        if row is not None:
            raise ViolationError(TIMER_OVERDUE, f"timer of {row[0]}, due {_at(row[1])}, now {now.isoformat()}")

    def _row(self, query: str, *given: object) -> Any:
        return self.connection.execute(query, given).fetchone()


_MORE: Mapping[str, set[StepState]] = {
    StepState.FAILED: {StepState.COMPLETED, StepState.SKIPPED},
    StepState.COMPLETED: set(),
    StepState.SKIPPED: set(),
}
_RETRIED = timedelta(seconds=5)
"""After a failure of the store what is due is tried again within this time."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _at(microseconds: int) -> str:
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()


_ORDER = ["not_applicable", "pending", "overdue", "met"]


def _deadlines_stay(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Check what passes by itself: without a new fact no deadline moves and no obligation goes back."""
    if datetime.fromisoformat(after["at"]) < datetime.fromisoformat(before["at"]):
        return  # the clock was set back
    now = {(each["id"], each["instance"]): each for each in after["obligations"]}
    for each in before["obligations"]:
        found = now.get((each["id"], each["instance"]))
        if found is None or each["state"] == "not_applicable":
            continue
        if found["due_at"] != each["due_at"] or _ORDER.index(found["state"]) < _ORDER.index(each["state"]):
            said = f"{each['id']} {each['state']} {each['due_at']} → {found['state']} {found['due_at']}"
            raise ViolationError(DEADLINE_MOVED, f"{where}: {said}")
