"""The parameters of a request: those that would be ignored are refused."""

from collections.abc import Sequence

from starlette.requests import Request

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.validation import unknown_problems


def refuse_unknown(request: Request, known: Sequence[str], repeated: Sequence[str] = ()) -> None:
    """Refuse parameters that would be ignored: a misspelt question must not look answered.

    Raises InvalidDocumentError with every parameter that is unknown, or given more than once and not `repeated`.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    problems = [p for name in dict.fromkeys(given) for p in unknown_problems((name,), "parameter", name, known)]
    twice = [name for name in dict.fromkeys(given) if given.count(name) > 1 and name not in repeated]
    problems += [Problem((name,), "is given more than once", "one value") for name in twice]
    if problems:
        raise InvalidDocumentError(problems)
