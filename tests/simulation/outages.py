"""Stories of outages as monitors and people tell them: late, twice, in the wrong order."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from simulation.clock import HOUR, MINUTE, SECOND

Told = tuple[int, str, dict[str, Any]]
"""When it happens, what kind of act it is, and its data."""
_SERVICES = ("core-banking", "counter", "mobile", "atm", "payments")
_REGIONS = ("CN-GD", "CN-HN", "CN-ZJ", "CN-SC", "CN-BJ", "CN-SH")


def outage_story(rng: Random, name: str, start: datetime, begins: int) -> Iterator[Told]:
    """Yield what happens in one story, in no order."""
    monitor = _Monitor(rng, name, start)
    plot, weight = zip(*_PLOTS.items(), strict=True)
    yield from rng.choices(plot, weight)[0](rng, monitor, begins)
    yield from _people(rng, name, begins)
    yield from _maintenance(rng, monitor, begins)


class _Monitor:
    """Reports outages of one service over a net that delays, doubles and loses."""

    def __init__(self, rng: Random, name: str, start: datetime) -> None:
        self._rng = rng
        self.name = name
        self._start = start
        self._count = 0
        self.service = rng.choice(_SERVICES)
        self.regions = rng.sample(_REGIONS, rng.choice([1, 1, 2, 2, 3, 5]))
        self._late = rng.choice([0.0, 0.0, 0.2, 0.5])
        self._ahead = rng.choice([0, 0, 0, 0, 2 * SECOND, 40 * SECOND, -MINUTE])
        """By how much its clock is ahead of the true time, for the one half of its machines that is."""

    def wire(self, at: int) -> str:
        """Return an instant of true time as it stands in an event."""
        at += self._ahead if self._ahead and self._rng.random() < 0.5 else 0
        return (self._start + timedelta(microseconds=at)).isoformat()

    def true_wire(self, at: int) -> str:
        """Return an instant of true time by a clock that is right."""
        return (self._start + timedelta(microseconds=at)).isoformat()

    def says(self, kind: str, at: int, regions: list[str], signal: str | None = None, **more: Any) -> Iterator[Told]:
        """Yield the arrivals of one event."""
        self._count += 1
        document: dict[str, Any] = {
            "source": "monitor",
            "id": f"{self.name}/{self._count}",
            "type": kind,
            "service": self.service,
            "regions": regions,
            "occurred_at": self.wire(at),
        }
        document |= {"data": {"signal": signal}} if signal else {}
        yield self.arrival(at), "event", {"document": document | more, "story": self.name}
        if self._rng.random() < 0.15:  # sent again
            again = at + self._rng.choice([0, SECOND, 10 * MINUTE, 5 * HOUR])
            yield again + SECOND, "event", {"document": document | more, "story": self.name}
        if self._rng.random() < 0.04:  # its counter began anew, or the recovery has the id of the problem
            other = {"type": self._rng.choice(["outage.started", "outage.restored"]), "data": {}}
            other |= {"regions": self._rng.sample(_REGIONS, 1), "occurred_at": self.wire(at + MINUTE)}
            yield at + self._rng.choice([SECOND, MINUTE, HOUR]), "event", {"document": document | other, "story": None}

    def arrival(self, at: int) -> int:
        """Return when word of something arrives."""
        if self._rng.random() < self._late:
            return at + int(self._rng.uniform(0, self._rng.choice([2 * MINUTE, HOUR, 8 * HOUR])))
        return at + self._rng.choice([0, SECOND, 15 * SECOND, self._rng.randrange(MINUTE)])


def _blip(rng: Random, monitor: _Monitor, begins: int) -> Iterator[Told]:
    """Yield something too small for any level."""
    yield from monitor.says("outage.started", begins, monitor.regions[:1])
    yield from monitor.says("outage.restored", begins + rng.randrange(15 * MINUTE), monitor.regions[:1])


def _long(rng: Random, monitor: _Monitor, begins: int) -> Iterator[Told]:
    """Yield an outage that spreads from region to region and is repaired in pieces, or not at all."""
    ends = begins + int(rng.choice([HOUR, 4 * HOUR, 7 * HOUR, 30 * HOUR]) * rng.uniform(0.5, 1.5))
    kind = rng.choice(["outage.started", "outage.started", "outage.degraded"])
    at = begins
    for region in monitor.regions:
        yield from monitor.says(kind, at, [region])
        if kind == "outage.degraded" and rng.random() < 0.5:
            yield from monitor.says("outage.started", at + rng.randrange(HOUR), [region])
        at = min(ends, at + rng.randrange(2 * HOUR))
    if rng.random() < 0.85:
        together = rng.random() < 0.5
        for part in [monitor.regions] if together else [[region] for region in monitor.regions]:
            yield from monitor.says("outage.restored", ends + (0 if together else rng.randrange(HOUR)), part)
    if rng.random() < 0.3:  # it comes back: within the window, or as another incident
        again = ends + rng.choice([3 * MINUTE, HOUR, 5 * HOUR])
        yield from monitor.says("outage.started", again, monitor.regions[:1])
        yield from monitor.says("outage.restored", again + rng.randrange(4 * HOUR), monitor.regions[:1])


def _flapping(rng: Random, monitor: _Monitor, begins: int) -> Iterator[Told]:
    """Yield signals that come and go, some of which never end until a restoration without a signal."""
    at = begins
    for _ in range(rng.randint(4, 14)):
        signal = rng.choice([None, "ping", "login"])
        region = rng.choice(monitor.regions)
        yield from monitor.says("outage.started", at, [region], signal)
        at += int(rng.choice([30 * SECOND, 4 * MINUTE, 20 * MINUTE]) * rng.uniform(0.3, 2))
        if rng.random() < 0.85:
            yield from monitor.says("outage.restored", at, [region], signal)
        at += int(rng.choice([0, MINUTE, 6 * MINUTE]) * rng.uniform(0, 2))
    yield from monitor.says("outage.restored", at + MINUTE, monitor.regions)


def _reversed(rng: Random, monitor: _Monitor, begins: int) -> Iterator[Told]:
    """Yield an outage of which the end becomes known first."""
    ends = begins + rng.randrange(5 * HOUR)
    for at, kind, data in monitor.says("outage.restored", ends, monitor.regions):
        yield min(at, ends + MINUTE), kind, data
    for at, kind, data in monitor.says("outage.started", begins, monitor.regions):
        yield max(at, ends + 2 * MINUTE), kind, data


def _harm(rng: Random, monitor: _Monitor, begins: int) -> Iterator[Told]:
    """Yield a harm without any outage: data that leaked."""
    said = {
        "kind": rng.choice(["customers", "bank", "public"]),
        "seriousness": rng.choice(["considerable", "serious", "particularly_serious"]),
        "cause": "data_leak",
        "by": "王敏",
        "reason": "客户资料外泄",
    }
    yield from monitor.says("harm.assessed", begins, monitor.regions, data=said)


def _storm(rng: Random, monitor: _Monitor, begins: int) -> Iterator[Told]:
    """Yield an outage that many signals report at one instant, and end at another."""
    signals = [f"s{number}" for number in range(rng.randint(3, 12))]
    ends = begins + rng.randrange(6 * HOUR)
    for kind, at in (("outage.started", begins), ("outage.restored", ends)):
        for signal in signals:
            for arrives, act, data in monitor.says(kind, at, monitor.regions, signal):
                yield max(at + 30 * SECOND, arrives - arrives % MINUTE), act, data


def _again(rng: Random, monitor: _Monitor, begins: int) -> Iterator[Told]:
    """Yield what Alertmanager tells of an alert that fires again and again with its old start.

    Its messages come in order, each until it is answered. Some come twice, and some that are older are repeated.
    """
    alert = {
        "labels": {"service": monitor.service, "region": ALERTED_REGION, "alertname": "Down"},
        "startsAt": monitor.true_wire(begins),
        "fingerprint": f"{rng.getrandbits(64):016x}",
    }
    at, ends = begins, [begins]
    for _ in range(rng.randint(1, 5)):
        at += int(rng.uniform(10 * SECOND, 10 * MINUTE))
        ends.append(at)
        firing = {**alert, "status": "firing", "endsAt": "0001-01-01T00:00:00Z"}
        older = [{**alert, "status": "resolved", "endsAt": monitor.true_wire(end)} for end in ends[1:-2]]
        resolved = {**alert, "status": "resolved", "endsAt": monitor.true_wire(at)}
        messages = [firing] * rng.choice([1, 1, 2]) + rng.sample(older, min(len(older), rng.choice([0, 1])))
        if rng.random() < 0.2:
            messages = []  # the firing was missed: the group's interval was longer
        messages += [resolved] * rng.choice([1, 1, 2])
        for number, message in enumerate(messages):
            yield at + 30 * SECOND + number * SECOND, "alert", {"alert": message, "story": monitor.name}
    if rng.random() < 0.2:
        last = {**alert, "status": "firing", "endsAt": "0001-01-01T00:00:00Z"}
        yield at + 5 * MINUTE, "alert", {"alert": last, "story": monitor.name}


ALERTED_REGION = "CN-XZ"
"""A region of which nobody tells but Alertmanager, so that it is known what must come of it."""


_PLOTS: dict[Callable[[Random, _Monitor, int], Iterator[Told]], int] = {
    _blip: 2,
    _long: 6,
    _flapping: 3,
    _reversed: 2,
    _harm: 1,
    _storm: 2,
    _again: 2,
}


def _maintenance(rng: Random, monitor: _Monitor, begins: int) -> Iterator[Told]:
    """Yield maintenance that was announced before, and is sometimes told of too late."""
    if rng.random() < 0.2:
        announced = max(0, begins - rng.randrange(3 * HOUR))
        window = {"start": monitor.wire(begins), "end": monitor.wire(begins + rng.choice([HOUR, 3 * HOUR]))}
        yield from monitor.says("maintenance.announced", announced, monitor.regions, data=window)


def _people(rng: Random, name: str, begins: int) -> Iterator[Told]:
    """Yield what people say of it without being asked, and when they try to close it."""
    for _ in range(rng.choice([0, 1, 3, 6])):
        at = begins + rng.randrange(8 * HOUR)
        yield at, "person", {"story": name, "says": rng.choice(_SAYS), "dice": rng.random()}
    for _ in range(rng.choice([0, 1, 2, 4])):
        at = begins + rng.randrange(40 * HOUR)
        yield at, "person", {"story": name, "says": "close", "dice": rng.random()}


_SAYS = (
    "estimate",
    "estimate",
    "correct",
    "harm",
    "repair",
    "plan",
    "impact",
    "note",
    "task",
    "step",
    "write",
    "lesson",
)
