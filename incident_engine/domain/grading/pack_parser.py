"""Parse a pack from a document: fill in parameters, check types, check that every name exists."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from incident_engine.common.errors import InvalidDocumentError, Path, Problem
from incident_engine.common.validation import nearest, problems_of
from incident_engine.domain.grading.compiler import program_of
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_references import reference_problems


def parse_pack(document: object) -> Pack:
    """Return the pack in a document (as read from YAML or JSON), compiled.

    Raises InvalidDocumentError with all problems, each with its path.
    """
    problems: list[Problem] = []
    resolved = _with_parameters(document, problems)
    try:
        pack = Pack.model_validate(resolved)
    except ValidationError as error:
        # A reference to an unknown parameter has a problem already; that `$name` has the wrong type says nothing more.
        unresolved = {problem.path for problem in problems}
        wrong = [problem for problem in problems_of(error, Pack, resolved) if problem.path not in unresolved]
        raise InvalidDocumentError([*problems, *wrong]) from None
    problems += reference_problems(pack)
    if problems:
        raise InvalidDocumentError(problems)
    program_of(pack)  # compile now, not while the first incident waits
    return pack


def _with_parameters(document: object, problems: list[Problem]) -> object:
    """Return the document with parameters' values in place of `$name` in interpretation, rules and obligations."""
    if not isinstance(document, Mapping):
        return document
    parameters = document.get("parameters")
    values = {
        name: parameter["value"]
        for name, parameter in (parameters.items() if isinstance(parameters, Mapping) else ())
        if isinstance(parameter, Mapping) and "value" in parameter
    }

    def substituted(part: Any, path: Path) -> Any:
        if isinstance(part, Mapping):
            return {key: substituted(inner, (*path, key)) for key, inner in part.items()}
        if isinstance(part, list):
            return [substituted(inner, (*path, index)) for index, inner in enumerate(part)]
        if not (isinstance(part, str) and part.startswith("$")):
            return part
        name = part[1:]
        if name not in values:
            expected = f"one of: {', '.join(sorted(values)) or '(none is declared)'}"
            problems.append(Problem(path, f"unknown parameter '{name}'", expected, nearest(name, values)))
        return values.get(name, part)

    return {key: substituted(part, (str(key),)) if key in _PARAMETRIC else part for key, part in document.items()}


_PARAMETRIC = ("interpretation", "rules", "obligations")
