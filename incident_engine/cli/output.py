"""Prints to the terminal."""

import typer

from incident_engine import __version__
from incident_engine.common.plain_text import without_controls

PROGRAM = f"incident-engine {__version__}"
"""The program's name and version, as `--version` and the banner print them."""


def echo(text: str | bytes, *, nl: bool = True, err: bool = False) -> None:
    """Print a text, or the bytes of a file, to the standard output or error.

    Control characters are replaced: words of monitors and people, also of old databases, must not command a terminal.
    """
    if isinstance(text, str):
        text = "\r\n".join(map(without_controls, text.split("\r\n")))  # CSV (RFC 4180) ends lines so
    typer.echo(text, nl=nl, err=err)
