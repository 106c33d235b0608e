"""Renders HTML pages: one Jinja environment and one set of headers for all of them."""

from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
}


class FramingProtection:
    """Forbids browsers to show any answer within the page of another site, and to guess its media type."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add headers to its answer."""

        async def add_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Frame-Options"] = "DENY"  # a framed page could be made to press the button
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, add_headers)


def page(template: str, status: int, **variables: Any) -> Response:
    """Return a page that is never cached, never framed, and loads nothing from elsewhere."""
    return HTMLResponse(_PAGES.get_template(template).render(**variables), status, headers=_HEADERS)


def safe_html(text: str) -> Markup:
    """Return Markdown as HTML that a template shows without escaping."""
    return Markup(as_html(text))  # noqa: S704 - as_html escapes every tag of the text


def local_minute(at: datetime, zone: tzinfo) -> str:
    """Return an instant as local time to the minute."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
