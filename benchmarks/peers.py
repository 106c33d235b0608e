"""Other engines, each grading an incident by Art. 9 of 银监办发〔2008〕53号 as fast as it can.

The rule: level I if at least two provinces are down for 3 h each or one for 6 h; II if at least two for 30 min each or
one for 3 h; III if one for 30 min; each limit includes itself. It needs only the two longest totals, so the engines get
`longest` and `second` as facts; all limits of time are in the engine's rule.

Each engine is used in the fastest way that we found. Peers return only the level at `now`: neither the instant at which
it was reached nor the next level.
"""

# The peers are no dependencies of incident-engine and only some of them have types.
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"

from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.metadata import version
from operator import getitem
from platform import python_version

import cel
import rule_engine
import zen
from business_rules import run_all
from business_rules.actions import BaseActions, rule_action
from business_rules.fields import FIELD_TEXT
from business_rules.variables import BaseVariables, numeric_rule_variable
from harness import Contender
from incidents import HALF_HOUR, SIX_HOURS, THREE_HOURS, Incident

Grade = Callable[[Incident], object]

_LEVEL_I = f"second >= {THREE_HOURS} or longest >= {SIX_HOURS}"
_LEVEL_II = f"second >= {HALF_HOUR} or longest >= {THREE_HOURS}"
_LEVEL_III = f"longest >= {HALF_HOUR}"
_LEVEL_ONLY = "level now"


def peers(now: int) -> Iterator[Contender]:
    """Yield the peers, each grading at `now`; "zen" is the reference for the others."""
    zen_version = version("zen-engine")
    yield Contender("hand-written", f"Python {python_version()}", _LEVEL_ONLY, hand_written(now))
    yield Contender("zen", zen_version, _LEVEL_ONLY, zen_decision(now, trace=False))
    yield Contender("zen, traced", zen_version, "level now, trace", zen_decision(now, trace=True))
    yield Contender("zen, bare expression", zen_version, _LEVEL_ONLY, zen_expression(now))
    yield Contender("cel", version("common-expression-language"), _LEVEL_ONLY, cel_program(now))
    yield Contender("rule-engine", version("rule-engine"), _LEVEL_ONLY, rule_engine_rule(now))
    yield Contender("business-rules", version("business-rules"), _LEVEL_ONLY, business_rules(now))


def two_longest(incident: Incident, now: int) -> tuple[int, int]:
    """Return the longest and the second longest total of a province up to `now`, in microseconds."""
    longest = second = 0
    for intervals in incident:
        total = 0
        for start, end in intervals:
            if end > now:
                if start < now:
                    total += now - start
                break
            total += end - start
        if total > second:
            if total > longest:
                longest, second = total, longest
            else:
                second = total
    return longest, second


def hand_written(now: int) -> Grade:  # noqa: C901 - a lower bound calls no helper
    """Return the rule as a Python function that stops as soon as the worst level is certain: the lower bound."""

    def grade(incident: Incident) -> object:
        longest = second = 0
        for intervals in incident:
            total = 0
            for start, end in intervals:
                if end > now:
                    if start < now:
                        total += now - start
                    break
                total += end - start
            if total > second:
                if total > longest:
                    longest, second = total, longest
                else:
                    second = total
                if second >= THREE_HOURS or longest >= SIX_HOURS:
                    return "I"
        if second >= HALF_HOUR or longest >= THREE_HOURS:
            return "II"
        return "III" if longest >= HALF_HOUR else None

    return grade


_ZEN_LEVEL = f'{_LEVEL_I} ? "I" : {_LEVEL_II} ? "II" : {_LEVEL_III} ? "III" : null'


