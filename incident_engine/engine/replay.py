"""A history of incidents graded by several packs, or by several versions of one, to try a change of rules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import combinations
from typing import Any

from incident_engine.config.settings import Settings
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.model import Event
from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack_levels import history_of
from incident_engine.domain.grading.recurring import recurrences
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER
from incident_engine.engine.candidates import Candidate
from incident_engine.engine.history import end_of, incidents_of

_TOLERANCE = timedelta(seconds=1)
"""Instants that differ by less count as the same."""


class Difference(StrEnum):
    """The greatest difference between the verdicts on one incident."""

    LEVEL = "level"
    """Another final level; between packs with different levels, whether any level is reached."""
    INSTANT = "instant"
    """The same final level, but it or one before it was reached at another instant."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of one pack at the end of an incident."""

    history: tuple[LevelChange, ...]
    """Every change of the level, in order."""
    in_force: bool = True
    """Whether the regulation was in force when the incident began; if not, it gives no level."""

    @property
    def level(self) -> str | None:
        """Return the final level, or None below the lowest."""
        return self.history[-1].level if self.history else None

    @property
    def since(self) -> datetime | None:
        """Return the instant at which the final level was reached."""
        return self.history[-1].at if self.history else None


@dataclass(frozen=True, slots=True)
class Row:
    """One incident graded by every pack, or several recurring incidents that a pack grades as one."""

    incidents: tuple[str, ...]
    root_cause: str | None
    """The common root cause of recurring incidents; None for a single one."""
    occurred_at: datetime | None
    at: datetime
    """The instant of the verdicts."""
    services: tuple[str, ...]
    regions: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    """In the order of the packs."""
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Replay:
    """A history graded by several packs."""

    candidates: tuple[Candidate, ...]
    rows: tuple[Row, ...]
    """Rows that differ in the level first, then those that differ in an instant, then the others, each by time."""

    @property
    def differences(self) -> Mapping[Difference, int]:
        """Return the number of rows with each kind of difference."""
        counts = Counter(row.difference for row in self.rows)
        return {kind: counts[kind] for kind in Difference}

    def matrix(self, other: int) -> Mapping[tuple[str | None, str | None], int]:
        """Return the number of rows by (level of the first pack, level of the pack with the index `other`).

        Rows for which one of the two packs was not in force are left out.
        """
        pairs = ((row.verdicts[0], row.verdicts[other]) for row in self.rows)
        return Counter((first.level, second.level) for first, second in pairs if first.in_force and second.in_force)

    def out_of_force(self, index: int) -> int:
        """Return the number of rows for which a pack was not in force."""
        return sum(not row.verdicts[index].in_force for row in self.rows)


def replay(
    events: Sequence[Event],
    candidates: Sequence[Candidate],
    hours: Mapping[str, ServiceHours],
    settings: Settings,
    at: datetime | None,
    now: datetime,
) -> Replay:
    """Return the incidents of a history graded by every pack.

    Each verdict is that of the end of the incident: its last event, or `at` or `now` while a service is down. Events
    after `at` are left out. Raises InvalidDocumentError for a person's event of an incident that is not in the history.
    """
    incidents = incidents_of(events, settings, at)
    rows = [_row(incident, end_of(incident, history, at or now), candidates, hours) for incident, history in incidents]
    rows += _recurring([incident for incident, _ in incidents], candidates, hours, at or now)
    kinds: list[Difference | None] = [*Difference, None]
    rows.sort(key=lambda row: (kinds.index(row.difference), row.occurred_at or NEVER, row.incidents))
    return Replay(tuple(candidates), tuple(rows))


def _row(incident: Incident, at: datetime, candidates: Sequence[Candidate], hours: Mapping[str, ServiceHours]) -> Row:
    occurred_at = incident.occurred_at
    verdicts = tuple(
        Verdict(
            history=tuple(change for change in history_of(incident, candidate.pack, hours) if change.at <= at),
            in_force=occurred_at is None or candidate.pack.is_in_force(occurred_at),
        )
        for candidate in candidates
    )
    return Row(
        incidents=(incident.id,),
        root_cause=None,
        occurred_at=occurred_at or incident.first_event_at,
        at=at,
        services=incident.services,
        regions=incident.regions,
        verdicts=verdicts,
        difference=_difference(candidates, verdicts),
    )


