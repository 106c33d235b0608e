"""The names by which events say where: codes, provinces, cities, several in one text, the whole country."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from pydantic_core import PydanticCustomError

from incident_engine.common.validation import invalid
from incident_engine.domain.cities import CITIES
from incident_engine.domain.regions import (
    CODE_BY_ADCODE,
    CODE_BY_NAME,
    OTHER_COUNTRIES,
    PROVINCE_BY_CODE,
    PROVINCES,
    REGION_NAMES,
)

_SUBDIVISION = re.compile(r"([A-Z]{2})(-[A-Z0-9]{1,3})?")
_ADCODE = re.compile(r"\d{6}(\d{6})?")
_NUMERIC_CODE = re.compile(r"CN-(\d{2})")
_FORMER_NUMBERS = {"91": "CN-HK", "92": "CN-MO"}
"""Hong Kong and Macao among the numeric codes of ISO 3166-2:CN before 2017; the others are those of GB/T 2260."""
_SEPARATORS = re.compile(r"[,，、;；]")
_EVERYWHERE = frozenset({"全国", "全國", "中国", "cn", "china", "everywhere", "nationwide"})
"""Words for all regions that the bank serves."""
_DISTRICTS = {"朝阳": ("CN-BJ", "朝阳区"), "chaoyang": ("CN-BJ", "朝阳区")}
"""Districts that are as well known as a city with the same short name. Other districts are not resolved."""
_EXPECTED = "an ISO 3166-2 code, a 6-digit adcode, or the name of a province or city"


def resolve_regions(text: str, everywhere: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the ISO 3166-2 codes of all regions that a text names, each once.

    Several are separated by commas, 、, semicolons or blanks. `everywhere` has the codes for which words such as 全国
    stand; None if the bank has not set them. Raises a validation error as `resolve_region` does.
    """
    parts = [part.strip() for part in _SEPARATORS.split(text)]
    codes = [code for part in parts if part for code in _resolve_part(part, everywhere)]
    return tuple(dict.fromkeys(codes)) or (resolve_region(text),)


def _resolve_part(text: str, everywhere: Sequence[str] | None) -> Sequence[str]:
    if text.casefold() in _EVERYWHERE and everywhere:
        return everywhere
    words = text.split()
    if len(words) == 1:
        return [resolve_region(text)]
    try:
        return [resolve_region(text)]  # a name may have a blank of its own, such as Inner Mongolia
    except PydanticCustomError:
        return _resolve_words(words, everywhere)


def _resolve_words(words: Sequence[str], everywhere: Sequence[str] | None) -> Sequence[str]:
    """Return the codes of names that blanks separate; a name of two words is tried before one of one word."""
    codes: list[str] = []
    index = 0
    while index < len(words):
        pair = " ".join(words[index : index + 2])
        if pair.casefold() in CODE_BY_NAME and index + 1 < len(words):
            codes.append(CODE_BY_NAME[pair.casefold()])
            index += 2
        else:
            codes += _resolve_part(words[index], everywhere)
            index += 1
    return codes


def resolve_region(name: str) -> str:
    """Return the ISO 3166-2 code of a region from a code, a 6-digit adcode, or the name of a province or city.

    A city or the adcode of a city or county gives its province. Raises a validation error that names the candidates of
    an ambiguous name, or the nearest region.
    """
    text = name.strip()
    code = CODE_BY_NAME.get(text.casefold()) or _numeric(text)
    if code is not None:
        return code
    # SX alone may be Shanxi or Sint Maarten: a guess could grade an outage of another country by the wrong law.
    if f"CN-{text.upper()}" in PROVINCE_BY_CODE and text.upper() in OTHER_COUNTRIES:
        problem = f"'{text}' is ambiguous: a province of China or the country of this code"
        raise invalid(problem, f"CN-{text.upper()}, or a subdivision of the other country ({text.upper()}-…)")
    match = _SUBDIVISION.fullmatch(text.upper())
    if match and match[1] in OTHER_COUNTRIES:
        return text.upper()
    if text.casefold() in _EVERYWHERE:
        expected = "its provinces one by one, such as CN-GD or 广东; or set regions.everywhere in config.yaml"
        raise invalid(f"'{text.upper()}' is the whole country", expected)
    return _province_of_city(text)


def _numeric(text: str) -> str | None:
    """Return the province of a code in digits: an adcode, or a former code of ISO 3166-2 such as CN-44."""
    if _ADCODE.fullmatch(text):
        code = CODE_BY_ADCODE.get(text[:2])
        if code is None:
            prefixes = ", ".join(sorted(CODE_BY_ADCODE))
            raise invalid(f"unknown adcode '{text}'", f"6 digits that begin with one of {prefixes}")
        return code
    match = _NUMERIC_CODE.fullmatch(text.upper())
    return None if match is None else _FORMER_NUMBERS.get(match[1]) or CODE_BY_ADCODE.get(match[1])


def _province_of_city(text: str) -> str:
    candidates = _cities().get(_folded(text), {})
    if len(candidates) > 1:
        names = [
            f"{city} ({PROVINCE_BY_CODE[code].zh_short} {PROVINCE_BY_CODE[code].en})"
            for code, city in candidates.items()
        ]
        expected = f"the whole name in Chinese, or the province's code: {' or '.join(candidates)}"
        raise invalid(f"'{text}' is ambiguous: {' or '.join(names)}", expected)
    if candidates:
        return next(iter(candidates))
    for province in PROVINCES:
        for prefix in (province.zh_long, province.zh_short):
            # 广东省深圳市 names both; the province alone decides if the city is one of its own.
            if text.startswith(prefix) and province.code in _cities().get(_folded(text.removeprefix(prefix)), {}):
                return province.code
    raise _unknown_region(text)


@cache
def _cities() -> Mapping[str, Mapping[str, str]]:
    """Return the provinces of each city by its folded names, with the city's own name."""
    provinces: dict[str, dict[str, str]] = {}
    for line in CITIES.splitlines():
        adcode, name, *others = line.split("|")
        names = {name, *others}
        if name.endswith("自治州"):
            names.add(f"{others[0]}州")
        for alias in names:
            provinces.setdefault(_folded(alias), {}).setdefault(CODE_BY_ADCODE[adcode[:2]], name)
    for name, (code, district) in _DISTRICTS.items():
        provinces[name][code] = district
    return provinces


def city_names() -> list[str]:
    """Return the names by which exactly one city is known, without those of provinces."""
    names = dict.fromkeys(name for line in CITIES.splitlines() for name in line.split("|")[1:])
    return [name for name in names if len(_cities()[_folded(name)]) == 1 and name.casefold() not in CODE_BY_NAME]


def _folded(text: str) -> str:
    """Return a name as it is looked up: without capitals, apostrophes, hyphens, blanks and a last word for city."""
    return re.sub(r"[ -](city|shi)$|['’ -]", "", text.casefold())


@cache
def _known_names() -> tuple[str, ...]:
    """Return the names among which the nearest one to an unknown name is searched."""
    return (*REGION_NAMES, *(name for line in CITIES.splitlines() for name in line.split("|")[2:]))


def _unknown_region(text: str) -> PydanticCustomError:
    context = {"kind": "region", "name": text, "expected": _EXPECTED, "valid": _known_names()}
    return PydanticCustomError("unknown_name", "unknown {kind} '{name}'", context)
