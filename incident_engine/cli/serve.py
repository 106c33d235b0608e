"""`serve`, `check` and `schema`: the daemon and the files that it works by."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_engine import __version__
from incident_engine.cli.options import Config, Lang, config_file, read_settings, translator_for

if TYPE_CHECKING:
    from incident_engine.common.i18n import Translator
    from incident_engine.config.settings import Settings

_EXAMPLE_BANK = "Cloudsail Bank"


def serve(config: Config = None, lang: Lang = None) -> None:
    """Run the daemon: take events, grade, raise levels by the clock, send what must be sent.

    Any setting can be overridden by the environment: INCIDENT_ENGINE__SERVER__PORT=9000.
    """
    import contextlib
    import gc
    import os

    gc.disable()  # what a start makes stays, and looking through it would take a third of the start

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
    rulebook = load_rulebook(settings, config_file, tried_rules(settings.store.url))
    daemon = Daemon(settings, rulebook, SystemClock(), fault=fault)
    with contextlib.suppress(KeyboardInterrupt):
        daemon.run(lambda: _banner(settings, config_file, daemon.url, translate))
    typer.echo(translate("stopped"))


def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH…]", help="Files or folders. Default: the configuration and all its rules."),
    ] = None,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Check configuration, packs with their cases, playbooks, messages and scenarios.

    Prints file:line:column for whatever is wrong and exits with 1; 0 if all is well.
    """
    from incident_engine.cli.check import check as check_files
    from incident_engine.common.clock import SystemClock
    from incident_engine.common.i18n import Translator
    from incident_engine.config.rulebook import guessed_years

    translate: Translator = translator_for(lang)
    checked = check_files(paths or [], config_file(config))
    for service, years in guessed_years(checked.hours, SystemClock().now()).items():
        listed = ", ".join(str(year) for year in years)
        typer.echo(
            f"{translate('warning')}: {service}: {listed}: {translate('not published')} (rules/calendars/)", err=True
        )
    for finding in checked.findings:
        typer.echo(str(finding))
    counted = f"{config_file(config)}: {checked.files} {translate('files')}, {checked.cases} {translate('cases')}"
    if checked.findings:
        typer.echo(f"{counted}: {len(checked.findings)} {translate('findings')}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{counted}: {translate('all correct')}")


def schema(
    directory: Annotated[
        Path, typer.Option("--directory", "-d", metavar="DIR", help="Where to write them; made if it is not there.")
    ] = Path("schemas"),
    only_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file there is missing or out of date.")
    ] = False,
    lang: Lang = None,
) -> None:
    """Write JSON Schemas for packs, playbooks, reports, config, events, scenarios, calendars; editors complete by them.

    The first line of a YAML file names its schema: # yaml-language-server: $schema=../schemas/pack.schema.json
    """
    from incident_engine.config import json_schema as schemas

    translate = translator_for(lang)
    if not only_check:
        for file in schemas.write(directory):
            typer.echo(f"{translate('written')}: {file}")
        return
    stale = schemas.stale(directory)
    for file in stale:
        typer.echo(f"{file}: {translate('out of date')}", err=True)
    if stale:
        raise typer.Exit(1)
    typer.echo(f"{directory}: {translate('all correct')}")


def _banner(settings: "Settings", config_file: Path, url: str, translate: "Translator") -> None:
    from datetime import timedelta

    from incident_engine.common.clock import SystemClock
    from incident_engine.config.channels import OutboxSettings
    from incident_engine.intake.registry import FORMATS

    native, *others = FORMATS
    addresses = [f"POST {url}{native.path}", *(f"{other.name}: POST {url}{other.path}" for other in others)]
    outboxes = [str(c.directory) for c in settings.channels.values() if isinstance(c, OutboxSettings)]
    begun = (SystemClock().now() - timedelta(minutes=40)).isoformat(timespec="seconds")
    event = (
        f'{{"source":"me","id":"1","type":"outage.started","service":"{settings.services[0].id}",'
        f'"regions":["CN-GD"],"occurred_at":"{begun}"}}'
    )
    rows = {
        "push events": "    ".join(addresses),
        "look": f"{url}/docs    {url}/api/v1/incidents",
        "metrics": f"{url}/metrics",
        "messages": ", ".join(outboxes) or "—",
        "try": f"curl -s {url}{native.path} -d '{event}'",
    }
    typer.echo(f"incident-engine {__version__} · {settings.bank.name.in_(translate.locale)} · {config_file}")
    if settings.bank.name.en == _EXAMPLE_BANK:
        typer.echo(f"  ! {translate('shipped bank')}")
    for key, value in rows.items():
        typer.echo(f"  {translate(key)}: {value}")
    typer.echo(f"  {translate('stop')}")
