"""`report`: print the review of a period, the figures of an incident, or one of its reports."""

from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Config, Lang, day_of, read_settings, translator_for
from incident_engine.cli.output import echo


def report(
    *,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="The first day of the period. Default: January 1.")
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="DATE", help="The last day of the period, inclusive. Default: today."),
    ] = None,
    incident: Annotated[
        str | None, typer.Option("--incident", metavar="ID", help="Print the figures and reports of this incident.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--report", metavar="ID", help="Print this report of the incident, such as cbrc-formal-report."),
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option("--instance", metavar="ID", help="The instance of a recurring report. Default: the latest."),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(
            "--version", metavar="N", help="The version of the report. Default: the submitted one, else the newest."
        ),
    ] = None,
    output_format: Annotated[
        str, typer.Option("--format", metavar="text|json|html|docx", help="The format; docx only with --report.")
    ] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write. Default: stdout.")
    ] = None,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Print the review of a period, an incident's figures, or one of its reports.

    The daemon may run at the same time.
    """
    from incident_engine.cli import report_output
    from incident_engine.common.clock import SystemClock
    from incident_engine.common.errors import InvalidDocumentError
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.review.documents import period_between
    from incident_engine.review.versions import VersionRequest
    from incident_engine.store.read_only import read_only

    if output_format not in list(report_output.OutputFormat):
        raise typer.BadParameter("expected text, json, html or docx", param_hint="--format")
    form = report_output.OutputFormat(output_format)
    if form is report_output.OutputFormat.DOCX and output is None:
        raise typer.BadParameter("DOCX cannot be printed; name a file with --output FILE", param_hint="--output")
    if incident is None and (name or instance or version):
        raise typer.BadParameter("name the incident with --incident ID", param_hint="--report")
    if name is None and (instance or version):
        raise typer.BadParameter("name the report with --report ID", param_hint="--version")
    if incident is not None and (first or last):
        raise typer.BadParameter("a period cannot be combined with --incident", param_hint="--from")
    settings, config_file = read_settings(config)
    now = SystemClock().now()
    try:
        period = period_between(day_of(first, "--from"), day_of(last, "--to"), now, settings.bank.zone)
    except InvalidDocumentError as error:
        raise typer.BadParameter(error.problems[0].message, param_hint="--to") from None
    version_request = None if name is None else VersionRequest(name, instance, version)
    request = report_output.ReportRequest(period, incident, version_request)
    translate = translator_for(lang)
    with read_only(settings.store.url) as connection:
        rulebook = load_rulebook(settings, config_file)
        content = report_output.produce(connection, settings, rulebook, request, form, translate.locale, now)
    if output is None:
        echo(content, nl=False)  # every format ends with a newline of its own
        return
    try:
        output.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise typer.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from None
    echo(f"{translate('written')}: {output}")
