"""The lookup of ordinary alerts gives the events that full validation gives."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.budget import examples

from incident_engine.config.settings import AlertmanagerSettings
from incident_engine.domain.events.model import Event
from incident_engine.intake.alertmanager import AlertMapper, Notification

LATEST = datetime(2026, 11, 22, 15, 5, tzinfo=UTC)
SERVICES = {"core-banking": 1, "mobile": 2}
THOROUGH = examples(full=400, quick=100)


class Careful(AlertMapper):
    """Validates every alert in full."""

    def _ordinary_event(self, document: Any, latest: datetime) -> Event | None:
        return None


text = st.sampled_from(["", "x", "网络中断", " a", "b\n"])
odd: st.SearchStrategy[Any] = st.sampled_from([None, 7, [], {}, "", "x"])
labels = st.fixed_dictionaries(
    {},
    optional={
        "service": st.sampled_from(["core-banking", "mobile", "unknown", "", 3]),
        "region": st.sampled_from(["CN-GD", "广东", "CN-GD, 湖南", "CN-GD,CN-GD", "nowhere", " , ", "", None]),
        "alertname": st.one_of(text, odd),
        "extra": st.one_of(text, odd),
    },
)
alerts = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["firing", "firing", "firing", "resolved", "other"]),
        "labels": st.one_of(labels, labels, odd),
        "startsAt": st.sampled_from(
            [
                "2026-11-22T15:00:00Z",
                "2026-11-22T23:00:00.5+08:00",
                "2027-01-01T00:00:00Z",
                "0001-01-01T00:00:00Z",
                5,
                "",
            ]
        ),
        "fingerprint": st.sampled_from(["5ef77f1f8a3ecf8d", "", " ", "a" * 65, "a" * 201, "指纹", None]),
    },
    optional={
        "annotations": st.one_of(st.fixed_dictionaries({}, optional={"summary": st.one_of(text, odd)}), odd),
        "endsAt": st.sampled_from(
            [None, "0001-01-01T00:00:00Z", "2026-11-22T15:01:00Z", "2026-11-22T15:01:00", "x", 1]
        ),
    },
)


@THOROUGH
@given(st.lists(st.one_of(alerts, alerts, alerts, odd), min_size=1, max_size=3))
def test_the_short_way_leads_where_the_long_way_leads(given_alerts: list[Any]) -> None:
    notification = Notification(version="4", alerts=tuple(given_alerts))
    short, long = (kind(AlertmanagerSettings(), SERVICES).map(notification, LATEST) for kind in (AlertMapper, Careful))
    assert short == long
    assert [event and event.model_dump_json() for event in short.events] == [
        event and event.model_dump_json() for event in long.events
    ]


@pytest.mark.parametrize("region", ["CN-GD", "广东,湖南"])
def test_an_ordinary_alert_takes_the_short_way(region: str) -> None:
    alert = {
        "status": "firing",
        "labels": {"service": "core-banking", "region": region, "alertname": "Down"},
        "annotations": {"summary": "down"},
        "startsAt": "2026-11-22T15:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "5ef77f1f8a3ecf8d",
    }
    assert AlertMapper(AlertmanagerSettings(), SERVICES)._ordinary_event(alert, LATEST) is not None
