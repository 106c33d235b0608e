"""A rule pack: one regulation, typed and dated, with its levels, rules, obligations and cases."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from incident_engine.errors import InvalidDocumentError, Path, Problem
from incident_engine.facts.regions import resolve_region
from incident_engine.facts.values import Duration, Identifier, LocalizedText, Zone
from incident_engine.grading.conditions import Condition
from incident_engine.validation import Strict, doubles, invalid, nearest, problems_of, unknown


def _day(value: object) -> object:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else date.fromisoformat("")
    except ValueError:
        raise invalid(f"not a day: {value!r}", "a day such as 2008-04-23") from None


Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=str)]


class InForce(Strict):
    """From when (inclusive) until when (exclusive) the regulation is in force."""

    from_: Day = Field(alias="from")
    until: Day | None = None

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.until is not None and self.until <= self.from_:
            raise invalid(f"in force until {self.until}, which is not after {self.from_}", "a later day (exclusive)")
        return self


class Parameter(Strict):
    """A value that a rule or obligation names with a $: from the law (cite) or our default (why)."""

    value: str | int
    cite: str | None = None
    why: LocalizedText | None = None
    one_of: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _founded(self) -> Self:
        if self.cite is None and self.why is None:
            raise invalid("a parameter needs its foundation", "cite (article of the law) or why (our default)")
        if self.one_of is not None and self.value not in self.one_of:
            raise invalid(f"{self.value!r} is not allowed", f"one of: {', '.join(self.one_of)}")
        return self


class Level(Strict):
    """A grade of the pack; levels stand worst first."""

    id: Identifier
    name: LocalizedText


class Rule(Strict):
    """The condition under which a level is reached, with the clause that says so."""

    id: Identifier
    level: Identifier
    cite: str
    says: LocalizedText
    when: Condition


class Due(Strict):
    """By when: so long after the occurrence (发生后)."""

    after: Literal["occurrence"]
    within: Duration


class Obligation(Strict):
    """What the regulation demands by an instant, from the levels for which it holds."""

    id: Identifier
    cite: str
    says: LocalizedText
    to: Literal["regulator"]
    due: Due
    levels: tuple[Identifier, ...] = Field(min_length=1)


def _country(code: str) -> str:
    if code and not (len(code) == 2 and code.isascii() and code.isupper()):
        raise invalid(f"not a country's code: {code!r}", "two capital letters (ISO 3166-1), such as CN")
    return code


class NotModelled(Strict):
    """A sentence of the regulation that the pack leaves to people, and why."""

    cite: str
    why: LocalizedText


_TIME_OF_DAY = re.compile(r"(\d{2,3}):([0-5]\d)(?::([0-5]\d))?")


def _time_of_day(value: object) -> timedelta:
    match = _TIME_OF_DAY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise invalid(f"not a time: {value!r}", "HH:MM or HH:MM:SS; hours may exceed 24 for the days that follow")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _spans(value: object) -> object:
    return [value] if isinstance(value, list) and value and not isinstance(value[0], list) else value


TimeOfDay = Annotated[timedelta, BeforeValidator(_time_of_day, json_schema_input_type=str)]


def _in_order(span: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if len(span) == 2 and span[1] <= span[0]:
        raise invalid("ends before it begins", "an end after the beginning; hours may exceed 24 for the next day")
    return span


Span = Annotated[tuple[TimeOfDay, ...], Field(min_length=1, max_length=2), AfterValidator(_in_order)]
"""From, or from and to, of an outage."""


class Expectation(Strict):
    """A level that is reached at a time, and by which rule."""

    at: TimeOfDay
    level: Identifier
    rule: Identifier | None = None


class Case(Strict):
    """Outages in regions, in a service that is always open, and the whole trajectory that must follow."""

    name: str
    down: dict[str, Annotated[list[Span], BeforeValidator(_spans)]]
    expect: tuple[Expectation, ...]

    @model_validator(mode="after")
    def _known_regions(self) -> Self:
        for region in self.down:
            resolve_region(region)
        return self


class Pack(Strict):
    """One regulation."""

    pack: Identifier
    version: str = Field(min_length=1)
    title: LocalizedText
    source: str
    in_force: InForce
    timezone: Zone = "UTC"
    """Where the dates of `in_force` begin."""
    country: Annotated[str, AfterValidator(_country)] = ""
    """ISO 3166 code of the country whose regions count; empty for all."""
    parameters: dict[Identifier, Parameter] = {}
    levels: tuple[Level, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    obligations: tuple[Obligation, ...] = ()
    not_modelled: tuple[NotModelled, ...] = ()
    cases: tuple[Case, ...] = ()

    @property
    def region_prefix(self) -> str:
        """Return how the codes of the regions that count begin."""
        return f"{self.country}-" if self.country else ""

    def is_in_force(self, instant: datetime) -> bool:
        """Return whether the regulation is in force at an instant."""
        day = instant.astimezone(ZoneInfo(self.timezone)).date()
        return self.in_force.from_ <= day and (self.in_force.until is None or day < self.in_force.until)

    @cached_property
    def severity(self) -> Mapping[str, int]:
        """Return each level's severity: 1 for the least severe, rising to the worst."""
        return {level.id: len(self.levels) - place for place, level in enumerate(self.levels)}

    @cached_property
    def level_names(self) -> Mapping[str, LocalizedText]:
        """Return the levels' names by id."""
        return {level.id: level.name for level in self.levels}

    @cached_property
    def rule_by_id(self) -> Mapping[str, Rule]:
        """Return the rules by id."""
        return {rule.id: rule for rule in self.rules}

    @cached_property
    def content_hash(self) -> str:
        """Return the SHA-256 of the pack's content (without its cases), which marks every verdict."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"cases"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_pack(document: object) -> Pack:
    """Return the pack that a document (as read from YAML or JSON) describes.

    Raises InvalidDocumentError with every problem and its path.
    """
    problems: list[Problem] = []
    resolved = _with_parameters(document, problems)
    try:
        pack = Pack.model_validate(resolved)
    except ValidationError as error:
        unresolved = {problem.path for problem in problems}
        wrong = [problem for problem in problems_of(error, Pack, resolved) if problem.path not in unresolved]
        raise InvalidDocumentError([*problems, *wrong]) from None
    problems += _wrong_references(pack)
    if problems:
        raise InvalidDocumentError(problems)
    return pack


def _with_parameters(document: object, problems: list[Problem]) -> object:
    """Put the parameters' values where rules and obligations name them."""
    if not isinstance(document, Mapping):
        return document
    given = document.get("parameters")
    values = {
        name: parameter["value"]
        for name, parameter in (given.items() if isinstance(given, Mapping) else ())
        if isinstance(parameter, Mapping) and "value" in parameter
    }
    return {
        key: _substituted(part, values, (str(key),), problems) if key in ("rules", "obligations") else part
        for key, part in document.items()
    }


