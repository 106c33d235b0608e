"""The fenced blocks of a page, and the comparison of a block with the output of a command."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$(?=\s*(.{0,10}))", re.MULTILINE | re.DOTALL)
_SHORTENED = ("(Shortened", "（有删节")
_ELISION = "…"
_MONTHS = "January February March April May June July August September October November December"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and the line on which it begins."""

    line: int
    language: str
    text: str
    is_shortened: bool
    """Whether the paragraph below says that the output is longer."""


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, without their indentation."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        indent, language, content, after = match.groups()
        lines = [line.removeprefix(indent) for line in content.splitlines(keepends=True)]
        line = text.count("\n", 0, match.start()) + 1
        yield Block(line, language, "".join(lines), after.startswith(_SHORTENED))


@dataclass(frozen=True, slots=True)
class Moments:
    """The instant at which a page's example was written, and the instant at which it is repeated."""

    shown: datetime
    actual: datetime

    def shift(self, script: str) -> str:
        """Return a script with its instants and days of the example's year moved from the one to the other."""

        def moved(match: re.Match[str]) -> str:
            if "T" in match[0]:
                return (datetime.fromisoformat(match[0]) + (self.actual - self.shown)).isoformat(timespec="seconds")
            return (date.fromisoformat(match[0]) + (self.actual.date() - self.shown.date())).isoformat()

        instant = rf"\b{self.shown.year}-\d\d-\d\d(?:T\d\d:\d\d:\d\d\+08:00)?(?!\d)"
        return re.sub(instant, moved, script).replace(f"{self.shown:%Y%m%d}-", f"{self.actual:%Y%m%d}-")

    def is_in(self, text: str) -> bool:
        """Return whether a text has the day of the example, so that it depends on the moment."""
        return re.search(_moments(self.shown.date()), text) is not None

    def hide_shown(self, text: str) -> str:
        """Return a block of the page without what depends on the moment."""
        return _hide(text, self.shown.date())

    def hide_actual(self, text: str) -> str:
        """Return an output without what depends on the moment."""
        return _hide(text, self.actual.date())


def _moments(day: date) -> str:
    """Return the pattern of an instant near a day, as ids, JSON and people write it."""
    days = [day + timedelta(days=offset) for offset in (-3, -2, -1, 0, 1)]  # an outage at 23:50 goes on tomorrow
    iso = "|".join(each.isoformat() for each in days)
    compact = "|".join(f"{each:%Y%m%d}" for each in days)
    english = "|".join(f"{each.day} {_MONTHS.split()[each.month - 1]} {each.year}" for each in days)
    chinese = "|".join(f"{each.year}年{each.month}月{each.day}日" for each in days)
    clock = r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?"
    return (
        rf"(?:{iso})(?:[T ]{clock}(?:Z|[+-]\d\d:\d\d)?)?|\b(?:{compact})(?=-)"
        rf"|{clock} on (?:{english})|(?:{chinese})(?:{clock})?"
    )


def _hide(text: str, day: date) -> str:
    for pattern, placeholder in (
        (_moments(day), "INSTANT"),
        (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)", "INSTANT"),  # long before it
        # Since an outage that began 40 minutes ago.
        (r"\b4\d minutes(?: \d+ seconds?)?|4\d分钟(?:\d+秒钟)?", "DURATION"),
        (r"SHA-256 [0-9a-f]{16}", "SHA-256 DIGEST"),
        (r"\b[0-9a-f]{32}\b", "DIGEST"),
        (r"/do/\S+", "/do/TOKEN"),
        (r"(?<=\S) {2,}", "  "),  # the columns of a table are as wide as their entries
    ):
        text = re.sub(pattern, placeholder, text)
    return text


def difference(block: Block, output: str, moments: Moments, *, is_part: bool = False) -> str | None:
    """Return the first thing in a block that the output does not have; None if there is none.

    With `is_part` a block of JSON may be a part of the output.
    """
    shown, actual = (re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text) for text in (block.text, output))
    if moments.is_in(shown):
        shown, actual = moments.hide_shown(shown), moments.hide_actual(actual)
    if block.language == "json":
        document, whole = json.loads(shown), json.loads(actual)
        wrong = [
            _json_difference(document, part, "", is_shortened=block.is_shortened)
            for part in (_parts(whole) if is_part else [whole])
        ]
        return None if None in wrong else wrong[0]
    if block.is_shortened:
        return _missing(shown.splitlines(), iter(actual.splitlines()))
    pairs = zip(shown.splitlines(), actual.splitlines(), strict=False)
    if pair := next((pair for pair in pairs if not _equal(*pair)), None):
        return f"{pair[0]!r} is {pair[1]!r}"
    counts = len(shown.splitlines()), len(actual.splitlines())
    return None if counts[0] == counts[1] else f"{counts[0]} lines are {counts[1]}: {actual}"


def _equal(shown: str, actual: str) -> bool:
    """Return whether two lines are the same, where an elision stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, shown.rstrip().split(_ELISION))), actual.rstrip()) is not None


def _missing(shown: Iterable[str], actual: Iterator[str]) -> str | None:
    """Return the first line that does not come after the one before it."""
    for line in shown:
        if line and not any(_equal(line, other) for other in actual):
            return f"{line!r} is missing, or in another place"
    return None


def _parts(document: Any) -> Iterator[Any]:
    """Yield a document and everything in it."""
    yield document
    if isinstance(document, dict | list):
        for value in document.values() if isinstance(document, dict) else document:
            yield from _parts(value)


def _json_difference(shown: Any, actual: Any, where: str, *, is_shortened: bool) -> str | None:
    if isinstance(shown, dict) and isinstance(actual, dict):
        if (not is_shortened and shown.keys() != actual.keys()) or shown.keys() - actual.keys():
            return f"{where or '/'}: the keys {sorted(shown)} are {sorted(actual)}"
        pairs = [(key, value, actual[key]) for key, value in shown.items()]
    elif isinstance(shown, list) and isinstance(actual, list):
        is_cut = shown[-1:] == [_ELISION]
        shown = shown[:-1] if is_cut else shown
        if len(shown) > len(actual) or (len(shown) < len(actual) and not is_cut and not is_shortened):
            return f"{where or '/'}: {len(shown)} entries are {len(actual)}"
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(shown, actual, strict=False))]
    elif isinstance(shown, str) and isinstance(actual, str):
        return None if _equal(shown, actual) else f"{where}: {shown!r} is {actual!r}"
    else:
        return None if shown == actual else f"{where}: {shown!r} is {actual!r}"
    wrong = (_json_difference(one, other, f"{where}/{key}", is_shortened=is_shortened) for key, one, other in pairs)
    return next(filter(None, wrong), None)
