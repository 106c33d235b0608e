"""The names under which the engine itself reports events; nobody outside may use them."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from incident_engine.common.errors import Path, Problem
from incident_engine.domain.events.types import API, ITSELF, LINK, BaseEvent

RESERVED_SOURCES = frozenset({ITSELF, API, LINK})


def reserved_problems(event: BaseEvent, path: Path = ()) -> Iterator[Problem]:
    """Yield a problem if an event from outside has a reserved source, or names the engine as the person.

    `path` leads to the event. Such an event could pass for the engine's own, for example a closing by itself.
    """
    if _folded(event.source) in RESERVED_SOURCES:
        expected = f"a name of your own; reserved are {', '.join(sorted(RESERVED_SOURCES))}"
        yield Problem((*path, "source"), f"source '{event.source}' is reserved", expected)
    yield from reserved_person(getattr(event, "data", None), (*path, "data"))


def reserved_person(data: Any, path: Path = ()) -> Iterator[Problem]:
    """Yield a problem if `by` names the engine. `data` is an event's data or another model with a person's name."""
    by = getattr(data, "by", None)
    if isinstance(by, str) and _folded(by) == ITSELF:
        yield Problem((*path, "by"), f"'{by}' is reserved for the engine itself", "the name of a person")


@lru_cache(maxsize=4_096)  # senders and people are few, their events many
def _folded(name: str) -> str:
    # A reader would take "Incident-Engine" or full-width letters for the engine, too.
    return unicodedata.normalize("NFKC", name).strip().casefold()