def zen_decision(now: int, *, trace: bool) -> Grade:
    """Return a decision of the zen engine, one expression node, evaluated by its key in a static loader.

    `engine.evaluate` finds the decision compiled; `decision.evaluate` would compile it on each call, 30 times slower.
    An expression is faster than a decision table, and no output node is faster than one. zen omits null values.
    """
    decision = {
        "contentType": "application/vnd.gorules.decision",
        "nodes": [
            {"id": "facts", "name": "facts", "type": "inputNode"},
            {
                "id": "grade",
                "name": "grade",
                "type": "expressionNode",
                "content": {"expressions": [{"id": "level", "key": "level", "value": _ZEN_LEVEL}]},
            },
        ],
        "edges": [{"id": "edge", "type": "edge", "sourceId": "facts", "targetId": "grade"}],
    }
    evaluate = zen.ZenEngine({"loader": {"type": "static", "content": {"grade": decision}}}).evaluate

    def grade(incident: Incident) -> object:
        longest, second = two_longest(incident, now)
        return evaluate("grade", {"longest": longest, "second": second})["result"].get("level")

    def grade_traced(incident: Incident) -> object:
        longest, second = two_longest(incident, now)
        return evaluate("grade", {"longest": longest, "second": second}, {"trace": True})["result"].get("level")

    return grade_traced if trace else grade


def zen_expression(now: int) -> Grade:
    """Return zen's expression language alone, compiled once: no decision, so neither loader nor trace."""
    evaluate = zen.compile_expression(_ZEN_LEVEL).evaluate

    def grade(incident: Incident) -> object:
        longest, second = two_longest(incident, now)
        return evaluate({"longest": longest, "second": second})

    return grade


def cel_program(now: int) -> Grade:
    """Return a CEL program, compiled once, in a context that is refilled for each incident."""
    execute = cel.compile(_ZEN_LEVEL.replace(" or ", " || ")).execute
    context = cel.Context()
    put = context.add_variable

    def grade(incident: Incident) -> object:
        longest, second = two_longest(incident, now)
        put("longest", longest)
        put("second", second)
        return execute(context)

    return grade


def rule_engine_rule(now: int) -> Grade:
    """Return one rule of rule-engine, parsed once; a ternary is faster than a chain of three rules."""
    text = f'({_LEVEL_I}) ? "I" : (({_LEVEL_II}) ? "II" : (({_LEVEL_III}) ? "III" : null))'
    evaluate = rule_engine.Rule(text, context=rule_engine.Context(resolver=getitem)).evaluate

    def grade(incident: Incident) -> object:
        longest, second = two_longest(incident, now)
        return evaluate({"longest": Decimal(longest), "second": Decimal(second)})

    return grade


class _Totals(BaseVariables):  # type: ignore[misc]
    """The facts in the form of business-rules."""

    def __init__(self, longest: int, second: int) -> None:
        self._longest = longest
        self._second = second

    @numeric_rule_variable
    def longest(self) -> int:
        """Return the longest total."""
        return self._longest

    @numeric_rule_variable
    def second(self) -> int:
        """Return the second longest total."""
        return self._second


class _Verdict(BaseActions):  # type: ignore[misc]
    """Receives the level of the first rule that holds."""

    level: str | None = None

    @rule_action(params={"level": FIELD_TEXT})
    def grade(self, level: str) -> None:
        """Store the level."""
        self.level = level


def business_rules(now: int) -> Grade:
    """Return the rules for business-rules, the worst level first; the first that holds ends the run.

    "At least" is written as "greater than one microsecond less", which is faster there.
    """

    def at_least(name: str, limit: int) -> dict[str, object]:
        return {"name": name, "operator": "greater_than", "value": Decimal(limit - 1)}

    def rule(level: str, *any_of: dict[str, object]) -> dict[str, object]:
        return {"conditions": {"any": any_of}, "actions": [{"name": "grade", "params": {"level": level}}]}

    rules = [
        rule("I", at_least("second", THREE_HOURS), at_least("longest", SIX_HOURS)),
        rule("II", at_least("second", HALF_HOUR), at_least("longest", THREE_HOURS)),
        rule("III", at_least("longest", HALF_HOUR)),
    ]

    def grade(incident: Incident) -> object:
        verdict = _Verdict()
        run_all(rules, _Totals(*two_longest(incident, now)), verdict, stop_on_first_trigger=True)
        return verdict.level

    return grade
