"""The model of a rule pack: one regulation with its levels, rules, obligations and cases."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, time
from functools import cached_property
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.calendar.holidays import known_country
from incident_engine.domain.grading.conditions import Condition, RegionsDown, leaves
from incident_engine.domain.grading.interpretation import Interpretation
from incident_engine.domain.grading.obligation import DayOff, Obligation
from incident_engine.domain.grading.pack_case import PackCase
from incident_engine.domain.values import Day, Identifier, LocalizedText, Zone


class InForce(Strict):
    """The days on which the regulation is in force."""

    from_: Day = Field(alias="from")
    """The first day in force."""
    until: Day | None = None
    """The first day no longer in force. Default: no end is known."""

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.until is not None and self.until <= self.from_:
            raise invalid(f"in force until {self.until}, which is not after {self.from_}", "a later day (exclusive)")
        return self


class Parameter(Strict):
    """A value that the interpretation, rules and obligations refer to by `$name`."""

    value: str | int
    cite: str | None = None
    """The article that sets the value. Either `cite` or `why` is needed."""
    why: LocalizedText | None = None
    """The reason for our default where the law is silent."""
    one_of: tuple[str, ...] | None = None
    """The values to which an operator may change it. Default: any."""

    @model_validator(mode="after")
    def _founded(self) -> Self:
        if self.cite is None and self.why is None:
            raise invalid("a parameter needs its foundation", "cite (article of the law) or why (our default)")
        if self.one_of is not None and self.value not in self.one_of:
            raise invalid(f"{self.value!r} is not allowed", f"one of: {', '.join(self.one_of)}")
        return self


class Level(Strict):
    """A level of the regulation, such as II. Packs list the worst level first."""

    id: Identifier
    name: LocalizedText


class Rule(Strict):
    """A clause of the regulation: the condition under which a level is reached."""

    id: Identifier
    level: Identifier
    cite: str
    """The article and clause, such as Art. 9(1)1."""
    says: LocalizedText
    """The clause in our words."""
    when: Condition

    @property
    def limits(self) -> tuple[RegionsDown, ...]:
        """Return the limits on regions in its condition."""
        return tuple(leaf.regions_down for leaf in leaves(self.when) if leaf.regions_down is not None)


class Measure(Strict):
    """A figure of the impact that conditions of the pack refer to."""

    says: LocalizedText
    """The meaning of the figure, or the question."""
    kind: Literal["number", "yes_no"] = "number"
    unit: str | None = None
    """The unit of a number, such as EUR or %."""
    recurring: Literal["sum", "max"] = "max"
    """How the figures of recurring incidents combine when they are graded as one."""


class Recurring(Strict):
    """Incidents with the same root cause are graded as one, as by (EU) 2024/1772 Art. 8(2)."""

    cite: str
    says: LocalizedText
    at_least: int = Field(ge=2, strict=True)
    """The number of incidents from which they count as recurring."""
    months: int = Field(ge=1, le=120, strict=True)
    """The number of months within which these incidents must begin."""


def _country(code: str) -> str:
    if code and not (len(code) == 2 and code.isascii() and code.isupper()):
        raise invalid(f"not a country's code: {code!r}", "two capital letters (ISO 3166-1), such as CN")
    return code


class NotModelled(Strict):
    """A sentence of the regulation that the pack leaves to people."""

    cite: str
    why: LocalizedText
    """The reason, such as a judgement that no figure can replace."""


def _level_key(text: str) -> str:
    """Return a level's id or number in the form in which they are compared: Roman, without the word for level."""
    # NFKC turns the single characters Ⅱ and ⅱ into letters.
    key = unicodedata.normalize("NFKC", text).casefold().strip()
    key = key.removeprefix("level").removesuffix("级").strip()
    return _ROMAN.get(key, key)


