"""Splitting a long message into numbered parts, between lines where possible."""

import json
from collections.abc import Callable, Iterator

Measure = Callable[[str], int]
"""Returns the length of a text in the unit in which the vendor counts."""

MARKS = {"zh-CN": "（{number}/{count}）", "en": " ({number}/{count})"}
_WIDEST = 999


def utf8(text: str) -> int:
    """Return the length of a text in bytes of UTF-8."""
    return len(text.encode())


def in_json(text: str) -> int:
    """Return the length of a text in bytes of UTF-8 within a JSON document."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def numbered(text: str, locale: str, max_length: int, measure: Measure) -> list[tuple[str, str]]:
    """Return parts of a text with marks such as (1/3), each at most `max_length` long. A single part has no mark."""
    if measure(text) <= max_length:
        return [("", text)]
    mark = MARKS.get(locale, MARKS["en"])
    # The number of parts is known only after the cut, so each leaves space for the widest mark.
    pieces = list(pieces_of(text, max_length - measure(mark.format(number=_WIDEST, count=_WIDEST)), measure))
    return [(mark.format(number=number, count=len(pieces)), piece) for number, piece in enumerate(pieces, 1)]


def pieces_of(text: str, max_length: int, measure: Measure) -> Iterator[str]:
    """Yield the pieces of a text in order: whole lines, but a line that is too long is cut."""
    piece = ""
    for line in text.splitlines(keepends=True):
        if measure(piece + line) <= max_length:
            piece += line
            continue
        if piece:
            yield piece
        piece = line
        while measure(piece) > max_length:
            # The length in the vendor's unit is not known per character (UTF-8, JSON escapes), but it grows with
            # each, so a binary search finds the number of characters that fit; at least 1.
            low, high = 1, len(piece)
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if measure(piece[:middle]) <= max_length else (low, middle - 1)
            yield piece[:low]
            piece = piece[low:]
    if piece:
        yield piece
