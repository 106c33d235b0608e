"""The points that a regulation leaves open, and a pack's interpretation of each."""

from collections.abc import Iterator
from enum import StrEnum

from incident_engine.common.validation import Strict


class HoursClock(StrEnum):
    """Which minutes of an outage count."""

    SERVICE_HOURS = "service_hours"
    """Those in which the service is open, without announced maintenance."""
    UNPLANNED = "unplanned"
    """All minutes without announced maintenance."""
    WALL_CLOCK = "wall_clock"
    """All minutes."""


class Counting(StrEnum):
    """How a limit on several regions counts their downtime."""

    OWN = "own"
    """Each region by its own total."""
    CONCURRENT = "concurrent"
    """The total time in which the same regions are down at once."""


class Flapping(StrEnum):
    """How repeated outages of one incident count."""

    ACCUMULATE = "accumulate"
    """They add up until the incident ends."""
    LONGEST_RUN = "longest_run"
    """Only the longest outage counts. Closed hours do not break it, restored service does."""


class Degraded(StrEnum):
    """Whether degraded service counts as downtime."""

    COUNTS = "counts"
    DOWN_ONLY = "down_only"


class Services(StrEnum):
    """How outages of several services in one region count."""

    UNION = "union"
    """The time in which any of the services is out; no minute counts twice."""
    PER_SERVICE_MAX = "per_service_max"
    """The total of the service that is out longest."""


class OutsideHours(StrEnum):
    """Whether an unrepaired failure outside service hours is graded by its expected duration."""

    FORECAST = "forecast"
    OFF = "off"


class InterpretationPoint(StrEnum):
    """The fields of `Interpretation`."""

    COUNTING = "counting"
    FLAPPING = "flapping"
    DEGRADED = "degraded"
    SERVICES = "services"
    CLOCK = "clock"
    OUTSIDE_HOURS = "outside_hours"


class Interpretation(Strict):
    """A pack's interpretation of the points that its regulation leaves open."""

    counting: Counting = Counting.OWN
    flapping: Flapping = Flapping.ACCUMULATE
    degraded: Degraded = Degraded.COUNTS
    services: Services = Services.UNION
    clock: HoursClock = HoursClock.SERVICE_HOURS
    outside_hours: OutsideHours = OutsideHours.FORECAST

    def alternatives(self) -> Iterator[tuple[InterpretationPoint, StrEnum, "Interpretation"]]:
        """Yield each interpretation that differs in one point: (point, its other value, interpretation)."""
        for point in InterpretationPoint:
            chosen: StrEnum = getattr(self, point)
            for other in type(chosen):
                if other is not chosen:
                    yield point, other, self.model_copy(update={point.value: other})
