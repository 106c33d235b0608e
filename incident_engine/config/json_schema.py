"""JSON Schemas (draft 2020-12) of the files that operators write and the events that monitors send, for editors.

The schemas are derived from the pydantic models. A schema checks the shape of a document; `incident-engine check` also
checks its references and a pack's cases. A schema is stricter than the program where a person can only have erred: a
key without a value (monitors may send null), a number in quotation marks, a province's name in other capitals.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from incident_engine.common.errors import Finding, InvalidFilesError
from incident_engine.config.calendars import CalendarFile
from incident_engine.config.json_schema_models import schema_of
from incident_engine.config.json_schema_values import VALUES, Schema, link, target
from incident_engine.config.scenario import Scenario
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.reports.definition import ReportDefinition
from incident_engine.domain.response.playbook import Playbook

SUFFIX = ".schema.json"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, Schema]:
    """Return the schemas by kind of document: pack, playbook, config, event, scenario, calendar, report."""
    event = schema_of(Event, may_be_null=True)
    definitions = event.pop("$defs") | {
        "Event": {"description": "One fact, reported by a monitor or a person."} | event
    }
    one_or_many = {
        "description": "One event or an array of events, the input of POST /api/v1/events and of `grade`.",
        "anyOf": [link("Event"), {"type": "array", "items": link("Event")}],
        "$defs": definitions,
    }
    scenario = schema_of(Scenario)
    events, names = _timed_events("Offset", "Instant")
    scenario["properties"]["events"]["items"] = {"oneOf": [link(name) for name in names]}
    scenario["$defs"] |= events
    return {
        "pack": _document("pack", "Rule pack", _pack()),
        "playbook": _document("playbook", "Playbook", schema_of(Playbook)),
        "config": _document("config", "config.yaml", schema_of(Settings)),
        "event": _document("event", "Events in the native format", one_or_many),
        "scenario": _document("scenario", "Scenario of a drill", scenario),
        "calendar": _document("calendar", "Calendar", schema_of(CalendarFile)),
        "report": _document("report", "Definition of a report", schema_of(ReportDefinition)),
    }


def texts() -> dict[str, str]:
    """Return the schemas as JSON text by file name."""
    return {
        # Chinese names must stay readable in an editor.
        f"{kind}{SUFFIX}": json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        for kind, schema in documents().items()
    }


def write(directory: Path) -> list[Path]:
    """Write the schemas into a folder, creating it if needed, and return their files.

    Raises InvalidFilesError if they cannot be written.
    """
    files = {directory / name: text for name, text in texts().items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidFilesError([Finding(str(directory), 1, 1, f"cannot be written: {error.strerror}")]) from None
    return list(files)


def stale(directory: Path) -> list[Path]:
    """Return the files of a folder that are missing or differ from the models."""
    files: list[Path] = []
    for name, text in texts().items():
        file = directory / name
        try:
            is_stale = file.read_text(encoding="utf-8") != text
        except (OSError, UnicodeDecodeError):
            is_stale = True
        if is_stale:
            files.append(file)
    return files


# The documents


def _document(kind: str, title: str, body: Schema) -> Schema:
    definitions = body.pop("$defs", {})
    head = {"$schema": _DIALECT, "$id": f"incident-engine/{kind}{SUFFIX}", "title": f"incident-engine: {title}"}
    document = head | {key: part for key, part in body.items() if key != "title"}
    return document | {"$defs": _reachable(document, VALUES | definitions)}


def _pack() -> Schema:
    pack = schema_of(Pack)
    definitions: dict[str, Schema] = pack["$defs"]
    # The name of a parameter, written $name, may replace every text or number that a parameter can be.
    parts = VALUES | definitions
    for schema in _reachable([pack["properties"][key] for key in _PARAMETRIC], parts).values():
        for key, part in schema.get("properties", {}).items():
            schema["properties"][key] = _or_parameter(part, parts)
    case = definitions["PackCase"]["properties"]
    case["interpretation"] = {"description": case["interpretation"]["description"], **link("Interpretation")}
    events, names = _timed_events("TimeOfDay", "TimeOfDay")
    for name in names:
        _drop_required(events[name], "service")  # the pack's case itself names the service
    case["events"]["items"] = {"oneOf": [link(name) for name in names]}
    return pack | {"$defs": definitions | events}


def _timed_events(at: str, instant: str) -> tuple[dict[str, Schema], list[str]]:
    """Return the definitions, and the names, of the events of a scenario or a pack's case.

    These events have the key `at` instead of source, id and occurred_at. `at` and `instant` name the definitions of
    that time and of the instants in the events' data.
    """
    events = schema_of(Event)
    definitions: dict[str, Schema] = _relinked(events["$defs"], "Instant", instant)
    names = [target(option) for option in events["oneOf"]]
    for name in names:
        event = definitions[name]
        for key in ("source", "id", "occurred_at"):
            del event["properties"][key]
            _drop_required(event, key)
        event["properties"] = {"at": link(at)} | event["properties"]
        event["required"] = ["at", *event["required"]]
    return definitions, names


def _drop_required(schema: Schema, name: str) -> None:
    schema["required"] = [other for other in schema["required"] if other != name]


def _relinked(part: Any, old: str, new: str) -> Any:
    """Return a copy of a part of a schema with links to definition `old` replaced by links to `new`."""
    if isinstance(part, list):
        return [_relinked(inner, old, new) for inner in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _relinked(inner, old, new) for key, inner in part.items()}
    return kept | link(new) if "$ref" in part and target(part) == old else kept


# Definitions and references


def _targets(part: Any) -> Iterator[str]:
    """Yield the names of the definitions to which a part of a schema links."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield target(part)
        for inner in part.values():
            yield from _targets(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _targets(inner)


def _reachable(part: Any, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the definitions that a part of a schema needs, in order of name."""
    names: set[str] = set()
    pending = list(_targets(part))
    while pending:
        name = pending.pop()
        if name not in names:
            names.add(name)
            pending += _targets(definitions[name])
    return {name: definitions[name] for name in sorted(names)}


# Parameters of a pack

_PARAMETRIC = ("interpretation", "rules", "obligations")


def _or_parameter(part: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "items" in part:
        return part | {"items": _or_parameter(part["items"], definitions)}
    if "anyOf" in part:
        is_narrow = any(_is_narrow(option, definitions) for option in part["anyOf"])
        return part | {"anyOf": [*part["anyOf"], link("ParameterName")]} if is_narrow else part
    if not _is_narrow(part, definitions):
        return part
    notes = {key: part[key] for key in ("description", "default") if key in part}
    return notes | {"anyOf": [{key: value for key, value in part.items() if key not in notes}, link("ParameterName")]}


def _is_narrow(part: Schema, definitions: Mapping[str, Schema]) -> bool:
    """Return whether a part is a number or a restricted text; plain text accepts a parameter's name anyway."""
    if "$ref" in part:
        return _is_narrow(definitions[target(part)], definitions)
    kind = part.get("type")
    if kind == "string":
        return not part.keys().isdisjoint({"pattern", "enum", "const", "format"})
    return kind in ("integer", "number")
