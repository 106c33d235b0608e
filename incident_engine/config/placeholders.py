"""Fill templates with placeholders such as {to}, encoding each value for the surrounding format."""

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote
from xml.sax.saxutils import escape

Encode = Callable[[str], str]
"""Encodes a value for the format that surrounds it."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_-]+)?)\}")


def placeholders(template: str) -> list[str]:
    """Return the names of a template's placeholders, in order."""
    return _PLACEHOLDER.findall(template)


def plainly(value: str) -> str:
    """Return a value unchanged."""
    return value


def fill(template: str, values: Mapping[str, str], encode: Encode = plainly) -> str:
    """Return a template with its placeholders replaced by values. Raises KeyError for a name without a value."""
    return _PLACEHOLDER.sub(lambda match: encode(values[match[1]]), template)


def in_json(value: str) -> str:
    """Encode a value for a JSON string, without the quotation marks."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def in_query(value: str) -> str:
    """Percent-encode a value for a query, a path or a form."""
    return quote(value, safe="")  # a slash in a value must not split the path


def in_xml(value: str) -> str:
    """Encode a value for a text or an attribute in XML, without the characters that XML forbids."""
    # XML 1.0 cannot express control characters, not even escaped.
    allowed = "".join(char for char in value if char >= " " or char in "\t\n\r")
    return escape(allowed, {'"': "&quot;", "'": "&apos;"})


def in_header(value: str) -> str:
    """Encode a value for an HTTP header: visible ASCII stays, all else is percent-encoded.

    The `=?` of an encoded word (RFC 2047) is encoded too: some gateways decode such words in headers.
    """
    value = "".join(char if " " <= char <= "~" else quote(char, safe="") for char in value)
    return value.replace("=?", "=%3F")
