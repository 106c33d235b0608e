"""JSON Schemas (draft 2020-12) of what operators write and monitors send, so that editors complete and check it.

They come from the pydantic models. A schema tells what is wrong with the shape of a document; what its names refer to,
and a pack's cases, are for `check`. It is stricter than the program where a person could only have erred: a key without
a value (monitors may send null), a number in quotation marks, a province's name in other capitals.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from incident_engine.common.errors import Finding, InvalidFilesError
from incident_engine.config.json_schema_models import VALUES, Schema, link, schema_of, target
from incident_engine.config.rulebook import CalendarFile
from incident_engine.config.scenario import Scenario
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.reports.definition import ReportDefinition
from incident_engine.domain.response.playbook import Playbook

SUFFIX = ".schema.json"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, Schema]:
    """Return the schemas by the kind of document: pack, playbook, config, event, scenario, calendar, report."""
    return {
        "pack": _document("pack", "Rule pack", _pack()),
        "playbook": _document("playbook", "Playbook", schema_of(Playbook)),
        "config": _document("config", "config.yaml", schema_of(Settings)),
        "event": _document("event", "Events in the native format", _events()),
        "scenario": _document("scenario", "Scenario of a drill", _scenario()),
        "calendar": _document("calendar", "Calendar", schema_of(CalendarFile)),
        "report": _document("report", "Definition of a report", schema_of(ReportDefinition)),
    }


def texts() -> dict[str, str]:
    """Return the schemas as text, by the names of their files."""
    return {
        f"{kind}{SUFFIX}": json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        for kind, schema in documents().items()
    }


def write(directory: Path) -> list[Path]:
    """Write the schemas into a folder, which is made if need be, and return their files.

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
    """Return the files of a folder that are missing, or do not say what the models say."""
    return [directory / name for name, text in texts().items() if _read(directory / name) != text]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


# The documents


def _document(kind: str, title: str, body: Schema) -> Schema:
    definitions = body.pop("$defs", {})
    head = {"$schema": _DIALECT, "$id": f"incident-engine/{kind}{SUFFIX}", "title": f"incident-engine: {title}"}
    document = head | {key: part for key, part in body.items() if key != "title"}
    return document | {"$defs": _reachable(document, VALUES | definitions)}


def _pack() -> Schema:
    pack = schema_of(Pack)
    _allow_parameters(pack)
    definitions: dict[str, Schema] = pack["$defs"]
    case = definitions["PackCase"]["properties"]
    case["interpretation"] = {"description": case["interpretation"]["description"], **link("Interpretation")}
    events, named = _happenings("TimeOfDay", "TimeOfDay")
    for name in named:
        _drop_required(events[name], "service")  # a case has a service of its own
    case["events"]["items"] = {"oneOf": [link(name) for name in named]}
    return pack | {"$defs": definitions | events}


def _scenario() -> Schema:
    scenario = schema_of(Scenario)
    events, named = _happenings("Offset", "Instant")
    scenario["properties"]["events"]["items"] = {"oneOf": [link(name) for name in named]}
    return scenario | {"$defs": scenario["$defs"] | events}


def _events() -> Schema:
    event = schema_of(Event, may_be_null=True)
    definitions = event.pop("$defs")
    definitions["Event"] = {"description": "One fact, reported by a monitor or a person."} | event
    return {
        "description": "One event or an array of events, as POST /api/v1/events and `grade` take them.",
        "anyOf": [link("Event"), {"type": "array", "items": link("Event")}],
        "$defs": definitions,
    }


def _happenings(at: str, instant: str) -> tuple[dict[str, Schema], list[str]]:
    """Return what the events of a drill or a case are, which have a time in place of source, id and instant.

    `at` and `instant` name how that time, and the instants in the events' data, are spelled.
    """
    events = schema_of(Event)
    definitions: dict[str, Schema] = _relinked(events["$defs"], "Instant", instant)
    named = [target(option) for option in events["oneOf"]]
    for name in named:
        event = definitions[name]
        for key in ("source", "id", "occurred_at"):
            del event["properties"][key]
            _drop_required(event, key)
        event["properties"] = {"at": link(at)} | event["properties"]
        event["required"] = ["at", *event["required"]]
    return definitions, named


def _drop_required(schema: Schema, name: str) -> None:
    schema["required"] = [other for other in schema["required"] if other != name]


def _relinked(part: Any, old: str, new: str) -> Any:
    """Return a part of a schema in which every link to one definition leads to another."""
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
    """Return the definitions that a part of a schema needs, in order of their names."""
    found: set[str] = set()
    waiting = list(_targets(part))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _targets(definitions[name])
    return {name: definitions[name] for name in sorted(found)}


# Parameters of a pack

_PARAMETRIC = ("interpretation", "rules", "obligations")


def _allow_parameters(pack: Schema) -> None:
    """Let a parameter's name with a $ stand wherever its value may be put, which is a text or a number."""
    definitions: dict[str, Schema] = VALUES | pack["$defs"]
    for schema in _reachable([pack["properties"][key] for key in _PARAMETRIC], definitions).values():
        for key, part in schema.get("properties", {}).items():
            schema["properties"][key] = _or_parameter(part, definitions)


def _or_parameter(part: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "items" in part:
        return part | {"items": _or_parameter(part["items"], definitions)}
    if "anyOf" in part:
        is_narrow = any(_is_narrow(option, definitions) for option in part["anyOf"])
        return part | {"anyOf": [*part["anyOf"], link("ParameterName")]} if is_narrow else part
    if not _is_narrow(part, definitions):
        return part
    beside = {key: part[key] for key in ("description", "default") if key in part}
    return beside | {"anyOf": [{key: said for key, said in part.items() if key not in beside}, link("ParameterName")]}


def _is_narrow(part: Schema, definitions: Mapping[str, Schema]) -> bool:
    """Return whether a part is a single value, but not any text."""
    if "$ref" in part:
        return _is_narrow(definitions[target(part)], definitions)
    kind = part.get("type")
    if kind == "string":
        return not part.keys().isdisjoint({"pattern", "enum", "const", "format"})
    return kind in ("integer", "number")
