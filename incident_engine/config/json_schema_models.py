"""JSON Schemas of the pydantic models: those that pydantic derives, with our docstrings and validators added."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any, get_args

from pydantic import AfterValidator, BeforeValidator, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from incident_engine.config import secret, settings
from incident_engine.config.calendars import CalendarFile
from incident_engine.config.sms import SmsCase, SmsSettings, SmsSuccess
from incident_engine.domain.calendar.service_hours import DAY_NAMES, HOLIDAYS, MAKEUP_WORKDAYS
from incident_engine.domain.events.fields import IncidentKey, Instant, Region
from incident_engine.domain.grading.conditions import Condition, CountriesHit, DurationLimit, MeasureLimit, RegionsDown
from incident_engine.domain.grading.obligation import Deadline, DueRule, Obligation
from incident_engine.domain.grading.pack import Pack, Parameter
from incident_engine.domain.grading.pack_case import PackCase, Spans, TimeOfDay
from incident_engine.domain.regions import PROVINCES
from incident_engine.domain.response.triggers import Trigger
from incident_engine.domain.values import Day, Duration, Identifier, Zone, write_duration

Schema = dict[str, Any]


def link(name: str) -> Schema:
    """Return a link to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def target(part: Schema) -> str:
    """Return the name of the definition to which a link leads."""
    return str(part["$ref"]).rpartition("/")[2]


# Values

_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}"
_WEEKDAY = "|".join(name for name in DAY_NAMES if name not in (HOLIDAYS, MAKEUP_WORKDAYS))

VALUES: dict[str, Schema] = {
    "Country": {
        "description": "The ISO 3166 code of a country, such as CN.",
        "type": "string",
        "pattern": "^[A-Z]{2}$",
    },
    "Day": {
        "description": "A day such as 2008-04-23.",
        "type": "string",
        "format": "date",
        "pattern": r"^\d{4}-\d\d-\d\d$",
    },
    "Days": {
        "description": "Days such as mon, mon-fri, holidays or makeup-workdays.",
        "type": "string",
        "pattern": f"^(({_WEEKDAY})(-({_WEEKDAY}))?|{HOLIDAYS}|{MAKEUP_WORKDAYS})$",
    },
    "Duration": {
        "description": "A length of time, such as 30m, 3h, 1d12h, 45s.",
        "type": "string",
        "pattern": r"^(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?$",
    },
    "Identifier": {
        "description": "An id to which other parts refer: letters, digits, - and _; at most 60.",
        "type": "string",
        "pattern": f"^{_NAME}$",
    },
    "IncidentKey": {
        "description": "The key of an incident: letters, digits, '.', '_' and '-'; at most 80.",
        "type": "string",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
    },
    "Instant": {
        "description": "An instant with its offset, such as 2013-06-23T10:35:00+08:00.",
        "type": "string",
        "pattern": r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)$",
    },
    "Offset": {
        "description": "A length of time after the scenario's start, such as 30m or 1d12h; -30m is before the start.",
        "type": "string",
        "pattern": r"^-?(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?$",
    },
    "ParameterName": {
        "description": "The value of a parameter of the pack: $ and its name.",
        "type": "string",
        "pattern": rf"^\${_NAME}$",
    },
    "Region": {
        "description": "A region: an ISO 3166-2 code, a 6-digit adcode (in quotation marks) or a province's name.",
        "anyOf": [
            {"enum": [name for p in PROVINCES for name in dict.fromkeys((p.code, p.zh_short, p.zh_long, p.en))]},
            # Without CN: a Chinese code that is not in the list above is a mistake.
            {"type": "string", "pattern": r"^(\d{6}|(?!CN)[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?)$"},
        ],
    },
    "TimeOfDay": {
        "description": 'A time on the day of the case, such as "09:30"; "33:30" is 09:30 on the next day.',
        "type": "string",
        "pattern": r"^\d{2,3}:[0-5]\d(:[0-5]\d(\.\d{6})?)?$",
    },
    "Window": {
        "description": "A window of time such as 09:00-17:00; an end before the start is on the next day.",
        "type": "string",
        "pattern": r"^[0-2]\d:[0-5]\d-[0-2]\d:[0-5]\d$",
    },
    "Zone": {
        "description": "A time zone by its IANA name, such as Asia/Shanghai.",
        "type": "string",
        "minLength": 1,
    },
}
"""The texts that our own validators accept, by the name of their definition."""


