"""Slots: the messages in progress, whose number is limited."""

import threading
from collections.abc import Callable, Sequence

from incident_engine.store.claims import ClaimedDelivery

Batch = tuple[ClaimedDelivery, ...]
"""Deliveries that go out as one message."""
Attempt = tuple[str, int]
"""A delivery's id and the number of the attempt, from 1."""


class Slots:
    """Keeps the batches from claim to record, each in one slot. The writer's thread and the event loop share it.

    A batch is claimed by `take`, sent after `begin`, and gone after `release`. Its slot may be given up earlier by
    `vacate`, so that the transaction that records it can claim the next.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._taken: dict[Attempt, Batch] = {}
        """Batches by the attempt of their first delivery."""
        self._started: set[Attempt] = set()
        self._is_awaited = False
        """Whether a delivery waits for a slot."""

    @property
    def free(self) -> int:
        """Return the number of free slots."""
        with self._lock:
            return self._size - len(self._taken)

    @property
    def under_way(self) -> frozenset[Attempt]:
        """Return the attempts that were begun and have not ended. Other claimed deliveries may still be given up."""
        with self._lock:
            return frozenset(self._started)

    def has_free(self) -> bool:
        """Return whether a slot is free. If none is, the next `release` returns True."""
        with self._lock:
            has_free = len(self._taken) < self._size
            self._is_awaited = self._is_awaited or not has_free
            return has_free

    def take(self, batches: Sequence[Batch], *, has_more: bool) -> None:
        """Put claimed batches into slots. `has_more` says that more deliveries may be due than could be claimed."""
        with self._lock:
            self._taken.update((attempt_of(batch[0]), batch) for batch in batches)
            self._is_awaited = has_more

    def begin(self, batch: Batch, has_lease: Callable[[], bool]) -> bool:
        """Mark a batch's attempts as under way if it still has its lease. Return whether it has."""
        # One lock for both: else another claim could take the deliveries between the check and the mark.
        with self._lock:
            if not has_lease():
                self._is_awaited = True  # they are due again once they are released
                return False
            self._started.update(map(attempt_of, batch))
            return True

    def vacate(self, batch: Batch) -> bool:
        """Free the slot of a batch whose attempts are still under way. Return False if it had none."""
        with self._lock:
            return self._taken.pop(attempt_of(batch[0]), None) is not None

    def reoccupy(self, batch: Batch) -> None:
        """Undo `vacate`, after the transaction that used the slot was rolled back."""
        with self._lock:
            self._taken[attempt_of(batch[0])] = batch

    def release(self, batches: Sequence[Batch]) -> bool:
        """Forget batches that have ended or are given up. Return whether more deliveries may be due."""
        with self._lock:
            for batch in batches:
                self._taken.pop(attempt_of(batch[0]), None)
                self._started.difference_update(map(attempt_of, batch))
            is_awaited, self._is_awaited = self._is_awaited, False
            return is_awaited


def attempt_of(delivery: ClaimedDelivery) -> Attempt:
    """Return the attempt for which a delivery was claimed."""
    return delivery.id, delivery.attempt
