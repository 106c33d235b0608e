"""Turn pydantic's errors into problems that name the place, the expected value and the nearest valid name."""

import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from incident_engine.common.errors import Path, Problem


class Strict(BaseModel):
    """Base of all frozen models that refuse unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def nearest(name: object, valid: Iterable[str]) -> str:
    """Return the valid name most similar to `name`, or "" if none is near.

    Near is one wrong, missing, added or swapped character in up to five, two in up to eight, and so on; or a beginning
    of three characters or more, such as `due` of `due_at`.
    """
    names = list(valid)
    folded = [candidate.casefold() for candidate in names]
    matches = get_close_matches(str(name).casefold(), folded, n=10, cutoff=0.5)
    matches = [match for match in matches if _is_near(match, str(name).casefold())]
    if not matches:
        return ""
    likeness = {match: SequenceMatcher(None, match, str(name).casefold()).ratio() for match in matches}
    best = max(likeness.values())
    return next(names[index] for index, text in enumerate(folded) if likeness.get(text) == best)


def _is_near(one: str, other: str) -> bool:
    """Return whether a third of the longer text's characters, or one, is enough to make the texts equal."""
    if min(len(one), len(other)) >= 3 and (one.startswith(other) or other.startswith(one)):
        return True
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, right in enumerate(other, 1):
            distance = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and (left, one[i - 2]) == (other[j - 2], right):
                distance = min(distance, earlier[j - 2] + 1)  # two characters in the wrong order
            row.append(distance)
    return row[-1] <= max(1, max(len(one), len(other)) // 3)


def unknown_name(
    kind: str, name: object, valid: Iterable[str], expected: str = "", also: Sequence[str] = ()
) -> PydanticCustomError:
    """Return the error for a name that is not among the valid ones; `expected` replaces their list.

    The nearest name may also be one of `also`. `nearest_valid` searches it later: that takes long, and few errors of
    thousands are read.
    """
    names = sorted(valid)
    return PydanticCustomError(
        "unknown_name",
        "unknown {kind} '{name}'",
        {
            "kind": kind,
            "name": str(name),
            "expected": expected or f"one of: {_listed(names)}",
            "valid": (*names, *also),
        },
    )


def nearest_valid(context: Mapping[str, Any]) -> str:
    """Return the valid name nearest to the unknown one of an error's context, or ""."""
    return _nearest_of(str(context["name"]), tuple(context["valid"])) if "valid" in context else ""


@lru_cache(maxsize=1_024)  # a storm of alerts with one wrong label asks for the same name again and again
def _nearest_of(name: str, valid: tuple[str, ...]) -> str:
    return nearest(name, valid)


def invalid(message: str, expected: str) -> PydanticCustomError:
    """Return an error with a message and the expected value."""
    return PydanticCustomError("invalid", "{message}", {"message": message, "expected": expected})


def problems_of(
    error: ValidationError, schema: object, document: object, most: int | None = None, *, suggests: bool = True
) -> list[Problem]:
    """Return the problems of a failed validation of `document` against `schema` (a type annotation).

    Returns all, or the first `most`. Without `suggests`, unknown names get no nearest valid one, which takes long.
    """
    details = error.errors(include_url=False)
    counted = [detail for detail in details if not _is_consequence(detail, details)]
    problems = [_problem(detail, schema, document, suggests=suggests) for detail in counted[:most]]
    return list(dict.fromkeys(problems))


def _is_consequence(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Return whether a list is reported too short only because pydantic dropped its invalid items."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in details
    )


def _problem(detail: ErrorDetails, schema: object, document: object, *, suggests: bool) -> Problem:
    path = _document_path(detail["loc"], document)
    if not _SECRET.isdisjoint(path):  # findings go to terminals, logs and answers of the API
        detail["input"] = "(not shown)"
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(path, f"unknown key '{path[-1]}'", path[-1], _field_names(schema, detail["loc"][:-1]))
        case "missing":
            return Problem(path, f"missing key '{path[-1]}'" if path else "nothing here")
        case "union_tag_invalid":
            key, tag = str(context["discriminator"]).strip("'"), str(context["tag"])
            return _unknown((*path, key), f"unknown {key} '{tag}'", tag, _quoted(context["expected_tags"]))
        case "union_tag_not_found":
            key = str(context["discriminator"]).strip("'")
            return Problem((*path, key), f"missing key '{key}'")
        case "literal_error" | "enum":
            value = detail["input"]
            return _unknown(path, f"unknown value {value!r}", value, _quoted(context["expected"]))
        case "value_error":
            return Problem(path, str(context.get("error", detail["msg"])))
        case kind if kind in _PLAIN_TEXTS:
            message, expected = _PLAIN_TEXTS[kind]
            return Problem(path, f"{message}: {_shown(detail['input'])}", expected)
    requirement = detail["msg"].removeprefix("Input should ")
    message = requirement if requirement == detail["msg"] else f"should {requirement}, not {_shown(detail['input'])}"
    return Problem(path, message, str(context.get("expected", "")), nearest_valid(context) if suggests else "")


_INSTANT = "an instant with its offset, such as 2013-06-23T10:35:00+08:00"
_PLAIN_TEXTS = {
    "model_type": ("not an object", "keys and values"),
    "model_attributes_type": ("not an object", "keys and values"),
    "dict_type": ("not an object", "keys and values"),
    "tuple_type": ("not a list", "a list"),
    "list_type": ("not a list", "a list"),
    "string_type": ("not a text", "a text; put it in quotation marks"),
    "int_type": ("not a whole number", "a whole number"),
    "too_short": ("too few", "at least one item"),
    "string_too_short": ("empty", "at least one character"),
    "string_too_long": ("too long", "a shorter text"),
    "timezone_aware": ("an instant without an offset", _INSTANT),
    "datetime_type": ("not an instant", _INSTANT),
    "datetime_parsing": ("not an instant", _INSTANT),
    "datetime_from_date_parsing": ("not an instant", _INSTANT),
    "datetime_object_invalid": ("not an instant", _INSTANT),
}
"""Message and expected value for pydantic's types of error, in the terms of people who write YAML and JSON."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_SECRET = frozenset({"secret", "password", "keys", "token"})
"""Keys whose values never appear in a message."""


def _unknown(path: Path, message: str, name: object, valid: Sequence[str]) -> Problem:
    return Problem(path, message, f"one of: {_listed(valid)}", nearest(name, valid))


def _quoted(listing: object) -> list[str]:
    """Return the names in a pydantic listing such as "'a', 'b' or 'c'" or "<Kind.A: 'a'>, …"."""
    return re.findall(r"'([^']*)'", str(listing))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:40])  # a list of all countries or provinces would hide the error
    return shown + (f" and {len(names) - 40} more" if len(names) > 40 else "")


def _document_path(loc: Path, document: object) -> Path:
    """Drop the union tags that pydantic puts between the keys of the document."""
    path: list[str | int] = []
    value = document
    for part in loc:
        if isinstance(value, Mapping) and part not in value and part == value.get("type"):
            continue
        path.append(part)
        value = _child(value, part)
    return tuple(path)


def _child(value: object, part: str | int) -> object:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _field_names(schema: object, loc: Path) -> list[str]:
    for part in loc:
        schema = _inside(schema, part)
    model = _model(schema)
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _inside(schema: object, part: str | int) -> object:
    model = _model(schema)
    if model is not None:
        field = model.model_fields.get(str(part)) or next(
            (f for f in model.model_fields.values() if f.alias == part), None
        )
        return field.annotation if field else None
    for member in _members(schema):
        candidate = _model(member)
        if candidate is not None and part in _tags(candidate):
            return candidate
        arguments = get_args(member)
        if arguments and get_origin(member) in _CONTAINERS:
            return arguments[0 if isinstance(part, int) else -1]
    return schema


_CONTAINERS = (dict, list, tuple, Mapping, Sequence)


def _members(schema: object) -> Sequence[object]:
    schema = _bare(schema)
    if get_origin(schema) in (Union, types.UnionType):
        return [_bare(member) for member in get_args(schema)]
    return [schema]


def _bare(schema: object) -> object:
    while get_origin(schema) is Annotated:
        schema = get_args(schema)[0]
    return schema


def _model(schema: object) -> type[BaseModel] | None:
    models = [m for m in _members(schema) if isinstance(m, type) and issubclass(m, BaseModel)]
    return models[0] if len(models) == 1 else None


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("type")
    return get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()


def unknown_problems(path: Path, kind: str, name: str, valid: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem if the name at `path` is not among the valid ones."""
    names = list(valid)
    if name not in names:
        listed = f"one of: {_listed(names) or '(there is none)'}"
        yield Problem(path, f"unknown {kind} '{name}'", listed, nearest(name, names))


def duplicate_problems(section: str, ids: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each id that an earlier item of the section has already."""
    for index, name in enumerate(ids):
        if name in ids[:index]:
            yield Problem((section, index, "id"), f"'{name}' is used twice", "an id of its own")
