"""The two use cases that write: report events, and fire due timers. Each loads, decides with the domain, and writes.

They run in the writer's transaction and take `now` as an argument; the engine reads no clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from incident_engine.common import failpoints
from incident_engine.common.errors import Conflict, ConflictError, InvalidDocumentError, Problem
from incident_engine.common.signed_links import Links
from incident_engine.common.telemetry import EventOutcome, Metrics
from incident_engine.config.settings import Settings
from incident_engine.domain.events.effect import DUPLICATE, QUARANTINED, RECORDED
from incident_engine.domain.events.model import Event, MaintenanceAnnounced, OutageEvent, Recorded, Repeats, wire
from incident_engine.domain.incidents.signals import ends_listed_after_their_starts, sort_key
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.decision_log import Reason, log, log_after_commit, warn
from incident_engine.engine.event_checks import EventChecks
from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.engine.known_events import KnownEvents, resolved_alerts
from incident_engine.engine.reader import Reader
from incident_engine.engine.receipts import Receipt
from incident_engine.engine.router import Router
from incident_engine.engine.update import CaseUpdater
from incident_engine.store.quarantine import (
    CONFLICT,
    ISOLATED,
    is_anything_in_quarantine,
    put_in_quarantine,
    release_from_quarantine,
)
from incident_engine.store.timers import due_timers, postpone_failed
from incident_engine.store.unit_of_work import GroupKey, ReceiptGroup, UnitOfWork, in_savepoint

_TIMERS_AT_ONCE = 200
_TRY_AGAIN = timedelta(minutes=1)
_NEXT = timedelta(microseconds=1)
"""Between two events of one request of which the order counts. Received at one instant, they would have none."""


class Engine:
    """Takes events into cases, and updates cases whose timer is due. Nothing else ever changes a case."""

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
        self.cache = IncidentCache(reader.case_types)
        self._updater = CaseUpdater(settings, rulebook, links or Links(), reader.graded, self.cache, drill=drill)
        self._checks = EventChecks(settings, rulebook, reader, self.cache)
        self._max_outages = settings.intake.max_outages
        self._router = Router(reader.case_types, rulebook.packs, self.cache)

    def report(
        self,
        unit: UnitOfWork,
        events: Sequence[Event | None],
        now: datetime,
        problems: Sequence[Problem] = (),
        repeats: Repeats = Repeats.EXACT,
    ) -> list[Receipt]:
        """Report events together, as EventReporter describes."""
        resolved = resolved_alerts(events, repeats)
        return self._report(unit, events, now, repeats=repeats, problems=problems, resolved=resolved)

    def _report(
        self,
        unit: UnitOfWork,
        events: Sequence[Event | None],
        now: datetime,
        *,
        repeats: Repeats,
        resolved: frozenset[tuple[str, str]],
        problems: Sequence[Problem] = (),
    ) -> list[Receipt]:
        all_problems = list(problems)
        receipts: dict[int, Receipt] = {}
        parsed = [(index, event) for index, event in enumerate(events) if event is not None]
        keys = [(event.source, event.id) for _, event in parsed]
        known_events = KnownEvents(
            self.cache, unit.connection, repeats, self.cache.appended(unit.connection, keys), resolved
        )
        listed_last = ends_listed_after_their_starts([event for _, event in parsed])
        # In order of occurrence, so that one request means the same as one request for each event.
        for index, event in sorted(parsed, key=lambda item: sort_key(item[1])):
            received_at = now + _NEXT if (event.source, event.id) in listed_last else now
            receipt = self._append_unless_known(unit, event, received_at, known_events)
            if isinstance(receipt, Receipt):
                receipts[index] = receipt
            else:
                all_problems += [replace(problem, path=(index, *problem.path)) for problem in receipt]
        if all_problems:
            self._count_conflicts(events, all_problems)
            # Sorted by the index of the event; a problem of the whole request has none, and comes first.
            all_problems.sort(
                key=lambda problem: next((part for part in problem.path[:1] if isinstance(part, int)), -1)
            )
            is_conflict = all(isinstance(problem, Conflict) for problem in all_problems)
            raise ConflictError(all_problems) if is_conflict else InvalidDocumentError(all_problems)
        unit.flush = self._flush
        ordered = [receipts[index] for index, _ in parsed]
        self._register_updates(unit, [event for _, event in parsed], ordered, now)
        # Logged after the commit, one line for each group: a storm must not flood the log.
        if ordered and not unit.receipts:
            unit.after_commit.append(partial(self._log_receipts, unit.receipts))
        groups: dict[GroupKey, list[str]] = {}
        for (_, event), receipt in zip(parsed, ordered, strict=True):
            if receipt.outcome is not EventOutcome.QUARANTINED:  # counted where it was put there
                key = receipt.source, receipt.outcome, event.type, receipt.incident, receipt.effect.effect
                groups.setdefault(key, []).append(receipt.id)
        for group, ids in groups.items():
            unit.receipts.setdefault(ReceiptGroup(*group), []).extend(ids)
        return ordered

    def report_each(
        self, unit: UnitOfWork, events: Sequence[Event], now: datetime, repeats: Repeats = Repeats.EXACT
    ) -> list[Receipt]:
        """Report events one by one, as EventReporter describes."""
        receipts: dict[int, Receipt] = {}
        resolved = resolved_alerts(events, repeats)
        for index, event in sorted(enumerate(events), key=lambda item: sort_key(item[1])):
            taken, failure = in_savepoint(
                unit, partial(self._report, events=[event], now=now, repeats=repeats, resolved=resolved)
            )
            if isinstance(failure, InvalidDocumentError):  # a mistake of the caller, not of the engine
                moved = [replace(problem, path=(index, *problem.path[1:])) for problem in failure.problems]
                raise type(failure)(moved)
            if failure is not None:
                warn(Reason.EVENT_ISOLATED, failure, source=event.source, id=event.id, type=event.type.value)
                row = put_in_quarantine(
                    unit.connection, event.source, event.id, ISOLATED, repr(failure), wire(event), now
                )
                receipts[index] = Receipt(event.source, event.id, EventOutcome.QUARANTINED, None, effect=QUARANTINED)
                unit.after_commit.append(partial(self._metrics.count_events, event.source, EventOutcome.QUARANTINED))
                if row.times == 1:
                    unit.after_commit.append(partial(self._metrics.count_quarantined, event.source, ISOLATED))
            elif taken is not None:
                receipts[index] = taken[0]
        return [receipts[index] for index in range(len(events))]

    def fire(self, unit: UnitOfWork, now: datetime) -> int:
        """Update the cases whose timer is due, at most 200. Return their number."""
        due = due_timers(unit.connection, now, _TIMERS_AT_ONCE)
        for case_id, due_at in due:
            _, failure = in_savepoint(unit, partial(self._update_case, case_id=case_id, now=now))
            if failure is not None:  # one broken case must not keep the others from what is due
                postpone_failed(unit.connection, case_id, now + _TRY_AGAIN, now)
                warn(Reason.UPDATE_FAILED, failure, incident=case_id)
            lateness = (now - due_at).total_seconds()
            unit.after_commit.append(partial(self._metrics.lateness.observe, lateness))
        return len(due)

    def is_changing(self, case_id: str) -> bool:
        """Return whether the writer's transaction has events of a case that are not written yet."""
        return self.cache.is_changing(case_id)

    def _register_updates(
        self, unit: UnitOfWork, events: Sequence[Event], receipts: Sequence[Receipt], now: datetime
    ) -> None:
        """Register the update of each changed case for the end of the transaction, or run it at once."""
        is_from_monitors = all(isinstance(event, OutageEvent) for event in events)
        touched = dict.fromkeys(case_id for receipt in receipts for case_id in receipt.touched)
        if not touched:
            unit.unchanged += 1
        for case_id in touched:
            unit.updates[case_id] = partial(self._update_case, case_id=case_id, now=now)
            # A person's event may start or end steps, against which the next person's event is checked.
            if not is_from_monitors:
                unit.run_update(case_id)

    def _flush(self, unit: UnitOfWork) -> None:
        """Write the appended events, and release those of them that were in quarantine."""
        self.cache.flush(unit.connection)
        failpoints.reach(failpoints.Point.AFTER_APPEND)
        if is_anything_in_quarantine(unit.connection):  # one cheap query, where a delete for each source would follow
            for group, ids in unit.receipts.items():
                release_from_quarantine(unit.connection, group.source, ids)

    def _update_case(self, unit: UnitOfWork, case_id: str, now: datetime) -> None:
        columns = self._updater.update_case(unit, case_id, now)
        self.cache.open_incidents.update(unit, case_id, columns)

    def _append_unless_known(
        self, unit: UnitOfWork, event: Event, now: datetime, known_events: KnownEvents
    ) -> Receipt | Sequence[Problem]:
        """Append one event to its case unless its key is known. Return its receipt, or its problems."""
        if not known_events.is_known(event):
            return self._append(unit, event, now, known_events)
        contradictions = known_events.conflicts(event)
        if contradictions and known_events.repeats is Repeats.ALERTS:
            return self._set_aside(unit, event, contradictions, now)
        receipt = Receipt(event.source, event.id, EventOutcome.DUPLICATE, known_events.case_of(event), effect=DUPLICATE)
        for again in () if contradictions else known_events.alert_is_back(event):
            appended = self._append(unit, again, now, known_events)
            if not isinstance(appended, Receipt):
                return appended
            receipt = appended._replace(touched=(*receipt.touched, *appended.touched))
        return contradictions or receipt

    def _set_aside(self, unit: UnitOfWork, event: Event, contradictions: Sequence[Conflict], now: datetime) -> Receipt:
        """Quarantine an alert that contradicts the known one: its sender cannot correct it, and repeats it."""
        detail = "; ".join(problem.sentence() for problem in contradictions)
        reason = CONFLICT
        row = put_in_quarantine(unit.connection, event.source, event.id, reason, detail, wire(event), now)
        unit.after_commit.append(partial(self._metrics.count_events, event.source, EventOutcome.QUARANTINED))
        if row.times == 1:
            unit.after_commit.append(partial(self._metrics.count_quarantined, event.source, reason))
        fields = [problem.pointer for problem in contradictions]
        log_after_commit(unit, Reason.EVENT_CONFLICT, source=event.source, id=event.id, fields=fields)
        return Receipt(event.source, event.id, EventOutcome.QUARANTINED, None, effect=QUARANTINED)

    def _count_conflicts(self, events: Sequence[Event | None], problems: Sequence[Problem]) -> None:
        """Count and log the refused events whose keys are known with another content."""
        fields: dict[int, list[str]] = {}
        for problem in problems:
            if isinstance(problem, Conflict) and isinstance(problem.path[0], int):
                pointer = replace(problem, path=problem.path[1:]).pointer
                fields.setdefault(problem.path[0], []).append(pointer)
        for index in fields:
            event = events[index]
            if event is not None:
                self._metrics.count_events(event.source, EventOutcome.CONFLICT)
        if fields:
            index, event = next((index, event) for index in fields if (event := events[index]) is not None)
            log(Reason.EVENT_CONFLICT, source=event.source, id=event.id, fields=fields[index], count=len(fields))

    def _append(
        self, unit: UnitOfWork, sent: Event, now: datetime, known_events: KnownEvents
    ) -> Receipt | Sequence[Problem]:
        """Append one new event to its case. Return its receipt, or its problems."""
        event = known_events.as_started(sent)
        if isinstance(event, MaintenanceAnnounced):
            self.cache.append(unit, Recorded(event, now), None)
            affected = self._router.affected_by_maintenance(unit.connection, event)
            known_events.add(sent, None)
            return Receipt(event.source, event.id, EventOutcome.ACCEPTED, None, tuple(affected))
        case_id = self._router.route(unit, event, now)
        if isinstance(case_id, Problem):
            return [case_id]
        if isinstance(event, OutageEvent) and self.cache.is_full(unit.connection, case_id, event, self._max_outages):
            message = f"incident '{case_id}' would have more than {self._max_outages} outages (intake.max_outages)"
            return [Problem(("regions",), message, "fewer regions, or another incident")]
        # A monitor's event names nothing of its case that would have to be checked; there may be thousands a second.
        result = event if isinstance(event, OutageEvent) else self._checks.checked(unit, event, case_id)
        if isinstance(result, list):
            return result
        is_outage = isinstance(result, OutageEvent)
        action = RECORDED if is_outage else self._checks.effect(unit.connection, result, case_id)
        has_changed, effect = self.cache.append(unit, Recorded(result, now), case_id)
        known_events.add(sent, case_id)
        # An action that opens the incident again does that first of all.
        effect = action if effect is RECORDED else effect
        if isinstance(event, OutageEvent) and has_changed:
            self.cache.widen(unit, case_id, event)
        return Receipt(
            event.source, event.id, EventOutcome.ACCEPTED, case_id, (case_id,) if has_changed else (), effect
        )

    def _log_receipts(self, receipts: Mapping[ReceiptGroup, Sequence[str]]) -> None:
        for group, ids in receipts.items():
            self._metrics.count_events(group.source, group.outcome, len(ids))
            is_duplicate = group.outcome is EventOutcome.DUPLICATE
            reason = Reason.EVENT_DUPLICATE if is_duplicate else Reason.EVENT_ACCEPTED
            more = {"count": len(ids), "last": ids[-1]} if len(ids) > 1 else {}
            log(
                reason,
                source=group.source,
                id=ids[0],
                type=group.type.value,
                incident=group.case_id,
                effect=group.effect.value,
                **more,
            )
