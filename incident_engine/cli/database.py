"""`migrate`, `backup`, `restore` and `archive`: the database as a thing to be kept."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_engine.cli.options import Config, Lang, read_settings, translator_for

if TYPE_CHECKING:
    from incident_engine.common.i18n import Translator
    from incident_engine.store.backup import Contents


def migrate(
    *,
    only_check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if there is something to be done.")
    ] = False,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Bring the database to this version's schema, as `serve` does at its start. A copy is kept beside it."""
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
            way = migration_path(connection, path)
        typer.echo(f"{path}: {translate('schema')} {' → '.join((way.current or translate('new'), *way.revisions))}")
        if not way.revisions:
            typer.echo(translate("up to date"))
            return
        if only_check:
            typer.echo(translate("to be migrated"), err=True)
            raise typer.Exit(1)
    is_new = not path.exists()
    database = Database(settings.store.url)
    database.close()
    if is_new:
        typer.echo(f"{translate('new database')}: {path}")
        return
    if database.copied_to is not None:
        typer.echo(f"{translate('copy before')}: {database.copied_to}")
    typer.echo(translate("up to date"))


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Copy the database, also beside a running daemon. The copy is verified, and on disk when this ends."""
    from incident_engine.store.backup import copy_database, refuse_as_target

    translate = translator_for(lang)
    settings, _ = read_settings(config)
    path = _file(settings.store.url, translate)
    refuse_as_target(path, file)
    if file.exists() and not force:
        typer.echo(f"{file} {translate('exists')}", err=True)
        raise typer.Exit(1)
    _tell(translate("backed up"), file, copy_database(path, file), translate)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy made by `backup`.")],
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Put a backup in the place of the database, which is kept beside it. The daemon must be stopped."""
    from incident_engine.common.clock import SystemClock
    from incident_engine.store.backup import restore_database

    translate = translator_for(lang)
    settings, _ = read_settings(config)
    path = _file(settings.store.url, translate)
    found, kept = restore_database(file, path, SystemClock().now())
    _tell(translate("restored database"), path, found, translate)
    if kept is not None:
        typer.echo(f"{translate('old database')} {kept}")
    typer.echo(translate("sent again"))


def archive(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; print what would be archived, and what is kept and why.")
    ] = False,
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Archive incidents that were closed long enough ago (retention.closed_incidents), as the daemon does every night.

    With --dry-run beside a running daemon; without, the daemon on a database file must be stopped.
    """
    import logging
    from contextlib import nullcontext

    from incident_engine.common.clock import SystemClock
    from incident_engine.common.telemetry import configure_logging
    from incident_engine.config.rulebook import load_rulebook
    from incident_engine.engine.reader import Reader
    from incident_engine.engine.retention import ArchiveResult, due, run_alone
    from incident_engine.store.read_only import read_only

    configure_logging(sys.stderr, level=logging.WARNING)
    translate = translator_for(lang)
    settings, config_file = read_settings(config)
    if settings.retention.closed_incidents is None:
        typer.echo(translate("no retention"))
        return
    reader, now = Reader(settings, load_rulebook(settings, config_file)), SystemClock().now()
    if dry_run:
        done, found = translate("would be archived"), ArchiveResult()
        with read_only(settings.store.url) as connection:
            for ended, hold in due(lambda: nullcontext(connection), settings.retention, reader, now):
                if hold is not None:
                    found.held[ended.id] = hold
                else:
                    found.archived.setdefault(str(settings.retention.directory), []).append(ended.id)
    else:
        done, found = translate("archived"), run_alone(settings, reader, now)
        found.archived = {str(settings.retention.directory / file): names for file, names in found.archived.items()}
    for name, hold in found.held.items():
        typer.echo(f"{translate('kept')}: {name}: {translate(hold.value)}")
    for file, names in found.archived.items():
        typer.echo(f"{done}: {len(names)} → {file}")
        for name in names:
            typer.echo(f"  {name}")
    typer.echo(f"{done}: {sum(map(len, found.archived.values()))}, {translate('kept')}: {len(found.held)}")


def _file(url: str, translate: "Translator") -> Path:
    """Return the database's file; exits with 1 if it is no file."""
    from sqlalchemy import make_url

    given = make_url(url)
    if given.get_backend_name() != "sqlite":
        typer.echo(f"store.url {translate('not a file')}", err=True)
        raise typer.Exit(1)
    return Path(given.database or "")


def _tell(done: str, file: Path, found: "Contents", translate: "Translator") -> None:
    size = f"{file.stat().st_size / 1_000_000:.1f} MB"
    held = ", ".join(f"{name} {found.rows[name]}" for name in ("cases", "events", "deliveries"))
    typer.echo(f"{done}: {file} ({size}, {translate('schema')} {found.revision}; {translate('rows')}: {held})")
