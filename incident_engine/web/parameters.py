"""Strict query parameters: a misspelt or repeated one is an error."""

from collections.abc import Sequence

from starlette.requests import Request

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.validation import unknown_problems


def refuse_unknown(request: Request, allowed: Sequence[str], repeated: Sequence[str] = ()) -> None:
    """Refuse parameters that FastAPI would ignore: a misspelt question must not look answered.

    Raises InvalidDocumentError with every parameter that is not `allowed`, or occurs twice and is not `repeated`.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    problems = [
        problem for name in dict.fromkeys(names) for problem in unknown_problems((name,), "parameter", name, allowed)
    ]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1 and name not in repeated]
    problems += [Problem((name,), "is given more than once", "one value") for name in twice]
    if problems:
        raise InvalidDocumentError(problems)
