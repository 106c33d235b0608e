"""The command line: its commands and the output of errors."""

import io
import sys
from typing import Annotated

import typer

from incident_engine.cli import channels, database, drills, grade, quarantine, replay, report, schema, serve, steps
from incident_engine.cli.output import PROGRAM, echo
from incident_engine.common.errors import IncidentEngineError, InvalidFilesError

app = typer.Typer(
    name="incident-engine",
    help="Grade outages under codified regulations, forecast the next level, and notify the people whom the law and "
    "the bank require.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, which may hold secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    serve.serve,
    serve.check,
    grade.grade,
    replay.replay,
    report.report,
    schema.schema,
    drills.drill,
    drills.preview,
    database.migrate,
    database.backup,
    database.restore,
    database.archive,
):
    app.command()(_command)
app.command("test-message")(channels.send_test_message)
app.add_typer(steps.app, name="step")
app.add_typer(quarantine.app, name="quarantine")


def main() -> None:
    """Run the command line. An error that the operator can mend is printed without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A locale without Chinese, or without "·", must not keep the daemon from starting.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except InvalidFilesError as error:
        for finding in error.findings:
            echo(str(finding), err=True)
    except IncidentEngineError as error:
        echo(f"error: {error}", err=True)
    else:
        return
    raise SystemExit(1)


def _print_version(requested: bool) -> None:
    if requested:
        echo(PROGRAM)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
