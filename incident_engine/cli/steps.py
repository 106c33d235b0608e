"""`step`: send people's actions on steps to the running daemon."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_engine.cli.options import Lang, instant_of, read_settings, translator_for
from incident_engine.cli.output import echo

if TYPE_CHECKING:
    from httpx2 import Response  # imported when it is used: --help must not wait for it

app = typer.Typer(
    help="Acknowledge, approve, complete, skip, assign or add a step, or close an incident.", no_args_is_help=True
)

StepId = Annotated[str, typer.Argument(metavar="STEP", help="The step's id, as messages show it.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Your name.")]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="A note for the record.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the record.")]
WithGaps = Annotated[
    bool, typer.Option("--with-gaps", help="Although required fields of the report are empty; it goes without them.")
]
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
def approve(
    step: StepId,
    *,
    by: By,
    note: Note = None,
    with_gaps: WithGaps = False,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Approve a held message, which is sent at once, or a report."""
    data = {"by": by, "note": note, "with_gaps": with_gaps or None}
    _post(f"/api/v1/steps/{step}/approve", data, config, url, lang)


@app.command()
def complete(
    step: StepId,
    *,
    by: By,
    note: Note = None,
    with_gaps: WithGaps = False,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Record that a step is done, for example a report that was submitted."""
    data = {"by": by, "note": note, "with_gaps": with_gaps or None}
    _post(f"/api/v1/steps/{step}/complete", data, config, url, lang)


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
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask: words may go outside the bank, a due time may be past.")
    ] = False,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Start a step of a playbook ahead of time, or add a task with an owner and a due time."""
    data: dict[str, Any] = {"by": by, "reason": reason, "step": step, "title": title, "assignee": assignee}
    data |= {"due_at": due, "confirm": yes or None}
    _post(f"/api/v1/incidents/{incident}/steps", data, config, url, lang)


@app.command()
def close(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's id.")],
    by: By,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="The reason, for the record.")] = None,
    overdue: Annotated[
        list[str] | None,
        typer.Option(
            "--overdue",
            metavar="OBLIGATION=REASON",
            help="An overdue obligation, and the reason to close all the same. May be repeated; asked for if missing.",
        ),
    ] = None,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Close an incident. Each obligation that is overdue then needs a reason."""
    reasons = dict(pair.split("=", 1) for pair in overdue or () if "=" in pair)
    if len(reasons) < len(overdue or ()):
        raise typer.BadParameter("expected OBLIGATION=REASON, each obligation once", param_hint="--overdue")
    daemon = _Daemon(config, url, lang)
    view = daemon.get(f"/api/v1/incidents/{incident}")
    for status in (status for pack in view["assessments"] for status in pack["obligations"]):
        key = ".".join(filter(None, (status["id"], status["instance"])))
        if status["state"] == "overdue" and key not in reasons:
            question = f"{key} ({status['cite']}, {status['due_at']}) {daemon.translate('reason to close')}"
            reasons[key] = typer.prompt(question)
    unmet = [{"obligation": key, "reason": text} for key, text in reasons.items()]
    daemon.post(f"/api/v1/incidents/{incident}/close", {"by": by, "reason": reason, "overdue": unmet})


def _post(path: str, data: dict[str, Any], config: Path | None, url: str | None, lang: str | None) -> None:
    """Post an action to the daemon and print its answer. Exits with 1 if the daemon refuses or cannot be reached."""
    daemon = _Daemon(config, url, lang)
    due_at = instant_of(data.get("due_at"), daemon.zone, "--due")
    if due_at is not None:
        data["due_at"] = due_at.isoformat()
    daemon.post(path, data)


class _Daemon:
    """The running daemon, whose address and key are in the configuration. Every failure is printed and exits with 1."""

    def __init__(self, config: Path | None, url: str | None, lang: str | None) -> None:
        self.translate = translator_for(lang)
        settings, _ = read_settings(config)
        self.zone = settings.bank.zone
        # An IPv6 address needs brackets in a URL (RFC 3986).
        host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
        self._base = url or f"http://{host}:{settings.server.port}"
        # Any key opens the whole API, so the first will do.
        self._headers = {"Authorization": f"Bearer {settings.server.keys[0].read()}"} if settings.server.keys else {}

    def get(self, path: str) -> dict[str, Any]:
        """Return the document at a path."""
        return self._checked(self._request("GET", path))

    def post(self, path: str, data: dict[str, Any]) -> None:
        """Post an action and print the answer."""
        body = {name: value for name, value in data.items() if value is not None}
        answer = self._request("POST", path, body)
        if answer.status_code == 409 and "confirm" not in body:
            self._confirm(answer.json())
            answer = self._request("POST", path, body | {"confirm": True})
        document = self._checked(answer)
        detail = document["detail"][self.translate.locale]
        echo(f"{self.translate('recorded')}: {document['incident']} · {document['status']} · {detail}")

    def _confirm(self, document: dict[str, Any]) -> None:
        """Show the words that would go out, and why to ask; exit with 1 unless the person agrees."""
        for text in document["texts"]:
            echo(f"--- {text['audience']} ({text['locale']}): {text['subject']}\n{text['body']}")
        for problem in document["errors"]:
            echo(problem["detail"])
        typer.confirm(self.translate("go on"), abort=True)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> "Response":
        from urllib.parse import quote

        import httpx2

        address = self._base + quote(path, safe="/:~.")
        try:
            # trust_env=False: a proxy for the internet must not get the bank's key.
            return httpx2.request(method, address, json=body, headers=self._headers, timeout=30, trust_env=False)
        except httpx2.HTTPError as error:
            echo(f"{self.translate('daemon not reached')}: {self._base}: {error}", err=True)
            raise typer.Exit(1) from None

    def _checked(self, answer: "Response") -> dict[str, Any]:
        """Return the document of a good answer; print each error of another one."""
        document: dict[str, Any] = answer.json()
        if answer.is_success:
            return document
        echo(f"{self.translate('request refused')}: {document.get('detail')}", err=True)
        for problem in document.get("errors", ()):
            expected = f"; {problem['expected']}" if "expected" in problem else ""
            near = f" ({problem['nearest']}?)" if "nearest" in problem else ""
            echo(f"  {problem.get('pointer', '')}: {problem['detail']}{expected}{near}", err=True)
        raise typer.Exit(1)
