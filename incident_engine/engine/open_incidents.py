"""The windows of time of the open incidents, by service group, kept in memory for the writer's transactions.

The rows of the cases are the truth. Changes by a transaction that is rolled back are dropped with it.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from incident_engine.domain.incidents.correlation import IncidentWindow
from incident_engine.store import cases
from incident_engine.store.unit_of_work import UnitOfWork

_MAX_GROUPS = 500


class OpenIncidents:
    """Keeps the windows of the open incidents of recently used service groups."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, dict[str, IncidentWindow]] = OrderedDict()
        self._group_of: dict[str, str] = {}

    def in_group(self, connection: Connection, group: str) -> Collection[IncidentWindow]:
        """Return the windows of the open incidents of a group."""
        windows = self._groups.get(group)
        if windows is None:
            windows = {window.case_id: window for window in cases.open_windows(connection, group)}
            self._groups[group] = windows
            self._group_of.update(dict.fromkeys(windows, group))
            if len(self._groups) > _MAX_GROUPS:
                self.forget(next(iter(self._groups)))
        self._groups.move_to_end(group)
        return windows.values()

    def get(self, case_id: str) -> IncidentWindow | None:
        """Return the window of an incident; None if it is closed or its group is not kept."""
        return self._groups.get(self._group_of.get(case_id, ""), {}).get(case_id)

    def put(self, unit: UnitOfWork, window: IncidentWindow) -> None:
        """Keep the window of a new or changed incident, or drop it if the incident is closed."""
        # The whole group: the windows before this transaction are not kept, but the rows have them.
        unit.on_rollback.append(lambda: self.forget(window.group))
        windows = self._groups.get(window.group)
        if windows is None:
            return  # the group is read from the rows when it is next used
        if window.closed:
            windows.pop(window.case_id, None)
            self._group_of.pop(window.case_id, None)
        else:
            windows[window.case_id] = window
            self._group_of[window.case_id] = window.group

    def update(self, unit: UnitOfWork, case_id: str, values: Mapping[str, Any]) -> None:
        """Apply stored columns of an incident: any of `first_at`, `last_at`, `closed_at`, `services`."""
        window = self.get(case_id)
        if window is None:
            unit.on_rollback.append(self.forget_all)
            if values.get("closed_at") is None:  # a re-opened incident is missing from its group until that is re-read
                self.forget(cases.service_group(unit.connection, case_id))
            return
        changed = {name: values[name] for name in ("first_at", "last_at") if name in values}
        is_closed = values.get("closed_at") is not None
        has_no_start = not values["services"] if "services" in values else window.has_no_start
        self.put(unit, replace(window, **changed, closed=is_closed, has_no_start=has_no_start))

    def forget(self, group: str) -> None:
        """Drop a group; it is read from the rows when it is next used."""
        for case_id in self._groups.pop(group, {}):
            self._group_of.pop(case_id, None)

    def forget_all(self) -> None:
        """Drop every group."""
        self._groups.clear()
        self._group_of.clear()
