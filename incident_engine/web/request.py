"""Reads the body of a request, up to a limit."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request

from incident_engine.common.errors import InvalidDocumentError, Problem, TooLargeError
from incident_engine.intake.document import parse_json

LARGE = 262_144
"""Bytes of a body from which on it is parsed in a thread, and waits for its turn before it is read further."""


async def read_body(
    request: Request,
    limit: int,
    setting: str = "server.max_body_bytes",
    turn: Callable[[], Awaitable[object]] | None = None,
) -> bytes:
    """Return the body of a request. Raises TooLargeError as soon as it exceeds `limit` bytes, which `setting` sets.

    `turn` is awaited once before a body is read beyond `LARGE` bytes.
    """
    if int(request.headers.get("content-length", "0")) <= limit:
        body = bytearray()
        async for chunk in request.stream():  # a chunked body announces no length, so it is counted
            body += chunk
            if len(body) > limit:
                break
            if turn is not None and len(body) > LARGE:
                await turn()
                turn = None
        else:
            return bytes(body)
    raise TooLargeError(f"the body is larger than {limit} bytes ({setting}); send it in parts, with fewer events each")


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """Return the JSON object in a request body of at most `limit` bytes.

    Raises MalformedBodyError if the body is not JSON, InvalidDocumentError if it is another value.
    """
    document = parse_json(await read_body(request, limit))
    if not isinstance(document, dict):
        raise InvalidDocumentError([Problem((), "is not an object", 'an object such as {"by": "王敏"}')])
    return document