def _recurring(
    incidents: Sequence[Incident], candidates: Sequence[Candidate], hours: Mapping[str, ServiceHours], now: datetime
) -> list[Row]:
    """Return a row for each set of incidents that any of the packs grades as one."""
    rows: dict[tuple[str, ...], Row] = {}
    by_id = {incident.id: incident for incident in incidents}
    for index, candidate in enumerate(candidates):
        for recurrence in recurrences(incidents, candidate.pack, hours, now):
            members = [by_id[incident_id] for incident_id in recurrence.incidents]
            row = rows.get(recurrence.incidents) or Row(
                incidents=recurrence.incidents,
                root_cause=recurrence.root_cause,
                occurred_at=recurrence.first_at,
                at=now,
                services=tuple(sorted({service for member in members for service in member.services})),
                regions=tuple(sorted({region for member in members for region in member.regions})),
                verdicts=(Verdict(()),) * len(candidates),
                difference=None,
            )
            verdicts = (*row.verdicts[:index], Verdict((recurrence.reached,)), *row.verdicts[index + 1 :])
            rows[recurrence.incidents] = replace(row, verdicts=verdicts)
    return [replace(row, difference=_difference(candidates, row.verdicts)) for row in rows.values()]


def _difference(candidates: Sequence[Candidate], verdicts: Sequence[Verdict]) -> Difference | None:
    """Return the greatest difference between any two of the verdicts."""
    pairs = [_difference_of_two(*pair) for pair in combinations(zip(candidates, verdicts, strict=True), 2)]
    return next((kind for kind in Difference if kind in pairs), None)


def _difference_of_two(one: tuple[Candidate, Verdict], two: tuple[Candidate, Verdict]) -> Difference | None:
    (candidate, first), (other, second) = one, two
    if [level.id for level in candidate.pack.levels] != [level.id for level in other.pack.levels]:
        # Levels of different regulations have no common measure; only "none" means the same in both.
        return Difference.LEVEL if (first.level is None) != (second.level is None) else None
    if first.level != second.level:
        return Difference.LEVEL
    if [change.level for change in first.history] != [change.level for change in second.history]:
        return Difference.INSTANT
    changes = zip(first.history, second.history, strict=True)
    return Difference.INSTANT if any(abs(a.at - b.at) >= _TOLERANCE for a, b in changes) else None


# As JSON


def replay_document(result: Replay, zone: tzinfo, *, only_differences: bool) -> dict[str, Any]:
    """Return a replay as JSON values, with instants in local time."""
    labels = [candidate.label for candidate in result.candidates]
    rows = [row for row in result.rows if row.difference is not None or not only_differences]
    return {
        "packs": [
            {
                "label": candidate.label,
                "pack": candidate.pack.pack,
                "version": candidate.pack.version,
                "content_hash": candidate.pack.content_hash,
                "file": str(candidate.file),
                "not_in_force": result.out_of_force(index),
            }
            for index, candidate in enumerate(result.candidates)
        ],
        "incidents": [_row_document(row, labels, zone) for row in rows],
        "summary": {
            "incidents": len(result.rows),
            "differ": sum(result.differences.values()),
            **{f"differ_in_{kind}": count for kind, count in result.differences.items()},
            "levels": [
                {
                    "from": labels[0],
                    "to": label,
                    "counts": [
                        {"from": first, "to": second, "incidents": count}
                        for (first, second), count in sorted(
                            result.matrix(index).items(), key=lambda item: [str(level) for level in item[0]]
                        )
                    ],
                }
                for index, label in enumerate(labels)
                if index > 0 or len(labels) == 1
            ],
        },
    }


def _row_document(row: Row, labels: Sequence[str], zone: tzinfo) -> dict[str, Any]:
    return {
        "incident": "+".join(row.incidents),
        "root_cause": row.root_cause,
        "occurred_at": to_local_iso(row.occurred_at, zone),
        "at": to_local_iso(row.at, zone),
        "services": list(row.services),
        "regions": list(row.regions),
        "difference": row.difference,
        "verdicts": [
            {
                "pack": label,
                "level": verdict.level,
                "since": to_local_iso(verdict.since, zone),
                "in_force": verdict.in_force,
                "trajectory": [
                    {
                        "level": change.level,
                        "at": to_local_iso(change.at, zone),
                        "rule": change.rule,
                        "cite": change.cite,
                    }
                    | ({} if change.correction is None else {"corrected_by": change.correction.data.by})
                    for change in verdict.history
                ],
            }
            for label, verdict in zip(labels, row.verdicts, strict=True)
        ],
    }
