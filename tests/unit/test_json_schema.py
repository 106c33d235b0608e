"""The JSON Schemas: what stands in the repository is what the models say, and it takes what the program takes."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from jsonschema_rs import Draft202012Validator
from pydantic import TypeAdapter, ValidationError
from support.builders import CBRC_FILE, CONFIG, RULES, cbrc_document, document

from incident_engine.cli.check import check
from incident_engine.common.errors import InvalidDocumentError, InvalidFilesError
from incident_engine.common.yaml_loader import load_file
from incident_engine.config.json_schema import documents, stale, texts, write
from incident_engine.config.json_schema_values import VALUES
from incident_engine.config.settings import Settings, load_settings
from incident_engine.domain.calendar.service_hours import parse_days, parse_window
from incident_engine.domain.events.fields import Instant, Region
from incident_engine.domain.events.model import EVENT, wire
from incident_engine.domain.grading.pack_case import TimeOfDay
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.response.playbook import parse_playbook
from incident_engine.domain.values import LOCALES, Day, Duration, Identifier

SCHEMAS = documents()
FOLDERS = {
    "grading": "pack",
    "playbooks": "playbook",
    "scenarios": "scenario",
    "calendars": "calendar",
    "reports": "report",
}
SHIPPED = [
    *((file, kind) for folder, kind in FOLDERS.items() for file in sorted((RULES / folder).glob("*.yaml"))),
    (CONFIG, "config"),
]


def refusals(kind: str, given: object) -> list[str]:
    validator = Draft202012Validator(SCHEMAS[kind], validate_formats=True)
    return [error.message for error in validator.iter_errors(given)]


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a schema."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(inner)


def changed(given: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a document with another value at a path such as rules/3/when; without the key if it is None."""
    copy = deepcopy(given)
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    here: Any = copy
    for part in way:
        here = here[part]
    if value is None:
        del here[last]
    else:
        here[last] = value
    return copy


# What is shipped


def test_the_files_in_the_repository_are_what_the_models_say() -> None:
    assert stale(RULES / "schemas") == []  # else: incident-engine schema --directory rules/schemas


@pytest.mark.parametrize(("file", "kind"), SHIPPED, ids=lambda given: getattr(given, "name", given))
def test_a_shipped_file_names_its_schema_and_agrees_with_it(file: Path, kind: str) -> None:
    head, _, path = file.read_text(encoding="utf-8").partition("\n")[0].partition("$schema=")
    assert head == "# yaml-language-server: "
    assert (file.parent / path).resolve() == (RULES / "schemas" / f"{kind}.schema.json").resolve()
    assert refusals(kind, load_file(file).data) == []


def test_check_leaves_the_schemas_alone(tmp_path: Path) -> None:
    write(tmp_path)
    checked = check([tmp_path], CONFIG)
    assert (checked.findings, checked.files) == ([], 1)  # the configuration alone


# The schemas themselves


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_is_one_and_names_no_host(kind: str) -> None:
    schema = SCHEMAS[kind]
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"incident-engine/{kind}.schema.json"
    assert texts()[f"{kind}.schema.json"].count("://") <= 1 + (kind == "config") * 5  # addresses in config's patterns


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_is_whole(kind: str) -> None:
    schema = SCHEMAS[kind]
    links = {part["$ref"].removeprefix("#/$defs/") for part in parts(schema) if "$ref" in part}
    assert links == set(schema["$defs"])
    for part in parts(schema):
        named = [*part.get("required", ()), *part.get("dependentRequired", ())]
        named += [key for option in part.get("oneOf", ()) for key in option.get("required", ())]
        if "additionalProperties" in part and isinstance(part.get("properties"), dict):
            assert set(named) <= set(part["properties"])
    for name, definition in schema["$defs"].items():
        assert definition.get("description"), name
        if "properties" in definition and name != "OutageData":  # a monitor says in it what it likes
            assert definition["additionalProperties"] is False


def test_every_value_that_is_spelled_out_is_used() -> None:
    assert set(VALUES) <= {name for schema in SCHEMAS.values() for name in schema["$defs"]}


def test_what_stands_in_docstrings_stands_in_the_schema() -> None:
    pack = SCHEMAS["pack"]
    assert pack["properties"]["timezone"]["description"] == (
        "The time zone of the dates of `in_force` and of deadlines in months or working days."
    )
    assert "own: Each region by its own total." in pack["$defs"]["Counting"]["description"]
    assert SCHEMAS["config"]["$defs"]["IntakeSettings"]["properties"]["window"]["default"] == "2h"


