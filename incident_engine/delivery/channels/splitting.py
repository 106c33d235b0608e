"""A long message in numbered parts: cut between lines where possible, and nothing lost."""

import json
from collections.abc import Callable, Iterator

Measure = Callable[[str], int]
"""How long a text is, in the unit in which the other side counts."""

MARKS = {"zh-CN": "（{place}/{count}）", "en": " ({place}/{count})"}
_WIDEST = 999


def utf8(text: str) -> int:
    """Return the length of a text in bytes of UTF-8."""
    return len(text.encode())


def in_json(text: str) -> int:
    """Return the length of a text in bytes of UTF-8 within a JSON document."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def numbered(text: str, locale: str, room: int, measure: Measure) -> list[tuple[str, str]]:
    """Return a text's parts, each `room` long at most with its mark such as (1/3); one part has no mark."""
    if measure(text) <= room:
        return [("", text)]
    mark = MARKS.get(locale, MARKS["en"])
    pieces = list(pieces_of(text, room - measure(mark.format(place=_WIDEST, count=_WIDEST)), measure))
    return [(mark.format(place=place, count=len(pieces)), piece) for place, piece in enumerate(pieces, 1)]


def pieces_of(text: str, room: int, measure: Measure) -> Iterator[str]:
    """Yield pieces of a text that together are the text: whole lines, but a line that is too long is cut."""
    piece = ""
    for line in text.splitlines(keepends=True):
        if measure(piece + line) <= room:
            piece += line
            continue
        if piece:
            yield piece
        piece = line
        while measure(piece) > room:
            length = _fitting(piece, room, measure)
            yield piece[:length]
            piece = piece[length:]
    if piece:
        yield piece


def _fitting(text: str, room: int, measure: Measure) -> int:
    """Return how many characters of a text fit, one at least."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(text[:middle]) <= room else (low, middle - 1)
    return low
