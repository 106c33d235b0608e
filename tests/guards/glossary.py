"""The private words of the first version, the field's words that replaced them, and a search for the private ones.

Only words that can be told from ordinary English are here. A word that is ordinary elsewhere is bound to a kind of
name, to the whole name, or to a folder.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Kind(StrEnum):
    """The kind of thing that has a name."""

    MODULE = "module or package"
    ALIAS = "name of an import"
    CLASS = "class"
    FUNCTION = "function or method"
    VARIABLE = "variable, field or parameter"
    ARGUMENT = "keyword argument"
    JSON_KEY = "key of a dictionary"
    YAML_KEY = "YAML key"
    COLUMN = "table or column"
    CONSTRAINT = "word of a constraint"
    METRIC = "metric"


class Fit(Enum):
    """The position of a private word in a name."""

    PART = "_{}_"
    WHOLE = "^_{}_$"
    FIRST = "^_{}_"
    LAST = "_{}_$"


class Name(NamedTuple):
    """A name and the line on which it stands; `path` is relative to the checkout."""

    path: str
    line: int
    kind: Kind
    text: str


@dataclass(frozen=True)
class Word:
    """A private word in all its forms, and the word to use instead."""

    forms: str
    instead: str
    kinds: frozenset[Kind] = frozenset(Kind)
    fit: Fit = Fit.PART
    below: tuple[str, ...] = ("",)
    """Folders or files, relative to the checkout, in which the word is private; everywhere by default."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The search for the word in a name that is written `_in_small_letters_`."""
        return re.compile(self.fit.value.format(f"({'|'.join(self.forms.split())})"))


class Finding(NamedTuple):
    """A private word in a name."""

    name: Name
    form: str
    word: Word

    def __str__(self) -> str:
        where = f"{self.name.path}:{self.name.line}"
        return f"{where}: {self.name.kind} `{self.name.text}`: {self.form} -> {self.word.instead}"


_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
"""A part of a name in snake_case, CamelCase or UPPER_CASE."""

_MODULE = frozenset({Kind.MODULE, Kind.ALIAS})
_CLASS = frozenset({Kind.CLASS})
_FUNCTION = frozenset({Kind.FUNCTION})
_VARIABLE = frozenset({Kind.VARIABLE})
_VALUE = frozenset({Kind.VARIABLE, Kind.ARGUMENT, Kind.JSON_KEY})
_COLUMN = frozenset({Kind.COLUMN})

_CLI = "incident_engine/cli/"
_DELIVERY = "incident_engine/delivery/"
_DOMAIN = "incident_engine/domain/"
_GRADING = "incident_engine/domain/grading/"
_INCIDENTS = "incident_engine/domain/incidents/"
_ENGINE = "incident_engine/engine/"
_STORE = "incident_engine/store/"
_WATCHDOG = "incident_engine/watchdog/"
_WEB = "incident_engine/web/"

