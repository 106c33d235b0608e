"""Requests of commands to the running daemon."""

from typing import TYPE_CHECKING, Any

import typer

from incident_engine.cli.output import echo

if TYPE_CHECKING:
    from incident_engine.common.i18n import Translator
    from incident_engine.config.settings import Settings


def call(
    method: str,
    path: str,
    settings: "Settings",
    translate: "Translator",
    *,
    url: str | None = None,
    body: dict[str, Any] | None = None,
    parameters: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Send a request to the daemon; return the JSON object of its answer.

    Prints the errors and exits with 1 if the daemon refuses or cannot be reached.
    """
    from urllib.parse import quote

    import httpx2

    # An IPv6 address needs brackets in a URL (RFC 3986).
    host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
    base = url or f"http://{host}:{settings.server.port}"
    # Any key opens the whole API, so the first will do.
    headers = {"Authorization": f"Bearer {settings.server.keys[0].read()}"} if settings.server.keys else {}
    address = base + quote(path, safe="/:~.")
    try:
        # trust_env=False: a proxy for the internet must not get the bank's key.
        answer = httpx2.request(
            method, address, json=body, params=parameters, headers=headers, timeout=30, trust_env=False
        )
    except httpx2.HTTPError as error:
        echo(f"{translate('daemon not reached')}: {base}: {error}", err=True)
        raise typer.Exit(1) from None
    document: dict[str, Any] = answer.json()
    if answer.is_success:
        return document
    echo(f"{translate('request refused')}: {document.get('detail')}", err=True)
    for problem in document.get("errors", ()):
        pointer = problem.get("pointer", problem.get("parameter", ""))
        expected = f"; {problem['expected']}" if "expected" in problem else ""
        near = f" ({problem['nearest']}?)" if "nearest" in problem else ""
        echo(f"  {pointer}: {problem['detail']}{expected}{near}", err=True)
    raise typer.Exit(1)
