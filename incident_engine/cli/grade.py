"""`grade`, `replay` and `report`: what was, under the packs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Config, Lang, day_of, instant_of, read_settings, wording_of
from incident_engine.common.errors import Finding, InvalidFilesError


def grade(
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="Events as JSON, JSON lines or YAML; - reads from stdin.")
    ],
    pack: Annotated[
        list[str] | None,
        typer.Option("--pack", metavar="ID", help="Grade by this pack; may be repeated. Default: the chosen ones."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Give the verdict of this instant (ISO 8601; without an offset: the bank's local time). "
            "Default: now, or the last restoration if nothing is down.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Take each rule apart: clause, facts with their sources, sums per region."),
    ] = False,
    config: Config = None,
    output: Annotated[str, typer.Option("--format", metavar="text|json", help="How to print it.")] = "text",
    lang: Lang = None,
) -> None:
    """Grade a history of events without a daemon: level, trajectory, next level, obligations, evidence."""
    import json

    from incident_engine.cli.text.grading import graded_text
    from incident_engine.common.clock import SystemClock
    from incident_engine.config.rulebook import load_calendars, load_every_pack, load_packs
    from incident_engine.engine import offline as history

    if output not in ("text", "json"):
        raise typer.BadParameter("expected text or json", param_hint="--format")
    settings, config_file = read_settings(config)
    findings: list[Finding] = []
    calendars = load_calendars(settings, findings)
    packs = load_packs(settings, config_file, pack or [])
    basis = history.Basis(packs, settings.service_hours(calendars), calendars)
    if findings:
        raise InvalidFilesError(findings)
    text = sys.stdin.read() if file == "-" else history.read_text(Path(file))
    events = history.read_events(text, "<stdin>" if file == "-" else file, settings.service_names)
    now = SystemClock().now()
    history.refuse_unknown_names(events, settings, [*packs, *load_every_pack(settings, config_file)])
    graded = history.grade(events, basis, settings, instant_of(at, settings.bank.zone), now, explained=explain)
    repeated = history.recurring(graded, basis, instant_of(at, settings.bank.zone) or now)
    if output == "json":
        document = history.graded_document(graded, repeated, settings, explained=explain)
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        typer.echo(graded_text(graded, repeated, basis.packs, settings, wording_of(lang), explained=explain))


def replay(
    file: Annotated[
        str, typer.Argument(metavar="EVENTS|-", help="Events as JSON, JSON lines or YAML; - reads from stdin.")
    ],
    pack: Annotated[
        list[str] | None,
        typer.Option(
            "--pack", metavar="ID|FILE", help="A pack by its id, or a version of one by its file; may be repeated."
        ),
    ] = None,
    *,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Leave out what occurred later (ISO 8601; without an offset: the bank's local time). Default: now.",
        ),
    ] = None,
    only_differences: Annotated[
        bool, typer.Option("--only-differences", help="Leave out the incidents on which all packs agree.")
    ] = False,
    fail_on_difference: Annotated[
        bool, typer.Option("--fail-on-difference", help="Exit with 1 if the packs disagree on any incident.")
    ] = False,
    config: Config = None,
    output: Annotated[str, typer.Option("--format", metavar="text|json", help="How to print it.")] = "text",
    lang: Lang = None,
) -> None:
    """Grade a history of incidents under several packs, or versions of one, side by side; differences come first.

    To try a change of rules: replay year.jsonl --pack cn-cbrc-2008 --pack changed.yaml
    """
    import json
    import shutil

    from incident_engine.cli.text.replay import replay_text
    from incident_engine.common.clock import SystemClock
    from incident_engine.config.rulebook import load_calendars, load_every_pack
    from incident_engine.engine import offline as history
    from incident_engine.engine import replay as replays

    if output not in ("text", "json"):
        raise typer.BadParameter("expected text or json", param_hint="--format")
    if not pack:
        raise typer.BadParameter("expected at least one pack, by its id or its file", param_hint="--pack")
    say = wording_of(lang)
    settings, config_file = read_settings(config)
    until = instant_of(at, settings.bank.zone)
    findings: list[Finding] = []
    calendars = load_calendars(settings, findings)
    if findings:
        raise InvalidFilesError(findings)
    candidates = replays.load_candidates(settings, config_file, pack)
    text = sys.stdin.read() if file == "-" else history.read_text(Path(file))
    events = history.read_events(text, "<stdin>" if file == "-" else file, settings.service_names)
    packs = [each.pack for each in candidates] + load_every_pack(settings, config_file)
    history.refuse_unknown_names(events, settings, packs)
    hours = settings.service_hours(calendars)
    found = replays.replay(events, candidates, hours, settings, until, SystemClock().now())
    if output == "json":
        document = replays.replay_document(found, settings.bank.zone, only_differences=only_differences)
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        width = shutil.get_terminal_size((160, 24)).columns
        typer.echo(replay_text(found, settings, say, width, only_differences=only_differences))
    if fail_on_difference and any(found.differences.values()):
        raise typer.Exit(1)


def report(
    *,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="The first day. Default: the first of January.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last day, included.")] = None,
    incident: Annotated[
        str | None, typer.Option("--incident", metavar="ID", help="One incident: its figures and reports.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--report", metavar="ID", help="One of its reports, such as cbrc-formal-report.")
    ] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", metavar="ID", help="Which, of a report owed several times.")
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="Default: what was handed in, or the newest.")
    ] = None,
    output_format: Annotated[
        str, typer.Option("--format", metavar="text|json|html|docx", help="docx is for one report.")
    ] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")] = None,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Print the review of a period, an incident's figures, or one of its reports. Reads beside a running daemon."""
    from incident_engine.cli import report as report_command
    from incident_engine.common.clock import SystemClock
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.review.period import Period, this_year
    from incident_engine.store.read_only import read_only

    if output_format not in list(report_command.Form):
        raise typer.BadParameter("expected text, json, html or docx", param_hint="--format")
    form = report_command.Form(output_format)
    if form is report_command.Form.DOCX and output is None:
        raise typer.BadParameter("a DOCX file needs a name: --output FILE", param_hint="--output")
    if incident is None and (name or instance or version):
        raise typer.BadParameter("which incident? --incident ID", param_hint="--report")
    if name is None and (instance or version):
        raise typer.BadParameter("which report? --report ID", param_hint="--version")
    if incident is not None and (first or last):
        raise typer.BadParameter("a period has many incidents: without --incident", param_hint="--from")
    settings, config_file = read_settings(config)
    now, begins, ends = SystemClock().now(), day_of(first, "--from"), day_of(last, "--to")
    year = this_year(now, settings.bank.zone)
    begins = begins or (ends or year.first).replace(month=1, day=1)
    period = Period(begins, ends or max(year.last, begins))
    if period.last < period.first:
        raise typer.BadParameter(f"{period.last} is before {period.first}", param_hint="--to")
    wanted = report_command.Wanted(period, incident, name, instance, version)
    say = wording_of(lang)
    with read_only(settings.store.url) as connection:
        rulebook = load_rulebook(settings, config_file)
        found = report_command.produce(connection, settings, rulebook, wanted, form, say.locale, now)
    if output is None:
        typer.echo(found, nl=False)
        return
    try:
        output.write_bytes(found if isinstance(found, bytes) else found.encode())
    except OSError as error:
        raise typer.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from None
    typer.echo(f"{say('written')}: {output}")
