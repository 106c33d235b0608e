"""Tracks findings from probe to probe: when each appears and when it ends, without flapping."""

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from incident_engine.watchdog.findings import SEEN_TWICE, Change, ClockReading, Finding, Kind, Observation


class FindingTracker:
    """Holds the current findings. A finding ends when no probe has observed it for `quiet` of real time."""

    def __init__(self, quiet: timedelta) -> None:
        self._quiet = quiet.total_seconds()
        self._suspected: set[Kind] = set()
        self._findings: dict[Kind, Finding] = {}
        self._seen_at: dict[Kind, float] = {}
        self._lock = threading.Lock()  # /readyz reads the findings from another thread

    @property
    def findings(self) -> Sequence[Finding]:
        """Return the current findings, the oldest first. Safe in any thread."""
        with self._lock:
            return tuple(self._findings.values())

    def update(
        self, observations: Sequence[Observation], at: ClockReading, unknown: Collection[Kind] = ()
    ) -> list[Change]:
        """Apply the observations of one probe and return the findings that appeared, were renewed or ended.

        Kinds in `unknown` could not be probed and stay as they are.
        """
        with self._lock:
            suspected = {observation.kind for observation in observations}
            changes = [change for observation in observations for change in self._apply(observation, at)]
            self._suspected = suspected | (self._suspected & set(unknown))
            # A kind that cannot be probed has not ended: its quiet time starts over.
            for kind in self._findings.keys() & set(unknown):
                self._seen_at[kind] = at.ticks
            unseen_for = {kind: at.ticks - self._seen_at[kind] for kind in self._findings}
            # With a quiet time of zero, an observation of this very probe must not end its own finding.
            ended = [kind for kind, seconds in unseen_for.items() if seconds > 0 and seconds >= self._quiet]
            return changes + [Change(self._findings.pop(kind), at.now) for kind in ended]

    def _apply(self, observation: Observation, at: ClockReading) -> list[Change]:
        kind, finding = observation.kind, self._findings.get(observation.kind)
        if finding is None and kind in SEEN_TWICE and kind not in self._suspected:
            return []
        self._seen_at[kind] = at.ticks
        # The first observation keeps its `since`; everything else follows the latest one.
        latest = observation if finding is None else replace(observation, since=finding.since)
        self._findings[kind] = latest
        is_news = finding is None or _is_renewed(finding.renewed_at, observation.renewed_at)
        return [Change(latest)] if is_news else []


def _is_renewed(before: datetime | None, latest: datetime | None) -> bool:
    return before is not None and latest is not None and latest > before
