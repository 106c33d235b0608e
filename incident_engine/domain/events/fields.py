"""Types of the fields of events: names, keys, services, regions, instants, figures."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    TypeAdapter,
    ValidationInfo,
)

from incident_engine.common.validation import invalid, unknown_name
from incident_engine.domain.regions import CODE_BY_ADCODE, CODE_BY_NAME, OTHER_COUNTRIES, PROVINCE_BY_CODE, REGION_NAMES

KNOWN_SERVICES = "known_services"
"""Key of the validation context: the ids of the services that the bank has."""


def _known_service(service: str, info: ValidationInfo) -> str:
    services: Mapping[str, object] | None = (info.context or {}).get(KNOWN_SERVICES)
    if services is not None and service not in services:
        raise unknown_name("service", service, services)
    return service


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise invalid(f"not a plain name: {text!r}", "printable characters without spaces at the ends")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise invalid(
            f"not an incident's key: {text!r}", "letters, digits, '.', '_' and '-', such as INC-2026-17; 80 at most"
        )
    return text


_SUBDIVISION = re.compile(r"([A-Z]{2})(-[A-Z0-9]{1,3})?")
_ADCODE = re.compile(r"\d{6}")


def resolve_region(name: str) -> str:
    """Return the ISO 3166-2 code of a region from a code, a 6-digit adcode or a name.

    The adcode of a city or county gives its province. Raises a validation error that names the nearest region.
    """
    text = name.strip()
    code = CODE_BY_NAME.get(text.casefold())
    if code is not None:
        return code
    if _ADCODE.fullmatch(text):
        code = CODE_BY_ADCODE.get(text[:2])
        if code is None:
            prefixes = ", ".join(sorted(CODE_BY_ADCODE))
            raise invalid(f"unknown adcode '{text}'", f"6 digits that begin with one of {prefixes}")
        return code
    # SX alone may be Shanxi or Sint Maarten: a guess could grade an outage of another country by the wrong law.
    if f"CN-{text.upper()}" in PROVINCE_BY_CODE and text.upper() in OTHER_COUNTRIES:
        problem = f"'{text}' is ambiguous: a province of China or the country of this code"
        raise invalid(problem, f"CN-{text.upper()}, or a subdivision of the other country ({text.upper()}-…)")
    match = _SUBDIVISION.fullmatch(text.upper())
    if match and match[1] in OTHER_COUNTRIES:
        return text.upper()
    if text.upper() == "CN":
        raise invalid("'CN' is the whole country", "its provinces one by one, such as CN-GD or 广东")
    raise unknown_name("region", text, REGION_NAMES, "an ISO 3166-2 code, a 6-digit adcode or a province's name")


_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
IncidentKey = Annotated[str, AfterValidator(_key)]
Service = Annotated[Name, AfterValidator(_known_service)]
Region = Annotated[Name, AfterValidator(resolve_region)]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]


_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def _in_utc(instant: datetime) -> datetime:
    if not _EARLIEST <= instant < _LATEST:  # a clock never set, such as the year 1 of Go's zero time
        raise invalid(f"not a plausible instant: {instant.isoformat()}", "one from 1970 to 2199")
    return instant.astimezone(UTC)


def _written(value: object) -> object:
    if not isinstance(value, str | datetime) or (isinstance(value, str) and value.strip().lstrip("-").isdigit()):
        raise invalid(f"not an instant: {value!r}", "an instant with its offset, such as 2013-06-23T10:35:00+08:00")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written, json_schema_input_type=str), AfterValidator(_in_utc)]


INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


def _figure(value: object) -> object:
    if not isinstance(value, bool | int | float) or value != value or value in (float("inf"), -float("inf")):  # noqa: PLR0124 - NaN
        raise invalid(f"not a figure: {value!r}", "a number, or true or false")
    return value


Figure = Annotated[
    StrictBool | StrictInt | StrictFloat, BeforeValidator(_figure, json_schema_input_type=bool | int | float)
]
