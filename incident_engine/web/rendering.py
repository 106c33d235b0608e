"""Renders HTML pages: one Jinja environment and one set of headers for all of them."""

from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from incident_engine.common.markdown import as_html

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True),
    trim_blocks=True,
    lstrip_blocks=True,
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address of a page may be a signed link
    "X-Frame-Options": "DENY",  # a framed page could be made to press the button
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}


def page(template: str, status: int, **variables: Any) -> Response:
    """Return a page that is never cached, never framed, and loads nothing from elsewhere."""
    return HTMLResponse(_PAGES.get_template(template).render(**variables), status, headers=_HEADERS)


def safe_html(text: str) -> Markup:
    """Return Markdown as HTML that a template shows without escaping."""
    return Markup(as_html(text))  # noqa: S704 - as_html escapes every tag of the text


def local_minute(at: datetime, zone: tzinfo) -> str:
    """Return an instant as local time to the minute."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
