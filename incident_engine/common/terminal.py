"""Columns of a terminal."""

from unicodedata import east_asian_width


def display_width(text: str) -> int:
    """Return the number of terminal columns of a text; a Chinese character takes two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def fitted(text: str, columns: int) -> str:
    """Return a text padded or cut to exactly `columns` columns; a cut text ends with an ellipsis."""
    spare = columns - display_width(text)
    if spare >= 0:
        return text + " " * spare
    # Cutting may free one column too many, because Chinese characters take two.
    kept = text
    while display_width(kept) > columns - 1:
        kept = kept[:-1]
    return fitted(f"{kept}…", columns)
