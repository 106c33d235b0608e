"""The fold of events to an incident.

It depends on what was reported and when it happened, not on the order in which reports arrived.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256

from incident_engine.domain.calendar.service_hours import union
from incident_engine.domain.events.actions import (
    IncidentClosed,
    LessonRecorded,
    NoteAdded,
    ReportWritten,
    StepAcknowledged,
    StepAdded,
    StepApproved,
    StepAssigned,
    StepCompleted,
    StepSkipped,
)
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import (
    Event,
    ImpactMeasured,
    LevelCorrected,
    MaintenanceAnnounced,
    OutageEvent,
    PlanFailed,
    Recorded,
    RecoveryEstimated,
    RepairFailed,
)
from incident_engine.domain.events.types import ITSELF, EventType
from incident_engine.domain.incidents.incident import (
    Closing,
    Completion,
    Correction,
    Estimate,
    Harm,
    Impairment,
    Incident,
    Interval,
    Lesson,
    Measurement,
    Outage,
    PlanFailure,
    RepairFailure,
    ReportEntry,
    StepAction,
    StepAddition,
)
from incident_engine.domain.values import NEVER, stamp

# At one instant an end is taken before a beginning: what is said to start then is still down afterwards.
_RANK = {
    EventType.OUTAGE_RESTORED: 0,
    EventType.INCIDENT_CLOSED: 1,
    EventType.OUTAGE_DEGRADED: 2,
    EventType.OUTAGE_STARTED: 3,
}


def occurrence(event: Event) -> tuple[datetime, int, tuple[str, str]]:
    """Return what orders events: when they occurred; at one instant an end before a beginning."""
    return event.occurred_at, _RANK.get(event.type, 4), (event.source, event.id)


def _once(events: Iterable[Recorded]) -> Collection[Recorded]:
    unique: dict[tuple[str, str], Recorded] = {}
    for recorded in events:
        known = unique.get(recorded.key)
        if known is None or recorded.received_at < known.received_at:
            unique[recorded.key] = recorded
    return unique.values()


def in_order(events: Iterable[Recorded]) -> list[Recorded]:
    """Return the events in order of occurrence, each idempotency key once (the first one received)."""
    ordered = sorted(_once(events), key=lambda recorded: occurrence(recorded.event))
    impaired: dict[tuple[str, str], set[str]] = defaultdict(set)  # the signals by service and region
    for place, recorded in enumerate(ordered):
        event = recorded.event
        if not isinstance(event, OutageEvent):
            continue
        signal = event.data.signal or ""
        lines = [impaired[event.service, region] for region in event.regions]
        if event.type == EventType.OUTAGE_RESTORED and not any(signal in line for line in lines):
            start = _same_instant(ordered, place, event)
            if start is not None:  # shorter than its monitor can tell: it began and ended, in this order
                ordered[place], ordered[start] = ordered[start], recorded
                event = ordered[place].event
                assert isinstance(event, OutageEvent)  # noqa: S101 - _same_instant saw to it
        for line in lines:
            if event.type != EventType.OUTAGE_RESTORED:
                line.add(signal)
            elif signal:
                line.discard(signal)
            else:
                line.clear()
    return ordered


def _signals(event: Event) -> list[tuple[str, str, str]]:
    if not isinstance(event, OutageEvent):
        return []
    return [(event.service, region, event.data.signal or "") for region in event.regions]


def _same_instant(ordered: list[Recorded], place: int, restored: OutageEvent) -> int | None:
    """Return the place of a beginning, at the same instant, of exactly what `restored` ends."""
    for later in range(place + 1, len(ordered)):
        event = ordered[later].event
        if event.occurred_at != restored.occurred_at:
            return None
        is_start = isinstance(event, OutageEvent) and event.type != EventType.OUTAGE_RESTORED
        if is_start and _signals(event) == _signals(restored):
            return later
    return None


def fold(incident_id: str, events: Iterable[Recorded]) -> Incident:
    """Return what the events, in any order, say of the incident."""
    given = list(events)
    announced = [r.event for r in given if isinstance(r.event, MaintenanceAnnounced)]
    state = FoldState()
    for recorded in in_order(r for r in given if not isinstance(r.event, MaintenanceAnnounced)):
        state.apply(recorded)
    return incident_of(incident_id, state, announced)


def incident_of(incident_id: str, state: "FoldState", announced: Sequence[MaintenanceAnnounced]) -> Incident:
    """Return what has been taken, as an incident."""
    impaired = any(line.signals for line in state.lines.values())
    return Incident(
        id=incident_id,
        outages=tuple(
            Outage(service, region, tuple(line.intervals), _maintained(service, region, line.intervals, announced))
            for (service, region), line in sorted(state.lines.items())
            if line.intervals
        ),
        first_event_at=state.first_event_at,
        detected_at=state.detected_at,
        estimates=tuple(state.estimates),
        harms=tuple(state.harms),
        measurements=tuple(state.measurements),
        root_causes=tuple(state.root_causes),
        repair_failures=tuple(state.repair_failures),
        plan_failures=tuple(state.plan_failures),
        corrections=tuple(state.corrections),
        completions=tuple(state.completions),
        acknowledgements=tuple(state.acknowledgements),
        approvals=tuple(state.approvals),
        skips=tuple(state.skips),
        assignments=tuple(state.assignments),
        additions=tuple(state.additions),
        report_entries=tuple(state.writings),
        lessons=tuple(state.lessons),
        notes=tuple(state.notes),
        closing=None if impaired else state.closing,  # it ends when the system serves normally again (Art. 42)
    )


def _maintained(
    service: str, region: str, intervals: Iterable[Interval], announced: Iterable[MaintenanceAnnounced]
) -> tuple[tuple[datetime, datetime], ...]:
    """Return the maintenance that bears on impairments. What is announced once something is impaired is none."""
    windows = [event for event in announced if event.covers(service, region)]
    if not windows:
        return ()
    parts = [  # also what lies after the restoration: before it, it was to be expected to matter
        (max(start, event.data.start), event.data.end)
        for start, _ in union([iter([(i.start, i.end) for i in intervals])])
        for event in windows
        if event.occurred_at <= start and event.data.end > start
    ]
    return tuple(union(iter([part]) for part in parts))


@dataclass(slots=True)
class ImpairmentHistory:
    """The impairments of one service in one region, kept while events are taken in order."""

    signals: dict[str, Impairment] = field(default_factory=dict)
    intervals: list[Interval] = field(default_factory=list)

    def apply(self, event: OutageEvent) -> bool:
        """Take the next event; return whether the impairment is another now."""
        before = self.impairment()
        signal = event.data.signal or ""
        if event.type == EventType.OUTAGE_STARTED:
            self.signals[signal] = Impairment.DOWN
        elif event.type == EventType.OUTAGE_DEGRADED:
            self.signals[signal] = Impairment.DEGRADED
        elif signal:
            self.signals.pop(signal, None)
        else:
            self.signals.clear()
        after = self.impairment()
        if after is not before:
            self._set_state(event.occurred_at, after, (event.source, event.id))
        return after is not before

    def impairment(self) -> Impairment | None:
        """Return how badly it works now: the worst that any signal says."""
        if Impairment.DOWN in self.signals.values():
            return Impairment.DOWN
        return Impairment.DEGRADED if self.signals else None

    def _set_state(self, at: datetime, impairment: Impairment | None, by: tuple[str, str]) -> None:
        if self.intervals and self.intervals[-1].end == NEVER:
            last = self.intervals.pop()
            if last.start < at:
                self.intervals.append(replace(last, end=at, ended_by=by))
        if impairment is not None:
            last_one = self.intervals[-1] if self.intervals else None
            if last_one and last_one.end == at and last_one.impairment is impairment:
                self.intervals[-1] = replace(last_one, end=NEVER, ended_by=None)
            else:
                self.intervals.append(Interval(at, NEVER, impairment, by))


@dataclass(slots=True)
class FoldState:
    """What has been taken so far, event by event in order."""

    first_event_at: datetime | None = None
    detected_at: datetime | None = None
    lines: dict[tuple[str, str], ImpairmentHistory] = field(default_factory=lambda: defaultdict(ImpairmentHistory))
    estimates: list[Estimate] = field(default_factory=list)
    harms: list[Harm] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    root_causes: list[tuple[datetime, str]] = field(default_factory=list)
    repair_failures: list[RepairFailure] = field(default_factory=list)
    plan_failures: list[PlanFailure] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    acknowledgements: list[StepAction] = field(default_factory=list)
    approvals: list[StepAction] = field(default_factory=list)
    skips: list[StepAction] = field(default_factory=list)
    assignments: list[StepAction] = field(default_factory=list)
    additions: list[StepAddition] = field(default_factory=list)
    writings: list[ReportEntry] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    notes: list[tuple[datetime, str]] = field(default_factory=list)
    closing: Closing | None = None

    def apply(self, recorded: Recorded) -> None:
        """Take the next event."""
        event = recorded.event
        self.record_receipt(recorded)
        match event:
            case OutageEvent():
                self._outage(event)
            case RecoveryEstimated():
                said_at = event.occurred_at
                self.estimates.append(Estimate(event.data.recovery_at, said_at, event.service, event.regions))
            case HarmAssessed() | ImpactMeasured():
                self._impact(event)
            case RepairFailed(data=said):
                failed = RepairFailure(event.occurred_at, event.service, event.regions, said.by, said.reason)
                self.repair_failures.append(failed)
            case PlanFailed(data=said):
                self.plan_failures.append(PlanFailure(event.occurred_at, said.by, said.reason))
            case LevelCorrected(data=said):
                self.corrections.append(Correction(event.occurred_at, said.pack, said.level, said.by, said.reason))
            case _:
                self._handling(event)

    def record_receipt(self, recorded: Recorded) -> None:
        """Note when the first event occurred, and when the first one reached us."""
        at, received_at = recorded.event.occurred_at, recorded.received_at
        self.first_event_at = min(self.first_event_at or at, at)
        self.detected_at = min(self.detected_at or received_at, received_at)

    def _impact(self, event: HarmAssessed | ImpactMeasured) -> None:
        if isinstance(event, HarmAssessed):
            self.harms.append(Harm(event.occurred_at, event.data, event.service, event.regions))
            self.closing = None  # a harm that becomes known after the closing must be handled: it is open again
            return
        if self.closing is not None and self.closing.by == ITSELF:
            self.closing = None  # closed as too small before this was known
        measured = event.data.measures.items()
        self.measurements += [Measurement(event.occurred_at, name, value, event.data.by) for name, value in measured]
        if event.data.root_cause is not None:
            self.root_causes.append((event.occurred_at, event.data.root_cause))

    def _handling(self, event: Event) -> None:
        match event:
            case NoteAdded():
                self.notes.append((event.occurred_at, event.data.text))
            case StepCompleted(data=done):
                self.completions.append(Completion(event.occurred_at, done.by, done.step, done.fulfils, done.note))
            case StepAdded(data=said):
                key = stamp(event.occurred_at) + "-" + sha256(f"{event.source}\0{event.id}".encode()).hexdigest()[:8]
                added = (said.step, said.title, said.assignee, said.due_at)
                self.additions.append(StepAddition(event.occurred_at, said.by, said.reason, key, *added))
            case ReportWritten(data=said):
                self.writings += [
                    ReportEntry(event.occurred_at, said.by, said.report, name, text)
                    for name, text in said.fields.items()
                ]
            case LessonRecorded(data=said):
                self.lessons.append(Lesson(event.occurred_at, said.by, said.text, said.for_customers))
            case IncidentClosed(data=said):
                self.closing = Closing(event.occurred_at, said.by, said.reason)
            case _:
                self._deed(event)

    def _deed(self, event: Event) -> None:
        at = event.occurred_at
        match event:
            case StepAcknowledged(data=said):
                self.acknowledgements.append(StepAction(at, said.by, said.step, said.note))
            case StepApproved(data=said):
                wording = {str(locale): (words.subject, words.body) for locale, words in said.wording.items()}
                self.approvals.append(StepAction(at, said.by, said.step, said.note, wording=wording))
            case StepSkipped(data=said):
                self.skips.append(StepAction(at, said.by, said.step, said.reason))
            case StepAssigned(data=said):
                self.assignments.append(StepAction(at, said.by, said.step, said.reason, said.to))

    def _outage(self, event: OutageEvent) -> None:
        for region in event.regions:
            self.lines[event.service, region].apply(event)
        if event.type != EventType.OUTAGE_RESTORED:
            self.closing = None  # what breaks again after the closing is open again
