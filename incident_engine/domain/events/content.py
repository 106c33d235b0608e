"""The content of an event, and where two events with one idempotency key differ in it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from incident_engine.common.errors import Conflict, Path
from incident_engine.domain.events.actions import StepCompleted
from incident_engine.domain.events.model import Event, LevelCorrected, Repeats, wire

_OF_ALERTS = frozenset({("type",), ("service",), ("regions",), ("occurred_at",), ("data", "signal")})
"""The fields that make an alert the same alert; a monitor gives the others new words with each evaluation."""
_SHOWN = _OF_ALERTS | {
    ("incident",),
    *(
        ("data", name)
        for name in ("step", "level", "pack", "fulfils", "report", "start", "end", "recovery_at", "due_at")
    ),
}
"""The fields whose values an error shows: names and instants of this system, never the words of people or customers."""
_SHOWN_LENGTH = 80


def conflicts(stored: Event, sent: Event, repeats: Repeats = Repeats.EXACT) -> list[Conflict]:
    """Return a problem for each field in which an event differs from the stored one with the same key.

    Paths begin at the event. Order and spelling of regions, the spelling of instants and fields that the engine filled
    in make no difference.
    """
    before, now = _content(stored), _content(sent)
    # Filled in when the event was stored; the same request, sent again, lacks them again.
    for kind, name in ((LevelCorrected, "pack"), (StepCompleted, "fulfils")):
        if isinstance(sent, kind) and isinstance(stored, kind) and now["data"].get(name) is None:
            now["data"][name] = before["data"].get(name)
    different = [path for path in _different(before, now) if _counts(path, repeats)]
    return [
        Conflict(
            path,
            f"event '{sent.id}' of '{sent.source}' is known with {_shown(path, before)}, not {_shown(path, now)}",
            "the same content again, or another id for another event",
        )
        for path in different
    ]


def contradictions(events: Iterable[Event]) -> Iterator[tuple[int, Conflict]]:
    """Yield the index and the problem of each field in which an event contradicts an earlier one with its key."""
    first: dict[tuple[str, str], Event] = {}
    for index, event in enumerate(events):
        earlier = first.setdefault((event.source, event.id), event)
        if earlier is not event:
            yield from ((index, conflict) for conflict in conflicts(earlier, event))


def _content(event: Event) -> dict[str, Any]:
    document = wire(event)
    if "regions" in document:
        document["regions"] = sorted(document["regions"])
    return document


def _counts(path: Path, repeats: Repeats) -> bool:
    if repeats is Repeats.ALERTS:
        return path in _OF_ALERTS
    return repeats is not Repeats.STAMPED or path != ("occurred_at",)


def _different(before: Mapping[str, Any], now: Mapping[str, Any], at: Path = ()) -> Iterator[Path]:
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _different(old, new, (*at, name))
        elif old != new:
            yield (*at, name)


def _shown(path: Path, document: Mapping[str, Any]) -> str:
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if path not in _SHOWN and not isinstance(value, bool | int | float | None):
        return "other words"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value if value is not None else "nothing")
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"
