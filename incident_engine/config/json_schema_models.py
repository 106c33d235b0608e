"""JSON Schemas of the pydantic models: those that pydantic derives, with our docstrings and validators added."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from incident_engine.config import secret, settings
from incident_engine.config.calendars import CalendarFile
from incident_engine.config.json_schema_values import BY_VALIDATOR, Schema, link, validator_of
from incident_engine.config.sms import SmsCase, SmsSettings, SmsSuccess
from incident_engine.domain.grading.conditions import Condition, CountriesHit, DurationLimit, MeasureLimit, RegionsDown
from incident_engine.domain.grading.obligation import Deadline, DueRule, Obligation
from incident_engine.domain.grading.pack import Pack, Parameter
from incident_engine.domain.grading.pack_case import PackCase, Spans
from incident_engine.domain.response.triggers import Trigger
from incident_engine.domain.values import write_duration

# Values


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
        if function is validator_of(Spans):  # a single span may stand for a list of one
            several = self.generate_inner(schema["schema"])
            return {"anyOf": [several["items"], several]}
        return _linked(BY_VALIDATOR[function]) if function in BY_VALIDATOR else super().function_before_schema(schema)

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        function = schema["function"]["function"]
        return _linked(BY_VALIDATOR[function]) if function in BY_VALIDATOR else super().function_after_schema(schema)

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
