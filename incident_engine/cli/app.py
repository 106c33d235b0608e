"""The command line: its commands, and how an error of the operator's is told."""

from typing import Annotated, NoReturn

import typer

from incident_engine import __version__
from incident_engine.cli import database, drills, grade, replay, report, serve, steps
from incident_engine.common.errors import IncidentEngineError, InvalidFilesError

app = typer.Typer(
    name="incident-engine",
    help="Grade outages under codified regulations, know when the next level comes, tell whom the law and the bank "
    "want told.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    serve.serve,
    serve.check,
    grade.grade,
    replay.replay,
    report.report,
    serve.schema,
    drills.drill,
    drills.preview,
    database.migrate,
    database.backup,
    database.restore,
    database.archive,
):
    app.command()(_command)
app.add_typer(steps.app, name="step")


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
