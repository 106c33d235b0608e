"""Arms the timer for the earliest due instant in the store, which `update` has computed for each case."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from incident_engine.common.clock import Clock
from incident_engine.store.database import Database
from incident_engine.store.timers import next_due
from incident_engine.store.unit_of_work import UnitOfWork

_REST = timedelta(seconds=1)


class Alarm:
    """Arms the timers for the next due instant, and starts deliveries that are due now."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._send_due: Callable[[], None] = lambda: None
        self._arm: Callable[[datetime | None], None] = lambda _: None
        self._claims: tuple[Callable[[UnitOfWork], None], ...] = ()
        self._rest_until: datetime | None = None
        self._next_due: tuple[datetime | None, datetime | None] | None = None
        """(timer, delivery) as read in the last transaction; None: not read, so the rows are queried."""

    def connect(
        self,
        *,
        send_due: Callable[[], None],
        arm: Callable[[datetime | None], None],
        claims: tuple[Callable[[UnitOfWork], None], ...] = (),
    ) -> None:
        """Set the outputs: `send_due` starts due deliveries, `arm` sets the one timer (None: none).

        `claims` run within a transaction that may have made something due: they claim deliveries and enqueue timers.
        """
        # Not in the constructor: dispatcher and timers are built with the writer, which calls this alarm.
        self._send_due = send_due
        self._arm = arm
        self._claims = claims

    def before_commit(self, unit: UnitOfWork) -> None:
        """Claim what is due and read the next due instants, in the transaction that may have changed them."""
        if unit.nothing_due_changed:
            return
        for claim in self._claims:
            claim(unit)
        # Kept after the commit only: a transaction that is rolled back must leave no trace here.
        unit.after_commit.append(partial(setattr, self, "_next_due", next_due(unit.connection)))

    def rearm(self) -> None:
        """Set the alarm after a commit that may have changed the next due instants."""
        due, self._next_due = self._next_due, None
        if due is None:
            self.refresh()
        else:
            self._set(*due)

    def refresh(self) -> None:
        """Read the next due instants from the rows and set the alarm."""
        with self._database.read() as connection:
            timer, delivery = next_due(connection)
        self._set(timer, delivery)

    def rest_after(self, fired: Future[Any]) -> None:
        """Delay due timers by a second if firing them failed: a lasting failure must not be retried without pause."""
        # The next commit sets the alarm again: a writer whose store has failed probes it every second.
        self._rest_until = self._clock.now() + _REST * self._clock.speed if fired.exception() is not None else None

    def _set(self, timer: datetime | None, delivery: datetime | None) -> None:
        if delivery is not None and delivery <= self._clock.now():
            self._send_due()
            delivery = None  # the commit that records its outcome sets the alarm again
        if timer is not None and self._rest_until is not None:
            timer = max(timer, self._rest_until)
        self._arm(min((instant for instant in (timer, delivery) if instant is not None), default=None))