# Values, by the schema and by the program

SPELLED: list[tuple[str, Any, list[str], list[str]]] = [
    ("Duration", Duration, ["30m", "3h", "1d12h", "45s", "0s"], ["", "3", "3 h", "h", "1m1h", "-3h", "PT3H", "$x"]),
    ("Identifier", Identifier, ["a", "core-banking", "A_1", "x" * 60], ["", "-a", "a b", "核心", "x" * 61, "$x"]),
    ("Day", Day, ["2008-04-23"], ["2008-4-23", "2008-13-01", "23.04.2008", ""]),
    (
        "TimeOfDay",
        TimeOfDay,
        ["09:30", "33:00", "09:30:59", "120:00", "09:30:59.999999"],
        ["9:30", "09:60", "0930", ""],
    ),
    (
        "Instant",
        Instant,
        ["2013-06-23T10:35:00+08:00", "2013-06-23T02:35Z", "2013-06-23 10:35:00.5+0800", "2013-06-23t10:35:00z"],
        ["2013-06-23T10:35:00", "2013-06-23", "1371954900", "", "10:35"],
    ),
    (
        "Region",
        Region,
        ["CN-GD", "广东", "广东省", "Guangdong", "440300", "HK", "de-he", "FR", "Inner Mongolia"],
        ["Guandong", "CN", "CN-XX", "44030", "", "Gotham"],
    ),
]


@pytest.mark.parametrize(("name", "alias", "right", "wrong"), SPELLED, ids=[row[0] for row in SPELLED])
def test_a_value_is_taken_by_the_schema_as_by_the_program(
    name: str, alias: Any, right: list[str], wrong: list[str]
) -> None:
    validator = Draft202012Validator(VALUES[name], validate_formats=True)
    program: TypeAdapter[Any] = TypeAdapter(alias)
    for text in right:
        program.validate_python(text)
        assert validator.is_valid(text), text
    for text in wrong:
        assert not validator.is_valid(text), text
        with pytest.raises(ValidationError):
            program.validate_python(text)


def test_days_and_windows_are_taken_as_the_program_takes_them() -> None:
    days, window = Draft202012Validator(VALUES["Days"]), Draft202012Validator(VALUES["Window"])
    for text in ("mon", "mon-fri", "sat-sun", "holidays", "makeup-workdays"):
        assert days.is_valid(text)
        parse_days(text)
    for text in ("montag", "mon-fry", "holidays-mon", ""):
        assert not days.is_valid(text)
        with pytest.raises(ValueError, match="not days"):
            parse_days(text)
    assert parse_window("22:30-06:00")
    assert window.is_valid("22:30-06:00")
    assert not window.is_valid("9-17")


# Packs

PLACES_OF_PARAMETERS = {
    "a limit of a count": ("rules/3/when/any/0/regions_down/at_least", "count", 2),
    "a limit of time": ("rules/3/when/any/0/regions_down/for/at_least", "length", "3h"),
    "a clock": ("rules/3/when/any/0/regions_down/clock", "by", "wall_clock"),
    "a kind of harm": ("rules/2/when/harm/kinds/0", "kind", "bank"),
    "a rule's level": ("rules/3/level", "level", "I"),
    "an anchor": ("obligations/0/due/after", "from", "awareness"),
    "a number of days": ("obligations/0/due", "days", 5),
    "a level of a list": ("obligations/0/levels/0", "level", "I"),
    "a recipient": ("obligations/0/to", "whom", "police"),
    "a point of the reading": ("interpretation/counting", "counting_", "concurrent"),
}


@pytest.mark.parametrize("place", PLACES_OF_PARAMETERS)
def test_a_parameter_may_stand_wherever_its_value_may_be_put(place: str) -> None:
    path, name, value = PLACES_OF_PARAMETERS[place]
    given = deepcopy(cbrc_document())
    given["parameters"][name] = {"value": value, "cite": "Art. 1"}
    given["cases"] = []
    put = {"after": "restored", "working_days": f"${name}"} if place == "a number of days" else f"${name}"
    pack = changed(given, path, put)
    parse_pack(pack)
    assert refusals("pack", pack) == []


