"""`replay`: grade a history under several packs and show where they differ."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Config, Lang, instant_of, read_settings, translator_for
from incident_engine.cli.output import echo
from incident_engine.common.errors import Finding, InvalidFilesError


def replay(
    file: Annotated[
        str, typer.Argument(metavar="EVENTS|-", help="Events as JSON, JSON lines or YAML; - reads from stdin.")
    ],
    pack: Annotated[
        list[str] | None,
        typer.Option(
            "--pack", metavar="ID|FILE", help="A pack by its id, or a changed version by its file; repeatable."
        ),
    ] = None,
    *,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Ignore later events (ISO 8601; without an offset: the bank's local time). Default: now.",
        ),
    ] = None,
    only_differences: Annotated[
        bool, typer.Option("--only-differences", help="Hide incidents that all packs grade alike.")
    ] = False,
    fail_on_difference: Annotated[
        bool, typer.Option("--fail-on-difference", help="Exit with 1 if the packs grade any incident differently.")
    ] = False,
    config: Config = None,
    output: Annotated[str, typer.Option("--format", metavar="text|json", help="The output format.")] = "text",
    lang: Lang = None,
) -> None:
    """Grade a history under several packs, or several versions of one, side by side. Differences come first.

    To try a changed pack: replay year.jsonl --pack cn-cbrc-2008 --pack changed.yaml
    """
    import json
    import shutil

    from incident_engine.cli.text.replay import replay_text
    from incident_engine.common.clock import SystemClock
    from incident_engine.config.calendars import load_calendars
    from incident_engine.config.rulebook import load_every_pack, rules_directory
    from incident_engine.engine import event_files
    from incident_engine.engine import replay as replays
    from incident_engine.engine.candidates import load_candidates
    from incident_engine.engine.history import with_known_names

    if output not in ("text", "json"):
        raise typer.BadParameter("expected text or json", param_hint="--format")
    if not pack:
        raise typer.BadParameter("expected at least one pack, by its id or its file", param_hint="--pack")
    translate = translator_for(lang)
    settings, config_file = read_settings(config)
    until = instant_of(at, settings.bank.zone)
    findings: list[Finding] = []
    calendars = load_calendars(rules_directory(settings), findings)
    if findings:
        raise InvalidFilesError(findings)
    candidates = load_candidates(settings, config_file, pack)
    text = sys.stdin.read() if file == "-" else event_files.read_text(Path(file))
    events = event_files.read_events(text, "<stdin>" if file == "-" else file, settings)
    # A history may contain measures and obligations of packs that are not compared.
    packs = [candidate.pack for candidate in candidates] + load_every_pack(settings, config_file)
    events = with_known_names(events, settings, packs)
    hours = settings.service_hours(calendars)
    result = replays.replay(events, candidates, hours, settings, until, SystemClock().now())
    if output == "json":
        document = replays.replay_document(result, settings.bank.zone, only_differences=only_differences)
        echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        # Without a terminal, 160 columns: a file should have whole names.
        width = shutil.get_terminal_size((160, 24)).columns
        echo(replay_text(result, settings, translate, width, only_differences=only_differences))
    if fail_on_difference and any(result.differences.values()):
        raise typer.Exit(1)
