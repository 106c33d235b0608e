"""Several messages for the same reader as one, where the target takes only so many."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from incident_engine.delivery.channels.splitting import in_json
from incident_engine.domain.messages.drill_marks import DRILL_MARKS
from incident_engine.store.deliveries import ClaimedDelivery

_SUBJECTS = {"zh-CN": "{count} 条消息", "en": "{count} messages"}
_FRAME = 120
"""Bytes that the bundle's own subject takes, generously."""


def digest_of(deliveries: Sequence[ClaimedDelivery]) -> ClaimedDelivery:
    """Return one message with the texts of all, each under its subject; its id is that of these deliveries."""
    first = deliveries[0]
    digest = hashlib.sha256("\0".join(delivery.id for delivery in deliveries).encode()).hexdigest()
    subject = _SUBJECTS.get(first.locale, _SUBJECTS["en"]).format(count=len(deliveries))
    body = "\n".join(map(_section, deliveries))
    mark = DRILL_MARKS.get(first.locale)
    if mark is not None and first.subject.startswith(mark):  # a drill's messages are all marked, so is their bundle
        subject, body = f"{mark} {subject}", f"{mark}\n\n{body}"
    return replace(first, id=f"dig_{digest[:32]}", subject=subject, body=body)


def fitting(deliveries: Sequence[ClaimedDelivery], room: int) -> int:
    """Return how many deliveries, from the first on, fit into one message of so many bytes; one at least."""
    used = _FRAME
    for count, delivery in enumerate(deliveries):
        used += in_json(_section(delivery)) + 2
        if used > room:
            return max(1, count)
    return len(deliveries)


def _section(delivery: ClaimedDelivery) -> str:
    return f"**{delivery.subject.strip()}**\n\n{delivery.body.strip()}\n"
