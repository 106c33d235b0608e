"""Settings of the watchdog, with which the daemon supervises itself."""

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
        raise invalid("0s is no limit", "a length of time, such as 10s")
    return length


def _over_heartbeats(length: timedelta) -> timedelta:
    if length < _TWO_HEARTBEATS:  # healthy timers would be reported between two beats
        raise invalid("shorter than two heartbeats of the timers", "at least 10s")
    return length


_TWO_HEARTBEATS = timedelta(seconds=10)
Limit = Annotated[Duration, AfterValidator(_positive)]


class WatchdogSettings(Strict):
    """The watchdog: its interval, its limits and the people it notifies.

    With the defaults it reports every problem within a minute.
    """

    audience: tuple[Identifier, ...] = ()
    """Audiences, rotations and contacts to notify, directly over their channels.

    Without any, problems only show in /readyz, the metrics and the log.
    """
    interval: Limit = timedelta(seconds=10)
    """The time between two checks."""
    overdue: Limit = timedelta(seconds=30)
    """The most that a timer or a delivery may be late; it is reported when two checks in a row find it late."""
    worker: Annotated[Duration, AfterValidator(_over_heartbeats)] = timedelta(seconds=20)
    """The longest time for one task of the writer, the dispatcher or the timers, or for one read of the database."""
    loop: Limit = timedelta(seconds=5)
    """The longest response time of the event loop."""
    deadline: Limit = timedelta(minutes=15)
    """The time before its deadline from which a failing statutory notice is reported as at risk."""
    clock: Limit = timedelta(seconds=5)
    """The most that the clock may jump between two checks, or differ from the database server's clock."""
    ahead: Limit = timedelta(minutes=1)
    """The most that a new event may be ahead of this machine's clock."""
    quiet: Duration = timedelta(minutes=1)
    """The time without a further observation after which a problem is over."""
    pause: Duration = timedelta(minutes=15)
    """The shortest time between two notices of the same kind."""


class QuarantineSettings(Strict):
    """The reports that nobody grades, such as alerts without a known service: when and to whom they are told."""

    tell_after: Duration = timedelta(minutes=2)
    """The time in quarantine after which the duty team is paged. One message tells of all."""
    audience: tuple[Identifier, ...] = ()
    """Audiences, rotations and contacts to page. Default: the audience that the chosen playbooks page at a level."""


def watchdog_problems(settings: WatchdogSettings, quarantine: QuarantineSettings, people: People) -> Iterator[Problem]:
    """Yield a problem for each name in the audiences that does not exist."""
    for section, audience in (("watchdog", settings.audience), ("quarantine", quarantine.audience)):
        for index, name in enumerate(audience):
            path = (section, "audience", index)
            yield from unknown_problems(path, "audience, rotation or contact", name, people.names)
