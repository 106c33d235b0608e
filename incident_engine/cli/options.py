"""Options that several commands share, and the parsing of their values."""

from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from incident_engine.common.i18n import Translator
    from incident_engine.config.settings import Settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="The bank's config.yaml. Default: ./config.yaml, else the shipped one."
    ),
]
Lang = Annotated[
    str | None, typer.Option("--lang", metavar="zh-CN|en", help="The language of the output. Default: by LANG.")
]


def config_file(config: Path | None) -> Path:
    """Return the configuration file: the option's value, else ./config.yaml, else the shipped one."""
    from incident_engine.config.rulebook import SHIPPED  # imported here: --help must not wait for pydantic

    if config is not None:
        return config
    local = Path("config.yaml")
    return local if local.is_file() else SHIPPED / "config.yaml"


def read_settings(config: Path | None) -> tuple["Settings", Path]:
    """Return the settings by file and environment, and the file. Raises InvalidFilesError with every finding."""
    import os

    from incident_engine.config.settings import load_settings

    path = config_file(config)
    return load_settings(path, os.environ), path


def translator_for(lang: str | None) -> "Translator":
    """Return the translator into a language, by default that of the environment."""
    from incident_engine.cli.locale import locale_of
    from incident_engine.common.i18n import Translator

    if lang not in (None, "zh-CN", "en"):
        raise typer.BadParameter("expected zh-CN or en", param_hint="--lang")
    return Translator(lang or locale_of())


def instant_of(text: str | None, zone: tzinfo, option: str = "--at") -> datetime | None:
    """Parse an instant in ISO 8601; without an offset it is local time in `zone`. `option` is named in the error."""
    from incident_engine.domain.values import EARLIEST, LATEST  # imported here: --help must not wait for pydantic

    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("expected ISO 8601, such as 2013-06-23T11:05:00+08:00", param_hint=option) from None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=zone)
    if not EARLIEST <= instant < LATEST:
        raise typer.BadParameter("expected an instant from 1970 to 2199", param_hint=option)
    return instant


def day_of(text: str | None, option: str) -> date | None:
    """Parse a day in ISO 8601. `option` is named in the error."""
    from incident_engine.domain.values import EARLIEST, LATEST  # imported here: --help must not wait for pydantic

    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("expected a day, such as 2026-01-01", param_hint=option) from None
    if not EARLIEST.year <= day.year < LATEST.year:
        raise typer.BadParameter("expected a day from 1970-01-01 to 2199-12-31", param_hint=option)
    return day


def duration_of(text: str | None, option: str) -> timedelta | None:
    """Parse a duration such as 45m. `option` is named in the error."""
    from incident_engine.domain.values import parse_duration  # imported here: --help must not wait for pydantic

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
