"""Reads the body of a request, up to a limit."""

from starlette.exceptions import HTTPException
from starlette.requests import Request


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request. Raises HTTPException(413) as soon as it exceeds `limit` bytes."""
    if int(request.headers.get("content-length", "0")) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():  # a chunked body announces no length, so it is counted
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limit} bytes (server.max_body_bytes); send fewer events")
