"""Reads the body of a request, up to a limit."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.intake.document import parse_json


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request. Raises HTTPException(413) as soon as it exceeds `limit` bytes."""
    if int(request.headers.get("content-length", "0")) <= limit:
        body = bytearray()
        async for chunk in request.stream():  # a chunked body announces no length, so it is counted
            body += chunk
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise HTTPException(413, f"the body is larger than {limit} bytes (server.max_body_bytes); send fewer events")


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """Return the JSON object in a request body of at most `limit` bytes.

    Raises MalformedBodyError if the body is not JSON, InvalidDocumentError if it is another value.
    """
    document = parse_json(await read_body(request, limit))
    if not isinstance(document, dict):
        raise InvalidDocumentError([Problem((), "is not an object", 'an object such as {"by": "王敏"}')])
    return document
