"""How a pack reads what its regulation leaves open; each point has a default and other values."""

from collections.abc import Iterator
from enum import StrEnum

from incident_engine.common.validation import Strict


class HoursClock(StrEnum):
    """Which minutes of an outage count."""

    SERVICE_HOURS = "service_hours"
    """Those in which the service is open, announced maintenance left out."""
    UNPLANNED = "unplanned"
    """Every minute, announced maintenance left out."""
    WALL_CLOCK = "wall_clock"
    """Every minute."""


class Counting(StrEnum):
    """How so many regions for so long are counted."""

    OWN = "own"
    """Each region by its own total."""
    CONCURRENT = "concurrent"
    """The same regions at the same time: the total that their outages have in common."""


class Flapping(StrEnum):
    """What repeated outages come to."""

    ACCUMULATE = "accumulate"
    """They add up until the incident ends."""
    LONGEST_RUN = "longest_run"
    """The longest without a break counts; the night in which a service is closed is none."""


class Degraded(StrEnum):
    """Whether a service that works badly counts."""

    COUNTS = "counts"
    DOWN_ONLY = "down_only"


class Services(StrEnum):
    """What several services in one region come to."""

    UNION = "union"
    """The time in which any of them was out, no minute twice."""
    PER_SERVICE_MAX = "per_service_max"
    """The longest of them."""


class OutsideHours(StrEnum):
    """Whether an unrepaired failure outside service hours is graded by what it may lead to."""

    FORECAST = "forecast"
    OFF = "off"


class Interpretation(Strict):
    """How a pack reads what its regulation leaves open."""

    counting: Counting = Counting.OWN
    flapping: Flapping = Flapping.ACCUMULATE
    degraded: Degraded = Degraded.COUNTS
    services: Services = Services.UNION
    clock: HoursClock = HoursClock.SERVICE_HOURS
    outside_hours: OutsideHours = OutsideHours.FORECAST

    def alternatives(self) -> Iterator[tuple[str, StrEnum, "Interpretation"]]:
        """Yield every reading that differs in one point: its name, the other value, the reading."""
        for name in type(self).model_fields:
            here: StrEnum = getattr(self, name)
            for other in type(here):
                if other is not here:
                    yield name, other, self.model_copy(update={name: other})
