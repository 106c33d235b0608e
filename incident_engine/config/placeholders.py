"""Templates with names in braces, such as {to}; what is filled in is spelled so that it stays a value."""

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote
from xml.sax.saxutils import escape

Encode = Callable[[str], str]
"""How a value is spelled within a document."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_-]+)?)\}")


def placeholders(template: str) -> list[str]:
    """Return the names in braces, in order."""
    return _PLACEHOLDER.findall(template)


def plainly(value: str) -> str:
    """Return a value as it is."""
    return value


def fill(template: str, values: Mapping[str, str], encode: Encode = plainly) -> str:
    """Return a template with its values. Raises KeyError for a name without one."""
    return _PLACEHOLDER.sub(lambda match: encode(values[match[1]]), template)


def in_json(value: str) -> str:
    """Return a value as it stands between quotation marks in JSON."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def in_query(value: str) -> str:
    """Return a value as it stands in a query, a path or a form."""
    return quote(value, safe="")


def in_xml(value: str) -> str:
    """Return a value as it stands in the text or an attribute of XML; characters that XML forbids are left out."""
    allowed = "".join(char for char in value if char >= " " or char in "\t\n\r")
    return escape(allowed, {'"': "&quot;", "'": "&apos;"})


def in_header(value: str) -> str:
    """Return a value as it stands in the header of a request: visible ASCII, percent-encoded where it is not."""
    return "".join(char if " " <= char <= "~" else quote(char, safe="") for char in value)
