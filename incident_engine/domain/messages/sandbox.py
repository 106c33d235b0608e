"""The Jinja sandbox of templates: they read data, decide and loop, but cannot call, grow or run without limit."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any

from babel.numbers import format_decimal
from jinja2 import StrictUndefined, TemplateSyntaxError, meta, nodes, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from incident_engine.common.errors import Problem
from incident_engine.common.validation import nearest
from incident_engine.domain.messages.formatting import (
    babel_of,
    format_day,
    format_deadline,
    format_duration,
    format_instant,
    format_local,
    format_local_deadline,
    format_minutes,
    format_names,
    to_minute,
)

_FILTERS = frozenset({"default", "first", "int", "join", "last", "length", "list", "lower", "round", "trim", "upper"})
_FORBIDDEN: tuple[tuple[type[nodes.Node], str], ...] = (
    (nodes.Macro, "macro"),
    (nodes.CallBlock, "call"),
    (nodes.Include, "include"),
    (nodes.Import, "import"),
    (nodes.FromImport, "from"),
    (nodes.Extends, "extends"),
    (nodes.Block, "block"),
    (nodes.AssignBlock, "set … endset"),
)


def source_problems(source: str, variables: Mapping[str, Mapping[str, str]]) -> Iterator[Problem]:
    """Yield a problem for each fault in a Jinja text; the path is (line,).

    `variables` maps the variables that the text may use to their parts.
    """
    environment = sandbox("en", None)
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        yield Problem((error.lineno,), f"not a valid template: {error.message}")
        return
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets
        yield Problem((1,), f"not a valid template: {error}")
        return
    by_type = _by_type(tree)
    for allowed, word, used in (
        (environment.filters, "filter", [(node.name, node.lineno) for node in by_type.get(nodes.Filter, ())]),
        (environment.tests, "test", [(node.name, node.lineno) for node in by_type.get(nodes.Test, ())]),
    ):
        unknown = [(name, line) for name, line in used if name not in allowed]
        for name, line in unknown:
            expected = f"one of: {', '.join(sorted(allowed))}"
            yield Problem((line,), f"unknown {word} '{name}'", expected, nearest(name, allowed))
        if unknown:  # jinja2.meta cannot read such a tree
            return
    undeclared = meta.find_undeclared_variables(tree) - set(variables) - set(environment.globals)
    names = by_type.get(nodes.Name, ())
    local = {name.name for name in names} - set(variables)
    for node in names:
        if node.name in undeclared:
            expected = f"one of: {', '.join(variables)}"
            yield Problem((node.lineno,), f"unknown variable '{node.name}'", expected, nearest(node.name, variables))
    for part in by_type.get(nodes.Getattr, ()):
        yield from _unknown_part(part, local, variables)
    yield from _forbidden(by_type)
    yield from _loops_too_deep(tree, 0)


_Nodes = Mapping[type[nodes.Node], Sequence[Any]]
"""The nodes of a template by type, in order."""


def _forbidden(by_type: _Nodes) -> Iterator[Problem]:
    for kind, keyword in _FORBIDDEN:
        for node in by_type.get(kind, ()):
            yield Problem((node.lineno,), f"'{keyword}' is not allowed here", "text, if, for and set")
    for assigned in by_type.get(nodes.Assign, ()):
        if next(assigned.node.find_all(nodes.Concat), None) is not None or isinstance(assigned.node, nodes.Concat):
            # In a loop it would double a text each time; the limit on loops alone does not stop that.
            yield Problem((assigned.lineno,), "'set' with '~' could grow without end", "the texts one after the other")


def _by_type(tree: nodes.Template) -> _Nodes:
    """Return all nodes of a template by type. One walk: a search for each type would cost as much every time."""
    by_type: dict[type[nodes.Node], list[nodes.Node]] = {}
    for node in tree.find_all(nodes.Node):
        by_type.setdefault(type(node), []).append(node)
    return by_type


def _loops_too_deep(node: nodes.Node, depth: int) -> Iterator[Problem]:
    """Yield a problem for each loop that is nested three deep or recursive: a message must be rendered in time."""
    for child in node.iter_child_nodes():
        is_loop = isinstance(child, nodes.For)
        if isinstance(child, nodes.For) and (depth >= 2 or child.recursive):
            yield Problem((child.lineno,), "loops within loops within loops, or a recursive one", "two deep at most")
        else:
            yield from _loops_too_deep(child, depth + is_loop)


def _unknown_part(
    part: nodes.Getattr, local: set[str], variables: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    if not isinstance(part.node, nodes.Name) or part.node.name in local:
        return
    parts = variables.get(part.node.name)
    if parts is not None and part.attr not in parts:
        expected = f"one of: {', '.join(parts) or '(it has no parts)'}"
        problem = f"'{part.node.name}' has no '{part.attr}'"
        yield Problem((part.lineno,), problem, expected, nearest(part.attr, parts))


_LARGEST = 10**15
"""The largest number of a template. Sums of minutes and customers are smaller; computing on is then still quick."""
_LONGEST_TEXT = 60_000
"""The most characters or items that `+` and `join` may make."""
_DIGITS = 12
"""The most decimal places to which a template may round."""


def _round(value: Any, precision: Any = 0, method: Any = "common") -> Any:
    """Round as Jinja does, with at most `_DIGITS` places: it computes 10 to this power."""
    if type(precision) is not int or not 0 <= precision <= _DIGITS:
        raise SecurityError(f"round: places from 0 to {_DIGITS}, not {str(precision)[:20]}")
    return FILTERS["round"](_bounded(value), precision, method)


def _int(value: Any, default: Any = 0, base: int = 10) -> Any:
    """Convert to an integer as Jinja does; a text of many digits is refused."""
    if isinstance(value, str) and len(value) > len(str(_LARGEST)):
        raise SecurityError("int: a text that is too long for a number")
    return _bounded(FILTERS["int"](_bounded(value), default, base))


@pass_eval_context
def _join(context: nodes.EvalContext, value: Any, separator: Any = "", attribute: Any = None) -> Any:
    """Join as Jinja does; many items times a long separator are refused."""
    items = list(value)
    if len(items) * len(str(separator)) > _LONGEST_TEXT:
        raise SecurityError("join: a text that is too long for a message")
    return FILTERS["join"](context, items, separator, attribute)


def _bounded(value: Any) -> Any:
    """Return a value. Raises SecurityError for a number beyond `_LARGEST`."""
    if isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
        raise SecurityError("a number that is too large for a message")
    return value


class _Sandbox(ImmutableSandboxedEnvironment):
    """Keeps a text from calling methods, from multiplying texts and from numbers without bound."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may read an attribute: data only, no method."""
        return super().is_safe_attribute(obj, attr, value) and not callable(value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute with bounded numbers and lengths of time: a text times a number could be of any size."""
        # `%` formats texts, and "%999999999d" is a long one.
        if operator == "+" and isinstance(left, str | list | tuple) and type(left) is type(right):
            if len(left) + len(right) > _LONGEST_TEXT:  # `set` could double a text line by line
                raise SecurityError("'+': a text that is too long for a message")
            return super().call_binop(context, operator, left, right)
        if operator == "**" or isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple):
            raise SecurityError(f"'{operator}' is not allowed here")
        return _bounded(super().call_binop(context, operator, _bounded(left), _bounded(right)))


@cache
def sandbox(locale: str, zone: tzinfo | None, *, to_the_minute: bool = False) -> ImmutableSandboxedEnvironment:
    """Return the environment that renders texts in a language, with instants in the local time of `zone`.

    `to_the_minute` rounds instants and lengths of time down to the minute; otherwise they have seconds.
    """

    def rounded(value: datetime) -> datetime:
        return to_minute(value) if to_the_minute else value

    environment = _Sandbox(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.globals.clear()  # `range` and `cycler` would make lists and state of any size
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.filters["round"] = _round
    environment.filters["int"] = _int
    environment.filters["join"] = _join
    environment.filters["instant"] = lambda value: format_instant(rounded(value), locale, zone)
    environment.filters["date"] = lambda value: format_day(value, locale, zone)
    environment.filters["number"] = lambda value: format_decimal(_bounded(value), locale=babel_of(locale))
    format_length = format_minutes if to_the_minute else format_duration
    environment.filters["duration"] = lambda value: format_length(value, locale)
    environment.filters["names"] = lambda value, most=None: format_names(value, locale, most)
    environment.filters["local"] = lambda value: format_local(rounded(value), zone)
    environment.filters["due"] = lambda value: format_deadline(rounded(value), locale, zone)
    environment.filters["due_local"] = lambda value: format_local_deadline(rounded(value), zone)
    environment.filters["iso"] = lambda value: (
        value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )
    return environment
