"""From what each look sees to findings that appear and end, without flapping."""

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from incident_engine.watchdog.findings import SEEN_TWICE, Change, ClockReading, Finding, Kind, Observation


class FindingTracker:
    """The findings there are. One is over when it has not been seen for as long as `quiet`, in real time."""

    def __init__(self, quiet: timedelta) -> None:
        self._quiet = quiet.total_seconds()
        self._suspected: set[Kind] = set()
        self._findings: dict[Kind, Finding] = {}
        self._seen_at: dict[Kind, float] = {}
        self._lock = threading.Lock()

    @property
    def findings(self) -> Sequence[Finding]:
        """Return what is found, the first first. For any thread."""
        with self._lock:
            return tuple(self._findings.values())

    def update(self, sights: Sequence[Observation], at: ClockReading, unknown: Collection[Kind] = ()) -> list[Change]:
        """Note what a look saw; `unknown` kinds could not be looked at and stay as they are. Return what changed."""
        with self._lock:
            suspected = {sight.kind for sight in sights}
            changes = [change for sight in sights for change in self._see(sight, at)]
            self._suspected = suspected | (self._suspected & set(unknown))
            for kind in self._findings.keys() & set(unknown):
                self._seen_at[kind] = at.ticks
            return changes + self._end(at)

    def _see(self, sight: Observation, at: ClockReading) -> list[Change]:
        kind, known = sight.kind, self._findings.get(sight.kind)
        if known is None and kind in SEEN_TWICE and kind not in self._suspected:
            return []
        self._seen_at[kind] = at.ticks
        self._findings[kind] = sight if known is None else replace(known, detail=sight.detail)
        return [Change(sight)] if known is None else []

    def _end(self, at: ClockReading) -> list[Change]:
        over = [kind for kind in self._findings if self._has_ended(kind, at)]
        return [Change(self._findings.pop(kind), at.now) for kind in over]

    def _has_ended(self, kind: Kind, at: ClockReading) -> bool:
        unseen_for = at.ticks - self._seen_at[kind]
        return unseen_for > 0 and unseen_for >= self._quiet
