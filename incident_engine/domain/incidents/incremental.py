"""An incident that is kept folded while its events come in, so that an event costs what it changes and no more.

In a storm thousands of alerts say of one outage what is known: each is one more signal behind an impairment that goes
on. Such an event is taken in without a look at the others, in any order of arrival.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice

from incident_engine.domain.events.actions import IncidentClosed
from incident_engine.domain.events.model import MaintenanceAnnounced, OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.fold import FoldState, ImpairmentHistory, in_order, incident_of, occurrence
from incident_engine.domain.incidents.incident import Impairment, Incident
from incident_engine.domain.values import NEVER


class FoldEffect(StrEnum):
    """What an event means for what is known of its incident."""

    NONE = "none"
    """The incident is what it was."""
    SOME = "some"
    """Something has changed."""
    UNCLEAR = "unclear"
    """It lies before others, and what they mean depends on it: all must be folded anew."""


_LOOKED_AT = 64
"""How many signals are looked at for one that has lasted all the while."""


@dataclass(slots=True)
class _Signals:
    """When each signal behind one line was spoken of last, and when any was."""

    last_at: datetime
    by_signal: dict[str, datetime] = field(default_factory=dict)

    def note(self, signal: str, at: datetime) -> None:
        known = self.by_signal.get(signal)
        if known is None or known < at:
            self.by_signal[signal] = at
        self.last_at = max(self.last_at, at)

    def is_news(self, signal: str, at: datetime) -> bool:
        """Return whether nothing is known of a signal at or after an instant."""
        known = self.by_signal.get(signal)
        return known is None or known < at


class IncrementalFold:
    """What is known of one incident, event by event; `incident` is what `fold` would make of them."""

    def __init__(self, incident_id: str, events: Iterable[Recorded]) -> None:
        """Take the events known so far, in any order, with the maintenance of the incident's services."""
        given = list(events)
        self._id = incident_id
        self._announced: Sequence[MaintenanceAnnounced] = [
            r.event for r in given if isinstance(r.event, MaintenanceAnnounced)
        ]
        self._state = FoldState()
        self._signals: dict[tuple[str, str], _Signals] = {}
        self._services: set[str | None] = set()
        self._last_at: datetime | None = None
        self._last_word: tuple[datetime, int, tuple[str, str]] | None = None
        self._incident: Incident | None = None
        self.weight = 0
        """How many events have been taken."""
        for recorded in in_order(r for r in given if not isinstance(r.event, MaintenanceAnnounced)):
            self._state.apply(recorded)
            self._note(recorded)

    @property
    def incident(self) -> Incident:
        """Return what is known."""
        if self._incident is None:
            self._incident = incident_of(self._id, self._state, self._announced)
        return self._incident

    def apply(self, recorded: Recorded) -> FoldEffect:
        """Take one more event. If its bearing is unclear nothing was taken: make a new standing of all events."""
        event = recorded.event
        if isinstance(event, MaintenanceAnnounced) or event.service not in self._services:
            return FoldEffect.UNCLEAR  # maintenance of that service may have been announced
        state = self._state
        before = state.closing, state.first_event_at, state.detected_at
        if isinstance(event, OutageEvent):
            bearing = self._outage(recorded, event)
        else:
            bearing = FoldEffect.SOME if self._is_next_word(recorded) else FoldEffect.UNCLEAR
            if bearing is FoldEffect.SOME:
                state.apply(recorded)
        if bearing is FoldEffect.UNCLEAR:
            return bearing
        self._note(recorded)
        if bearing is FoldEffect.NONE and before == (state.closing, state.first_event_at, state.detected_at):
            return FoldEffect.NONE
        self._incident = None
        return FoldEffect.SOME

    def _is_next_word(self, recorded: Recorded) -> bool:
        """Return whether what a person says comes after what people said before, and a closing after everything."""
        event = recorded.event
        if self._last_word is not None and occurrence(event) <= self._last_word:
            return False
        closes = isinstance(event, IncidentClosed) or self._state.closing is not None
        return not closes or self._is_last(event.occurred_at)

    def _is_last(self, at: datetime) -> bool:
        return self._last_at is None or at > self._last_at

    def _outage(self, recorded: Recorded, event: OutageEvent) -> FoldEffect:
        at = event.occurred_at
        if self._state.closing is not None and not self._is_last(at):
            return FoldEffect.UNCLEAR
        keys = [(event.service, region) for region in event.regions]
        if self._is_next(keys, at):
            before = [self._state.lines[key].impairment() for key in keys]
            self._state.apply(recorded)
            same = before == [self._state.lines[key].impairment() for key in keys]
            return FoldEffect.NONE if same else FoldEffect.SOME
        for key in keys:
            if key not in self._signals or not self._goes_on(key, event):
                return FoldEffect.UNCLEAR
        self._state.record_receipt(recorded)
        for key in keys:
            self._absorb(self._state.lines[key], event)
        return FoldEffect.NONE

    def _is_next(self, keys: Iterable[tuple[str, str]], at: datetime) -> bool:
        """Return whether an event comes after everything that is known of its lines."""
        for key in keys:
            known = self._signals.get(key)
            if known is not None and at <= known.last_at:
                return False
        return True

    def _goes_on(self, key: tuple[str, str], event: OutageEvent) -> bool:
        """Return whether a line was down from before a late event until now, with it and without it."""
        line, signals = self._state.lines[key], self._signals[key]
        signal, at = event.data.signal or "", event.occurred_at
        last = line.intervals[-1] if line.intervals else None
        if last is None or last.end != NEVER or last.impairment is not Impairment.DOWN:
            return False
        if not signal or not signals.is_news(signal, at) or not signals.is_news("", at):
            return False  # what names no signal ends all
        if event.type == EventType.OUTAGE_STARTED:
            return last.start <= at
        return last.start < at and any(
            line.signals[other] is Impairment.DOWN and signals.by_signal[other] <= at and other != signal
            for other in islice(line.signals, _LOOKED_AT)
        )

    def _absorb(self, line: ImpairmentHistory, event: OutageEvent) -> None:
        signal = event.data.signal or ""
        if event.type == EventType.OUTAGE_RESTORED:
            line.signals.pop(signal, None)
            return
        is_down = event.type == EventType.OUTAGE_STARTED
        line.signals[signal] = Impairment.DOWN if is_down else Impairment.DEGRADED
        last, by = line.intervals[-1], (event.source, event.id)
        if last.start == event.occurred_at and by < last.begun_by:  # of several at one instant the first by name
            line.intervals[-1] = replace(last, begun_by=by)
            if len(line.intervals) > 1 and line.intervals[-2].ended_by == last.begun_by:
                line.intervals[-2] = replace(line.intervals[-2], ended_by=by)
            self._incident = None

    def _note(self, recorded: Recorded) -> None:
        event = recorded.event
        self._services.add(event.service)
        self.weight += 1
        if self._last_at is None or event.occurred_at > self._last_at:
            self._last_at = event.occurred_at
        if not isinstance(event, OutageEvent):
            word = occurrence(event)
            self._last_word = word if self._last_word is None else max(word, self._last_word)
            return
        for region in event.regions:
            key = (event.service, region)
            if key not in self._signals:
                self._signals[key] = _Signals(event.occurred_at)
            self._signals[key].note(event.data.signal or "", event.occurred_at)
