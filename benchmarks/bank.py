"""The bank under load: the shipped configuration with services, database and outbox of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
LOAD = tuple(f"load-{number}" for number in range(8))
"""The services that are under load; two share a group."""


def load_services() -> list[dict[str, Any]]:
    """Return the services under load as config.yaml has them."""
    return [_service(name, f"load-group-{index // 2}") for index, name in enumerate(LOAD)]


def numbered_services(prefix: str, count: int) -> list[dict[str, Any]]:
    """Return services PREFIX-00000 and so on, each in a group of its own."""
    return [_service(name, name) for name in (numbered(prefix, number) for number in range(count))]


def numbered(prefix: str, number: int) -> str:
    """Return the id of a numbered service. All have the same length, so that one can replace another in a text."""
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
    """Return the SQLite file of this bank's daemon."""
    return directory / "incident-engine.db"


def sqlite_url(directory: Path) -> str:
    """Return the address of that file."""
    return f"sqlite:///{database(directory)}"


def _service(name: str, group: str) -> dict[str, Any]:
    return {"id": name, "name": {"zh-CN": name, "en": name}, "hours": "always", "group": group}
