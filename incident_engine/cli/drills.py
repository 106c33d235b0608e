"""`drill` and `preview`: play a scenario, and show a message before it is needed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Config, Lang, duration_of, read_settings, translator_for
from incident_engine.cli.output import echo


def drill(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="The name of a scenario, or a file.")],
    speed: Annotated[
        str,
        typer.Option(
            "--speed",
            metavar="max|Nx|live",
            help="The speed as a multiple of real time, 1 to 3600; live is 1x; max never waits.",
        ),
    ] = "600x",
    channels: Annotated[
        str,
        typer.Option(
            "--channels",
            metavar="outbox|real",
            help="outbox writes messages to files; real sends them over the configured channels, only to "
            "drills.recipients.",
        ),
    ] = "outbox",
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Play a scenario against a new daemon on a virtual clock, and print the timeline.

    The database, the messages and the drill report (HTML and DOCX) go to var/drills/. Every message is marked as an
    exercise. Exits with 1 if an expectation of the scenario is not met.
    """
    import asyncio
    import logging

    from incident_engine.common.telemetry import configure_logging
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.config.scenario import find_scenario, load_scenario
    from incident_engine.config.scenario_checks import refuse_unknown_names
    from incident_engine.drills import runner as drills
    from incident_engine.drills.isolation import prepared
    from incident_engine.drills.summary import summary

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
    loaded = load_scenario(file, settings)
    rulebook = load_rulebook(settings, config_file)
    refuse_unknown_names(loaded, file, rulebook)
    is_real = channels == "real"
    prepared(settings, Path(), real=is_real)  # raises for settings without recipients, before files are made
    directory = drills.new_directory(loaded.scenario)
    pace = translate("at once") if factor is None else f"{factor:g} {translate('speed')}"
    echo(f"{translate('drill')}: {loaded.title.in_(translate.locale)}  ({pace})")
    if is_real:
        echo(f"  {translate('real channels')}: {', '.join(settings.drills.recipients)}")
    result = asyncio.run(drills.run(loaded, settings, rulebook, directory, factor, translate, echo, real=is_real))
    for line in summary(result, rulebook, settings, translate):
        echo(line)
    if result.failures:
        raise typer.Exit(1)


def preview(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="The name of a message template, such as page.")],
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="NAME|FILE", help="The name of a scenario, or a file.")
    ] = "two-provinces",
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="45m", help="The time after the scenario's start. Default: the start of the step."
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option("--step", metavar="ID", help="A playbook step. Default: the first that uses the template."),
    ] = None,
    form: Annotated[
        str, typer.Option("--form", metavar="long|short|web", help="The form of the message: e-mail, SMS or web page.")
    ] = "long",
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Show a message as its reader would get it in a scenario, without sending it."""
    from incident_engine.cli.text.preview import preview_lines
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.config.scenario import find_scenario, load_scenario
    from incident_engine.domain.messages.templates import MessageForm
    from incident_engine.engine import preview as previews

    if form not in list(MessageForm):
        raise typer.BadParameter("expected long, short or web", param_hint="--form")
    after = duration_of(at, "--at")
    settings, config_file = read_settings(config)
    translate = translator_for(lang)
    request = previews.PreviewRequest(template, translate.locale, MessageForm(form), step, after)
    loaded = load_scenario(find_scenario(scenario, settings), settings)
    message = previews.preview(request, loaded, settings, load_rulebook(settings, config_file))
    for line in preview_lines(message, request, loaded, settings, translate):
        echo(line)
