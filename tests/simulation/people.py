"""People: they answer the messages that reach them, or do not, and say of an incident what they were not asked."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

from incident_engine.config.settings import Settings
from incident_engine.store.claims import ClaimedDelivery
from incident_engine.store.steps import StoredStep
from simulation.clock import HOUR, MINUTE, SECOND

Answer = tuple[int, str, dict[str, Any]]
"""After how many microseconds, which type of event, and its data."""
_DELAYS = (20 * SECOND, 3 * MINUTE, 12 * MINUTE, HOUR, 9 * HOUR)
_OWN_WORDS = {
    "zh-CN": {"subject": "发言人的话", "body": "发言人亲自写的内容。"},
    "en": {"subject": "In our own words", "body": "Written by the spokesperson."},
}


def answers(
    rng: Random, diligence: float, delivery: ClaimedDelivery, step: StoredStep, base: StoredStep
) -> Iterator[Answer]:
    """Yield what the reader of a message does about it. `base` is the step from which it was derived, or itself."""
    if rng.random() >= diligence:
        return
    after = int(rng.choice(_DELAYS) * rng.uniform(0.2, 1.5))
    named = rng.choice([step.step.id, base.step.id])
    said = {"by": delivery.contact, "step": named}
    whim = rng.random()
    if whim < 0.04:
        yield after, "step.skipped", said | {"reason": "不需要"}
    elif whim < 0.1:
        yield after, "step.assigned", said | {"to": rng.choice(["duty-engineer", "leading-group"]), "reason": "换班"}
    elif base.step.approval is not None:
        yield after, "step.approved", said | ({"wording": _OWN_WORDS} if rng.random() < 0.3 else {})
    elif base.step.step == "close":
        yield after, "incident.closed", {"by": delivery.contact, "reason": "已恢复"}
    elif base.step.awaits == "acknowledgement":
        yield after, "step.acknowledged", said
    elif base.step.fulfils is not None or base.step.awaits is not None:
        if base.step.report is not None and rng.random() < 0.3:
            yield after // 2, "step.approved", said | _gaps(rng)
        yield after, "step.completed", said | (_gaps(rng) if base.step.report is not None else {})


def _gaps(rng: Random) -> dict[str, bool]:
    """Return what a person says of empty fields. Who says nothing is refused if there are any."""
    return {"with_gaps": True} if rng.random() < 0.8 else {}


def unasked(says: str, dice: float, now: datetime, settings: Settings) -> tuple[str, dict[str, Any]]:
    """Return an event's type and data by what a person wants to say and a number from 0 to 1."""
    rng = Random(f"{says}/{dice}")
    by, reason = rng.choice(["王敏", "Li Lei"]), "根据现场情况"
    soon = (now + timedelta(minutes=rng.choice([10, 50, 200, 700]))).isoformat()
    told: Mapping[str, tuple[str, dict[str, Any]]] = {
        "estimate": ("recovery.estimated", {"recovery_at": soon, "by": by}),
        "correct": (
            "level.corrected",
            {"level": rng.choice([None, None, "III", "II", "I"]), "by": by, "reason": reason},
        ),
        "harm": (
            "harm.assessed",
            {
                "kind": rng.choice(["customers", "public"]),
                "seriousness": rng.choice(["considerable", "serious", "particularly_serious"]),
                "cause": "system_interruption",
                "by": by,
                "reason": reason,
            },
        ),
        "repair": ("repair.failed", {"by": by, "reason": reason}),
        "plan": ("plan.failed", {"by": by, "reason": reason}),
        "impact": ("impact.measured", {"by": by, "root_cause": "交换机故障"}),
        "note": ("note.added", {"text": "已通知厂商", "by": by}),
        "task": ("step.added", {"by": by, "reason": reason, "title": "检查备份", "due_at": soon}),
        "step": ("step.added", {"by": by, "reason": reason, "step": _addable(rng, settings), "confirm": True}),
        "write": ("report.written", {"by": by, "report": "cbrc-first-report", "fields": {"symptoms": "无法记账"}}),
        "lesson": ("lesson.recorded", {"by": by, "text": "演练切换"}),
        "close": ("incident.closed", {"by": by}),
    }
    return told[says]


def _addable(rng: Random, settings: Settings) -> str:
    if "outage-response" in settings.playbooks:
        return rng.choice(["duty-update", "customers-acknowledge"])
    return rng.choice(["support-group", "page", "duty-update", "team-restored"])
