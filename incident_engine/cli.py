"""The command line. Imports stand where they are needed: start-up time counts here."""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from incident_engine import __version__, cli_steps
from incident_engine.errors import Finding, IncidentEngineError, InvalidFilesError

if TYPE_CHECKING:
    from incident_engine.configuration.settings import Settings
    from incident_engine.wording import Wording

_EXAMPLE_BANK = "Cloudsail Bank"

app = typer.Typer(
    name="incident-engine",
    help="Grade outages under codified regulations, know when the next level comes, tell whom the law and the bank "
    "want told.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_steps.app, name="step")

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="This bank's config.yaml. Default: ./config.yaml, else the shipped one."
    ),
]
Lang = Annotated[
    str | None, typer.Option("--lang", metavar="zh-CN|en", help="Language of what is printed. Default: by LANG.")
]


def main() -> None:
    """Run the command line; an error of the operator's is told in a line, not in a traceback."""
    try:
        app()
    except IncidentEngineError as error:
        _fail(error)


def _fail(error: IncidentEngineError) -> NoReturn:
    lines = (
        [str(finding) for finding in error.findings] if isinstance(error, InvalidFilesError) else [f"error: {error}"]
    )
    for line in lines:
        typer.echo(line, err=True)
    raise SystemExit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"incident-engine {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(config: Config = None, lang: Lang = None) -> None:
    """Run the daemon: take events, grade, raise levels by the clock, send what must be sent.

    Any setting can be overridden by the environment: INCIDENT_ENGINE__SERVER__PORT=9000.
    """
    import contextlib
    import os

    from incident_engine.clock import SystemClock
    from incident_engine.daemon import Daemon
    from incident_engine.faults import fault_of
    from incident_engine.rulebook import load_rulebook
    from incident_engine.telemetry import configure_logging

    configure_logging(sys.stderr)
    say = _wording(lang)
    settings, config_file = _settings(config)
    fault = fault_of(os.environ)
    daemon = Daemon(settings, load_rulebook(settings, config_file), SystemClock(), fault=fault)
    with contextlib.suppress(KeyboardInterrupt):
        daemon.run(lambda: _banner(settings, config_file, daemon.url, say))
    typer.echo(say("stopped"))


@app.command()
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
    from incident_engine.checking import check as check_files
    from incident_engine.clock import SystemClock
    from incident_engine.rulebook import guessed_years
    from incident_engine.wording import Wording

    say: Wording = _wording(lang)
    checked = check_files(paths or [], _config_file(config))
    for service, years in guessed_years(checked.hours, SystemClock().now()).items():
        listed = ", ".join(str(year) for year in years)
        typer.echo(f"{say('warning')}: {service}: {listed}: {say('not published')} (rules/calendars/)", err=True)
    for finding in checked.findings:
        typer.echo(str(finding))
    counted = f"{_config_file(config)}: {checked.files} {say('files')}, {checked.cases} {say('cases')}"
    if checked.findings:
        typer.echo(f"{counted}: {len(checked.findings)} {say('findings')}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{counted}: {say('all correct')}")


@app.command()
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

    from incident_engine import history
    from incident_engine.clock import SystemClock
    from incident_engine.report_text import graded_text
    from incident_engine.rulebook import load_calendars, load_every_pack, load_packs

    if output not in ("text", "json"):
        raise typer.BadParameter("expected text or json", param_hint="--format")
    settings, config_file = _settings(config)
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
    graded = history.grade(events, basis, settings, _instant(at, settings), now, explained=explain)
    repeated = history.recurring(graded, basis, _instant(at, settings) or now)
    if output == "json":
        document = history.graded_document(graded, repeated, settings, explained=explain)
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        typer.echo(graded_text(graded, repeated, basis.packs, settings, _wording(lang), explained=explain))


@app.command()
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

    from incident_engine import history
    from incident_engine import replay as replays
    from incident_engine.clock import SystemClock
    from incident_engine.replay_text import replay_text
    from incident_engine.rulebook import load_calendars, load_every_pack

    if output not in ("text", "json"):
        raise typer.BadParameter("expected text or json", param_hint="--format")
    if not pack:
        raise typer.BadParameter("expected at least one pack, by its id or its file", param_hint="--pack")
    say = _wording(lang)
    settings, config_file = _settings(config)
    until = _instant(at, settings)
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


@app.command()
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
    from incident_engine import report_command
    from incident_engine.clock import SystemClock
    from incident_engine.review import Period, this_year
    from incident_engine.rulebook import load_rulebook
    from incident_engine.store.reading import read_only

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
    settings, config_file = _settings(config)
    now, begins, ends = SystemClock().now(), _day(first, "--from"), _day(last, "--to")
    year = this_year(now, settings.bank.zone)
    begins = begins or (ends or year.first).replace(month=1, day=1)
    period = Period(begins, ends or max(year.last, begins))
    if period.last < period.first:
        raise typer.BadParameter(f"{period.last} is before {period.first}", param_hint="--to")
    wanted = report_command.Wanted(period, incident, name, instance, version)
    say = _wording(lang)
    with read_only(settings.store.url) as connection:
        rulebook = load_rulebook(settings, config_file)
        found = report_command.produce(connection, settings, rulebook, wanted, form, say.locale, now)
    if output is None:
        typer.echo(found, nl=False)
        return
    output.write_bytes(found if isinstance(found, bytes) else found.encode())
    typer.echo(f"{say('written')}: {output}")


