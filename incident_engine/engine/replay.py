"""A history of incidents under several packs, or several versions of one, side by side: to try a change of rules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.yaml_loader import load_file
from incident_engine.config.rulebook import load_packs, rules_directory
from incident_engine.config.settings import Settings
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.model import Event
from incident_engine.domain.grading.assess import history_of
from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.grading.recurring import recurrences
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER
from incident_engine.engine.offline import end_of, incidents_of


class Difference(StrEnum):
    """In what verdicts on one incident differ."""

    LEVEL = "level"
    """In the level reached in the end; for packs with other levels, in whether any is reached."""
    INSTANT = "instant"
    """Only in when that level, or one before it, was reached."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pack under trial, with the name that tells it apart from the others."""

    label: str
    pack: Pack
    file: Path


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one pack says of an incident at its end."""

    course: tuple[LevelChange, ...]
    """Every change of the level, in order."""
    in_force: bool = True
    """Whether the regulation was in force when the incident began; if not, it gives no level."""

    @property
    def level(self) -> str | None:
        """Return the level in the end, or None below the lowest."""
        return self.course[-1].level if self.course else None

    @property
    def since(self) -> datetime | None:
        """Return when that level was reached."""
        return self.course[-1].at if self.course else None


@dataclass(frozen=True, slots=True)
class Row:
    """One incident under every pack; or several that recur, which a pack grades as one."""

    incidents: tuple[str, ...]
    root_cause: str | None
    """Of incidents that recur."""
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
    """A history under several packs."""

    candidates: tuple[Candidate, ...]
    rows: tuple[Row, ...]
    """Those with another level first, then those with another instant, then the others; each in order of time."""

    @property
    def differences(self) -> Mapping[Difference, int]:
        """Return how many rows differ, and in what."""
        counted = Counter(row.difference for row in self.rows)
        return {kind: counted[kind] for kind in Difference}

    def matrix(self, other: int) -> Mapping[tuple[str | None, str | None], int]:
        """Return how many rows have which level by the first pack and which by another, given by its place.

        Those for which one of the two was not in force are left out.
        """
        pairs = ((row.verdicts[0], row.verdicts[other]) for row in self.rows)
        return Counter((first.level, second.level) for first, second in pairs if first.in_force and second.in_force)

    def out_of_force(self, place: int) -> int:
        """Return how many rows a pack gives no level to because it was not in force."""
        return sum(not row.verdicts[place].in_force for row in self.rows)


# The packs


def load_candidates(settings: Settings, config_file: Path, names: Sequence[str]) -> list[Candidate]:
    """Return the packs under trial, each given by its id among the bank's rules or by a file.

    Raises InvalidDocumentError for a name that is no pack's or stands twice, InvalidFilesError with every finding in
    the files.
    """
    found = [_load(settings, config_file, name) for name in names]
    for place, (pack, file) in enumerate(found):
        if file.resolve() in [other.resolve() for _, other in found[:place]]:
            said = f"pack '{pack.pack}' is given twice ({file})"
            raise InvalidDocumentError([Problem((), said, "another pack, or another version in a file of its own")])
    labels = _labels(found)
    return [Candidate(label, pack, file) for label, (pack, file) in zip(labels, found, strict=True)]


def _load(settings: Settings, config_file: Path, name: str) -> tuple[Pack, Path]:
    file = Path(name)
    if file.suffix not in (".yaml", ".yml") and len(file.parts) == 1:
        (pack,) = load_packs(settings, config_file, [name])
        return pack, rules_directory(settings) / "grading" / f"{name}.yaml"
    document = load_file(file)
    try:
        return parse_pack(document.data), file
    except InvalidDocumentError as error:
        raise document.refuse(error.problems) from None


def _labels(found: Sequence[tuple[Pack, Path]]) -> list[str]:
    """Return each pack's id, with the version, the file's name or its path where two would have the same."""
    spellings = [
        (pack.pack, f"{pack.pack}@{pack.version}", f"{pack.pack} ({file.name})", f"{pack.pack} ({file})")
        for pack, file in found
    ]
    chosen = [0] * len(found)
    for _ in spellings[0][1:]:
        labels = [spelling[place] for spelling, place in zip(spellings, chosen, strict=True)]
        chosen = [place + (labels.count(label) > 1) for place, label in zip(chosen, labels, strict=True)]
    return [spelling[place] for spelling, place in zip(spellings, chosen, strict=True)]


# The verdicts


def replay(
    events: Sequence[Event],
    candidates: Sequence[Candidate],
    hours: Mapping[str, ServiceHours],
    settings: Settings,
    at: datetime | None,
    now: datetime,
) -> Replay:
    """Return the incidents of a history under every pack.

    Each verdict is that of the incident's end: the restoration, or what people said of it later; `at` or `now` while
    anything is down. What occurred after `at` is left out. Raises InvalidDocumentError for what a person says of an
    incident that is not there.
    """
    incidents = incidents_of(events, settings, at)
    rows = [_row(incident, end_of(incident, history, at or now), candidates, hours) for incident, history in incidents]
    rows += _recurring([incident for incident, _ in incidents], candidates, hours, at or now)
    return Replay(tuple(candidates), tuple(sorted(rows, key=_order)))


def _row(incident: Incident, at: datetime, candidates: Sequence[Candidate], hours: Mapping[str, ServiceHours]) -> Row:
    begun = incident.occurred_at
    verdicts = tuple(
        Verdict(
            tuple(step for step in history_of(incident, each.pack, hours) if step.at <= at),
            begun is None or each.pack.is_in_force(begun),
        )
        for each in candidates
    )
    difference = _difference(candidates, verdicts)
    return Row(
        (incident.id,),
        None,
        begun or incident.first_event_at,
        at,
        incident.services,
        incident.regions,
        verdicts,
        difference,
    )


def _recurring(
    incidents: Sequence[Incident], candidates: Sequence[Candidate], hours: Mapping[str, ServiceHours], now: datetime
) -> list[Row]:
    """Return a row for each set of incidents that some pack grades as one."""
    rows: dict[tuple[str, ...], Row] = {}
    nothing = (Verdict(()),) * len(candidates)
    by_id = {incident.id: incident for incident in incidents}
    for place, each in enumerate(candidates):
        for found in recurrences(incidents, each.pack, hours, now):
            of = [by_id[name] for name in found.incidents]
            services = tuple(sorted({service for incident in of for service in incident.services}))
            regions = tuple(sorted({region for incident in of for region in incident.regions}))
            row = Row(found.incidents, found.root_cause, found.first_at, now, services, regions, nothing, None)
            row = rows.get(found.incidents, row)
            verdicts = (*row.verdicts[:place], Verdict((found.reached,)), *row.verdicts[place + 1 :])
            rows[found.incidents] = replace(row, verdicts=verdicts)
    return [replace(row, difference=_difference(candidates, row.verdicts)) for row in rows.values()]


_A_SECOND = timedelta(seconds=1)


def _difference(candidates: Sequence[Candidate], verdicts: Sequence[Verdict]) -> Difference | None:
    """Return the gravest difference between any two of the verdicts."""
    pairs = list(combinations(zip(candidates, verdicts, strict=True), 2))
    if any(_is_other_level(a.pack, b.pack, first, second) for (a, first), (b, second) in pairs):
        return Difference.LEVEL
    if any(_has_same_levels(a.pack, b.pack) and _is_other_course(f, s) for (a, f), (b, s) in pairs):
        return Difference.INSTANT
    return None


def _has_same_levels(first: Pack, second: Pack) -> bool:
    return [level.id for level in first.levels] == [level.id for level in second.levels]


def _is_other_level(a: Pack, b: Pack, first: Verdict, second: Verdict) -> bool:
    if _has_same_levels(a, b):
        return first.level != second.level
    return (first.level is None) != (second.level is None)


def _is_other_course(first: Verdict, second: Verdict) -> bool:
    """Return whether other levels were reached, or one at another time, to the second."""
    if [step.level for step in first.course] != [step.level for step in second.course]:
        return True
    return any(abs(a.at - b.at) >= _A_SECOND for a, b in zip(first.course, second.course, strict=True))


def _order(row: Row) -> tuple[int, datetime, tuple[str, ...]]:
    place = len(Difference) if row.difference is None else list(Difference).index(row.difference)
    return place, row.occurred_at or NEVER, row.incidents


# As JSON


def replay_document(found: Replay, zone: tzinfo, *, only_differences: bool) -> dict[str, Any]:
    """Return a replay as JSON values. Instants in local time."""
    labels = [each.label for each in found.candidates]
    rows = [row for row in found.rows if row.difference is not None or not only_differences]
    return {
        "packs": [
            {
                "label": each.label,
                "pack": each.pack.pack,
                "version": each.pack.version,
                "content_hash": each.pack.content_hash,
                "file": str(each.file),
                "not_in_force": found.out_of_force(place),
            }
            for place, each in enumerate(found.candidates)
        ],
        "incidents": [_row_document(row, labels, zone) for row in rows],
        "summary": {
            "incidents": len(found.rows),
            "differ": sum(found.differences.values()),
            **{f"differ_in_{kind}": count for kind, count in found.differences.items()},
            "levels": [
                {"from": labels[0], "to": label, "counts": _counts(found.matrix(place))}
                for place, label in enumerate(labels)
                if place > 0 or len(labels) == 1
            ],
        },
    }


def _counts(matrix: Mapping[tuple[str | None, str | None], int]) -> list[dict[str, Any]]:
    ordered = sorted(matrix.items(), key=lambda item: [str(level) for level in item[0]])
    return [{"from": first, "to": second, "incidents": count} for (first, second), count in ordered]


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
                "trajectory": [_step_document(step, zone) for step in verdict.course],
            }
            for label, verdict in zip(labels, row.verdicts, strict=True)
        ],
    }


def _step_document(step: LevelChange, zone: tzinfo) -> dict[str, Any]:
    document = {"level": step.level, "at": to_local_iso(step.at, zone), "rule": step.rule, "cite": step.cite}
    return document if step.correction is None else document | {"corrected_by": step.correction.data.by}
