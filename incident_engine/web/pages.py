"""HTML pages: one Jinja environment and one set of headers for all of them."""

from datetime import datetime, tzinfo
from pathlib import Path as FilePath
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from incident_engine.common.markdown import as_html

_PAGES = Environment(
    loader=FileSystemLoader(FilePath(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True),
    trim_blocks=True,
    lstrip_blocks=True,
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}


def page(template: str, status: int, **variables: Any) -> Response:
    """Return a page as a response that is never cached, never framed and loads nothing from elsewhere."""
    return HTMLResponse(_PAGES.get_template(template).render(**variables), status, headers=_HEADERS)


def safe_html(text: str) -> Markup:
    """Return Markdown as HTML that a template may show as it is."""
    return Markup(as_html(text))  # noqa: S704 - as_html lets no tag of the text through


def local_minute(at: datetime, zone: tzinfo) -> str:
    """Return an instant as local time to the minute."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