def test_a_parameter_is_no_object_and_no_list_and_stands_in_no_other_section() -> None:
    for path in ("rules/3/when", "obligations/0/levels", "rules/3/when/any/0/regions_down/for", "in_force/from"):
        pack = changed(cbrc_document(), path, "$first_report")
        assert refusals("pack", pack), path
        with pytest.raises(InvalidDocumentError):
            parse_pack(pack)


WRONG_PACKS: dict[str, tuple[str, object]] = {
    "an unknown key": ("timzone", "UTC"),
    "a key that is missing": ("levels", None),
    "one language": ("title", {"zh-CN": "规范"}),
    "a version that is a number": ("version", 2),
    "a day that does not exist": ("in_force/from", "2008-13-23"),
    "a bare limit": ("rules/3/when/any/0/regions_down/for", "3h"),
    "a limit without a unit": ("rules/3/when/any/0/regions_down/for/at_least", 180),
    "two bounds": ("rules/3/when/any/0/regions_down/more_than", 1),
    "two conditions in one": ("rules/3/when/outage", {"for": {"at_least": "1h"}}),
    "an unknown condition": ("rules/5/when", {"region_down": {"at_least": 1, "for": {"at_least": "1h"}}}),
    "an unknown clock": ("rules/3/when/any/0/regions_down/clock", "service_hour"),
    "a harm that is none": ("rules/2/when/harm/kinds", ["banks"]),
    "a parameter without foundation": ("parameters/first_report", {"value": "60m"}),
    "an unknown recipient": ("obligations/0/to", "costumers"),
    "two occasions": ("obligations/0/on", "plan.failed"),
    "no occasion": ("obligations/0/levels", None),
    "two deadlines in one": ("obligations/0/due/months", 1),
    "again, but until when": ("obligations/3/until", None),
    "an unknown reading": ("interpretation/countin", "own"),
    "a case's region": ("cases/0/down", {"Gungdong": ["09:00", "09:30"]}),
    "a case's time": ("cases/0/down", {"CN-GD": ["9:00", "09:30"]}),
    "a case's event": ("cases/0/events", [{"at": "09:00", "type": "note.add", "data": {"text": "x"}}]),
    "a case's event by day": (
        "cases/0/events",
        [{"at": "09:00", "type": "recovery.estimated", "data": {"recovery_at": "2013-06-23T14:45:00+08:00"}}],
    ),
}


@pytest.mark.parametrize("what", WRONG_PACKS)
def test_a_wrong_pack_is_refused_by_the_schema_as_by_the_program(what: str) -> None:
    pack = changed(cbrc_document(), *WRONG_PACKS[what])
    assert refusals("pack", pack)
    with pytest.raises(InvalidDocumentError):
        parse_pack(pack)


# Playbooks, configuration, scenarios


def test_a_wrong_playbook_is_refused() -> None:
    playbook = load_file(RULES / "playbooks" / "outage-response.yaml").data
    assert refusals("playbook", playbook) == []
    for path, value in {"steps/0/on/restored": True, "steps/0/on": {}, "settle": 5, "steps/0/audience": None}.items():
        wrong = changed(playbook, path, value)
        assert refusals("playbook", wrong), path
        with pytest.raises(InvalidDocumentError):
            parse_playbook(wrong)


WRONG_SETTINGS: dict[str, tuple[str, object]] = {
    "an unknown section": ("chanels", {}),
    "an unknown channel": ("channels/outbox/type", "outbx"),
    "a window of hours": ("hours/counter/open", {"mon-fri": "9-17"}),
    "days of the week": ("hours/counter/open", {"mon-fry": "09:00-17:00"}),
    "an id": ("services/0/id", "core banking"),
    "a database": ("store/url", "postgresql://db"),
    "an audience of nobody": ("audiences/reporter", []),
}


@pytest.mark.parametrize("what", WRONG_SETTINGS)
def test_a_wrong_configuration_is_refused(what: str) -> None:
    wrong = changed(load_file(CONFIG).data, *WRONG_SETTINGS[what])
    assert refusals("config", wrong)
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_one_window_of_a_day_needs_no_list(tmp_path: Path) -> None:
    text = CONFIG.read_text(encoding="utf-8").replace('["09:00-17:00"]', "09:00-17:00")
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    load_settings(file, {})
    assert refusals("config", load_file(file).data) == []


