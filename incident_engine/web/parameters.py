"""Query parameters of every route: an unknown or repeated one is an error."""

from collections.abc import Collection, Sequence
from typing import get_origin

from fastapi.routing import APIRoute
from starlette.requests import Request

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.link_path import LINK_PATH
from incident_engine.common.validation import unknown_problems


class InvalidParametersError(InvalidDocumentError):
    """The query has unknown or repeated parameters: all problems, each with the name of its parameter."""


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse parameters that FastAPI would ignore: a misspelt question must not look answered.

    A dependency of the whole application, so that no route can forget it. Raises InvalidParametersError with every
    parameter that the route does not declare, or that occurs twice and is declared as one value.
    """
    # Mail gateways add parameters of their own to links, and a person must not be sent away for that.
    if not request.url.query or request.url.path.startswith(LINK_PATH):
        return
    route = request.scope.get("route")
    fields = route.dependant.query_params if isinstance(route, APIRoute) else []
    repeatable = {field.alias for field in fields if get_origin(field.field_info.annotation) in (list, tuple, Sequence)}
    refuse_unknown(request, [field.alias for field in fields], repeatable)


def refuse_unknown(request: Request, allowed: Collection[str] = (), repeatable: Collection[str] = ()) -> None:
    """Refuse the parameters of a request that are not `allowed`, or occur twice and are not `repeatable`.

    Raises InvalidParametersError.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    problems = [
        problem for name in dict.fromkeys(names) for problem in unknown_problems((name,), "parameter", name, allowed)
    ]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1 and name not in repeatable]
    problems += [Problem((name,), "is given more than once", "one value") for name in twice]
    if problems:
        raise InvalidParametersError(problems)
