"""Any value at any place of an alert: the alert becomes events or waits in quarantine, and its neighbours are taken."""

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.fixtures import CONFIG, LEAST

from incident_engine.common.plain_text import first_control
from incident_engine.config.settings import load_settings
from incident_engine.intake.alertmanager import AlertmanagerFormat
from incident_engine.intake.base import IntakeContext

FORMAT = AlertmanagerFormat(load_settings(CONFIG, LEAST))
CONTEXT = IntakeContext(datetime(2013, 6, 23, 2, 40, tzinfo=UTC), timedelta(minutes=5))
ALERT: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "Down", "service": "core-banking", "region": "CN-GD"},
    "annotations": {"summary": "down"},
    "startsAt": "2013-06-23T02:35:00.123Z",
    "endsAt": "2013-06-23T02:36:00Z",
    "generatorURL": "http://prometheus.example/",
    "fingerprint": "5ef77f1f8a3ecf8d",
}
PLACES = [(name,) for name in ALERT] + [("labels", name) for name in ALERT["labels"]] + [("annotations", "summary"), ()]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "\x00",
        "\x1b[2J",
        "\u202e",
        "",
        "resolved",
        "firing",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "CN-GD,广东",
    ]
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([10**400, 1e308])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3), st.booleans())
def test_one_odd_alert_is_mapped_or_quarantined_and_its_neighbours_are_taken(
    changes: list[tuple[tuple[str, ...], Any]], is_resolved: bool
) -> None:
    odd: Any = copy.deepcopy(ALERT) | {"status": "resolved" if is_resolved else "firing"}
    for place, value in changes:
        odd = _changed(odd, place, value)
    before, after = ALERT | {"fingerprint": "before"}, ALERT | {"fingerprint": "after"}
    body = json.dumps({"version": "4", "alerts": [before, odd, after]}).encode()
    batch = FORMAT.parse(body, CONTEXT)
    ids = [event.id.split("/")[0] for event in batch.events if event is not None]
    assert (ids[0], ids[-1]) == ("before", "after")
    assert (len(ids) > 2) != bool(batch.rejected)
    for report in batch.rejected:
        assert first_control([report.key, report.reason, report.detail, dict(report.document)]) == ""
    for event in batch.events:
        assert event is not None
        assert first_control(event.model_dump(mode="json")) == ""


def _changed(alert: Any, place: tuple[str, ...], value: Any) -> Any:
    """Return an alert with another value at a place; an alert that has lost the place stays as it is."""
    if not place:
        return value
    if not isinstance(alert, dict) or (len(place) > 1 and not isinstance(alert.get(place[0]), dict)):
        return alert
    return alert | {place[0]: _changed(alert.get(place[0]), place[1:], value)}