@app.command()
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
    from incident_engine import schemas

    say = _wording(lang)
    if not only_check:
        for file in schemas.write(directory):
            typer.echo(f"{say('written')}: {file}")
        return
    stale = schemas.stale(directory)
    for file in stale:
        typer.echo(f"{file}: {say('out of date')}", err=True)
    if stale:
        raise typer.Exit(1)
    typer.echo(f"{directory}: {say('all correct')}")


@app.command()
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

    from incident_engine.drills import drill as drills
    from incident_engine.drills.scenario import find_scenario, load_scenario, refuse_unknown_names
    from incident_engine.rulebook import load_rulebook
    from incident_engine.telemetry import configure_logging

    try:
        factor = drills.parse_speed(speed)
    except ValueError:
        raise typer.BadParameter("expected max, live, or 1x to 3600x", param_hint="--speed") from None
    if channels not in ("outbox", "real"):
        raise typer.BadParameter("expected outbox or real", param_hint="--channels")
    configure_logging(sys.stderr, level=logging.WARNING)
    say = _wording(lang)
    settings, config_file = _settings(config)
    file = find_scenario(scenario, settings)
    found = load_scenario(file, settings)
    rulebook = load_rulebook(settings, config_file)
    refuse_unknown_names(found, file, rulebook)
    is_real = channels == "real"
    drills.prepared(settings, Path(), real=is_real)  # refuses before anything is made
    directory = drills.new_directory(found.scenario)
    pace = say("at once") if factor is None else f"{factor:g} {say('speed')}"
    typer.echo(f"{say('drill')}: {found.title.in_(say.locale)}  ({pace})")
    if is_real:
        typer.echo(f"  {say('real channels')}: {', '.join(settings.drills.recipients)}")
    result = asyncio.run(drills.run(found, settings, rulebook, directory, factor, say, typer.echo, real=is_real))
    for line in drills.summary(result, rulebook, settings, say):
        typer.echo(line)
    if result.failures:
        raise typer.Exit(1)


@app.command()
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
    from incident_engine import preview as previews
    from incident_engine.drills.scenario import find_scenario, load_scenario
    from incident_engine.facts.values import parse_duration
    from incident_engine.response.messages import Form
    from incident_engine.rulebook import load_rulebook

    if form not in list(Form):
        raise typer.BadParameter("expected long, short or web", param_hint="--form")
    try:
        after = None if at is None else parse_duration(at)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from None
    settings, config_file = _settings(config)
    say = _wording(lang)
    wanted = previews.Wanted(template, say.locale, Form(form), step, after)
    found = load_scenario(find_scenario(scenario, settings), settings)
    shown = previews.preview(wanted, found, settings, load_rulebook(settings, config_file))
    for line in previews.lines(shown, wanted, found, settings, say):
        typer.echo(line)


def _config_file(config: Path | None) -> Path:
    from incident_engine.rulebook import SHIPPED

    if config is not None:
        return config
    local = Path("config.yaml")
    return local if local.is_file() else SHIPPED / "config.yaml"


def _settings(config: Path | None) -> tuple["Settings", Path]:
    import os

    from incident_engine.configuration.settings import load_settings

    path = _config_file(config)
    return load_settings(path, os.environ), path


def _wording(lang: str | None) -> "Wording":
    from incident_engine.wording import Wording, locale_of

    if lang not in (None, "zh-CN", "en"):
        raise typer.BadParameter("expected zh-CN or en", param_hint="--lang")
    return Wording(lang or locale_of())


def _instant(text: str | None, settings: "Settings") -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("expected ISO 8601, such as 2013-06-23T11:05:00+08:00", param_hint="--at") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=settings.bank.zone)


def _day(text: str | None, option: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("expected a day, such as 2026-01-01", param_hint=option) from None


def _banner(settings: "Settings", config_file: Path, url: str, say: "Wording") -> None:
    from datetime import timedelta

    from incident_engine.clock import SystemClock
    from incident_engine.configuration.channels import OutboxSettings

    outboxes = [str(c.directory) for c in settings.channels.values() if isinstance(c, OutboxSettings)]
    begun = (SystemClock().now() - timedelta(minutes=40)).isoformat(timespec="seconds")
    event = (
        f'{{"source":"me","id":"1","type":"outage.started","service":"{settings.services[0].id}",'
        f'"regions":["CN-GD"],"occurred_at":"{begun}"}}'
    )
    rows = {
        "push events": f"POST {url}/api/v1/events    Alertmanager: POST {url}/api/v1/alertmanager",
        "look": f"{url}/docs    {url}/api/v1/incidents",
        "metrics": f"{url}/metrics",
        "messages": ", ".join(outboxes) or "—",
        "try": f"curl -s {url}/api/v1/events -d '{event}'",
    }
    typer.echo(f"incident-engine {__version__} · {settings.bank.name.in_(say.locale)} · {config_file}")
    if settings.bank.name.en == _EXAMPLE_BANK:
        typer.echo(f"  ! {say('shipped bank')}")
    for key, value in rows.items():
        typer.echo(f"  {say(key)}: {value}")
    typer.echo(f"  {say('stop')}")
