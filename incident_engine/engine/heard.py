"""Repeated reports of outages that are known: the sign that a monitor still sees them."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial

from incident_engine.common.telemetry import EventOutcome
from incident_engine.engine.receipts import Receipt
from incident_engine.store import cases
from incident_engine.store.unit_of_work import UnitOfWork

_MOST_REMEMBERED = 100_000
"""The most cases of which the last written repeat is remembered; beyond it all are forgotten and written again."""
_PART = 10
"""A repeat is written at most once in this part of the time after which silence is asked about."""


class HeardCases:
    """Keeps for each case when a monitor repeated a report of it last."""

    def __init__(self, silent_after: Mapping[str, timedelta]) -> None:
        """Keep the repeats of these sources; each with the time after which its silence is asked about."""
        self._pauses = {source: length / _PART for source, length in silent_after.items()}
        self._written: dict[str, datetime] = {}

    def record(self, unit: UnitOfWork, receipts: Iterable[Receipt], now: datetime) -> None:
        """Write the repeats among these receipts that have not been written for a while."""
        # A new event has its own time of receipt, so only repeats cost a statement, and few of them do.
        repeated = {
            receipt.incident: receipt.source
            for receipt in receipts
            if receipt.outcome is EventOutcome.DUPLICATE and receipt.incident and receipt.source in self._pauses
        }
        for case_id, source in repeated.items():
            written_at = self._written.get(case_id)
            if written_at is None or not timedelta(0) <= now - written_at < self._pauses[source]:
                cases.update_case(unit.connection, case_id, {"heard_at": now})
                unit.after_commit.append(partial(self._remember, case_id, now))

    def _remember(self, case_id: str, now: datetime) -> None:
        if len(self._written) >= _MOST_REMEMBERED:
            self._written.clear()
        self._written[case_id] = now
