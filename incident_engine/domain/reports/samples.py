"""Check the texts of a report's definition by rendering them in sample situations."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from incident_engine.common.errors import Problem
from incident_engine.domain.messages.sandbox import sandbox, source_problems
from incident_engine.domain.reports.definition import ReportDefinition
from incident_engine.domain.reports.variables import REPORT_VARIABLES

_BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
_LATER = _BEGAN + timedelta(hours=4)
_LEVEL = {"id": "III", "name": "Name", "at": _BEGAN + timedelta(minutes=30), "cite": "Art. 1", "says": "so"}
_JUDGEMENT = {"at": _LATER, "by": "A", "reason": "so"}
_ENTRY = {"at": _LATER, "text": "so", "by": "A"}


class _AnyFigure(dict[str, Any]):
    """Contains every figure with one value."""

    def __init__(self, value: str | None) -> None:
        super().__init__()
        self._value = value

    def __missing__(self, name: str) -> str | None:
        return self._value


class _AnyName(dict[str, str]):
    """Contains every name."""

    def __contains__(self, name: object) -> bool:
        return True


def definition_problems(definition: ReportDefinition, measures: Iterable[str] | None = None) -> Iterator[Problem]:
    """Yield a problem for each faulty text of a definition, with its path in the document.

    `measures` are the names of its pack's measures; with None, any name is accepted.
    """
    names = None if measures is None else tuple(measures)
    for section_index, section in enumerate(definition.sections):
        for field_index, field in enumerate(section.fields):
            texts = field.facts.as_mapping() if field.facts is not None else {}
            sources = {source: locale for locale, source in reversed(texts.items())}
            for source, locale in reversed(sources.items()):  # a text for both languages is tried once
                where = ("sections", section_index, "fields", field_index, "facts", locale)
                for problem in _wrong(source, locale, definition.progress, names):
                    yield Problem(where, *problem)


@lru_cache(maxsize=4_096)  # reports of one regulation share many texts
def _wrong(
    source: str, locale: str, progress: bool, measures: tuple[str, ...] | None
) -> tuple[tuple[str, str, str], ...]:
    """Return the problems of a text: (message, expected, nearest name)."""
    names: Mapping[str, str] = _AnyName() if measures is None else dict.fromkeys(measures, "a figure")
    problems = source_problems(source, {**REPORT_VARIABLES, "measured": names})
    results = [
        (f"{problem.message} (line {problem.path[0]} of the text)", problem.expected, problem.nearest)
        for problem in problems
    ]
    if not results:
        text = sandbox(locale, UTC).from_string(source)
        for description, variables in samples(progress=progress):
            try:
                text.render(variables)
            except Exception as error:  # noqa: BLE001 - a text may raise anything
                return ((f"fails {description}: {error}", "a guard such as {% if level %}", ""),)
    return tuple(results)


def samples(*, progress: bool = False) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield situations in which a report (of progress or not) may be drafted: (name, variables)."""
    whole = _whole()
    lists: dict[str, Any] = {name: [] for name, value in whole.items() if isinstance(value, list)}
    none: dict[str, Any] = {"level": None, "classified": None, "next": None, "provisional": False}
    incident = dict.fromkeys(whole["incident"], None) | {"id": "i", "services": [], "regions": []}
    incident |= {"has_outage": False, "is_down": False}
    unit = whole["unit"] | {"is_branch": False, "reporter": "", "contact": ""}
    bare = whole | lists | none | {"incident": incident, "unit": unit, "measured": _AnyFigure(None)}
    so_far: dict[str, Any] = {"restored_at": None, "is_down": True, "closed_at": None, "closed_by": None}
    so_far |= {} if progress else {"duration": None}
    open_hit = _hit(_LATER if progress else None) | {"end": None, "in_service": None}
    yield "when everything is known", whole
    yield "when hardly anything is known", bare
    yield "while it lasts", whole | {"incident": whole["incident"] | so_far, "impact": [open_hit], "next": _LEVEL}
    yield "when nobody signs", whole | {"timeline": [_ENTRY | {"by": None}], "measures": [_ENTRY | {"by": None}]}


def _hit(end: datetime | None) -> dict[str, Any]:
    length = None if end is None else end - _BEGAN
    hit = {"service": "Core banking", "region": "Guangdong", "start": _BEGAN, "end": end}
    return hit | {"lasted": length, "in_service": length}


def _whole() -> dict[str, Any]:
    return {
        "bank": {"name": "Bank"},
        "unit": dict.fromkeys(("name", "addressee", "reporter", "contact"), "Name") | {"is_branch": True},
        "pack": {"title": "Title", "source": "Source"},
        "incident": {
            "id": "20130623-banking-00000000",
            "services": ["Core banking", "ATM"],
            "regions": ["Guangdong"],
            "occurred_at": _BEGAN,
            "detected_at": _BEGAN,
            "restored_at": _LATER,
            "duration": _LATER - _BEGAN,
            "recovery_at": _LATER,
            "has_outage": True,
            "is_down": False,
            "closed_at": _LATER,
            "closed_by": "A",
        },
        "level": _LEVEL,
        "classified": _LEVEL,
        "provisional": True,
        "next": None,
        "impact": [_hit(_LATER)],
        "timeline": [_ENTRY],
        "measures": [_ENTRY],
        "failures": [_JUDGEMENT],
        "plan_failures": [_JUDGEMENT],
        "harms": [_JUDGEMENT | {"kind": "bank", "seriousness": "serious", "cause": "interruption"}],
        "figures": [
            {"name": "clients", "says": "Clients", "value": "1,000", "unit": "clients", "at": _LATER, "by": "A"}
        ],
        "measured": _AnyFigure("1,000"),
        "root_causes": [{"at": _LATER, "text": "so"}],
        "obligations": [
            {
                "id": "report",
                "says": "Report",
                "cite": "Art. 2",
                "due_at": _LATER,
                "state": "met",
                "met_at": _LATER,
                "met_by": "A",
                "is_late": False,
                "missed": 0,
            },
            {
                "id": "summary",
                "says": "Summary",
                "cite": "Art. 3",
                "due_at": _LATER,
                "state": "overdue",
                "met_at": None,
                "met_by": None,
                "is_late": True,
                "missed": 2,
            },
        ],
        "lessons": [{"at": _LATER, "by": "A", "text": "so", "for_customers": None}],
        "tasks": [
            {
                "title": "Task",
                "owner": None,
                "due_at": None,
                "by": "A",
                "reason": "so",
                "done_at": None,
                "done_by": None,
            },
            {
                "title": "Task",
                "owner": "B",
                "due_at": _LATER,
                "by": "A",
                "reason": "so",
                "done_at": _LATER,
                "done_by": "B",
            },
        ],
        "as_of": _LATER,
    }
