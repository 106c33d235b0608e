"""`step`: send people's actions on steps to the running daemon."""

from pathlib import Path
from typing import Annotated, Any

import typer

from incident_engine.cli.options import Lang, instant_of, read_settings, translator_for

app = typer.Typer(help="Acknowledge, approve, complete, skip, assign or add a step.", no_args_is_help=True)

StepId = Annotated[str, typer.Argument(metavar="STEP", help="The step's id, as messages show it.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Your name.")]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="A note for the record.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the record.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="The config.yaml with the daemon's address and key."),
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="The daemon's address. Default: server.host and server.port."),
]


@app.command()
def acknowledge(
    step: StepId, by: By, note: Note = None, config: Config = None, url: Url = None, lang: Lang = None
) -> None:
    """Take over a step. Escalation stops: no further people are paged."""
    _post(f"/api/v1/steps/{step}/acknowledge", {"by": by, "note": note}, config, url, lang)


@app.command()
def approve(step: StepId, by: By, note: Note = None, config: Config = None, url: Url = None, lang: Lang = None) -> None:
    """Approve a held message. It is sent at once."""
    _post(f"/api/v1/steps/{step}/approve", {"by": by, "note": note}, config, url, lang)


@app.command()
def complete(
    step: StepId, by: By, note: Note = None, config: Config = None, url: Url = None, lang: Lang = None
) -> None:
    """Record that a step is done, for example a report that was submitted."""
    _post(f"/api/v1/steps/{step}/complete", {"by": by, "note": note}, config, url, lang)


@app.command()
def skip(step: StepId, by: By, reason: Reason, config: Config = None, url: Url = None, lang: Lang = None) -> None:
    """Skip a step. An obligation that it would have fulfilled stays due."""
    _post(f"/api/v1/steps/{step}/skip", {"by": by, "reason": reason}, config, url, lang)


@app.command()
def assign(
    step: StepId,
    by: By,
    to: Annotated[str, typer.Option("--to", metavar="CONTACT", help="The new contact, rotation or audience.")],
    reason: Reason,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Assign a step to somebody else."""
    _post(f"/api/v1/steps/{step}/assign", {"by": by, "to": to, "reason": reason}, config, url, lang)


@app.command()
def add(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's id.")],
    *,
    by: By,
    reason: Reason,
    step: Annotated[str | None, typer.Option("--step", metavar="ID", help="A playbook step, to start now.")] = None,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="The title of a new task.")] = None,
    assignee: Annotated[str | None, typer.Option("--to", metavar="CONTACT", help="The owner of the task.")] = None,
    due: Annotated[
        str | None,
        typer.Option("--due", metavar="TIME", help="The due time (ISO 8601; without an offset: local time)."),
    ] = None,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Start a step of a playbook ahead of time, or add a task with an owner and a due time."""
    data = {"by": by, "reason": reason, "step": step, "title": title, "assignee": assignee, "due_at": due}
    _post(f"/api/v1/incidents/{incident}/steps", data, config, url, lang)


def _post(path: str, data: dict[str, Any], config: Path | None, url: str | None, lang: str | None) -> None:
    """Post an action to the daemon and print its answer. Exits with 1 if the daemon refuses or cannot be reached."""
    from urllib.parse import quote

    import httpx2

    translate = translator_for(lang)
    settings, _ = read_settings(config)
    due_at = instant_of(data.get("due_at"), settings.bank.zone, "--due")
    if due_at is not None:
        data["due_at"] = due_at.isoformat()
    # An IPv6 address needs brackets in a URL (RFC 3986).
    host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
    base = url or f"http://{host}:{settings.server.port}"
    # Any key opens the whole API, so the first will do.
    headers = {"Authorization": f"Bearer {settings.server.keys[0].read()}"} if settings.server.keys else {}
    body = {name: value for name, value in data.items() if value is not None}
    try:
        # trust_env=False: a proxy for the internet must not get the bank's key.
        answer = httpx2.post(base + quote(path, safe="/:~."), json=body, headers=headers, timeout=30, trust_env=False)
    except httpx2.HTTPError as error:
        typer.echo(f"{translate('daemon not reached')}: {base}: {error}", err=True)
        raise typer.Exit(1) from None
    document = answer.json()
    if answer.status_code != 202:
        typer.echo(f"{translate('request refused')}: {document.get('detail')}", err=True)
        for problem in document.get("errors", ()):
            expected = f"; {problem['expected']}" if "expected" in problem else ""
            near = f" ({problem['nearest']}?)" if "nearest" in problem else ""
            typer.echo(f"  {problem.get('pointer', '')}: {problem['detail']}{expected}{near}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{translate('recorded')}: {document['incident']} · {document['status']}")
