"""Named points in the code at which tests kill, break or pause the daemon. They do nothing unless one is armed.

`INCIDENT_ENGINE_FAULT=before_commit:3:kill` kills the process when it reaches that point for the third time. Only
`serve` reads the variable. A daemon that other machines can reach, or that has keys, refuses to start with it.
"""

import itertools
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from incident_engine.common.errors import IncidentEngineError, StartupError
from incident_engine.common.telemetry import logger

VARIABLE = "INCIDENT_ENGINE_FAULT"
_LINGER_SECONDS = 0.05
"""Time for the other threads before a kill: an answer sent too early must leave the process, or no test sees it."""


class Point(StrEnum):
    """A point at which the process can be made to fail."""

    DURING_MIGRATION = "during_migration"
    """The new schema is written but not committed."""
    DURING_RECOVERY = "during_recovery"
    """Deliveries of a dead process are due again, but that is not committed."""
    AFTER_APPEND = "after_append"
    """An event is appended, but its incident is not updated yet."""
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"
    """The transaction is on disk, but the senders have no answer yet."""
    AFTER_CLAIM = "after_claim"
    """A delivery is claimed on disk, but sending has not started."""
    BEFORE_SEND = "before_send"
    AFTER_SEND = "after_send"
    """The receiver has confirmed the message, but the confirmation is not processed yet."""
    BEFORE_RECORD = "before_record"
    """The writer is about to record the outcome of a delivery."""


class FailAction(StrEnum):
    """The effect of an armed point."""

    KILL = "kill"
    """SIGKILL, which the process sees as a power cut."""
    RAISE = "raise"
    """An unforeseen exception."""
    PAUSE = "pause"
    """SIGSTOP: the process stands still until it gets SIGCONT."""


class InjectedFaultError(IncidentEngineError):
    """The exception of `FailAction.RAISE`."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """Acts when the process reaches a point for the `count`-th time (counted from 1), and only then."""

    point: Point
    count: int
    action: FailAction
    _visits: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1), compare=False, repr=False)

    def visit(self, point: Point) -> None:
        """Count a visit to a point, and act if it is the one to fail at."""
        # next() on a count is atomic: several threads may visit at once.
        if point is not self.point or next(self._visits) != self.count:
            return
        if self.action is FailAction.RAISE:
            raise InjectedFaultError(f"{VARIABLE} asked for this at '{point}'")
        time.sleep(_LINGER_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL if self.action is FailAction.KILL else signal.SIGSTOP)


class _Switch:
    """Holds the armed fault; None outside tests."""

    armed: Failpoint | None = None


def reach(point: Point) -> None:
    """Visit a point."""
    armed = _Switch.armed  # one attribute read: this runs for every event in production
    if armed is not None:
        armed.visit(point)


def arm(fault: Failpoint | None) -> None:
    """Arm a fault; None disarms."""
    _Switch.armed = fault


def arm_for_tests(fault: Failpoint | None, *, is_exposed: bool) -> None:
    """Arm a fault and log it; None disarms. Raises StartupError if other machines can reach the daemon."""
    if fault is not None and is_exposed:
        raise StartupError(
            f"{VARIABLE} is set, which makes the daemon fail on purpose; it is only for tests, on a loopback "
            "address and without keys. Unset it"
        )
    arm(fault)
    if fault is not None:
        logger("daemon").warning(
            "fault_armed", reason="for_tests", point=fault.point, count=fault.count, action=fault.action
        )


def failpoint_from(environment: Mapping[str, str]) -> Failpoint | None:
    """Return the fault in the environment, None if there is none. Raises StartupError if it is malformed."""
    text = environment.get(VARIABLE)
    if not text:
        return None
    point, _, rest = text.partition(":")
    count, _, action = rest.partition(":")
    try:
        fault = Failpoint(Point(point), int(count), FailAction(action))
    except ValueError:
        fault = None
    if fault is None or fault.count < 1:
        raise StartupError(
            f"{VARIABLE}={text!r} is not POINT:COUNT:ACTION, such as before_commit:3:kill; points: {', '.join(Point)}; "
            f"actions: {', '.join(FailAction)}. It is only for tests: unset it"
        )
    return fault
