"""Grading a history of events from a file, without a daemon."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from incident_engine.errors import Finding, InvalidDocumentError, InvalidFilesError, MalformedBodyError
from incident_engine.facts.correlation import split
from incident_engine.facts.events import Event, Recorded
from incident_engine.facts.hours import ServiceHours
from incident_engine.facts.incident import Incident, fold
from incident_engine.grading.assess import Assessment, assess
from incident_engine.grading.document import assessment_document
from incident_engine.grading.pack import Pack
from incident_engine.intake.native import parse_events, parse_json
from incident_engine.settings import Settings
from incident_engine.yaml_loader import Document, load_text


@dataclass(frozen=True, slots=True)
class Graded:
    """An incident of the history with its verdicts."""

    incident: Incident
    assessments: tuple[Assessment, ...]


@dataclass(frozen=True, slots=True)
class Basis:
    """What a history is graded by: packs, and the service hours of each service."""

    packs: Sequence[Pack]
    hours: Mapping[str, ServiceHours]


def read_events(text: str, name: str, services: Mapping[str, object]) -> list[Event]:
    """Return the events of a text in JSON, JSON lines or YAML. Raises InvalidFilesError with every finding."""
    if _looks_like_lines(text):
        return _from_lines(text, name, services)
    is_json = text.lstrip()[:1] in ("[", "{")
    document = _json_document(text, name) if is_json else load_text(text, name)
    if document.data is None:
        raise InvalidFilesError([Finding(name, 1, 1, "holds no events; expected one event or a list of them")])
    try:
        return parse_events(document.data, services)
    except InvalidDocumentError as error:
        places = dict(_places(text, document.data)) if is_json else document.places
        raise replace(document, places=places).refuse(error.problems) from None


def grade(
    events: Sequence[Event], basis: Basis, settings: Settings, at: datetime | None, now: datetime
) -> list[Graded]:
    """Return the incidents of a history with their verdicts.

    `at` defaults, for each incident, to its last restoration, or to `now` while anything is down. Only what occurred
    up to `at` is taken into account: the verdict is the one that could be given then.
    """
    known = [Recorded(event, event.occurred_at) for event in events if at is None or event.occurred_at <= at]
    histories = split(known, settings.groups, settings.intake.window, settings.bank.zone)
    return [_graded(fold(name, history), basis, at, now) for name, history in histories.items()]


def graded_document(graded: Sequence[Graded], settings: Settings) -> dict[str, Any]:
    """Return the verdicts as JSON values."""
    zone = settings.bank.zone
    return {
        "incidents": [
            {
                "incident": found.incident.id,
                "services": list(found.incident.services),
                "regions": list(found.incident.regions),
                "assessments": [assessment_document(assessment, zone) for assessment in found.assessments],
            }
            for found in graded
        ]
    }


def _graded(incident: Incident, basis: Basis, at: datetime | None, now: datetime) -> Graded:
    when = at or incident.restored_at or now
    return Graded(incident, tuple(assess(incident, pack, basis.hours, when) for pack in basis.packs))


def _looks_like_lines(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines)


def _from_lines(text: str, name: str, services: Mapping[str, object]) -> list[Event]:
    events: list[Event] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            events += parse_events(parse_json(line.encode()), services)
        except MalformedBodyError as error:
            findings.append(Finding(name, number, error.column, f"not valid JSON: {error}"))
        except InvalidDocumentError as error:
            findings += [Finding(name, number, 1, f"{p.pointer}: {p.sentence()}") for p in error.problems]
    if findings:
        raise InvalidFilesError(findings)
    return events


def _json_document(text: str, name: str) -> Document:
    """Read JSON. Findings are placed by the events: JSON's readers keep no positions."""
    try:
        data = parse_json(text.encode())
    except MalformedBodyError as error:
        raise InvalidFilesError([Finding(name, error.line, error.column, f"not valid JSON: {error}")]) from None
    return Document(name, data)


def _places(text: str, data: object) -> Iterator[tuple[tuple[str | int, ...], tuple[int, int]]]:
    """Yield where each event of a JSON array begins."""
    if not isinstance(data, list):
        return
    decoder = json.JSONDecoder()
    at, line, counted = text.index("[") + 1, 1, 0
    for place in range(len(data)):
        while text[at] in " \t\r\n,":
            at += 1
        line += text.count("\n", counted, at)
        counted = at
        yield (place,), (line, at - (text.rfind("\n", 0, at) + 1) + 1)
        _, at = decoder.raw_decode(text, at)


def read_text(path: Path) -> str:
    """Return a file's text. Raises InvalidFilesError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"is not UTF-8: {error.reason}")]) from None
