"""The parts of the JSON Schemas for texts that our own validators accept, and links to them."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import AfterValidator, BeforeValidator

from incident_engine.domain.calendar.service_hours import DAY_NAMES, HOLIDAYS, MAKEUP_WORKDAYS
from incident_engine.domain.events.fields import IncidentKey, Instant, Region
from incident_engine.domain.events.region_names import city_names
from incident_engine.domain.grading.pack_case import TimeOfDay
from incident_engine.domain.regions import PROVINCES
from incident_engine.domain.values import Day, Duration, Identifier, Zone

Schema = dict[str, Any]


def link(name: str) -> Schema:
    """Return a link to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def target(part: Schema) -> str:
    """Return the name of the definition to which a link leads."""
    return str(part["$ref"]).rpartition("/")[2]


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
        "description": "A region: an ISO 3166-2 code, a 6-digit adcode (in quotation marks), or the name of a province "
        "or city.",
        "anyOf": [
            {"enum": [name for p in PROVINCES for name in dict.fromkeys((p.code, p.zh_short, p.zh_long, p.en))]},
            {"enum": city_names()},
            # Without CN: a Chinese code that is not in the list above is a mistake.
            {"type": "string", "pattern": r"^(\d{6}(\d{6})?|CN-\d{2}|(?!CN)[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?)$"},
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


def validator_of(alias: object) -> object:
    """Return the last function that validates an alias such as Duration."""
    validators = [metadata for metadata in get_args(alias) if isinstance(metadata, AfterValidator | BeforeValidator)]
    return validators[-1].func


BY_VALIDATOR: Mapping[object, str] = {
    validator_of(Day): "Day",
    validator_of(Duration): "Duration",
    validator_of(Identifier): "Identifier",
    validator_of(IncidentKey): "IncidentKey",
    validator_of(Instant): "Instant",
    validator_of(Region): "Region",
    validator_of(TimeOfDay): "TimeOfDay",
    validator_of(Zone): "Zone",
}