WORDS = (
    # The engine: what happens to an incident after an event.
    Word("deed deeds", "action"),
    Word("upkeep bring_up_to_date", "update"),
    Word("stepwork step_work", "steps"),
    Word("carry_on", "advance"),
    Word("case", "GradedCase", _CLASS, Fit.WHOLE, (_ENGINE,)),
    Word("ledger", "incident cache"),
    Word("standing", "IncrementalFold"),
    Word("bearing", "FoldEffect"),
    Word("catching", "cache sync"),
    Word("span spans", "IncidentWindow, open incidents", below=(_ENGINE, _INCIDENTS, _STORE + "incidents.py")),
    Word("is_shell", "has_no_start"),
    Word("decisions", "decision_log", _MODULE, Fit.WHOLE),
    Word("references", "event_checks", _MODULE, Fit.WHOLE),
    Word("resolved", "checked", _FUNCTION, Fit.WHOLE, (_ENGINE,)),
    Word("say", "log_after_commit", _FUNCTION, Fit.WHOLE, (_ENGINE,)),
    Word("note", "record, track or log", _FUNCTION, Fit.FIRST),
    Word("known", "Names or PreviewRequest", _CLASS, Fit.WHOLE),
    Word("wanted", "ReportRequest or PreviewRequest", _CLASS, Fit.WHOLE),
    Word("take hear turn", "apply, record_receipt or set_state", _FUNCTION, Fit.WHOLE, (_ENGINE, _INCIDENTS)),
    Word("keep keep_versions", "update_versions", _FUNCTION, Fit.WHOLE, (_ENGINE,)),
    Word("look", "get, probe or check"),
    Word("hypothesis", "what-if"),
    # Grading.
    Word("rise rises", "LevelChange"),
    Word("reached", "LevelChange", _CLASS, Fit.WHOLE),
    Word("course", "level history"),
    Word("held", "level_retained", _COLUMN, Fit.WHOLE),  # not the state of a delivery that waits for an approval
    Word("held", "level_retained", _VALUE, Fit.WHOLE, (_GRADING,)),
    Word("level_held", "level_retained"),
    Word("sure", "confirmed_only"),
    Word("reading readings", "interpretation", below=(_DOMAIN, _CLI + "text/", "rules/")),
    Word("demand demands", "obligation"),
    Word("owed", "due"),
    # Response and messages.
    Word("occasion occasions", "occurrence"),
    Word("stretch stretches", "episode"),
    Word("draft", "HeldText", _CLASS, Fit.WHOLE),  # drafts of reports keep their name
    Word("drafts", "messages", _MODULE, Fit.WHOLE),
    Word("situation", "MessageContext"),
    Word("words", "context, summary or texts", _CLASS, Fit.LAST),
    Word("spell spelled spelling spellings", "format or formatting"),
    Word("tell told teller", "notify, notified"),
    Word("hand_over handed_over", "assign", below=(_CLI, _DOMAIN, _ENGINE, _STORE, _WEB)),
    Word("begun", "started"),
    Word("begin_step", "start_step"),
    Word("anew", "restarted"),
    Word("life", "generation", fit=Fit.WHOLE),
    Word("again", "repeat_every", frozenset({Kind.YAML_KEY, Kind.VARIABLE}), Fit.WHOLE, ("rules/", _DOMAIN)),
    Word("follows", "requires", frozenset({Kind.YAML_KEY, Kind.VARIABLE}), Fit.WHOLE, ("rules/", _DOMAIN)),
    # Delivery.
    Word("target targets", "endpoint", below=(_DELIVERY,)),
    Word("bucket buckets", "rate limit"),
    Word("bundle bundles bundled", "digest"),
    Word("robot robots", "chat bot"),
    Word("guarded", "redaction"),
    Word("outgoing", "deliveries", _MODULE, Fit.WHOLE),
    Word("claimed", "ClaimedDelivery", _CLASS, Fit.WHOLE),
    # The watchdog.
    Word("self_audit selfaudit", "watchdog"),
    Word("sight sights", "Observation"),
    Word("moment", "ClockReading", below=(_WATCHDOG,)),
    Word("register", "FindingTracker", below=(_WATCHDOG,)),
    Word("letter letters", "NoticeMessage"),
    Word("mailbox mailboxes", "PendingNotices"),
    # The store.
    Word("unit", "UnitOfWork", _CLASS, Fit.WHOLE),
    Word("at_end", "before_commit", fit=Fit.WHOLE),
    Word("on_failure", "on_rollback", fit=Fit.WHOLE),
    Word("quiet is_quiet", "unchanged", _VARIABLE, Fit.WHOLE, (_ENGINE, _STORE)),
    Word("settle", "run_before_commit, apply_actions or resolve", _FUNCTION, Fit.FIRST, (_ENGINE, _STORE)),
    Word("of", "parent_id", _COLUMN, Fit.WHOLE),
    Word("place", "position", _COLUMN, Fit.WHOLE),
    Word("incident_id", "case_id", _COLUMN, Fit.WHOLE),
    Word("holding", "file_lock", _MODULE, Fit.WHOLE),
    Word("marks", "flags", _MODULE, Fit.WHOLE),
    Word("retained", "retention", _MODULE, Fit.WHOLE),
    Word("copying", "backup", _MODULE, Fit.WHOLE),
    Word("trouble", "diagnosis", _MODULE, Fit.WHOLE),
    # Everywhere.
    Word("parts", "AppContext", _CLASS, Fit.WHOLE),
    Word("parts", "splitting", _MODULE, Fit.WHOLE),
    Word("opening", "registry or factory", _MODULE, Fit.WHOLE),
    Word("wording", "i18n or texts", _MODULE, Fit.WHOLE),
    Word("faults", "failpoints", _MODULE, Fit.WHOLE),
    Word("sparing", "RateLimitedLog"),
    Word("lazily", "lazy import"),
    Word("keeping", "database", _MODULE, Fit.WHOLE),
    Word("histories", "grade, replay or report", _MODULE, Fit.WHOLE),
    Word("exercises", "drills", _MODULE, Fit.WHOLE),
    Word("serving", "serve", _MODULE, Fit.WHOLE),
    Word("found said each given about known", "the noun (events, message, step, body ...)", _VARIABLE, Fit.WHOLE),
    Word("place", "index", _VARIABLE, Fit.WHOLE),
)
"""The glossary."""

