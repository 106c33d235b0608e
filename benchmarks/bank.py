"""The bank under load: the shipped configuration with services, database and outbox of the benchmark's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
LOAD = tuple(f"load-{number}" for number in range(8))
"""The services that are under load; two share a group."""


def load_services() -> list[dict[str, Any]]:
    """Return the services under load as config.yaml has them."""
    return [_service(name, f"load-group-{place // 2}") for place, name in enumerate(LOAD)]


def numbered_services(prefix: str, count: int) -> list[dict[str, Any]]:
    """Return services that each are a group of their own: PREFIX-00000 and so on."""
    return [_service(name, name) for name in (numbered(prefix, number) for number in range(count))]


def numbered(prefix: str, number: int) -> str:
    """Return the id of a numbered service; all are equally long, so that one can take another's place in a text."""
    return f"{prefix}-{number:05d}"


def configuration(
    directory: Path, services: Sequence[Mapping[str, Any]], url: str | None = None, **changes: Any
) -> Path:
    """Write config.yaml into a directory and return it; `changes` replace whole sections of the shipped one."""
    document = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    document["services"] = [dict(service) for service in services]
    document["store"] = {"url": url or sqlite_url(directory)}
    document["rules"] = {"directory": str(ROOT / "rules")}
    document["channels"] = {"outbox": {"type": "outbox", "directory": str(directory / "outbox")}}
    document |= changes
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def database(directory: Path) -> Path:
    """Return the file in which SQLite keeps what this bank's daemon knows."""
    return directory / "incident-engine.db"


def sqlite_url(directory: Path) -> str:
    """Return the address of that file."""
    return f"sqlite:///{database(directory)}"


def _service(name: str, group: str) -> dict[str, Any]:
    return {"id": name, "name": {"zh-CN": name, "en": name}, "hours": "always", "group": group}
