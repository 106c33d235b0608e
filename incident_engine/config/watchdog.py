"""How the daemon watches itself, and whom it tells."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from incident_engine.common.errors import Problem
from incident_engine.common.validation import Strict, invalid, unknown_problems
from incident_engine.config.people import People
from incident_engine.domain.values import Duration, Identifier


def _positive(length: timedelta) -> timedelta:
    if length <= timedelta(0):
        raise invalid("0s, which is no limit", "a length of time, such as 10s")
    return length


def _over_heartbeats(length: timedelta) -> timedelta:
    if length < _TWO_HEARTBEATS:
        raise invalid("shorter than two beats of the timers' heart", "10s at least")
    return length


_TWO_HEARTBEATS = timedelta(seconds=10)
Limit = Annotated[Duration, AfterValidator(_positive)]


class WatchdogSettings(Strict):
    """How often the daemon looks at itself, from when on something is wrong, and who is told.

    With the defaults everything is seen within a minute.
    """

    audience: tuple[Identifier, ...] = ()
    """Audiences, rotations and contacts who are told, over their channels directly; nobody: only /readyz, metrics, log.
    """
    interval: Limit = timedelta(seconds=10)
    overdue: Limit = timedelta(seconds=30)
    """How late a timer or a delivery may be; it counts when two looks in a row have seen it."""
    worker: Annotated[Duration, AfterValidator(_over_heartbeats)] = timedelta(seconds=20)
    """How long the writer, the dispatcher, the timers or a read of the store may be at the same thing."""
    loop: Limit = timedelta(seconds=5)
    """How long the event loop may take to answer."""
    deadline: Limit = timedelta(minutes=15)
    """How long before its deadline a statutory notice that fails is at risk."""
    clock: Limit = timedelta(seconds=5)
    """How far the clock may step between two looks, and differ from the database's."""
    ahead: Limit = timedelta(minutes=1)
    """How far ahead of this machine's clock a new event may lie."""
    quiet: Duration = timedelta(minutes=1)
    """How long something must not have been seen before it is over."""
    pause: Duration = timedelta(minutes=15)
    """How long after a notice of one kind the next one of it may go out."""


def watchdog_problems(settings: WatchdogSettings, people: People) -> Iterator[Problem]:
    """Yield the names in the audience that nobody has."""
    for place, name in enumerate(settings.audience):
        yield from unknown_problems(
            ("watchdog", "audience", place), "audience, rotation or contact", name, people.names
        )
