"""The events of a case that people reported, by their type."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from incident_engine.domain.events.types import BaseEvent

E = TypeVar("E", bound=BaseEvent)


@dataclass(frozen=True, slots=True)
class EventsByType:
    """Finds a case's events by their class. Each class keeps the order in which the events occurred."""

    by_class: Mapping[type[BaseEvent], tuple[BaseEvent, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[BaseEvent]) -> "EventsByType":
        """Return events, given in order of occurrence, by their class."""
        by_class: dict[type[BaseEvent], list[BaseEvent]] = {}
        for event in events:
            by_class.setdefault(type(event), []).append(event)
        return cls({kind: tuple(same) for kind, same in by_class.items()})

    def get(self, kind: type[E]) -> tuple[E, ...]:
        """Return the events of one class, in order of occurrence."""
        key: Any = kind
        events: Any = self.by_class.get(key, ())  # Any, not `cast`, which is a call: an update makes a hundred of them
        of_kind: tuple[E, ...] = events
        return of_kind

    def replaced(self, kind: type[E], events: Iterable[E]) -> "EventsByType":
        """Return the events with those of one class replaced by `events`."""
        others = (event for same in self.by_class.values() for event in same if type(event) is not kind)
        return EventsByType.of([*others, *cast("Iterable[BaseEvent]", events)])

    def instants(self, types: Collection[str]) -> list[datetime]:
        """Return when events of these types occurred: in order, each instant once."""
        return sorted(
            {e.occurred_at for same in self.by_class.values() if cast("Any", same[0]).type in types for e in same}
        )
