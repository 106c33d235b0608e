"""Errors as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from incident_engine.common.errors import (
    ConflictError,
    InvalidDocumentError,
    MalformedBodyError,
    OverloadedError,
    Problem,
    StoreError,
    TooLargeError,
)
from incident_engine.common.link_path import without_tokens
from incident_engine.common.telemetry import Metrics, RateLimitedLog, RefusedReason, logger
from incident_engine.common.validation import nearest_valid
from incident_engine.store.diagnosis import explain
from incident_engine.web.parameters import InvalidParametersError

MEDIA_TYPE = "application/problem+json"
_NOT_AN_INSTANT = frozenset({"timezone_aware", "datetime_from_date_parsing", "datetime_parsing", "datetime_type"})
"""pydantic's types of error for a text that is not an instant with its offset."""
_INSTANT_IN_QUERY = "an instant with its offset, such as 2013-06-23T10:35:00%2B08:00 (%2B is how a + is written here)"
_store_failures = RateLimitedLog(lambda event, **fields: logger("web").warning(event, **fields), 1)


class NoIncidentError(Exception):
    """There is no such incident in the database; it may have been archived."""

    def __init__(self, incident_id: str) -> None:
        super().__init__(incident_id)
        self.incident_id = incident_id


def problem_response(
    status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: Any
) -> Response:
    """Return a problem document.

    Shape: `{"type": "about:blank", "title", "status", "detail", …}`, with `extensions` as further members.
    """
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extensions}
    return Response(
        json.dumps(document, ensure_ascii=False), status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


Handler = Callable[[Request, Exception], Response]


def install(app: FastAPI, metrics: Metrics) -> None:
    """Make the application answer every error with a problem document, and count the refused requests."""

    def counted(handler: Handler) -> Handler:
        def answer(request: Request, error: Exception) -> Response:
            count_refusal(error, metrics)
            return handler(request, error)

        return answer

    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, counted(handler))
    app.add_exception_handler(Exception, unexpected)


def count_refusal(error: Exception, metrics: Metrics) -> None:
    """Count a request that is answered with 503."""
    if isinstance(error, OverloadedError):
        metrics.count_refused(RefusedReason.QUEUE)
    elif isinstance(error, StoreError | SQLAlchemyError):
        metrics.count_refused(RefusedReason.STORE)


def handler_of(error: Exception) -> Handler | None:
    """Return the handler of an expected error; None for any other."""
    return next((_HANDLERS[kind] for kind in type(error).__mro__ if kind in _HANDLERS), None)


def problem_entry(problem: Problem) -> dict[str, str]:
    """Return a problem as an entry of `errors`."""
    entry = {"pointer": problem.pointer, "detail": problem.message}
    if problem.expected:
        entry["expected"] = problem.expected
    if problem.nearest:
        entry["nearest"] = problem.nearest
    return entry


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidDocumentError)  # noqa: S101 - registered for it
    if request.method == "GET" or isinstance(error, InvalidParametersError):
        entries = [problem_entry(problem) for problem in error.problems]
        errors = [{"parameter": entry.pop("pointer").strip("/"), **entry} for entry in entries]
        return problem_response(422, "Invalid parameters", "the parameters contradict what is known", errors=errors)
    count = len(error.problems) + error.more
    rest = f"; the first {len(error.problems)} are listed, {error.more} more are not" if error.more else ""
    detail = f"{count} error{'s' if count > 1 else ''}; nothing of this request was stored{rest}"
    extensions: dict[str, Any] = {"errors": [problem_entry(problem) for problem in error.problems]}
    if error.more:
        extensions["more"] = error.more
    return problem_response(422, "Invalid events", detail, **extensions)


def _conflict(_: Request, error: Exception) -> Response:
    assert isinstance(error, ConflictError)  # noqa: S101 - registered for it
    detail = "the key is known with another content; nothing of this request was stored"
    return problem_response(
        409, "Another content", detail, errors=[problem_entry(problem) for problem in error.problems]
    )


def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, MalformedBodyError)  # noqa: S101 - registered for it
    return problem_response(400, "Malformed JSON", str(error), line=error.line, column=error.column)


def _too_large(_: Request, error: Exception) -> Response:
    return problem_response(413, HTTPStatus.REQUEST_ENTITY_TOO_LARGE.phrase, str(error))


def _overloaded(_: Request, error: Exception) -> Response:
    wait = str(OverloadedError.retry_after_seconds)
    detail = f"{error}; nothing of this request was stored, send it again"
    return problem_response(503, "Overloaded", detail, headers={"Retry-After": wait})


def _store(_: Request, error: Exception) -> Response:
    wait = str(OverloadedError.retry_after_seconds)
    _store_failures("request_failed", reason="store_error", error=explain(error))
    # The reason may contain paths and addresses, which are for the log alone.
    detail = "nothing of this request was stored, send it again; the daemon's log says what the store lacks"
    return problem_response(503, "The store is in trouble", detail, headers={"Retry-After": wait})


def _parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    errors = []
    for entry in error.errors():
        detail = str(entry["msg"])
        # An unescaped + in a query means a space, by far the most frequent cause of these errors.
        if entry["type"] in _NOT_AN_INSTANT:
            detail = f"not an instant: {entry['input']!r}; expected {_INSTANT_IN_QUERY}"
        location = entry["loc"]  # ("query" or "path", name, …)
        context = entry.get("ctx", {})
        candidates = {"expected": context.get("expected"), "nearest": nearest_valid(context)}
        hints = {name: text for name, text in candidates.items() if text}
        errors.append({"parameter": str(location[1] if len(location) > 1 else location[-1]), "detail": detail} | hints)
    return problem_response(422, "Invalid parameters", f"{len(errors)} of the parameters cannot be used", errors=errors)


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    title = HTTPStatus(error.status_code).phrase
    return problem_response(error.status_code, title, str(error.detail), headers=error.headers)


_HANDLERS: Mapping[type[Exception], Handler] = {
    ConflictError: _conflict,
    InvalidDocumentError: _invalid,
    MalformedBodyError: _malformed,
    TooLargeError: _too_large,
    OverloadedError: _overloaded,
    StoreError: _store,
    SQLAlchemyError: _store,
    RequestValidationError: _parameters,
    HTTPException: _http,
}


def unexpected(request: Request, error: Exception) -> Response:
    """Answer an unexpected error with 500, and log it."""
    logger("web").warning(
        "request_failed", reason="unexpected_error", error=repr(error), path=without_tokens(request.url.path)
    )
    return problem_response(500, "Unexpected error", "a fault of this program; its log has more")