def _validator(alias: object) -> object:
    """Return the last function that validates an alias such as Duration."""
    validators = [metadata for metadata in get_args(alias) if isinstance(metadata, AfterValidator | BeforeValidator)]
    return validators[-1].func


_BY_VALIDATOR: Mapping[object, str] = {
    _validator(Day): "Day",
    _validator(Duration): "Duration",
    _validator(Identifier): "Identifier",
    _validator(IncidentKey): "IncidentKey",
    _validator(Instant): "Instant",
    _validator(Region): "Region",
    _validator(TimeOfDay): "TimeOfDay",
    _validator(Zone): "Zone",
}

_LINKED = "$linked"
"""Marker key for a later link to one of VALUES; pydantic rejects links to definitions that it did not make itself."""

_MEMBERS = "$members"
"""Marker key under which enum member descriptions are kept until pydantic has set the description."""


def _linked(name: str) -> Schema:
    return {_LINKED: name}


def _one_or_more(*kinds: str) -> Schema:
    single = [{"type": kind} for kind in kinds]
    return {"type": [*kinds, "array"], "items": {"anyOf": single} if len(single) > 1 else single[0]}


_FIELDS: Mapping[tuple[type, str], Schema] = {
    (Pack, "country"): {"pattern": "^([A-Z]{2})?$"},
    (Pack, "calendar"): _linked("Country"),
    (settings.HoursSettings, "calendar"): _linked("Country"),
    (settings.HoursSettings, "open"): {
        "propertyNames": _linked("Days"),
        "additionalProperties": {"anyOf": [_linked("Window"), {"type": "array", "items": _linked("Window")}]},
    },
    (settings.StoreSettings, "url"): {"pattern": "^(sqlite:///.|postgresql\\+psycopg://[^/]*/.)"},
    (SmsSettings, "url"): {"pattern": "^https?:"},
    (SmsSuccess, "status"): _one_or_more("integer"),
    (SmsSuccess, "equals"): _one_or_more("string", "integer"),
    (SmsCase, "status"): _one_or_more("integer"),
    (SmsCase, "equals"): _one_or_more("string", "integer"),
    (CalendarFile, "calendar"): _linked("Country"),
    (CalendarFile, "days"): {"propertyNames": _linked("Day")},
    (PackCase, "hours"): {"items": _linked("Window")},
    (PackCase, "down"): {"propertyNames": _linked("Region")},
    (PackCase, "degraded"): {"propertyNames": _linked("Region")},
    (PackCase, "measured"): {"propertyNames": _linked("TimeOfDay")},
}
"""The parts of a field's schema that its validator, or its model's validator, adds."""


def _exactly_one(*keys: str) -> Schema:
    return {"oneOf": [{"required": [key]} for key in keys]}


_ONLY_ONE: Schema = {"minProperties": 1, "maxProperties": 1}
_COUNT = _exactly_one("at_least", "more_than")
_LENGTH = _exactly_one("within", "months", "working_days")

_BOUNDS: Mapping[type, Schema] = {
    Condition: _ONLY_ONE,
    DurationLimit: _ONLY_ONE,
    Trigger: _ONLY_ONE,
    secret.Secret: _ONLY_ONE,
    RegionsDown: _COUNT,
    CountriesHit: _COUNT,
    MeasureLimit: _exactly_one("at_least", "more_than", "is"),
    Deadline: _LENGTH,
    DueRule: {
        "oneOf": [
            {"required": ["earliest"]},
            *({"required": ["after", key]} for key in ("within", "months", "working_days")),
        ]
    },
    Obligation: _exactly_one("levels", "when", "on") | {"dependentRequired": {"every": ["until"], "until": ["every"]}},
    Parameter: {"anyOf": [{"required": ["cite"]}, {"required": ["why"]}]},
}
"""The constraints on keys that validators of whole models enforce."""


