"""Faults: off unless asked for, at exactly the named time, and nowhere but in a daemon of a test."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bank import write_config
from support.servers import daemon

from incident_engine.common.errors import StartupError
from incident_engine.common.failpoints import (
    VARIABLE,
    FailAction,
    Failpoint,
    InjectedFaultError,
    Point,
    arm,
    failpoint_from,
    reach,
)


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm(None)


def test_without_a_fault_nothing_happens_at_any_point() -> None:
    arm(failpoint_from({}))
    for point in Point:
        reach(point)
    assert failpoint_from({VARIABLE: ""}) is None


def test_it_happens_at_the_named_time_at_the_named_point_and_then_never_again() -> None:
    arm(failpoint_from({VARIABLE: "before_commit:2:raise"}))
    reach(Point.BEFORE_COMMIT)
    reach(Point.AFTER_COMMIT)
    with pytest.raises(InjectedFaultError, match="before_commit"):
        reach(Point.BEFORE_COMMIT)
    reach(Point.BEFORE_COMMIT)


@pytest.mark.parametrize(("deed", "number"), [(FailAction.KILL, signal.SIGKILL), (FailAction.PAUSE, signal.SIGSTOP)])
def test_killing_and_pausing_are_signals_that_a_process_cannot_ignore(
    monkeypatch: pytest.MonkeyPatch, deed: FailAction, number: signal.Signals
) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda process, given: sent.append((process, given)))
    arm(Failpoint(Point.AFTER_SEND, 1, deed))
    reach(Point.AFTER_SEND)
    assert sent == [(os.getpid(), number)]


@pytest.mark.parametrize(
    "text", ["before_commit", "before_commit:0:kill", "commit:1:kill", "after_send:1:explode", ":"]
)
def test_what_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(StartupError, match="points: during_migration") as caught:
        failpoint_from({VARIABLE: text})
    assert repr(text) in str(caught.value)


def test_a_daemon_with_keys_refuses_to_start_with_a_fault(tmp_path: Path) -> None:
    config = write_config(tmp_path, server={"host": "127.0.0.1", "keys": [{"value": "0123456789abcdef" * 2}]})
    with daemon(config, ready=False, INCIDENT_ENGINE_FAULT="before_commit:1:kill") as ours:
        assert ours.wait() == 1
        assert ours.logged.startswith(f"error: {VARIABLE} is set, which makes the daemon fail on purpose")
    assert not (tmp_path / "engine.db").exists()
