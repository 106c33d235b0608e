"""Files of events in JSON, JSON lines or YAML, with findings by line and column."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from incident_engine.common.errors import (
    Finding,
    InvalidDocumentError,
    InvalidFilesError,
    MalformedBodyError,
    Problem,
)
from incident_engine.common.yaml_loader import Document, load_text
from incident_engine.config.settings import Settings
from incident_engine.domain.events.content import contradictions
from incident_engine.domain.events.model import Event
from incident_engine.intake.document import parse_json
from incident_engine.intake.native import parse_events


def read_text(path: Path) -> str:
    """Return the text of a file. Raises InvalidFilesError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"is not UTF-8: {error.reason}")]) from None


def read_events(text: str, name: str, settings: Settings) -> list[Event]:
    """Return the events of a text. Raises InvalidFilesError with every finding, in the file `name`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    objects = [line for line in lines if line.startswith("{") and line.endswith("}")]
    # JSON lines if most lines are whole objects: one or the other may be broken, and is then a finding of its own.
    if len(lines) > 1 and lines[0] in objects[:1] and len(objects) * 2 > len(lines):
        return _from_lines(text, name, settings)
    is_json = text.lstrip()[:1] in ("[", "{")
    try:
        document = Document(name, parse_json(text.encode())) if is_json else load_text(text, name)
    except MalformedBodyError as error:
        raise InvalidFilesError([Finding(name, error.line, error.column, f"not valid JSON: {error}")]) from None
    if document.data is None:
        raise InvalidFilesError([Finding(name, 1, 1, "holds no events; expected one event or a list of them")])
    events: list[Event] = []
    problems: tuple[Problem, ...]
    try:
        events = parse_events(document.data, settings.service_names, settings.regions.everywhere)
        problems = tuple(replace(conflict, path=(index, *conflict.path)) for index, conflict in contradictions(events))
    except InvalidDocumentError as error:
        problems = error.problems
    if problems:
        positions = dict(_positions(text, document.data)) if is_json else document.positions
        raise replace(document, positions=positions).refuse(problems)
    return events


def _from_lines(text: str, name: str, settings: Settings) -> list[Event]:
    events: list[Event] = []
    numbers: list[int] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            events += parse_events(parse_json(line.encode()), settings.service_names, settings.regions.everywhere)
            numbers += [number] * (len(events) - len(numbers))
        except MalformedBodyError as error:
            findings.append(Finding(name, number, error.column, f"not valid JSON: {error}"))
        except InvalidDocumentError as error:
            findings += [Finding(name, number, 1, f"{p.pointer}: {p.sentence()}") for p in error.problems]
    findings += [
        Finding(name, numbers[index], 1, f"{conflict.pointer}: {conflict.sentence()}")
        for index, conflict in contradictions(events)
    ]
    if findings:
        raise InvalidFilesError(findings)
    return events


def _positions(text: str, data: object) -> Iterator[tuple[tuple[str | int, ...], tuple[int, int]]]:
    """Yield the path of each event of a JSON array with its line and column, because JSON readers keep no positions."""
    if not isinstance(data, list):
        return
    decoder = json.JSONDecoder()
    offset, line, counted = text.index("[") + 1, 1, 0
    for index in range(len(data)):
        while text[offset] in " \t\r\n,":
            offset += 1
        line += text.count("\n", counted, offset)
        counted = offset
        yield (index,), (line, offset - (text.rfind("\n", 0, offset) + 1) + 1)
        _, offset = decoder.raw_decode(text, offset)
