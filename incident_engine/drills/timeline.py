"""Read and show the timelines of the incidents of a drill."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2

from incident_engine.common.i18n import Translator
from incident_engine.documents.timeline_text import timeline_line
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.values import LOCALES

_PAGE = 200


class TimelineReader:
    """Reads the timelines of the drill's incidents and shows their new entries."""

    def __init__(
        self, client: httpx2.AsyncClient, rulebook: Rulebook, translate: Translator, show: Callable[[str], None]
    ) -> None:
        self._client = client
        self._packs = {pack.pack: pack for pack in rulebook.packs}
        self._translate = translate
        self._show = show
        self._shown: set[str] = set()

    async def show_new(self) -> None:
        """Show the entries added since the last call."""
        for entry in await self._entries():
            line = timeline_line(entry, self._packs, self._translate)
            if line is not None and line not in self._shown:
                self._shown.add(line)
                self._show(line)

    async def incidents(self) -> list[dict[str, Any]]:
        """Return the documents of all incidents, after showing their new entries."""
        await self.show_new()
        return [(await self._client.get(f"/api/v1/incidents/{name}")).json() for name in await self._ids()]

    async def by_locale(self) -> dict[str, list[str]]:
        """Return the lines of all timelines in order of time, by language."""
        entries = sorted(await self._entries(), key=lambda entry: datetime.fromisoformat(entry["at"]))
        timelines: dict[str, list[str]] = {}
        for locale in LOCALES:
            lines = [timeline_line(entry, self._packs, Translator(locale)) for entry in entries]
            timelines[locale] = list(dict.fromkeys(line for line in lines if line is not None))
        return timelines

    async def _entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        for name in await self._ids():
            timeline = (await self._client.get(f"/api/v1/incidents/{name}/timeline")).json()["timeline"]
            # A delivery without an outcome is shown later, with its outcome; its line would stand there twice.
            entries += [entry for entry in timeline if entry["kind"] != "delivery" or entry["outcome"] is not None]
        return entries

    async def _ids(self) -> list[str]:
        listed = (await self._client.get("/api/v1/incidents", params={"limit": _PAGE})).json()["incidents"]
        return sorted(incident["id"] for incident in listed)
