"""Named points in the code at which a test may kill, break or stop the daemon. Nothing happens unless one is armed.

`INCIDENT_ENGINE_FAULT=before_commit:3:kill` kills the process when it comes to that point for the third time. Only
`serve` reads the variable, and a daemon that others can reach, or that has keys, refuses to start with it.
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
"""How long the other threads go on before a kill: what they say too early must get out, or no test would see it."""


class Point(StrEnum):
    """Where the process can be made to fail."""

    DURING_MIGRATION = "during_migration"
    """The new schema is written and not committed."""
    DURING_RECOVERY = "during_recovery"
    """What a process that is gone was sending is due again, and that is not committed."""
    AFTER_APPEND = "after_append"
    """An event is appended; its incident does not know of it yet."""
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"
    """It is on disk, and nobody has been told."""
    AFTER_CLAIM = "after_claim"
    """A delivery is ours, on disk, and not begun."""
    BEFORE_SEND = "before_send"
    AFTER_SEND = "after_send"
    """The receiver has it and has said so; we have not made anything of the answer."""
    BEFORE_RECORD = "before_record"
    """The writer is about to record how it went."""


class FailAction(StrEnum):
    """What happens there."""

    KILL = "kill"
    """SIGKILL: what a power cut is to the process."""
    RAISE = "raise"
    """An error like any that nobody foresaw."""
    PAUSE = "pause"
    """SIGSTOP: the process stands still until somebody sends SIGCONT."""


class InjectedFaultError(IncidentEngineError):
    """The error that was asked for."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """What happens when the process comes to a point for the given time (counted from 1), and at no other time."""

    point: Point
    count: int
    action: FailAction
    _visits: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1), compare=False, repr=False)

    def visit(self, point: Point) -> None:
        """Note that the process has come to a point."""
        if point is not self.point or next(self._visits) != self.count:
            return
        if self.action is FailAction.RAISE:
            raise InjectedFaultError(f"{VARIABLE} asked for this at '{point}'")
        time.sleep(_LINGER_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL if self.action is FailAction.KILL else signal.SIGSTOP)


class _Switch:
    """Holds the armed fault; None in every daemon that is not being tested."""

    armed: Failpoint | None = None


def reach(point: Point) -> None:
    """Say that the process has come to a point. Costs one look at an attribute unless a fault is armed."""
    armed = _Switch.armed
    if armed is not None:
        armed.visit(point)


def arm(fault: Failpoint | None) -> None:
    """Arm a fault, or none."""
    _Switch.armed = fault


def arm_for_tests(fault: Failpoint | None, *, is_exposed: bool) -> None:
    """Arm a fault, or none, and log it. Raises StartupError if others can reach the daemon (`is_exposed`)."""
    if fault is not None and is_exposed:
        raise StartupError(
            f"{VARIABLE} is set, which makes the daemon fail on purpose; it is for tests, on a loopback "
            "address and without keys. Unset it"
        )
    arm(fault)
    if fault is not None:
        logger("daemon").warning(
            "fault_armed", reason="for_tests", point=fault.point, count=fault.count, deed=fault.action
        )


def failpoint_from(environment: Mapping[str, str]) -> Failpoint | None:
    """Return the fault that the environment asks for. Raises StartupError if it cannot be understood."""
    text = environment.get(VARIABLE)
    if not text:
        return None
    point, _, rest = text.partition(":")
    count, _, deed = rest.partition(":")
    try:
        fault = Failpoint(Point(point), int(count), FailAction(deed))
    except ValueError:
        fault = None
    if fault is None or fault.count < 1:
        raise StartupError(
            f"{VARIABLE}={text!r} is not POINT:COUNT:DEED, such as before_commit:3:kill; points: {', '.join(Point)}; "
            f"deeds: {', '.join(FailAction)}. It is for tests: unset it"
        )
    return fault