ALLOWED: Mapping[tuple[str, str], str] = {
    ("incident_engine/common/telemetry.py", "buckets"): "prometheus_client's name for the limits of a histogram",
    ("incident_engine/config/watchdog.py", "tell_after"): "quarantine.tell_after, the name that operators asked for",
}
"""Names that may keep a private word, by file and name, each with its reason."""

_NO_KEYS = {"incident_engine/common/i18n.py": "keys of its dictionaries are English phrases, no JSON"}


def find_private(names: Iterable[Name]) -> list[Finding]:
    """Return the private words in names that have no allowance, in order of file and line."""
    findings = (
        Finding(name, form, word)
        for name in names
        if (name.path, name.text) not in ALLOWED
        for form, word in _find_words(name.kind, name.text)
        if name.path.startswith(word.below)
    )
    return sorted(findings, key=lambda finding: (finding.name, finding.form))


def names_in_checkout(root: Path) -> Iterator[Name]:
    """Yield all names in the package, in the rules and in config.yaml."""
    for path in sorted((root / "incident_engine").rglob("*.py")):
        relative = path.relative_to(root)
        yield Name(str(relative), 1, Kind.MODULE, path.parent.name if path.stem == "__init__" else path.stem)
        yield from names_in_python(str(relative), path.read_text(encoding="utf-8"))
    for path in (root / "config.yaml", *sorted((root / "rules").rglob("*.yaml"))):
        yield from names_in_yaml(str(path.relative_to(root)), path.read_text(encoding="utf-8"))


def names_in_python(path: str, text: str) -> Iterator[Name]:
    """Yield the names that a file of Python defines, and its keyword arguments, keys, columns, constraints, metrics."""
    for node in ast.walk(ast.parse(text, path)):
        for kind, name in _names_of(node):
            if kind is not Kind.JSON_KEY or path not in _NO_KEYS:
                yield Name(path, getattr(node, "lineno", 1), kind, name)


def names_in_yaml(path: str, text: str) -> Iterator[Name]:
    """Yield the keys of all mappings in a YAML file."""
    pending: list[Any] = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield Name(path, key.start_mark.line + 1, Kind.YAML_KEY, str(key.value))
                pending.append(value)
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value


@cache  # most names stand in the package many times
def _find_words(kind: Kind, text: str) -> tuple[tuple[str, Word], ...]:
    snake = "_" + "_".join(part.lower() for part in _PART.findall(text)) + "_"
    words = ((word, word.pattern.search(snake)) for word in WORDS if kind in word.kinds)
    return tuple((match.group(1), word) for word, match in words if match)


def _names_of(node: ast.AST) -> Iterator[tuple[Kind, str]]:  # noqa: C901 - one line for each kind of node
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield Kind.FUNCTION, name
        case ast.ClassDef(name=name):
            yield Kind.CLASS, name
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield Kind.VARIABLE, name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield Kind.VARIABLE, name
        case ast.alias(asname=str(name)):
            yield Kind.ALIAS, name
        case ast.keyword(arg=str(name)):
            yield Kind.ARGUMENT, name
        case ast.Dict(keys=keys):
            for key in keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield Kind.JSON_KEY, key.value
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
            yield from _names_in_sql(function, name)
        case ast.Constant(value=str(name)) if name.startswith("incident_engine_") and name.isidentifier():
            yield Kind.METRIC, name.removeprefix("incident_engine_")


def _names_in_sql(function: ast.expr, argument: str) -> Iterator[tuple[Kind, str]]:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    if name in {"Column", "Table", "create_table"}:
        yield Kind.COLUMN, argument
    elif name == "CheckConstraint":
        yield from ((Kind.CONSTRAINT, word) for word in re.findall(r"\w+", argument))
