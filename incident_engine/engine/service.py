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
from incident_engine.domain.incidents.fold import occurrence
from incident_engine.domain.reports.definition import report_entry_problems
from incident_engine.engine.cache_sync import CacheSync
from incident_engine.engine.decision_log import Reason, log, warn
from incident_engine.engine.event_checks import NAMING, Names, checked
from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.engine.reader import Reader
from incident_engine.engine.router import Router, not_to_be_closed
from incident_engine.engine.update import CaseUpdater
from incident_engine.store.events import Key
from incident_engine.store.quarantine import is_anything_in_quarantine, put_in_quarantine, release_from_quarantine
from incident_engine.store.timers import due_timers, set_timer
from incident_engine.store.unit_of_work import ReceiptGroup, UnitOfWork, in_savepoint

_TIMERS_AT_ONCE = 200
_TRY_AGAIN = timedelta(minutes=1)


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
        self._cache = IncidentCache()
        self._updater = CaseUpdater(settings, rulebook, links or Links(), reader, self._cache, drill=drill)
        steps = [step for playbook in rulebook.playbooks for step in playbook.steps]
        self._names = Names(
            people=settings.people.names,
            steps=[step.id for step in steps if step.on.obligation is None and not step.on.task_added],
            wrong_writing=lambda event: report_entry_problems(event, rulebook.reports.definitions),
        )
        self._observation = settings.closing.observation
        self._router = Router(settings, {pack.content_hash: pack for pack in rulebook.packs}, self._cache)
        self.cache_sync = CacheSync(self._cache, self._router.open_incidents)

    def report(
        self, unit: UnitOfWork, events: Sequence[Event | None], now: datetime, problems: Sequence[Problem] = ()
    ) -> list[Receipt]:
        """Take events: append what is new, and bring their incidents up to date.

        `problems` are those found before; what they made useless is None among the events. Raises InvalidDocumentError
        if there are any, or if an event names what does not exist; then nothing is stored.
        """
        found = list(problems)
        receipts: dict[int, Receipt] = {}
        given = [(place, event) for place, event in enumerate(events) if event is not None]
        known = self._cache.known(unit.connection, [(event.source, event.id) for _, event in given])
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
        unit.flush = self._write
        answers = [receipts[place] for place, _ in given]
        self._follow(unit, [event for _, event in given], answers, now)
        self._account(unit, [event for _, event in given], answers)
        return answers

    def report_each(self, unit: UnitOfWork, events: Sequence[Event], now: datetime) -> list[Receipt]:
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

    def fire(self, unit: UnitOfWork, now: datetime) -> int:
        """Bring every incident up to date whose timer is due. Return how many."""
        due = due_timers(unit.connection, now, _TIMERS_AT_ONCE)
        for case_id, due_at in due:
            self._fire_one(unit, case_id, now)
            lateness = (now - due_at).total_seconds()
            unit.after_commit.append(partial(self._metrics.lateness.observe, lateness))
        return len(due)

    def is_changing(self, case_id: str) -> bool:
        """Return whether the writer's transaction has events of an incident that are not written yet."""
        return self._cache.is_changing(case_id)

    def _report_one(self, unit: UnitOfWork, event: Event, now: datetime) -> Receipt:
        return self.report(unit, [event], now)[0]

    def _isolate(self, unit: UnitOfWork, event: Event, failure: Exception, now: datetime) -> Receipt:
        warn(Reason.EVENT_ISOLATED, failure, source=event.source, id=event.id, type=event.type.value)
        put_in_quarantine(
            unit.connection, event.source, event.id, Reason.EVENT_ISOLATED.value, repr(failure), wire(event), now
        )
        receipt = Receipt(event.source, event.id, EventOutcome.QUARANTINED, None)
        unit.after_commit.append(lambda: self._metrics.count_events(receipt.source, receipt.outcome))
        return receipt

    def _follow(self, unit: UnitOfWork, events: Sequence[Event], answers: Sequence[Receipt], now: datetime) -> None:
        """See to it that every incident that changed is brought up to date: at once, or once for the transaction.

        What people say is followed at once, so that what others say next is checked against what it led to.
        """
        is_from_monitors = all(isinstance(event, OutageEvent) for event in events)
        touched = dict.fromkeys(name for receipt in answers for name in receipt.touched)
        if not touched:
            unit.unchanged += 1
        for case_id in touched:
            unit.updates[case_id] = partial(self._update_case, case_id=case_id, now=now)
            if not is_from_monitors:
                unit.run_update(case_id)

    def _write(self, unit: UnitOfWork) -> None:
        """Write the events; what waited in quarantine and was taken now need not wait any more."""
        self._cache.flush(unit.connection)
        faults.reach(faults.Point.AFTER_APPEND)
        if is_anything_in_quarantine(unit.connection):
            for group, ids in unit.receipts.items():
                release_from_quarantine(unit.connection, group.source, ids)

    def _update_case(self, unit: UnitOfWork, case_id: str, now: datetime) -> None:
        self._router.open_incidents.update(unit, case_id, self._updater.update_case(unit, case_id, now))

    def _take(
        self, unit: UnitOfWork, event: Event, now: datetime, known: Mapping[Key, str | None]
    ) -> Receipt | list[Problem]:
        key = event.source, event.id
        if key in known:
            return Receipt(event.source, event.id, EventOutcome.DUPLICATE, known[key])
        if isinstance(event, MaintenanceAnnounced):
            self._cache.append(unit, Recorded(event, now), None)
            touched = self._router.affected_by_maintenance(unit.connection, event)
            return Receipt(event.source, event.id, EventOutcome.ACCEPTED, None, tuple(touched))
        case_id = self._router.route(unit, event, now)
        if isinstance(case_id, Problem):
            return [case_id]
        checked = event if isinstance(event, OutageEvent) else self._checked(unit, event, case_id)
        if isinstance(checked, list):
            return checked
        has_changed = self._cache.append(unit, Recorded(checked, now), case_id)
        if isinstance(event, OutageEvent) and has_changed:
            self._router.widen(unit, case_id, event)
        changed = (case_id,) if has_changed else ()
        return Receipt(event.source, event.id, EventOutcome.ACCEPTED, case_id, changed)

    def _checked(self, unit: UnitOfWork, event: Event, case_id: str) -> Event | list[Problem]:
        """Return what a person says as it is to be stored, or what is wrong with it as things stand now."""
        self._cache.flush(unit.connection)
        unit.run_update(case_id)
        if isinstance(event, NAMING):
            packs = self._reader.packs_of(unit.connection, case_id)
            result = checked(unit.connection, event, case_id, packs, self._names)
            if isinstance(result, list):
                return result
            event = result
        if isinstance(event, IncidentClosed):
            problem = not_to_be_closed(unit.connection, case_id, event.occurred_at, self._observation)
            if problem is not None:
                return [problem]
        return event

    def _fire_one(self, unit: UnitOfWork, case_id: str, now: datetime) -> None:
        """Update one incident; its failure must not keep the others from what is due, and it is tried again."""
        _, failure = in_savepoint(unit, partial(self._update_case, case_id=case_id, now=now))
        if failure is not None:
            set_timer(unit.connection, case_id, now + _TRY_AGAIN)
            warn(Reason.UPDATE_FAILED, failure, incident=case_id)

    def _account(self, unit: UnitOfWork, events: Sequence[Event], receipts: Sequence[Receipt]) -> None:
        """Count what was taken, and say it once it is on disk: what is alike of one transaction in one line."""
        if events and not unit.receipts:
            unit.after_commit.append(partial(self._log_receipts, unit.receipts))
        for event, receipt in zip(events, receipts, strict=True):
            group = ReceiptGroup(receipt.source, receipt.outcome, event.type, receipt.incident)
            unit.receipts.setdefault(group, []).append(receipt.id)

    def _log_receipts(self, receipts: Mapping[ReceiptGroup, Sequence[str]]) -> None:
        for (source, outcome, kind, incident), ids in receipts.items():
            self._metrics.count_events(source, outcome, len(ids))
            reason = Reason.EVENT_DUPLICATE if outcome is EventOutcome.DUPLICATE else Reason.EVENT_ACCEPTED
            more = {"count": len(ids), "last": ids[-1]} if len(ids) > 1 else {}
            log(reason, source=source, id=ids[0], type=kind.value, incident=incident, **more)


def _first_place(problem: Problem) -> int:
    return problem.path[0] if problem.path and isinstance(problem.path[0], int) else -1
