"""The pages that stand in for every error of a link, in the reader's language."""

from collections.abc import Callable
from enum import StrEnum

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from incident_engine.common.i18n import Translator
from incident_engine.common.link_path import LINK_PATH
from incident_engine.web.rendering import page


class LinkError(StrEnum):
    """The reason why a link shows an error. Each has a title and an advice in the catalogue."""

    INVALID = "link invalid"
    EXPIRED = "link expired"
    STEP_GONE = "link step gone"
    ARCHIVED = "link archived"
    CONTACT_GONE = "link contact gone"
    ASSIGNED = "link assigned"
    TOO_LARGE = "link too large"
    BUSY = "link busy"
    METHOD = "link method"
    FAILED = "link failed"


STATUS = {
    LinkError.INVALID: 404,
    LinkError.EXPIRED: 410,
    LinkError.STEP_GONE: 404,
    LinkError.ARCHIVED: 410,
    LinkError.CONTACT_GONE: 410,
    LinkError.ASSIGNED: 403,
}
_BY_STATUS = {404: LinkError.INVALID, 405: LinkError.METHOD, 413: LinkError.TOO_LARGE, 503: LinkError.BUSY}
_KEPT_HEADERS = ("retry-after", "connection", "allow")
Locale = str


class LinkRefusedError(Exception):
    """A link is not taken."""

    def __init__(self, error: LinkError) -> None:
        super().__init__(error.value)
        self.error = error


def error_page(error: LinkError, status: int, locale: Locale) -> Response:
    """Return the page of an error: the reader's language first, then the other one."""
    languages = ("en", "zh-CN") if locale == "en" else ("zh-CN", "en")
    translators = [Translator(language) for language in languages]
    texts = [
        (translate.locale, translate(error.value), translate(f"{error.value} advice")) for translate in translators
    ]
    return page("link_error.html", status, texts=texts)


def accepted_locale(headers: Headers, default: Locale) -> Locale:
    """Return the first of the program's languages that a browser asks for (RFC 9110, section 12.5.4)."""
    for entry in headers.get("accept-language", "").split(","):
        language = entry.partition(";")[0].strip().lower()
        if language.startswith(("zh", "en")):
            return "en" if language.startswith("en") else "zh-CN"
    return default


class LinkErrorPages:
    """Replaces every error of a link, wherever it comes from, by a page."""

    def __init__(self, app: ASGIApp, locale_of: Callable[[Scope], Locale]) -> None:
        self._app = app
        self._locale_of = locale_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer with a page if it fails."""
        if scope["type"] != "http" or not scope["path"].startswith(LINK_PATH):
            await self._app(scope, receive, send)
            return
        is_replaced = False

        async def answer(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = Headers(raw=message["headers"])
                if not headers.get("content-type", "").startswith("text/html"):
                    is_replaced = True
                    error = _BY_STATUS.get(message["status"], LinkError.FAILED)
                    response = error_page(error, message["status"], self._locale_of(scope))
                    for name in _KEPT_HEADERS:
                        if name in headers:
                            response.headers[name] = headers[name]
                    await response(scope, receive, send)
                    return
            if not is_replaced:
                await send(message)

        await self._app(scope, receive, answer)
