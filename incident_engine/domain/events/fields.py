"""Types of the fields of events: names, keys, services, regions, instants, figures."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from unicodedata import category

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

from incident_engine.common.plain_text import control_character, unix_lines
from incident_engine.common.validation import invalid, unknown_name
from incident_engine.domain.events.region_names import resolve_regions
from incident_engine.domain.values import LocalizedText, plausible_instant

KNOWN_SERVICES = "known_services"
"""Key of the validation context: the services that the bank has, their names by id."""
EVERYWHERE = "everywhere"
"""Key of the validation context: the codes of the regions for which words such as 全国 stand."""


def _known_service(service: str, info: ValidationInfo) -> str:
    """Return the id of the service that an id, or a name in any language, names."""
    services: Mapping[str, object] | None = (info.context or {}).get(KNOWN_SERVICES)
    if services is None or service in services:
        return service
    names = {id_: name.as_mapping().values() for id_, name in services.items() if isinstance(name, LocalizedText)}
    ids = [id_ for id_, texts in names.items() if service.casefold() in {text.casefold() for text in texts}]
    if len(ids) > 1:
        raise invalid(f"'{service}' is the name of several services", f"one of their ids: {', '.join(ids)}")
    if not ids:
        raise unknown_name("service", service, services, also=[text for texts in names.values() for text in texts])
    return ids[0]


def _resolved(text: str, info: ValidationInfo) -> str:
    """Return the codes of the regions that a text names, with commas between them."""
    return ",".join(resolve_regions(text, (info.context or {}).get(EVERYWHERE)))


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise invalid(f"not a plain name: {text!r}", "printable characters without spaces at the ends")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]


_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that show nothing: Hangul fillers and the empty Braille pattern."""


def plain_name(name: str) -> str:
    """Return a person's name without invisible characters, and with plain single spaces between its parts.

    Two names that look the same must be the same. Removed are characters of format (zero width, direction, tags),
    variation selectors and fillers; the other spaces of Unicode become a plain one.
    """
    if name.isascii():
        return name if "  " not in name else " ".join(part for part in name.split(" ") if part)
    visible = "".join(
        " " if category(char) == "Zs" or char in _BLANKS else char
        for char in name
        if category(char) != "Cf" and not ("\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef")
    )
    return " ".join(part for part in visible.split(" ") if part)


def _person(value: object) -> object:
    return plain_name(value) if isinstance(value, str) else value


PersonName = Annotated[Name, BeforeValidator(_person, json_schema_input_type=Name)]
"""The name of a person, without invisible characters and odd spaces."""


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise invalid(
            f"not an incident's key: {text!r}", "letters, digits, '.', '_' and '-', such as INC-2026-17; 80 at most"
        )
    return text


_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
IncidentKey = Annotated[str, AfterValidator(_key)]
Service = Annotated[Name, AfterValidator(_known_service)]
Region = Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(_printable), AfterValidator(_resolved)]
"""A text that names a region, or several with commas, semicolons, 、 or blanks between them."""
MOST_REGIONS = 1_000
"""The most regions of an event: China has 34 provincial units, and all countries together have 250 codes."""


def _few(regions: object) -> object:
    """Leave out repeated names and refuse too many, before each is looked up."""
    if not isinstance(regions, list | tuple):
        return regions
    distinct = list(dict.fromkeys(regions)) if {type(region) for region in regions} == {str} else regions
    if len(distinct) > MOST_REGIONS:
        raise invalid(f"{len(distinct)} regions", f"{MOST_REGIONS} at most; report the others by further events")
    return distinct


def _one_by_one(regions: tuple[str, ...]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(code for codes in regions for code in codes.split(",")))  # a region has many names
    _few(distinct)
    return distinct


Regions = Annotated[tuple[Region, ...], BeforeValidator(_few), AfterValidator(_one_by_one)]
"""The codes of all regions that a list of texts names, each once."""


def _plain(text: str) -> str:
    if character := control_character(text):
        message = f"has the control character {character}"
        raise invalid(message, "a text of printable characters, tabs and line ends")
    return text


_UNIX_LINES = BeforeValidator(lambda text: unix_lines(text) if isinstance(text, str) else text)
PlainText = Annotated[str, AfterValidator(_plain), _UNIX_LINES]
"""A text without control characters: they reach no store and no terminal."""
Text = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_plain), _UNIX_LINES]


def _level(name: str) -> str:
    if not 0 < len(name) <= 60 or not name.isprintable():
        raise invalid(f"not an id: {name!r}", "a level by its id, such as II; 60 characters at most")
    return name


LevelName = Annotated[str, AfterValidator(_level)]
"""A level by its id, or by its number in another form: II, Ⅱ, 2, 二级."""


def _in_utc(instant: datetime) -> datetime:
    return plausible_instant(instant).astimezone(UTC)


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
