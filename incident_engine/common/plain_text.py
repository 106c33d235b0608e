"""The rule for text from outside: no control characters, on any store, in any document and on no terminal.

PostgreSQL stores no NUL, and a terminal obeys escape sequences: they can hide, rewrite or forge what it shows.
"""

import math
import re
from typing import Any, TypeGuard

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# C0 but tab and line feed, DEL, C1, the marks that reverse the direction of writing, and halves of surrogate pairs.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_END = re.compile("\r\n?")


def unix_lines(text: str) -> str:
    """Return a text with line feeds as ends of lines; forms and Windows send carriage returns."""
    return _LINE_END.sub("\n", text) if "\r" in text else text


def control_character(text: str) -> str:
    """Return the name of the first control character, such as U+001B, or "" if there is none.

    Carriage returns are among them: `unix_lines` replaces those at ends of lines.
    """
    match = _CONTROL.search(text)
    return f"U+{ord(match[0]):04X}" if match else ""


def without_controls(text: str) -> str:
    """Return a text with a replacement character for each control character."""
    return _CONTROL.sub(REPLACEMENT, unix_lines(text))


def storable(value: Any) -> Any:
    """Return a JSON value without control characters in its texts and keys, and without infinite numbers."""
    if isinstance(value, str):
        return without_controls(value)
    if isinstance(value, dict):
        return {without_controls(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def first_control(value: Any) -> str:
    """Return the first thing in a JSON value that `storable` would replace, such as U+001B; "" if there is none."""
    if isinstance(value, str):
        return control_character(value)
    if _is_container(value):
        items = [*value, *value.values()] if isinstance(value, dict) else value
        return next(filter(None, map(first_control, items)), "")
    return "an infinite number" if isinstance(value, float) and not math.isfinite(value) else ""


def _is_container(value: Any) -> TypeGuard[dict[str, Any] | list[Any]]:
    return isinstance(value, dict | list)
