"""A digest: several messages for the same reader in one, where the endpoint limits their number."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from incident_engine.delivery.channels.splitting import in_json
from incident_engine.domain.messages.drill_marks import DRILL_MARKS
from incident_engine.store.claims import ClaimedDelivery

_SUBJECTS = {"zh-CN": "{count} 条消息", "en": "{count} messages"}
_HEADER_LENGTH = 120
"""The length of the digest's own subject, generously."""


def digest_of(deliveries: Sequence[ClaimedDelivery]) -> ClaimedDelivery:
    """Return one message with the text of each delivery under its subject. Equal deliveries give an equal id."""
    first = deliveries[0]
    digest = hashlib.sha256("\0".join(delivery.id for delivery in deliveries).encode()).hexdigest()
    subject = _SUBJECTS.get(first.locale, _SUBJECTS["en"]).format(count=len(deliveries))
    body = "\n".join(map(_section, deliveries))
    mark = DRILL_MARKS.get(first.locale)
    if mark is not None and first.subject.startswith(mark):  # a drill marks all its messages
        subject, body = f"{mark} {subject}", f"{mark}\n\n{body}"
    return replace(first, id=f"dig_{digest[:32]}", subject=subject, body=body)


def fitting(deliveries: Sequence[ClaimedDelivery], max_length: int) -> int:
    """Return the number of deliveries, from the first on, that fit into `max_length` bytes; at least 1."""
    used = _HEADER_LENGTH
    for count, delivery in enumerate(deliveries):
        used += in_json(_section(delivery)) + 2
        if used > max_length:
            return max(1, count)
    return len(deliveries)


def _section(delivery: ClaimedDelivery) -> str:
    return f"**{delivery.subject.strip()}**\n\n{delivery.body.strip()}\n"
