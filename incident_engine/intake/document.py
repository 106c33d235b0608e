"""Reading request bodies into documents."""

import json
import re
from typing import Any

import pydantic_core

from incident_engine.common.errors import MalformedBodyError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Some monitors put it first; RFC 8259 (8.1) allows to ignore it."""


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises MalformedBodyError with line and column."""
    try:
        return pydantic_core.from_json(body.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False)
    except ValueError as error:
        raise _malformed(body, error) from None


def _malformed(body: bytes, error: ValueError) -> MalformedBodyError:
    """Return the error with its position; Python's own reader gives the more exact one."""
    try:
        json.loads(body)
    except json.JSONDecodeError as exact:
        return MalformedBodyError(exact.msg, exact.lineno, exact.colno)
    except UnicodeDecodeError as exact:
        before = body[: exact.start]
        column = exact.start - (before.rfind(b"\n") + 1) + 1
        return MalformedBodyError("not UTF-8", before.count(b"\n") + 1, column)
    except (ValueError, RecursionError):
        pass  # only the stricter reader refuses it
    match = re.search(r"^(.*) at line (\d+) column (\d+)", str(error))
    return MalformedBodyError(match[1], int(match[2]), int(match[3])) if match else MalformedBodyError(str(error), 1, 1)
