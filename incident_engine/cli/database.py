"""`migrate`, `backup`, `restore` and `archive`: maintain the database."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_engine.cli.options import Config, Lang, read_settings, translator_for
from incident_engine.cli.output import echo

if TYPE_CHECKING:
    from incident_engine.common.i18n import Translator
    from incident_engine.store.backup import Contents


def migrate(
    *,
    only_check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if the database needs a migration.")
    ] = False,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Migrate the database to this version's schema, as `serve` does at its start.

    A copy from before the migration is kept beside the database.
    """
    import logging

    from incident_engine.common.telemetry import configure_logging
    from incident_engine.store.database import Database
    from incident_engine.store.read_only import read_only
    from incident_engine.store.schema import migration_path

    configure_logging(sys.stderr, level=logging.WARNING)
    translate = translator_for(lang)
    settings, _ = read_settings(config)
    path = _file(settings.store.url, translate)
    if only_check or path.is_file():
        with read_only(settings.store.url, any_schema=True) as connection:
            pending = migration_path(connection, path)
        revisions = " → ".join((pending.current or translate("new schema"), *pending.revisions))
        echo(f"{path}: {translate('schema')} {revisions}")
        if not pending.revisions:
            echo(translate("up to date"))
            return
        if only_check:
            echo(translate("to be migrated"), err=True)
            raise typer.Exit(1)
    is_new = not path.exists()
    database = Database(settings.store.url)  # opening it migrates it
    database.close()
    if is_new:
        echo(f"{translate('new database')}: {path}")
        return
    if database.copied_to is not None:
        echo(f"{translate('copy before migration')}: {database.copied_to}")
    echo(translate("up to date"))


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Copy the database, even while the daemon runs. The copy is verified and safely on disk when the command ends."""
    from incident_engine.store.backup import copy_database, refuse_as_target

    translate = translator_for(lang)
    settings, _ = read_settings(config)
    path = _file(settings.store.url, translate)
    refuse_as_target(path, file)  # --force must not overwrite the database itself
    if file.exists() and not force:
        echo(f"{file} {translate('file exists')}", err=True)
        raise typer.Exit(1)
    _print_contents(translate("backed up"), file, copy_database(path, file), translate)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy made by `backup`.")],
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Replace the database with a backup. The previous database is kept beside it. Stop the daemon first."""
    from incident_engine.common.clock import SystemClock
    from incident_engine.store.backup import restore_database

    translate = translator_for(lang)
    settings, _ = read_settings(config)
    path = _file(settings.store.url, translate)
    contents, previous = restore_database(file, path, SystemClock().now())
    _print_contents(translate("database restored"), path, contents, translate)
    if previous is not None:
        echo(f"{translate('old database')} {previous}")
    echo(translate("messages sent again"))


def archive(
    *,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Change nothing; list the incidents to archive, and those to keep with the reason."
        ),
    ] = False,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Archive incidents closed longer ago than retention.closed_incidents, as the daemon does every night.

    Stop the daemon first if the database is a file. With --dry-run it may run.
    """
    import logging
    from contextlib import nullcontext

    from incident_engine.common.clock import SystemClock
    from incident_engine.common.telemetry import configure_logging
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.engine.factory import open_reader
    from incident_engine.engine.retention import ArchiveResult, due, run_alone
    from incident_engine.store.read_only import read_only

    configure_logging(sys.stderr, level=logging.WARNING)
    translate = translator_for(lang)
    settings, config_file = read_settings(config)
    if settings.retention.closed_incidents is None:
        echo(translate("no retention"))
        return
    # Incidents with open obligations are kept, and only the rules know the obligations.
    reader, now = open_reader(settings, load_rulebook(settings, config_file)), SystemClock().now()
    if dry_run:
        title, result = translate("would be archived"), ArchiveResult()
        with read_only(settings.store.url) as connection:
            for incident, hold in due(lambda: nullcontext(connection), settings.retention, reader, now):
                if hold is not None:
                    result.held[incident.id] = hold
                else:
                    result.archived.setdefault(str(settings.retention.directory), []).append(incident.id)
    else:
        title, result = translate("archived"), run_alone(settings, reader, now)
        result.archived = {str(settings.retention.directory / file): ids for file, ids in result.archived.items()}
    for id_, hold in result.held.items():
        echo(f"{translate('kept')}: {id_}: {translate(hold.value)}")
    for file, ids in result.archived.items():
        echo(f"{title}: {len(ids)} → {file}")
        for id_ in ids:
            echo(f"  {id_}")
    echo(f"{title}: {sum(map(len, result.archived.values()))}, {translate('kept')}: {len(result.held)}")


def _file(url: str, translate: "Translator") -> Path:
    """Return the path of a SQLite database. Prints an error and exits with 1 for any other database."""
    from sqlalchemy import make_url

    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        echo(f"store.url {translate('not a database file')}", err=True)
        raise typer.Exit(1)
    return Path(parsed.database or "")


def _print_contents(title: str, file: Path, contents: "Contents", translate: "Translator") -> None:
    size = f"{file.stat().st_size / 1_000_000:.1f} MB"
    rows = ", ".join(f"{name} {contents.rows[name]}" for name in ("cases", "events", "deliveries"))
    echo(f"{title}: {file} ({size}, {translate('schema')} {contents.revision}; {translate('rows')}: {rows})")
