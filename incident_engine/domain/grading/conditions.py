"""Conditions of a rule: limits on the downtime, the harm and the figures of an incident, alone or combined.

`grading.reach` computes the instant at which a condition holds. A strict `more_than` is the smallest step after
`at_least`.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import ClassVar, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from incident_engine.common.errors import Path
from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.events.fields import Figure
from incident_engine.domain.events.harm import HarmCause, HarmData, HarmKind, Seriousness
from incident_engine.domain.grading.interpretation import HoursClock
from incident_engine.domain.values import RESOLUTION, Duration, Identifier


class Alternatives(Strict):
    """Base of models of which exactly one of several keys must be given."""

    alternatives: ClassVar[tuple[str, ...]] = ("at_least", "more_than")
    """The fields, of which exactly one is not None."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        fields = type(self).model_fields
        exactly_one({fields[name].alias or name: getattr(self, name) for name in self.alternatives})
        return self


class DurationLimit(Alternatives):
    """A limit of time: `at_least` includes the limit itself, `more_than` does not."""

    at_least: Duration | None = None
    more_than: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_bare_limit(cls, value: object) -> object:
        if isinstance(value, str):
            raise invalid(f"a bare limit: {value!r}", f"{{at_least: {value}}} or {{more_than: {value}}}")
        return value

    @property
    def least(self) -> timedelta:
        """Return the shortest length that satisfies the limit."""
        if self.at_least is not None:
            return self.at_least
        return (self.more_than or timedelta(0)) + RESOLUTION


class CountLimit(Alternatives):
    """A limit of a count: `at_least` includes the limit itself, `more_than` does not."""

    at_least: int | None = Field(default=None, ge=1, strict=True)
    more_than: int | None = Field(default=None, ge=0, strict=True)

    @property
    def least(self) -> int:
        """Return the smallest count that satisfies the limit."""
        return self.at_least if self.at_least is not None else (self.more_than or 0) + 1


class RegionsDown(CountLimit):
    """A number of regions have each been unable to do business for a length of time."""

    for_: DurationLimit = Field(alias="for")
    clock: HoursClock | None = None
    """Which minutes count. Default: those of the pack's interpretation."""


class OutageFor(Strict):
    """At least one service in at least one region has been down for a length of time, all regions taken together."""

    for_: DurationLimit = Field(alias="for")
    clock: HoursClock | None = None
    """Which minutes count. Default: those of the pack's interpretation."""


class CountriesHit(CountLimit):
    """An outage that counts has hit regions in a number of countries."""

    at_least: int | None = Field(default=None, ge=1, strict=True)
    more_than: int | None = Field(default=None, ge=1, strict=True)
    among: tuple[str, ...] = ()
    """The countries that count (ISO 3166-1 alpha-2). Default: all."""


class HarmLimit(Strict):
    """A person has judged a harm of one of these kinds, of at least this seriousness, by one of these causes."""

    kinds: tuple[HarmKind, ...] = Field(min_length=1)
    at_least: Seriousness = Seriousness.CONSIDERABLE
    causes: tuple[HarmCause, ...] = Field(default=tuple(HarmCause), min_length=1)

    def is_met_by(self, harm: HarmData) -> bool:
        """Return whether a judged harm meets the limit."""
        is_such = harm.kind in self.kinds and harm.cause in self.causes
        return is_such and harm.seriousness.rank >= self.at_least.rank


class MeasureLimit(Alternatives):
    """A reported figure of the impact has passed a limit, or a yes-or-no question has this answer."""

    name: Identifier
    """One of the pack's `measures`."""
    alternatives = ("at_least", "more_than", "is_")
    at_least: StrictInt | StrictFloat | None = None
    more_than: StrictInt | StrictFloat | None = None
    is_: StrictBool | None = Field(default=None, alias="is")

    def is_met_by(self, name: str, value: Figure) -> bool:
        """Return whether the value of a measure meets the limit."""
        if name != self.name:
            return False
        if self.is_ is not None:
            return value is self.is_
        if isinstance(value, bool):  # in Python True >= 1
            return False
        return value >= self.at_least if self.at_least is not None else value > (self.more_than or 0)


class Forecast(Strict):
    """Outside service hours, an unrepaired failure is expected to meet another rule's condition.

    银监办发〔2008〕53号 Art. 9, clause 3 of each level. Without an estimate of the recovery, the failure is expected to
    last, and the level is provisional.
    """

    rule: Identifier
    """The rule with the condition; it must not be a forecast itself."""


class Condition(Alternatives):
    """One condition, named by its single key."""

    alternatives = (
        "any", "all", "n_of", "regions_down", "outage", "countries_hit", "harm", "measured", "forecast",
    )  # fmt: skip
    any: tuple["Condition", ...] | None = Field(default=None, min_length=1)
    all: tuple["Condition", ...] | None = Field(default=None, min_length=1)
    n_of: "NOf | None" = None
    regions_down: RegionsDown | None = None
    outage: OutageFor | None = None
    countries_hit: CountriesHit | None = None
    harm: HarmLimit | None = None
    measured: MeasureLimit | None = None
    forecast: Forecast | None = None

    @property
    def parts(self) -> "tuple[Condition, ...]":
        """Return the conditions that this one combines; empty for a leaf."""
        return self.any or self.all or (self.n_of.of if self.n_of else ())


class NOf(Strict):
    """At least a number of several conditions hold."""

    at_least: int = Field(ge=1, strict=True)
    of: tuple[Condition, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.at_least > len(self.of):
            raise invalid(f"at least {self.at_least} of {len(self.of)} can never hold", "a smaller at_least")
        return self


Rules = Mapping[str, Condition]
"""The conditions of a pack's rules by id; a `forecast` refers to one of them."""


def exactly_one(values: Mapping[str, object]) -> None:
    """Raise a validation error that names the keys if not exactly one of the values is given (is not None)."""
    keys, present = list(values), [key for key, value in values.items() if value is not None]
    if len(present) != 1:
        problem = "none is given" if not present else f"{' and '.join(present)} are given"
        raise invalid(f"exactly one of {', '.join(keys)} must be given: {problem}", f"one of: {', '.join(keys)}")


def leaves(condition: Condition) -> Iterator[Condition]:
    """Yield the conditions at the leaves."""
    if not condition.parts:
        yield condition
    for part in condition.parts:
        yield from leaves(part)


def placed_leaves(path: Path, condition: Condition) -> Iterator[tuple[Path, Condition]]:
    """Yield the conditions at the leaves, each with its path in the document, below the path of the whole."""
    if not condition.parts:
        yield path, condition
    inside: Path = ("any",) if condition.any else ("all",) if condition.all else ("n_of", "of")
    for index, part in enumerate(condition.parts):
        yield from placed_leaves((*path, *inside, index), part)
