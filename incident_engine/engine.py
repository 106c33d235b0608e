"""The use cases: report, fire. Load, decide with the pure rooms, write the difference in one transaction.

Every function here runs in the writer's transaction and is given `now`; nothing here reads a clock.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from jinja2 import TemplateError
from sqlalchemy import Connection

from incident_engine.errors import InvalidDocumentError, Problem
from incident_engine.facts.correlation import fitting, group_of, new_incident_id
from incident_engine.facts.events import EVENT, Event, EventType, OutageEvent, Recorded, StepCompleted
from incident_engine.facts.incident import Incident, fold
from incident_engine.facts.values import RESOLUTION
from incident_engine.grading.assess import Assessment, ObligationState, assess
from incident_engine.grading.document import assessment_document, trajectory_from
from incident_engine.grading.pack import Pack
from incident_engine.response.messages import Message
from incident_engine.response.plan import Step, StepState, plan, reconcile
from incident_engine.response.reader import Situation
from incident_engine.rulebook import Rulebook
from incident_engine.settings import Settings
from incident_engine.store import records
from incident_engine.store.outgoing import DeliveryState
from incident_engine.store.writer import Unit
from incident_engine.telemetry import EventOutcome, Metrics, logger
from incident_engine.validation import nearest

ITSELF = "incident-engine"
"""The source of the events that the engine reports."""
_TIMERS_AT_ONCE = 200
_TRY_AGAIN = timedelta(minutes=1)


class Reason(StrEnum):
    """Why the engine did what it says in the log."""

    EVENT_ACCEPTED = "event_accepted"
    EVENT_DUPLICATE = "event_duplicate"
    INCIDENT_OPENED = "incident_opened"
    LEVEL_REACHED = "level_reached"
    LEVEL_HELD = "level_held"
    STEP_BEGUN = "step_begun"
    STEP_WITHDRAWN = "step_withdrawn"
    TEMPLATE_FAILED = "template_failed"
    UPDATE_FAILED = "update_failed"
    CLOSED_BELOW_LOWEST_LEVEL = "closed_below_lowest_level"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one event, and the incident that it belongs to."""

    source: str
    id: str
    outcome: EventOutcome
    incident: str


