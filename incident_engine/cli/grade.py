"""`grade`: grade a history of events without a daemon."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Config, Lang, instant_of, read_settings, translator_for
from incident_engine.cli.output import echo
from incident_engine.common.errors import Finding, InvalidFilesError


def grade(
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="Events as JSON, JSON lines or YAML; - reads from stdin.")
    ],
    pack: Annotated[
        list[str] | None,
        typer.Option("--pack", metavar="ID", help="Grade by this pack; repeatable. Default: grading.packs."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="The instant of the verdict (ISO 8601; without an offset: the bank's local time). "
            "Default: now, or the last restoration if nothing is down.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Explain each rule: clause, facts with their sources, sums per region."),
    ] = False,
    config: Config = None,
    output: Annotated[str, typer.Option("--format", metavar="text|json", help="The output format.")] = "text",
    lang: Lang = None,
) -> None:
    """Grade a history of events without a daemon: level, trajectory, next level, obligations, evidence."""
    import json

    from incident_engine.cli.text.grading import graded_text
    from incident_engine.common.clock import SystemClock
    from incident_engine.config.calendars import load_calendars
    from incident_engine.config.rulebook import load_every_pack, load_packs, rules_directory
    from incident_engine.domain.grading.basis import GradingBasis
    from incident_engine.engine import event_files, offline
    from incident_engine.engine.history import with_known_names

    if output not in ("text", "json"):
        raise typer.BadParameter("expected text or json", param_hint="--format")
    settings, config_file = read_settings(config)
    findings: list[Finding] = []
    calendars = load_calendars(rules_directory(settings), findings)
    packs = load_packs(settings, config_file, pack or [])
    basis = GradingBasis(packs, settings.service_hours(calendars), calendars)
    if findings:
        raise InvalidFilesError(findings)
    text = sys.stdin.read() if file == "-" else event_files.read_text(Path(file))
    events = event_files.read_events(text, "<stdin>" if file == "-" else file, settings)
    now = SystemClock().now()
    # A history may contain measures and obligations of packs that are not chosen.
    events = with_known_names(events, settings, [*packs, *load_every_pack(settings, config_file)])
    graded = offline.grade(events, basis, settings, instant_of(at, settings.bank.zone), now, explained=explain)
    repeated = offline.recurring(graded, basis, instant_of(at, settings.bank.zone) or now)
    if output == "json":
        document = offline.graded_document(graded, repeated, settings, explained=explain)
        echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        echo(graded_text(graded, repeated, basis.packs, settings, translator_for(lang), explained=explain))
