"""`serve` and `check`: run the daemon, check its files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Config, Lang, config_file, read_settings, translator_for
from incident_engine.cli.output import echo


def serve(config: Config = None, lang: Lang = None) -> None:
    """Run the daemon: receive events, grade incidents, raise levels by the clock, send messages.

    The environment overrides any setting, for example INCIDENT_ENGINE__SERVER__PORT=9000.
    """
    import contextlib
    import gc
    import os

    gc.disable()  # objects made at the start stay for ever; collecting among them takes a third of the start's time

    from incident_engine.cli.text.banner import banner_lines
    from incident_engine.common.clock import SystemClock
    from incident_engine.common.failpoints import failpoint_from
    from incident_engine.common.telemetry import configure_logging
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.daemon import Daemon
    from incident_engine.store.read_only import tried_rules

    configure_logging(sys.stderr)
    translate = translator_for(lang)
    settings, config_file = read_settings(config)
    fault = failpoint_from(os.environ)
    # Rules that passed at the last start are not tried again: trying all templates takes most of a start.
    rulebook = load_rulebook(settings, config_file, tried_rules(settings.store.url))
    clock = SystemClock()
    daemon = Daemon(settings, rulebook, clock, fault=fault)

    def print_banner() -> None:
        for line in banner_lines(settings, config_file, daemon.url, clock.now(), translate):
            echo(line)

    with contextlib.suppress(KeyboardInterrupt):
        daemon.run(print_banner)
    echo(translate("stopped"))


def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH…]", help="Files or folders to check. Default: the configuration and its rules."),
    ] = None,
    config: Config = None,
    lang: Lang = None,
    connect: Annotated[
        bool,
        typer.Option("--connect", help="Also open each channel, without a message, and print the answers."),
    ] = False,
) -> None:
    """Check the configuration, packs with their cases, playbooks, messages, reports, calendars and scenarios.

    Prints file:line:column for each problem. Exits with 1 if there is any.
    """
    from incident_engine.cli import channels
    from incident_engine.cli.check import check as check_files
    from incident_engine.common.clock import SystemClock

    translate = translator_for(lang)
    result = check_files(paths or [], config_file(config))
    for name, years in result.guessed_years(SystemClock().now()).items():
        listed = ", ".join(str(year) for year in years)
        echo(f"{translate('warning')}: {name}: {listed}: {translate('not published')} (rules/calendars/)", err=True)
    for folder in result.missing_folders:
        echo(f"{translate('warning')}: store.url: {folder}: {translate('no database folder')}", err=True)
    for finding in result.findings:
        echo(str(finding))
    counts = f"{result.files} {translate('files checked')}, {result.cases} {translate('pack cases')}"
    summary = f"{config_file(config)}: {counts}"
    if result.findings:
        echo(f"{summary}: {len(result.findings)} {translate('errors found')}", err=True)
        raise typer.Exit(1)
    echo(f"{summary}: {translate('all correct')}")
    if connect:
        channels.connect(read_settings(config)[0], translate)
