"""`drill` and `preview`: what would be."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Config, Lang, read_settings, translator_for


def drill(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A shipped scenario by name, or a file.")],
    speed: Annotated[
        str,
        typer.Option(
            "--speed",
            metavar="max|Nx|live",
            help="How many times faster than life, 1 to 3600; max waits for nothing.",
        ),
    ] = "600x",
    channels: Annotated[
        str,
        typer.Option(
            "--channels",
            metavar="outbox|real",
            help="Messages as files, or over the configured channels to drills.recipients alone.",
        ),
    ] = "outbox",
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Play a scenario against a freshly started daemon on a virtual clock, and print what happens.

    Database, messages and the report on the drill (HTML and DOCX) go to var/drills/. Every message is marked as one of
    an exercise. Exits with 1 if what the scenario expects does not happen.
    """
    import asyncio
    import logging

    from incident_engine.common.telemetry import configure_logging
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.config.scenario import find_scenario, load_scenario, refuse_unknown_names
    from incident_engine.drills import runner as drills

    try:
        factor = drills.parse_speed(speed)
    except ValueError:
        raise typer.BadParameter("expected max, live, or 1x to 3600x", param_hint="--speed") from None
    if channels not in ("outbox", "real"):
        raise typer.BadParameter("expected outbox or real", param_hint="--channels")
    configure_logging(sys.stderr, level=logging.WARNING)
    translate = translator_for(lang)
    settings, config_file = read_settings(config)
    file = find_scenario(scenario, settings)
    found = load_scenario(file, settings)
    rulebook = load_rulebook(settings, config_file)
    refuse_unknown_names(found, file, rulebook)
    is_real = channels == "real"
    drills.prepared(settings, Path(), real=is_real)  # refuses before anything is made
    directory = drills.new_directory(found.scenario)
    pace = translate("at once") if factor is None else f"{factor:g} {translate('speed')}"
    typer.echo(f"{translate('drill')}: {found.title.in_(translate.locale)}  ({pace})")
    if is_real:
        typer.echo(f"  {translate('real channels')}: {', '.join(settings.drills.recipients)}")
    result = asyncio.run(drills.run(found, settings, rulebook, directory, factor, translate, typer.echo, real=is_real))
    for line in drills.summary(result, rulebook, settings, translate):
        typer.echo(line)
    if result.failures:
        raise typer.Exit(1)


def preview(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="A message's template, such as page.")],
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="NAME|FILE", help="A shipped scenario by name, or a file.")
    ] = "two-provinces",
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="45m", help="So long after its start. Default: when the step begins."),
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", metavar="ID", help="A step of the playbooks. Default: whichever uses it.")
    ] = None,
    form: Annotated[str, typer.Option("--form", metavar="long|short|web", help="Which form of it.")] = "long",
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Show a message as its reader would get it in a scenario. Nothing is sent."""
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.config.scenario import find_scenario, load_scenario
    from incident_engine.domain.messages.templates import MessageForm
    from incident_engine.domain.values import parse_duration
    from incident_engine.engine import preview as previews

    if form not in list(MessageForm):
        raise typer.BadParameter("expected long, short or web", param_hint="--form")
    try:
        after = None if at is None else parse_duration(at)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from None
    settings, config_file = read_settings(config)
    translate = translator_for(lang)
    wanted = previews.PreviewRequest(template, translate.locale, MessageForm(form), step, after)
    found = load_scenario(find_scenario(scenario, settings), settings)
    shown = previews.preview(wanted, found, settings, load_rulebook(settings, config_file))
    for line in previews.lines(shown, wanted, found, settings, translate):
        typer.echo(line)
