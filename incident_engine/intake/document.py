"""Reading request bodies into documents."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pydantic_core

from incident_engine.common.errors import InvalidDocumentError, MalformedBodyError, Path, Problem, TooLargeError
from incident_engine.common.plain_text import storable

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Some monitors put it first; RFC 8259 (8.1) allows to ignore it."""
MOST_VALUES = 500_000
"""The most objects, lists and values in a body: a megabyte of `{}` would become 60 MB of memory."""
MOST_KEYS = 1_000
"""The most keys of an object in an event or alert."""
_MARKS = (b",", b"[", b"{")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_CONTROL_BYTES = (b"\\", b"\x7f", b"\xc2", b"\xe2")
"""Bytes without which a JSON text has no control character: escapes, DEL, first bytes of C1 and of direction marks."""


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises MalformedBodyError with line and column, InvalidDocumentError if an object has a key twice, and
    TooLargeError if there are more than 500,000 values.
    """
    return _parse(body)[0]


def parse_plain_json(body: bytes) -> Any:
    """Return the value of a JSON text, with a replacement character for each control character in its texts.

    Raises as `parse_json` does.
    """
    value, compact = _parse(body)
    # A monitor cannot mend what its checks print, and an alert must not be lost because of an escape.
    return storable(value) if any(byte in compact for byte in _CONTROL_BYTES) else value


def _parse(body: bytes) -> tuple[Any, bytes]:
    """Return the value of a JSON text, and the value as compact JSON, which escapes control characters only."""
    text = body.removeprefix(_BYTE_ORDER_MARK)
    _check_size(text)
    try:
        value = pydantic_core.from_json(text, allow_inf_nan=False)
        compact = pydantic_core.to_json(value)
    except ValueError as error:
        raise _malformed(text, error) from None
    if compact != text and _may_have_lost_keys(text, compact) and (twice := list(_keys_twice(text))):
        raise InvalidDocumentError([Problem(path, f"key '{path[-1]}' is here twice", "it once") for path in twice])
    return value, compact


def _may_have_lost_keys(text: bytes, compact: bytes) -> bool:
    """Return whether a JSON text may have more keys than its value, as compact JSON, has.

    A key that is there twice is lost with its colon. Python's reader, which could tell at once, takes longer.
    """
    if b"\\" in text and (b"\\u003a" in text or b"\\u003A" in text):  # compact JSON does not escape colons
        return True
    return text.count(b":") != compact.count(b":")


def _check_size(text: bytes) -> None:
    """Check the number of values in a JSON text. Raises TooLargeError."""
    if len(text) <= MOST_VALUES:
        return
    count = sum(text.count(mark) for mark in _MARKS)
    if count > MOST_VALUES:  # rare: count exactly, without the marks in strings
        strings = (match[0] for match in _STRING.finditer(text))
        count -= sum(string.count(mark) for string in strings for mark in _MARKS)
    if count > MOST_VALUES:
        raise TooLargeError(f"the body has more than {MOST_VALUES} values; send it in parts, with fewer events each")


def has_too_many_keys(document: object) -> bool:
    """Return whether an object, or one of up to two levels below it, has more than a thousand keys or items.

    To validate it would hold the interpreter for seconds, with an error for each key.
    """
    level: list[object] = [document]
    for _ in range(3):
        containers = [value for value in level if isinstance(value, dict | list)]
        if any(len(value) > MOST_KEYS for value in containers):
            return True
        level = [item for value in containers for item in (value.values() if isinstance(value, dict) else value)]
    return False


class _KeyTwice(dict[str, Any]):
    """An object in which a key is there twice."""

    keys_twice: tuple[str, ...] = ()


def _keys_twice(text: bytes) -> Iterator[Path]:
    """Yield the path of each key that an object of a JSON text has twice."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = _KeyTwice(pairs)
        if len(value) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            value.keys_twice = tuple(name for name, count in counts.items() if count > 1)
        return value

    # Escaped colons make this reader run for nothing; its numbers are not needed, and it refuses fewer of them.
    pending: list[tuple[Path, Any]] = [((), json.loads(text, object_pairs_hook=object_of, parse_int=len))]
    while pending:
        path, value = pending.pop()
        if isinstance(value, _KeyTwice):
            yield from ((*path, name) for name in value.keys_twice)
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += [((*path, key), item) for key, item in items if isinstance(item, dict | list)]


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
