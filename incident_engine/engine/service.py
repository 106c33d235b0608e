"""The use cases: report, fire, look. Load, decide with the pure rooms, write the difference in one transaction.

What writes runs in the writer's transaction and is given `now`; nothing here reads a clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from incident_engine.common import failpoints as faults
from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.signed_links import Links
from incident_engine.common.telemetry import EventOutcome, Metrics
from incident_engine.config.rulebook import Rulebook
from incident_engine.config.settings import Settings
from incident_engine.domain.events.actions import IncidentClosed
from incident_engine.domain.events.model import Event, MaintenanceAnnounced, OutageEvent, Recorded, wire
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.fold import occurrence
from incident_engine.domain.reports.definition import wrong_writing
from incident_engine.engine.cache_sync import CatchingUp
from incident_engine.engine.decision_log import Reason, note, warn
from incident_engine.engine.event_checks import NAMING, Known, resolved
from incident_engine.engine.incident_cache import Ledger
from incident_engine.engine.reader import Reader
from incident_engine.engine.router import Router, not_to_be_closed
from incident_engine.engine.update import Upkeep
from incident_engine.store.events import Key
from incident_engine.store.quarantine import is_anything_in_quarantine, put_in_quarantine, release_from_quarantine
from incident_engine.store.timers import due_timers, set_timer
from incident_engine.store.unit_of_work import Unit, in_savepoint

_TIMERS_AT_ONCE = 200
_TRY_AGAIN = timedelta(minutes=1)
_WRITING = "writing"
_ALIKE = "alike"
_Alike = tuple[str, EventOutcome, EventType, str | None]
"""Source, outcome, type and incident: events of which all are the same are counted and said together."""


class Receipt(NamedTuple):
    """What became of one event, and the incident that it belongs to (None: maintenance, which is of none)."""

    source: str
    id: str
    outcome: EventOutcome
    incident: str | None
    touched: tuple[str, ...] = ()
    """The incidents on which it bears."""


class Engine:
    """Takes events, and does what is due. An incident's timer is the only reason it is ever looked at again."""

    def __init__(
        self,
        settings: Settings,
        rulebook: Rulebook,
        reader: Reader,
        metrics: Metrics,
        links: Links | None = None,
        *,
        drill: bool = False,
    ) -> None:
        self._metrics = metrics
        self._reader = reader
        self._ledger = Ledger()
        self._upkeep = Upkeep(settings, rulebook, links or Links(), reader, self._ledger, drill=drill)
        steps = [step for playbook in rulebook.playbooks for step in playbook.steps]
        self._known = Known(
            people=settings.people.names,
            steps=[step.id for step in steps if step.on.obligation is None and not step.on.task_added],
            wrong_writing=lambda event: wrong_writing(event, rulebook.reports.definitions),
        )
        self._observation = settings.closing.observation
        self._router = Router(settings, {pack.content_hash: pack for pack in rulebook.packs}, self._ledger)
        self.catching_up = CatchingUp(self._ledger, self._router.spans)

    def report(
        self, unit: Unit, events: Sequence[Event | None], now: datetime, problems: Sequence[Problem] = ()
    ) -> list[Receipt]:
        """Take events: append what is new, and bring their incidents up to date.

        `problems` are those found before; what they made useless is None among the events. Raises InvalidDocumentError
        if there are any, or if an event names what does not exist; then nothing is stored.
        """
        found = list(problems)
        receipts: dict[int, Receipt] = {}
        given = [(place, event) for place, event in enumerate(events) if event is not None]
        known = self._ledger.known(unit.connection, [(event.source, event.id) for _, event in given])
        # In order of occurrence, so that one request means the same as one request for each event.
        for place, event in sorted(given, key=lambda item: occurrence(item[1])):
            taken = self._take(unit, event, now, known)
            if isinstance(taken, Receipt):
                receipts[place] = taken
                known[event.source, event.id] = taken.incident
            else:
                found += [replace(problem, path=(place, *problem.path)) for problem in taken]
        if found:
            raise InvalidDocumentError(sorted(found, key=_first_place))
        unit.at_end.setdefault(_WRITING, self._write)
        answers = [receipts[place] for place, _ in given]
        self._follow(unit, [event for _, event in given], answers, now)
        self._account(unit, [event for _, event in given], answers)
        return answers

    def report_each(self, unit: Unit, events: Sequence[Event], now: datetime) -> list[Receipt]:
        """Take events one by one, each with all that follows from it; what makes the engine fail waits in quarantine.

        For events of which `report` could not take all, and no problem is known with any.
        """
        receipts: dict[int, Receipt] = {}
        for place, event in sorted(enumerate(events), key=lambda item: occurrence(item[1])):
            taken, failure = in_savepoint(unit, partial(self._report_one, event=event, now=now))
            if isinstance(failure, InvalidDocumentError):
                moved = [replace(problem, path=(place, *problem.path[1:])) for problem in failure.problems]
                raise InvalidDocumentError(moved)
            if taken is None:
                assert failure is not None  # noqa: S101 - a work ends in either
                taken = self._isolate(unit, event, failure, now)
            receipts[place] = taken
        return [receipts[place] for place in range(len(events))]

    def fire(self, unit: Unit, now: datetime) -> int:
        """Bring every incident up to date whose timer is due. Return how many."""
        due = due_timers(unit.connection, now, _TIMERS_AT_ONCE)
        for incident_id, due_at in due:
            self._fire_one(unit, incident_id, now)
            lateness = (now - due_at).total_seconds()
            unit.after_commit.append(partial(self._metrics.lateness.observe, lateness))
        return len(due)

    def is_changing(self, incident_id: str) -> bool:
        """Return whether the writer's transaction has events of an incident that are not written yet."""
        return self._ledger.is_changing(incident_id)

    def _report_one(self, unit: Unit, event: Event, now: datetime) -> Receipt:
        return self.report(unit, [event], now)[0]

    def _isolate(self, unit: Unit, event: Event, failure: Exception, now: datetime) -> Receipt:
        warn(Reason.EVENT_ISOLATED, failure, source=event.source, id=event.id, type=event.type.value)
        put_in_quarantine(
            unit.connection, event.source, event.id, Reason.EVENT_ISOLATED.value, repr(failure), wire(event), now
        )
        receipt = Receipt(event.source, event.id, EventOutcome.QUARANTINED, None)
        unit.after_commit.append(lambda: self._metrics.count_events(receipt.source, receipt.outcome))
        return receipt

    def _follow(self, unit: Unit, events: Sequence[Event], answers: Sequence[Receipt], now: datetime) -> None:
        """See to it that every incident that changed is brought up to date: at once, or once for the transaction.

        What people say is followed at once, so that what others say next is checked against what it led to.
        """
        is_from_monitors = all(isinstance(event, OutageEvent) for event in events)
        touched = dict.fromkeys(name for receipt in answers for name in receipt.touched)
        if not touched:
            unit.quiet += 1
        for incident_id in touched:
            unit.at_end[incident_id] = partial(self._bring_up_to_date, incident_id=incident_id, now=now)
            if not is_from_monitors:
                unit.settle(incident_id)

    def _write(self, unit: Unit) -> None:
        """Write the events; what waited in quarantine and was taken now need not wait any more."""
        self._ledger.flush(unit.connection)
        faults.reach(faults.Point.AFTER_APPEND)
        taken: Mapping[_Alike, Sequence[str]] = unit.shared.get(_ALIKE, {})
        if is_anything_in_quarantine(unit.connection):
            for (source, *_), ids in taken.items():
                release_from_quarantine(unit.connection, source, ids)

    def _bring_up_to_date(self, unit: Unit, incident_id: str, now: datetime) -> None:
        self._router.spans.amend(unit, incident_id, self._upkeep.bring_up_to_date(unit, incident_id, now))

    def _take(
        self, unit: Unit, event: Event, now: datetime, known: Mapping[Key, str | None]
    ) -> Receipt | list[Problem]:
        key = event.source, event.id
        if key in known:
            return Receipt(event.source, event.id, EventOutcome.DUPLICATE, known[key])
        if isinstance(event, MaintenanceAnnounced):
            self._ledger.append(unit, Recorded(event, now), None)
            touched = self._router.maintained(unit.connection, event)
            return Receipt(event.source, event.id, EventOutcome.ACCEPTED, None, tuple(touched))
        incident_id = self._router.route(unit, event, now)
        if isinstance(incident_id, Problem):
            return [incident_id]
        checked = event if isinstance(event, OutageEvent) else self._checked(unit, event, incident_id)
        if isinstance(checked, list):
            return checked
        has_changed = self._ledger.append(unit, Recorded(checked, now), incident_id)
        if isinstance(event, OutageEvent) and has_changed:
            self._router.widen(unit, incident_id, event)
        changed = (incident_id,) if has_changed else ()
        return Receipt(event.source, event.id, EventOutcome.ACCEPTED, incident_id, changed)

    def _checked(self, unit: Unit, event: Event, incident_id: str) -> Event | list[Problem]:
        """Return what a person says as it is to be stored, or what is wrong with it as things stand now."""
        self._ledger.flush(unit.connection)
        unit.settle(incident_id)
        if isinstance(event, NAMING):
            packs = self._reader.packs_of(unit.connection, incident_id)
            checked = resolved(unit.connection, event, incident_id, packs, self._known)
            if isinstance(checked, list):
                return checked
            event = checked
        if isinstance(event, IncidentClosed):
            problem = not_to_be_closed(unit.connection, incident_id, event.occurred_at, self._observation)
            if problem is not None:
                return [problem]
        return event

    def _fire_one(self, unit: Unit, incident_id: str, now: datetime) -> None:
        """Update one incident; its failure must not keep the others from what is due, and it is tried again."""
        _, failure = in_savepoint(unit, partial(self._bring_up_to_date, incident_id=incident_id, now=now))
        if failure is not None:
            set_timer(unit.connection, incident_id, now + _TRY_AGAIN)
            warn(Reason.UPDATE_FAILED, failure, incident=incident_id)

    def _account(self, unit: Unit, events: Sequence[Event], receipts: Sequence[Receipt]) -> None:
        """Count what was taken, and say it once it is on disk: what is alike of one transaction in one line."""
        if _ALIKE not in unit.shared:
            unit.shared[_ALIKE] = {}
            unit.after_commit.append(partial(self._say, unit.shared[_ALIKE]))
        alike: dict[_Alike, list[str]] = unit.shared[_ALIKE]
        for event, receipt in zip(events, receipts, strict=True):
            alike.setdefault((receipt.source, receipt.outcome, event.type, receipt.incident), []).append(receipt.id)

    def _say(self, alike: Mapping[_Alike, Sequence[str]]) -> None:
        for (source, outcome, kind, incident), ids in alike.items():
            self._metrics.count_events(source, outcome, len(ids))
            reason = Reason.EVENT_DUPLICATE if outcome is EventOutcome.DUPLICATE else Reason.EVENT_ACCEPTED
            more = {"count": len(ids), "last": ids[-1]} if len(ids) > 1 else {}
            note(reason, source=source, id=ids[0], type=kind.value, incident=incident, **more)


def _first_place(problem: Problem) -> int:
    return problem.path[0] if problem.path and isinstance(problem.path[0], int) else -1