# From the models


def schema_of(kind: Any, *, may_be_null: bool = False) -> Schema:
    """Return the schema of a model or a union of models, with its definitions.

    With `may_be_null`, optional keys may also be null, because monitors write null for a missing value.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    generator = _WireGenerator if may_be_null else _Generator
    schema: Schema = _finished(adapter.json_schema(mode="validation", by_alias=True, schema_generator=generator))
    return schema


def _finished(part: Any) -> Any:
    if isinstance(part, list):
        return [_finished(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    if _LINKED in part:
        return {key: part[key] for key in ("description", "default") if key in part} | link(part[_LINKED])
    result = {key: _finished(inner) for key, inner in part.items()}
    if _MEMBERS in part:
        result["description"] = "\n".join([result["description"], *result.pop(_MEMBERS)])
    return result


class _Generator(GenerateJsonSchema):
    """Adds docstrings and our validators' constraints, and drops titles and defaults that do not help an editor."""

    keeps_null = False
    """Whether optional keys may be null."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        model = schema["cls"]
        result = super().model_schema(schema)
        docstrings = _docstrings(model)
        for name, field in model.model_fields.items():
            part = result["properties"][field.alias or name]
            if name in docstrings:
                part["description"] = docstrings[name]
            options = [option for option in part.get("anyOf", []) if option != {"type": "null"}]
            (options[0] if options else part).update(_FIELDS.get((model, name), {}))
        return result | _BOUNDS.get(model, {})

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        result = super().enum_schema(schema)
        docstrings = _docstrings(schema["cls"])
        members = [member for member in schema["members"] if member.name in docstrings]
        return result | {_MEMBERS: [f"{member.value}: {docstrings[member.name]}" for member in members]}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        function = schema["function"]["function"]
        if function is _validator(Spans):  # a single span may stand for a list of one
            several = self.generate_inner(schema["schema"])
            return {"anyOf": [several["items"], several]}
        return _linked(_BY_VALIDATOR[function]) if function in _BY_VALIDATOR else super().function_before_schema(schema)

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        function = schema["function"]["function"]
        return _linked(_BY_VALIDATOR[function]) if function in _BY_VALIDATOR else super().function_after_schema(schema)

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        return _linked("Instant")  # many editors ignore `format`; the pattern requires an offset

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:
        return _linked("Day")

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        result = super().dict_schema(schema)
        keys = self.generate_inner(schema["keys_schema"])
        return result | {"propertyNames": keys} if _LINKED in keys else result

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        result = super().tagged_union_schema(schema)
        result.pop("discriminator", None)  # a keyword of OpenAPI, unknown to JSON Schema
        return result

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        result = super().default_schema(schema)
        default = result.get("default")  # null, {} and [] would tell an editor nothing
        if default is None or isinstance(default, dict) or default == []:
            result.pop("default", None)
        if default is None and not self.keeps_null and "anyOf" in result:
            options = [option for option in result["anyOf"] if option != {"type": "null"}]
            return options[0] if len(options) == 1 else {"anyOf": options}
        return result

    def encode_default(self, dft: Any) -> Any:
        # pydantic writes PT30S (ISO 8601), which config.yaml does not accept.
        return write_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # pydantic's titles only repeat the keys


class _WireGenerator(_Generator):
    """Generates schemas of documents that monitors send, in which missing values may be null."""

    keeps_null = True


def _docstrings(cls: type) -> dict[str, str]:
    """Return the docstrings below the fields of a model or the members of an enumeration, by name."""
    docstrings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] == __package__.partition(".")[0]:
            docstrings |= _own_docstrings(base)
    return docstrings


@cache  # inspect parses the whole module for each class
def _own_docstrings(cls: type) -> dict[str, str]:
    # Python does not keep the docstrings of fields: only the source has them.
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - it is the source of a class
    docstrings: dict[str, str] = {}
    for statement, after in pairwise(definition.body):
        match statement, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(docstring))),
            ):
                docstrings[name] = " ".join(docstring.split())
    return docstrings
