"""How far the open incidents of each service group reach, kept in memory for the writer's transactions.

The rows of the incidents are the truth; what a transaction changed here is forgotten when it is rolled back.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from incident_engine.domain.incidents.correlation import IncidentWindow
from incident_engine.store import cases
from incident_engine.store.unit_of_work import UnitOfWork

_GROUPS = 500


class OpenIncidents:
    """The open incidents by service group."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, dict[str, IncidentWindow]] = OrderedDict()
        self._group_of: dict[str, str] = {}

    def of(self, connection: Connection, group: str) -> Collection[IncidentWindow]:
        """Return how far each open incident of a group reaches."""
        known = self._kept.get(group)
        if known is None:
            known = {span.case_id: span for span in cases.open_windows(connection, group)}
            self._kept[group] = known
            self._group_of.update(dict.fromkeys(known, group))
            if len(self._kept) > _GROUPS:
                self.forget(next(iter(self._kept)))
        self._kept.move_to_end(group)
        return known.values()

    def get(self, case_id: str) -> IncidentWindow | None:
        """Return how far an incident reaches, if it is open and its group is kept."""
        return self._kept.get(self._group_of.get(case_id, ""), {}).get(case_id)

    def put(self, unit: UnitOfWork, span: IncidentWindow) -> None:
        """Note a new incident, or that one reaches elsewhere now."""
        unit.on_rollback.append(lambda: self.forget(span.group))
        known = self._kept.get(span.group)
        if known is None:
            return
        if span.closed:
            known.pop(span.case_id, None)
            self._group_of.pop(span.case_id, None)
        else:
            known[span.case_id] = span
            self._group_of[span.case_id] = span.group

    def update(self, unit: UnitOfWork, case_id: str, values: Mapping[str, Any]) -> None:
        """Note what was stored of an incident: any of `first_at`, `last_at`, `closed_at`, `services`."""
        span = self.get(case_id)
        if span is None:
            unit.on_rollback.append(self.forget_all)
            if values.get("closed_at") is None:  # it may be open again, in a group that is kept without it
                self.forget(cases.service_group(unit.connection, case_id))
            return
        changed = {name: values[name] for name in ("first_at", "last_at") if name in values}
        is_closed = values.get("closed_at") is not None
        is_shell = not values["services"] if "services" in values else span.has_no_start
        self.put(unit, replace(span, **changed, closed=is_closed, has_no_start=is_shell))

    def forget(self, group: str) -> None:
        """Ask the rows when a group is asked for next."""
        for case_id in self._kept.pop(group, {}):
            self._group_of.pop(case_id, None)

    def forget_all(self) -> None:
        """Ask the rows for every group."""
        self._kept.clear()
        self._group_of.clear()
