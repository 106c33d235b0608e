"""`report`: print the review of a period, the figures of an incident, or one of its reports."""

from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Config, Lang, day_of, read_settings, translator_for


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
    from incident_engine.cli import report_output
    from incident_engine.common.clock import SystemClock
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.review.period import Period, this_year
    from incident_engine.store.read_only import read_only

    if output_format not in list(report_output.OutputFormat):
        raise typer.BadParameter("expected text, json, html or docx", param_hint="--format")
    form = report_output.OutputFormat(output_format)
    if form is report_output.OutputFormat.DOCX and output is None:
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
    wanted = report_output.ReportRequest(period, incident, name, instance, version)
    translate = translator_for(lang)
    with read_only(settings.store.url) as connection:
        rulebook = load_rulebook(settings, config_file)
        found = report_output.produce(connection, settings, rulebook, wanted, form, translate.locale, now)
    if output is None:
        typer.echo(found, nl=False)
        return
    try:
        output.write_bytes(found if isinstance(found, bytes) else found.encode())
    except OSError as error:
        raise typer.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from None
    typer.echo(f"{translate('written')}: {output}")
