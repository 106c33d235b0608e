"""`step`: what people do with steps, told to the running daemon."""

from pathlib import Path
from typing import Annotated, Any

import typer

from incident_engine.cli.options import Lang, instant_of, read_settings, translator_for

app = typer.Typer(help="Acknowledge, approve, complete, skip, hand over or add a step.", no_args_is_help=True)

StepId = Annotated[str, typer.Argument(metavar="STEP", help="The step's id, as the message names it.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it.")]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="What else is to be recorded.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays on record.")]
Config = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="Where the daemon and its key are found.")
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="The daemon's address. Default: server.host and server.port."),
]


@app.command()
def acknowledge(
    step: StepId, by: By, note: Note = None, config: Config = None, url: Url = None, lang: Lang = None
) -> None:
    """Say that you take care of it: nobody else is paged for it."""
    _post(f"/api/v1/steps/{step}/acknowledge", {"by": by, "note": note}, config, url, lang)


@app.command()
def approve(step: StepId, by: By, note: Note = None, config: Config = None, url: Url = None, lang: Lang = None) -> None:
    """Approve the words that wait; they go out at once."""
    _post(f"/api/v1/steps/{step}/approve", {"by": by, "note": note}, config, url, lang)


@app.command()
def complete(
    step: StepId, by: By, note: Note = None, config: Config = None, url: Url = None, lang: Lang = None
) -> None:
    """Say that it is done, such as a report that was handed in."""
    _post(f"/api/v1/steps/{step}/complete", {"by": by, "note": note}, config, url, lang)


@app.command()
def skip(step: StepId, by: By, reason: Reason, config: Config = None, url: Url = None, lang: Lang = None) -> None:
    """Decide that it is not done. What it would have fulfilled is still owed."""
    _post(f"/api/v1/steps/{step}/skip", {"by": by, "reason": reason}, config, url, lang)


@app.command()
def assign(
    step: StepId,
    by: By,
    to: Annotated[str, typer.Option("--to", metavar="CONTACT", help="A contact, rotation or audience.")],
    reason: Reason,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Hand it over to somebody else."""
    _post(f"/api/v1/steps/{step}/assign", {"by": by, "to": to, "reason": reason}, config, url, lang)


@app.command()
def add(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's id.")],
    *,
    by: By,
    reason: Reason,
    step: Annotated[str | None, typer.Option("--step", metavar="ID", help="A step of a playbook, wanted now.")] = None,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="A task in your own words.")] = None,
    assignee: Annotated[str | None, typer.Option("--to", metavar="CONTACT", help="Whose task it is.")] = None,
    due: Annotated[
        str | None, typer.Option("--due", metavar="TIME", help="By when (ISO 8601; without an offset: local).")
    ] = None,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Add a step of a playbook before its time, or a task with its owner and due date."""
    data = {"by": by, "reason": reason, "step": step, "title": title, "assignee": assignee, "due_at": due}
    _post(f"/api/v1/incidents/{incident}/steps", data, config, url, lang)


def _post(path: str, data: dict[str, Any], config: Path | None, url: str | None, lang: str | None) -> None:
    """Tell the daemon, and print what it answered; exits with 1 if it refused or cannot be reached."""
    from urllib.parse import quote

    import httpx2

    translate = translator_for(lang)
    settings, _ = read_settings(config)
    due_at = instant_of(data.get("due_at"), settings.bank.zone, "--due")
    if due_at is not None:
        data["due_at"] = due_at.isoformat()
    host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
    base = url or f"http://{host}:{settings.server.port}"
    headers = {"Authorization": f"Bearer {settings.server.keys[0].read()}"} if settings.server.keys else {}
    given = {name: value for name, value in data.items() if value is not None}
    try:
        answer = httpx2.post(base + quote(path, safe="/:~."), json=given, headers=headers, timeout=30, trust_env=False)
    except httpx2.HTTPError as error:
        typer.echo(f"{translate('daemon not reached')}: {base}: {error}", err=True)
        raise typer.Exit(1) from None
    document = answer.json()
    if answer.status_code != 202:
        typer.echo(f"{translate('refused')}: {document.get('detail')}", err=True)
        for each in document.get("errors", ()):
            expected = f"; {each['expected']}" if "expected" in each else ""
            near = f" ({each['nearest']}?)" if "nearest" in each else ""
            typer.echo(f"  {each.get('pointer', '')}: {each['detail']}{expected}{near}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{translate('recorded')}: {document['incident']} · {document['status']}")