def _substituted(part: Any, values: Mapping[str, object], path: Path, problems: list[Problem]) -> Any:
    if isinstance(part, Mapping):
        return {key: _substituted(inner, values, (*path, key), problems) for key, inner in part.items()}
    if isinstance(part, list):
        return [_substituted(inner, values, (*path, place), problems) for place, inner in enumerate(part)]
    if not (isinstance(part, str) and part.startswith("$")):
        return part
    name = part[1:]
    if name not in values:
        expected = f"one of: {', '.join(sorted(values)) or '(none is declared)'}"
        problems.append(Problem(path, f"unknown parameter '{name}'", expected, nearest(name, values)))
    return values.get(name, part)


def _wrong_references(pack: Pack) -> Iterator[Problem]:
    levels = [level.id for level in pack.levels]
    rules = [rule.id for rule in pack.rules]
    yield from doubles("levels", levels)
    yield from doubles("rules", rules)
    yield from doubles("obligations", [obligation.id for obligation in pack.obligations])
    for place, rule in enumerate(pack.rules):
        yield from unknown(("rules", place, "level"), "level", rule.level, levels)
    for place, obligation in enumerate(pack.obligations):
        for index, level in enumerate(obligation.levels):
            yield from unknown(("obligations", place, "levels", index), "level", level, levels)
    for place, case in enumerate(pack.cases):
        for index, expected in enumerate(case.expect):
            yield from unknown(("cases", place, "expect", index, "level"), "level", expected.level, levels)
            if expected.rule is not None:
                yield from unknown(("cases", place, "expect", index, "rule"), "rule", expected.rule, rules)