def test_a_scenarios_events_are_told_apart_by_their_type() -> None:
    scenario = load_file(RULES / "scenarios" / "two-provinces.yaml").data
    for path, value in {
        "events/0/type": "outage.start",
        "events/0/regions": None,
        "events/1/data": {"txt": "x"},
        "events/0/source": "me",
        "events/0/at": "10:35",
        "start": "2013-06-23T10:35:00",
    }.items():
        assert refusals("scenario", changed(scenario, path, value)), path


# Events

EVENTS: list[dict[str, Any]] = [
    document("outage.started", "10:35", data={"signal": "a", "other": 1}),
    document("outage.degraded", "10:35", regions=["广东", "440300"]),
    document("outage.restored", "10:36", incident="INC-1"),
    document("recovery.estimated", "10:35", data={"recovery_at": "2013-06-23T12:00:00+08:00"}),
    document("repair.failed", "10:35", data={"by": "Li", "reason": "no spare"}),
    document(
        "maintenance.announced",
        "10:35",
        service="atm",
        data={"start": "2013-06-24T01:00:00+08:00", "end": "2013-06-24T03:00:00+08:00"},
    ),
    document(
        "harm.assessed",
        "10:35",
        data={"kind": "bank", "seriousness": "serious", "cause": "data_loss", "by": "Li", "reason": "x"},
    ),
    document("impact.measured", "10:35", data={"by": "Li", "measures": {"clients": 5, "media": True, "share": 1.5}}),
    document("plan.failed", "10:35", data={"by": "Li", "reason": "x"}),
    document("note.added", "10:35", data={"text": "x"}),
    document("step.completed", "10:35", data={"by": "Li", "fulfils": "first-report"}),
    document("step.acknowledged", "10:35", data={"by": "Li", "step": "a:b:c:d"}),
    document(
        "step.approved",
        "10:35",
        data={"by": "Li", "step": "x", "wording": {locale: {"subject": "S", "body": "B"} for locale in LOCALES}},
    ),
    document("step.skipped", "10:35", data={"by": "Li", "step": "x", "reason": "y"}),
    document("step.assigned", "10:35", data={"by": "Li", "step": "x", "to": "y", "reason": "z"}),
    document("step.added", "10:35", data={"by": "Li", "title": "x", "reason": "y", "due_at": "2013-06-24T01:00:00Z"}),
    document("report.written", "10:35", data={"by": "Li", "report": "x", "fields": {"cause": "y"}}),
    document("lesson.recorded", "10:35", data={"by": "Li", "text": "x"}),
    document("level.corrected", "10:35", data={"by": "Li", "reason": "x", "level": None}),
    document("incident.closed", "10:35", data={"by": "Li"}),
]


@pytest.mark.parametrize("given", EVENTS, ids=lambda given: given["type"])
def test_what_the_engine_writes_and_what_a_monitor_sends_are_events(given: dict[str, Any]) -> None:
    sent = given | {"occurred_at": given["occurred_at"].isoformat()}
    assert refusals("event", sent) == []
    assert refusals("event", wire(EVENT.validate_python(given))) == []


def test_there_is_an_event_of_every_type_above() -> None:
    types = [part for part in parts(SCHEMAS["event"]["$defs"]) if set(part) & {"const", "enum"}]
    known = {name for part in types for name in part.get("enum", [part.get("const")]) if "." in str(name)}
    assert {given["type"] for given in EVENTS} == known


def test_one_event_or_an_array_of_events() -> None:
    one = EVENTS[9] | {"occurred_at": "2013-06-23T10:35:00+08:00", "incident": None}
    assert refusals("event", one) == []
    assert refusals("event", [one, one]) == []
    assert refusals("event", []) == []
    for key, value in {"type": "note.add", "occurred_at": "2013-06-23T10:35:00", "data": {}, "extra": 1}.items():
        assert refusals("event", one | {key: value}), key
        assert refusals("event", [one, one | {key: value}]), key


# Writing them


def test_they_are_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "schemas"
    assert len(stale(folder)) == len(SCHEMAS)
    assert sorted(file.name for file in write(folder)) == sorted(f"{kind}.schema.json" for kind in SCHEMAS)
    assert stale(folder) == []
    (folder / "pack.schema.json").write_bytes(b"\xff")
    assert stale(folder) == [folder / "pack.schema.json"]


def test_a_folder_that_cannot_be_made_is_an_operators_error() -> None:
    with pytest.raises(InvalidFilesError, match="cannot be written"):
        write(CBRC_FILE)