_ROMAN = {
    text: roman
    for roman, *texts in (("i", "1", "一"), ("ii", "2", "二"), ("iii", "3", "三"), ("iv", "4", "四"), ("v", "5", "五"))
    for text in texts
}
"""The Roman form of a level's number in digits or in Chinese."""


class Pack(Strict):
    """One regulation: its levels, the rules that reach them, and its obligations."""

    pack: Identifier
    version: str = Field(min_length=1)
    title: LocalizedText
    source: str
    """The regulation's official number."""
    replaces: Identifier | None = None
    """The pack of the regulation that this one replaces; its last day in force is the day before this one's first."""
    in_force: InForce
    timezone: Zone = "UTC"
    """The time zone of the dates of `in_force` and of deadlines in months or working days."""
    country: Annotated[str, AfterValidator(_country)] = ""
    """ISO 3166-1 code of the country whose regions count. Default: all countries."""
    calendar: Annotated[str, AfterValidator(known_country)] | None = None
    """ISO 3166-1 code of the country whose working days count for deadlines."""
    parameters: dict[Identifier, Parameter] = {}
    interpretation: Interpretation = Interpretation()
    measures: dict[Identifier, Measure] = {}
    levels: tuple[Level, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    obligations: tuple[Obligation, ...] = ()
    recurring: Recurring | None = None
    not_modelled: tuple[NotModelled, ...] = ()
    cases: tuple[PackCase, ...] = ()

    @property
    def region_prefix(self) -> str:
        """Return the prefix of the region codes that count, such as CN-; empty for all."""
        return f"{self.country}-" if self.country else ""

    def is_in_force(self, instant: datetime) -> bool:
        """Return whether the regulation is in force at an instant."""
        day = instant.astimezone(ZoneInfo(self.timezone)).date()
        return self.in_force.from_ <= day and (self.in_force.until is None or day < self.in_force.until)

    def midnight(self, day: date) -> datetime:
        """Return the instant at which a day begins, in the pack's time zone."""
        return datetime.combine(day, time(), ZoneInfo(self.timezone))

    @cached_property
    def severity(self) -> Mapping[str, int]:
        """Return each level's severity: 1 for the least severe, rising to the worst."""
        return {level.id: len(self.levels) - index for index, level in enumerate(self.levels)}

    @cached_property
    def level_names(self) -> Mapping[str, LocalizedText]:
        """Return the levels' names by id."""
        return {level.id: level.name for level in self.levels}

    def level_id(self, name: str) -> str | None:
        """Return the id of the level that an id, or a number such as Ⅱ, 2 or 二级, names; None if none does."""
        if name in self.severity:
            return name
        key = _level_key(name)
        return next((level.id for level in self.levels if _level_key(level.id) == key), None)

    @cached_property
    def rule_by_id(self) -> Mapping[str, Rule]:
        """Return the rules by id."""
        return {rule.id: rule for rule in self.rules}

    @property
    def counts_working_days(self) -> bool:
        """Return whether a deadline of the pack depends on working days."""
        deadlines = [deadline for obligation in self.obligations for deadline in obligation.due.deadlines]
        is_moved = any(obligation.due.on_day_off is not DayOff.KEEP for obligation in self.obligations)
        return is_moved or any(deadline.working_days is not None for deadline in deadlines)

    @cached_property
    def conditions(self) -> Mapping[str, Condition]:
        """Return the rules' conditions by id."""
        return {rule.id: rule.when for rule in self.rules}

    @cached_property
    def forecasts(self) -> frozenset[str]:
        """Return the ids of the rules with a `forecast` condition."""
        return frozenset(r.id for r in self.rules if any(leaf.forecast is not None for leaf in leaves(r.when)))

    @cached_property
    def content_hash(self) -> str:
        """Return the SHA-256 of the pack's content without its cases, which every stored assessment records."""
        # Cases test the law and do not change it: a new case must not make stored assessments look outdated.
        content = self.model_dump(mode="json", by_alias=True, exclude={"cases"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