class Engine:
    """Decides and writes. `wake_at` of an incident is the only reason it is ever looked at again."""

    def __init__(self, settings: Settings, rulebook: Rulebook, metrics: Metrics) -> None:
        self._settings = settings
        self._rulebook = rulebook
        self._metrics = metrics
        self._log = logger("engine")
        self._packs: dict[str, Pack] = {pack.content_hash: pack for pack in rulebook.packs}

    def report(self, unit: Unit, events: Sequence[Event], now: datetime) -> list[Receipt]:
        """Take events: append what is new, and bring their incidents up to date.

        Raises InvalidDocumentError if one of them names what does not exist; then none is stored.
        """
        problems: list[Problem] = []
        receipts: list[Receipt] = []
        touched: dict[str, None] = {}
        for place, event in enumerate(events):
            receipt = self._take(unit, event, place, now, problems)
            if receipt is None:
                continue
            receipts.append(receipt)
            if receipt.outcome is EventOutcome.ACCEPTED:
                touched[receipt.incident] = None
        if problems:
            raise InvalidDocumentError(problems)
        for incident_id in touched:
            self._update(unit, incident_id, now)
        unit.after_commit.append(lambda: self._count(receipts))
        return receipts

    def fire(self, unit: Unit, now: datetime) -> int:
        """Bring every incident up to date whose timer is due. Return how many."""
        due = records.due_timers(unit.connection, now, _TIMERS_AT_ONCE)
        for incident_id, due_at in due:
            self._metrics.lateness.observe((now - due_at).total_seconds())
            self._fire_one(unit, incident_id, now)
        return len(due)

    def _fire_one(self, unit: Unit, incident_id: str, now: datetime) -> None:
        """Update one incident; its failure must not keep the others from what is due, and it is tried again."""
        try:
            with unit.connection.begin_nested():
                self._update(unit, incident_id, now)
        except Exception as error:  # noqa: BLE001 - logged, counted by the lateness of its timer, and tried again
            records.set_timer(unit.connection, incident_id, now + _TRY_AGAIN)
            self._log.warning(Reason.UPDATE_FAILED.value, reason=repr(error), incident=incident_id)

    def look(self, connection: Connection, incident_id: str, now: datetime) -> tuple[Incident, list[Assessment]] | None:
        """Return what is known of an incident and what it means at `now`, the primary pack first; None: unknown."""
        if records.incident(connection, incident_id) is None:
            return None
        incident = fold(incident_id, records.events_of(connection, incident_id))
        packs = self._packs_of(connection, incident_id)
        return incident, [self._verdict_on(connection, incident, pack, now) for pack in packs]

    def _verdict_on(self, connection: Connection, incident: Incident, pack: Pack, now: datetime) -> Assessment:
        before = records.latest_assessment(connection, incident.id, pack.pack)
        held = trajectory_from(before) if before else ()
        return assess(incident, pack, self._settings.service_hours, now, held)

    def _count(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            self._metrics.count_event(receipt.source, receipt.outcome)

    def _say(self, unit: Unit, reason: Reason, **fields: object) -> None:
        def log() -> None:
            self._log.info(reason.value, reason=reason.value, **fields)

        unit.after_commit.append(log)

    # Events

    def _take(self, unit: Unit, event: Event, place: int, now: datetime, problems: list[Problem]) -> Receipt | None:
        known = records.incident_of_event(unit.connection, event.source, event.id)
        if known is not None:
            self._say(unit, Reason.EVENT_DUPLICATE, source=event.source, id=event.id, incident=known)
            return Receipt(event.source, event.id, EventOutcome.DUPLICATE, known)
        incident_id = self._incident_for(unit, event, place, now, problems)
        if incident_id is None:
            return None
        if isinstance(event, StepCompleted):
            event = self._completion(unit, event, incident_id, place, problems)
        records.append(unit.connection, Recorded(event, now), incident_id)
        self._say(
            unit, Reason.EVENT_ACCEPTED, source=event.source, id=event.id, type=event.type.value, incident=incident_id
        )
        return Receipt(event.source, event.id, EventOutcome.ACCEPTED, incident_id)

    def _incident_for(self, unit: Unit, event: Event, place: int, now: datetime, problems: list[Problem]) -> str | None:
        connection = unit.connection
        group = group_of(event.service, self._settings.groups)
        if event.incident is not None and records.incident(connection, event.incident) is not None:
            return event.incident
        if event.incident is None:
            found = self._correlated(connection, event, group)
            if found is not None:
                return found
        if not isinstance(event, OutageEvent):
            problems.append(self._no_incident(unit, event, place))
            return None
        incident_id = new_incident_id(event, group)
        if event.incident is None and records.incident(connection, incident_id) is not None:
            return incident_id
        for pack in self._rulebook.packs:
            records.keep_pack(connection, pack)
        hashes = {pack.pack: pack.content_hash for pack in self._rulebook.packs}
        records.insert_incident(connection, incident_id, group, event.occurred_at, now, hashes)
        self._say(unit, Reason.INCIDENT_OPENED, incident=incident_id, group=group)
        return incident_id

    def _correlated(self, connection: Connection, event: Event, group: str) -> str | None:
        window = self._settings.intake.window
        names = [s.incident_id for s in fitting(records.open_spans(connection, group), event.occurred_at, window)]
        if len(names) > 1 and isinstance(event, OutageEvent) and event.type == EventType.OUTAGE_RESTORED:
            for name in names:
                if fold(name, records.events_of(connection, name)).is_impaired(event.service, event.regions):
                    return name
        return names[0] if names else None

    def _no_incident(self, unit: Unit, event: Event, place: int) -> Problem:
        recent = records.recent_incident_ids(unit.connection, 50)
        if event.incident is not None:
            said = f"there is no incident '{event.incident}'"
            return Problem((place, "incident"), said, "the id of an incident", nearest(event.incident, recent))
        if event.service is None:
            said = f"'{event.type}' names neither an incident nor a service"
            return Problem((place, "incident"), said, "the id of an incident")
        said = f"service '{event.service}' has no open incident"
        return Problem((place, "service"), said, "an incident by its id, or a service that has an open one")

    def _completion(
        self, unit: Unit, event: StepCompleted, incident_id: str, place: int, problems: list[Problem]
    ) -> StepCompleted:
        """Return the event with the obligation that its step fulfils; add a problem if it names nothing that exists."""
        given = event.data
        stored = records.steps_of(unit.connection, incident_id)
        obligations = {
            demand.id for pack in self._packs_of(unit.connection, incident_id) for demand in pack.obligations
        }
        if given.step is None and given.fulfils is None:
            problems.append(Problem((place, "data"), "says not what was completed", "step or fulfils"))
        if given.step is not None and given.step not in stored:
            said = f"incident '{incident_id}' has no step '{given.step}'"
            where = (place, "data", "step")
            problems.append(Problem(where, said, f"one of: {', '.join(stored)}", nearest(given.step, stored)))
        if given.fulfils is not None and given.fulfils not in obligations:
            said, listed = f"unknown obligation '{given.fulfils}'", f"one of: {', '.join(sorted(obligations))}"
            where = (place, "data", "fulfils")
            problems.append(Problem(where, said, listed, nearest(given.fulfils, obligations)))
        step = stored.get(given.step or "")
        if step is None or given.fulfils is not None or step.step.fulfils is None:
            return event
        return event.model_copy(update={"data": given.model_copy(update={"fulfils": step.step.fulfils})})

    # Bringing an incident up to date

    def _packs_of(self, connection: Connection, incident_id: str) -> list[Pack]:
        """Return the packs with which the incident began, the primary one first."""
        row = records.incident(connection, incident_id)
        hashes = list(row.pack_hashes.values()) if row else []
        for content_hash in hashes:
            if content_hash not in self._packs:
                kept = records.kept_pack(connection, content_hash)
                assert kept is not None, content_hash  # noqa: S101 - a foreign key holds it
                self._packs[content_hash] = kept
        return sorted(
            (self._packs[content_hash] for content_hash in hashes),
            key=lambda pack: pack.pack != self._settings.grading.primary,
        )

    def _update(self, unit: Unit, incident_id: str, now: datetime) -> None:
        connection = unit.connection
        incident = fold(incident_id, records.events_of(connection, incident_id))
        packs = self._packs_of(unit.connection, incident_id)
        assessments = [self._assess(unit, incident, pack, now) for pack in packs]
        if self._closes_itself(incident, assessments, now):
            self._close(unit, incident_id, now)
            incident = fold(incident_id, records.events_of(connection, incident_id))
        wanted = plan(incident, assessments, self._rulebook.playbooks, now)
        self._reconcile(unit, incident_id, wanted)
        self._complete(unit, incident)
        self._begin(unit, incident, assessments[0], packs[0], now)
        records.update_incident(connection, incident_id, self._summary(incident, assessments[0], packs[0], now))
        records.set_timer(connection, incident_id, self._wake_at(unit, incident, assessments, now))

    def _assess(self, unit: Unit, incident: Incident, pack: Pack, now: datetime) -> Assessment:
        before = records.latest_assessment(unit.connection, incident.id, pack.pack)
        assessment = self._verdict_on(unit.connection, incident, pack, now)
        document = assessment_document(assessment, self._settings.bank.zone)
        if before is None or _verdict(before) != _verdict(document):
            records.insert_assessment(unit.connection, incident.id, now, document)
        if assessment.level != (before["level"] if before else None):
            self._say(
                unit,
                Reason.LEVEL_HELD if assessment.held else Reason.LEVEL_REACHED,
                incident=incident.id,
                pack=pack.pack,
                incident_level=assessment.level,
                at=document["trajectory"][-1]["at"],
                cite=document["trajectory"][-1]["cite"],
            )
        return assessment

    def _closes_itself(self, incident: Incident, assessments: Sequence[Assessment], now: datetime) -> bool:
        """A blip that never reached a level needs nobody to close it once its window is over."""
        ends_at = self._ends_at(incident, assessments)
        return ends_at is not None and now >= ends_at

    def _ends_at(self, incident: Incident, assessments: Sequence[Assessment]) -> datetime | None:
        graded = any(assessment.level is not None or assessment.forecast for assessment in assessments)
        quiet_since = incident.restored_at or incident.first_event_at
        if incident.closing is not None or incident.is_down or graded or quiet_since is None:
            return None
        return quiet_since + self._settings.intake.window

    def _close(self, unit: Unit, incident_id: str, now: datetime) -> None:
        event = EVENT.validate_python(
            {
                "source": ITSELF,
                "id": f"closed/{incident_id}/{now.isoformat()}",
                "type": EventType.INCIDENT_CLOSED,
                "incident": incident_id,
                "occurred_at": now,
                "data": {"by": ITSELF, "reason": Reason.CLOSED_BELOW_LOWEST_LEVEL.value},
            }
        )
        records.append(unit.connection, Recorded(event, now), incident_id)
        self._say(unit, Reason.CLOSED_BELOW_LOWEST_LEVEL, incident=incident_id)

    def _reconcile(self, unit: Unit, incident_id: str, wanted: Sequence[Step]) -> None:
        stored = records.steps_of(unit.connection, incident_id)
        changes = reconcile({name: (step.state, step.step.due_at) for name, step in stored.items()}, wanted)
        records.apply_changes(unit.connection, incident_id, changes)
        for name in changes.withdraw:
            self._say(unit, Reason.STEP_WITHDRAWN, incident=incident_id, step=name)

    def _complete(self, unit: Unit, incident: Incident) -> None:
        """Mark the steps that people reported completed, by their id or by the obligation that they fulfil."""
        for name, stored in records.steps_of(unit.connection, incident.id).items():
            if stored.state is not StepState.BEGUN:
                continue
            for done in incident.completions:
                if done.step == name or (done.fulfils is not None and done.fulfils == stored.step.fulfils):
                    records.complete_step(unit.connection, name, done.at, done.by)
                    break

    def _begin(self, unit: Unit, incident: Incident, assessment: Assessment, pack: Pack, now: datetime) -> None:
        for name, stored in records.steps_of(unit.connection, incident.id).items():
            if stored.state is not StepState.PENDING or stored.step.due_at > now:
                continue
            situation = Situation(
                bank_name=self._settings.bank.name,
                service_names=self._settings.service_names,
                incident=incident,
                assessment=assessment,
                pack=pack,
                step=stored.step,
                now=now,
            )
            records.begin_step(unit.connection, name, now)
            rows = self._deliveries(situation)
            records.insert_deliveries(unit.connection, rows)
            self._say(
                unit,
                Reason.STEP_BEGUN,
                incident=incident.id,
                step=name,
                incident_level=assessment.level,
                deliveries=len(rows),
            )

    def _deliveries(self, situation: Situation) -> list[dict[str, Any]]:
        step = situation.step
        rows: list[dict[str, Any]] = []
        for member in self._settings.audiences[step.audience]:
            contact = self._settings.contact_by_id[member]
            variables = situation.variables(contact.locale, contact.name.in_(contact.locale))
            message = self._message(step, contact.locale, variables)
            rows += [
                {
                    "id": _delivery_id(step.id, contact.id, place),
                    "step_id": step.id,
                    "incident_id": situation.incident.id,
                    "contact": contact.id,
                    "channel": address.channel,
                    "address": address.to,
                    "locale": message.locale,
                    "subject": message.subject,
                    "body": message.body,
                    "state": DeliveryState.PENDING,
                    "attempts": 0,
                    "due_at": situation.now,
                    "created_at": situation.now,
                }
                for place, address in enumerate(contact.via)
            ]
        return rows

    def _message(self, step: Step, locale: str, variables: Mapping[str, Any]) -> Message:
        """Return the message of a step; if its template fails, the bare facts: a plain notice is better than none."""
        try:
            return self._rulebook.messages.render(step.template, locale, variables)
        except (TemplateError, KeyError) as error:
            self._log.warning(Reason.TEMPLATE_FAILED.value, reason=repr(error), template=step.template, step=step.id)
            facts = "\n".join(f"- {name}: {parts}" for name, parts in variables.items())
            return Message(f"{step.template}: {step.id}", f"{facts}\n", locale)

    def _summary(self, incident: Incident, primary: Assessment, pack: Pack, now: datetime) -> dict[str, Any]:
        first_at = incident.occurred_at or incident.first_event_at or now
        return {
            "first_at": first_at,
            "last_at": None if incident.is_down else incident.restored_at or first_at,
            "closed_at": incident.closing.at if incident.closing else None,
            "level": primary.level,
            "severity": pack.severity[primary.level] if primary.level else 0,
            "services": list(incident.services),
            "regions": list(incident.regions),
        }

    def _wake_at(
        self, unit: Unit, incident: Incident, assessments: Sequence[Assessment], now: datetime
    ) -> datetime | None:
        """Return the next instant at which anything changes by itself: a level, an obligation, a step, the end."""
        instants = [assessment.next.at for assessment in assessments if assessment.next is not None]
        instants += [
            status.due_at + RESOLUTION
            for assessment in assessments
            for status in assessment.obligations
            if status.state is ObligationState.PENDING and status.due_at is not None
        ]
        instants += [
            stored.step.due_at
            for stored in records.steps_of(unit.connection, incident.id).values()
            if stored.state is StepState.PENDING
        ]
        ends_at = self._ends_at(incident, assessments)
        if ends_at is not None:
            instants.append(ends_at)
        return min(instants, default=None)


def _delivery_id(step_id: str, contact: str, place: int) -> str:
    """Return the idempotency key of a delivery: the same wish always has the same key."""
    return "msg_" + hashlib.sha256(f"{step_id}\0{contact}\0{place}".encode()).hexdigest()[:32]


def _verdict(document: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what makes two verdicts the same, whenever they were reached."""
    obligations = [(status["id"], status["state"], status["due_at"]) for status in document["obligations"]]
    return (
        document["content_hash"],
        document["trajectory"],
        document["forecast"],
        document["held"],
        obligations,
        document["evidence"]["restored_at"],
    )
