"""The contract of an inbound format: an address, a description, and a parser of request bodies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from incident_engine.common.errors import Problem, TooLargeError
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event, Repeats


@dataclass(frozen=True, slots=True)
class IntakeContext:
    """The circumstances under which a body is parsed."""

    received_at: datetime
    max_clock_skew: timedelta
    max_events: int = 10_000
    max_quarantined: int = 1_000

    @property
    def latest(self) -> datetime:
        """Return the last instant at which an event may have occurred."""
        return self.received_at + self.max_clock_skew

    def check_count(self, number: int) -> None:
        """Check the number of events in a body. Raises TooLargeError if there are too many."""
        if number > self.max_events:
            message = f"the body has {number} events, more than {self.max_events} (intake.max_events)"
            raise TooLargeError(f"{message}; send it in parts, with fewer events each")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A report that cannot become an event and waits in quarantine."""

    key: str
    """Identifies the report within its source; a repeat has the same key."""
    reason: str
    detail: str
    document: Mapping[str, Any]
    times: int = 1
    """Number of reports with this key in the body."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one request body."""

    source: str
    """The source under which rejected reports are quarantined, and the label of metrics."""
    events: Sequence[Event | None]
    """In the order of the body; None stands for an invalid event, of which `problems` has the reasons."""
    problems: Sequence[Problem] = ()
    """If there are any, none of the events is stored. Paths begin with the index of the event."""
    more_problems: int = 0
    """Number of further problems, which were counted only."""
    rejected: Sequence[Rejected] = ()
    """Each report once, and no more than one request may put in quarantine."""
    dropped: int = 0
    """Number of rejected reports beyond these."""
    resolved: Sequence[str] = ()
    """Keys under which the quarantine may hold reports that the events replace."""
    future_count: int = 0
    """Number of reports that occurred too far ahead of this machine's clock."""
    own_count: int = 0
    """Number of reports about this engine itself, which are left out."""
    truncated: int = 0
    """Number of reports that the sender says it left out of the body."""
    is_array: bool = True
    """Whether the body held several events; if not, its own paths have no index."""

    def located(self, problems: Sequence[Problem]) -> list[Problem]:
        """Return problems with paths into the body instead of paths that begin with an index."""
        if self.is_array:
            return list(problems)
        return [replace(problem, path=problem.path[1:]) for problem in problems]


@dataclass(frozen=True, slots=True)
class Overrides:
    """The service and regions that a person, or the configuration, gives to a report in place of its own."""

    service: str | None = None
    """None keeps the report's own."""
    regions: tuple[str, ...] | None = None
    """None keeps the report's own."""


@dataclass(frozen=True, slots=True)
class FormatDocs:
    """The description of a format in OpenAPI."""

    summary: str
    description: str
    models: Mapping[str, Any]
    """Types that become schemas under /components/schemas, by name."""
    body: Mapping[str, Any]
    """The JSON Schema of a request body."""
    example: Mapping[str, Any] | None = None


class Format(ABC):
    """Parses the bodies of one kind of sender."""

    name: str
    """The sender's name as the banner of `serve` shows it."""
    path: str
    """The path of the POST requests."""
    source: str
    """The label of metrics for bodies that cannot be parsed."""
    has_quarantine: bool
    """Whether reports that cannot be mapped wait in quarantine; without it one problem refuses the whole body."""
    repeats: Repeats = Repeats.EXACT
    """How its senders repeat themselves."""
    docs: FormatDocs

    @abstractmethod
    def __init__(self, settings: Settings) -> None: ...

    @abstractmethod
    def parse(self, body: bytes, context: IntakeContext) -> Batch:
        """Return the events of a body.

        Safe in any thread. Raises MalformedBodyError if the body cannot be read, InvalidDocumentError if it is of
        another format, and TooLargeError if it has too many events.
        """

    @abstractmethod
    def map_document(
        self, document: Mapping[str, Any], overrides: Overrides, context: IntakeContext
    ) -> Sequence[Event]:
        """Return the events of one report, as `parse` would if it had the service and regions of `overrides`.

        The events have the report's own times, ids and signal. Raises InvalidDocumentError if it cannot be mapped.
        """

    def labels_for(self, overrides: Overrides) -> Mapping[str, str]:
        """Return the labels with which a sender would name this service and these regions; none if it has no labels."""
        return {}
