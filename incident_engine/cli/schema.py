"""`schema`: write the JSON Schemas of the files that operators write."""

from pathlib import Path
from typing import Annotated

import typer

from incident_engine.cli.options import Lang, translator_for
from incident_engine.cli.output import echo


def schema(
    directory: Annotated[
        Path, typer.Option("--directory", "-d", metavar="DIR", help="The folder to write to; created if missing.")
    ] = Path("schemas"),
    only_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file is missing or out of date.")
    ] = False,
    lang: Lang = None,
) -> None:
    """Write JSON Schemas of packs, playbooks, reports, config.yaml, events, scenarios and calendars, for editors.

    The first line of a YAML file names its schema: # yaml-language-server: $schema=../schemas/pack.schema.json
    """
    from incident_engine.config import json_schema as schemas

    translate = translator_for(lang)
    if not only_check:
        for file in schemas.write(directory):
            echo(f"{translate('written')}: {file}")
        return
    stale = schemas.stale(directory)
    for file in stale:
        echo(f"{file}: {translate('out of date')}", err=True)
    if stale:
        raise typer.Exit(1)
    echo(f"{directory}: {translate('all correct')}")
