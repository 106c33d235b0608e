"""The lines that the daemon prints when it has started: its addresses, and an event to try it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from incident_engine.cli.output import PROGRAM
from incident_engine.common.i18n import Translator
from incident_engine.config.settings import Settings
from incident_engine.intake.registry import FORMATS

_EXAMPLE_BANK = "Cloudsail Bank"


def banner_lines(
    settings: Settings, config_file: Path, url: str, now: datetime, translate: Translator
) -> Iterator[str]:
    """Yield the lines about a daemon that listens at `url`."""
    native, *others = FORMATS
    addresses = [f"POST {url}{native.path}", *(f"{other.name}: POST {url}{other.path}" for other in others)]
    outboxes = [str(c.directory) for c in settings.channels.values() if c.type == "outbox"]
    # 40 minutes ago, because the shipped pack gives its first level after 30.
    started = (now - timedelta(minutes=40)).isoformat(timespec="seconds")
    event = (
        f'{{"source":"me","id":"1","type":"outage.started","service":"{settings.services[0].id}",'
        f'"regions":["CN-GD"],"occurred_at":"{started}"}}'
    )
    rows = {
        "push events": "    ".join(addresses),
        "web pages": f"{url}/docs    {url}/api/v1/incidents",
        "metrics": f"{url}/metrics",
        "messages": ", ".join(outboxes) or "—",
        "try it": f"curl -s {url}{native.path} -d '{event}'",
    }
    yield f"{PROGRAM} · {settings.bank.name.in_(translate.locale)} · {config_file}"
    if settings.bank.name.en == _EXAMPLE_BANK:
        yield f"  ! {translate('shipped bank')}"
    for key, value in rows.items():
        yield f"  {translate(key)}: {value}"
    yield f"  {translate('how to stop')}"
