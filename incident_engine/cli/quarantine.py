"""`quarantine`: list the reports that could not become events, and answer them."""

from typing import Annotated, Any

import typer

from incident_engine.cli.client import call
from incident_engine.cli.options import Lang, read_settings, translator_for
from incident_engine.cli.output import echo
from incident_engine.cli.steps import By, Config, Url

app = typer.Typer(help="List, map or dismiss the reports that could not become events.", no_args_is_help=True)

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The report's source, such as alertmanager.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The report's key, as the list and messages show it.")]
_PAGE = 100
"""The most reports that one list shows."""


@app.command(name="list")
def list_reports(
    *,
    state: Annotated[
        str, typer.Option("--state", metavar="STATE", help="waiting, mapped, dismissed or all.")
    ] = "waiting",
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """List the reports that wait, the latest first."""
    translate = translator_for(lang)
    settings, _ = read_settings(config)
    parameters = {"state": state, "limit": _PAGE}
    document = call("GET", "/api/v1/quarantine", settings, translate, url=url, parameters=parameters)
    if not document["quarantine"]:
        echo(translate("nothing in quarantine"))
    for row in document["quarantine"]:
        echo(_described(row, translate))
    more = document["total"] - len(document["quarantine"])
    if more > 0:
        echo(f"… +{more}")


@app.command(name="map")
def map_report(
    source: Source,
    key: Key,
    *,
    by: By,
    service: Annotated[
        str | None, typer.Option("--service", metavar="ID", help="The service that is down. Default: the report's own.")
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="REGION", help="The region; may be repeated. Default: the report's own."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="The reason, for the record.")] = None,
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Make a report an event, with its own times. Its end and its repeats are taken alike."""
    body = {"by": by, "action": "map", "service": service, "regions": region or None, "reason": reason}
    document, translate = _post(source, key, body, config, url, lang)
    for event in document["events"]:
        echo(f"{translate('report mapped')}: {event['incident'] or ''} · {event['status']}")
    if document["labels"]:
        labels = ", ".join(f"{name}: {value!r}" for name, value in document["labels"].items())
        echo(f"{translate('labels to set')}: {labels}")


@app.command()
def dismiss(
    source: Source,
    key: Key,
    *,
    by: By,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the record.")],
    config: Config = None,
    url: Url = None,
    lang: Lang = None,
) -> None:
    """Set a report aside. It stays on record, and the same report does not wait again."""
    _, translate = _post(source, key, {"by": by, "action": "dismiss", "reason": reason}, config, url, lang)
    echo(f"{translate('report dismissed')}: {source} {key}")


def _post(
    source: str, key: str, body: dict[str, Any], config: Config, url: str | None, lang: str | None
) -> tuple[dict[str, Any], Any]:
    translate = translator_for(lang)
    settings, _ = read_settings(config)
    sent = {name: value for name, value in body.items() if value is not None}
    return call("POST", f"/api/v1/quarantine/{source}/{key}", settings, translate, url=url, body=sent), translate


def _described(row: dict[str, Any], translate: Any) -> str:
    """Return a report as lines for the terminal: place, reason, and the words of an alert."""
    import shlex

    from incident_engine.common.i18n import TERMS

    document = row["document"] if isinstance(row["document"], dict) else {}
    labels = document.get("labels") if isinstance(document.get("labels"), dict) else {}
    reason = translate(row["reason"]) if row["reason"] in TERMS else row["reason"]
    words = ", ".join(f"{name}={value}" for name, value in sorted((labels or {}).items()))
    answered = f" · {row['state']}: {row['ended_by']}, {row['ended_reason'] or ''}" if row["ended_by"] else ""
    lines = [
        f"{shlex.quote(row['source'])} {shlex.quote(row['key'])}",
        f"  {row['first_received_at']} · {row['times']}x · {reason}{answered}",
        f"  {row['detail']}",
        *([f"  {words}"] if words else []),
    ]
    # The words come from outside; a control character could move the cursor or hide a line.
    return "\n".join("".join(char if char.isprintable() else "?" for char in line) for line in lines)
