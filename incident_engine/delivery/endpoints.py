"""What each target (a channel's address on the net) takes now: tokens, circuit, and what waits for it.

The state lives in memory. After a restart every bucket is full and every circuit closed.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from incident_engine.common.telemetry import CircuitState
from incident_engine.config.channels import (
    AppriseSettings,
    ChannelSettings,
    DingtalkSettings,
    EmailSettings,
    FeishuSettings,
    OutboxSettings,
    WebhookSettings,
    WecomSettings,
)
from incident_engine.config.common import Rate
from incident_engine.config.sms import SmsSettings
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.dingtalk import DingtalkChannel
from incident_engine.delivery.channels.feishu import FeishuChannel
from incident_engine.delivery.channels.splitting import in_json
from incident_engine.delivery.channels.wecom import WecomChannel
from incident_engine.delivery.circuit_breaker import CircuitBreaker
from incident_engine.delivery.digest import fitting
from incident_engine.delivery.rate_limit import RateLimits
from incident_engine.store.deliveries import Choice, ClaimedDelivery, Priority

_ROOMY = 20_000
MAX_ENDPOINTS = 10_000
"""Of so many targets something is remembered."""
_LONG = timedelta(minutes=1)
"""Who would have to wait longer than this for a token is reached over the next channel."""


class PostponeReason(StrEnum):
    """Why a delivery that is due must wait."""

    RATE = "rate_limit"
    CIRCUIT = "circuit_open"


@dataclass(slots=True)
class _Endpoint:
    buckets: RateLimits
    circuit: CircuitBreaker = field(default_factory=CircuitBreaker)


_Key = tuple[str, str | None]


class Endpoints:
    """The targets of all channels. Chooses what to send in the writer's thread, and hears in the loop's how it went."""

    def __init__(self, settings: Mapping[str, ChannelSettings]) -> None:
        self._settings = settings
        self._targets: dict[_Key, _Endpoint] = {}
        self._lock = threading.Lock()

    def choose(
        self, due: Sequence[ClaimedDelivery], limit: int, now: datetime
    ) -> tuple[Choice, Mapping[str, PostponeReason]]:
        """Return what to send now of what is due (in this order), and why others wait. Statutory messages go alone."""
        chosen = _Chosen(now)
        with self._lock:
            for place, delivery in enumerate(due):
                if len(chosen.batches) >= limit:
                    break
                if delivery.id not in chosen.seen:
                    self._look_at(delivery, due[place:], chosen)
        return Choice(chosen.batches, chosen.later, chosen.unreachable), chosen.reasons

    def are_open(self, due: Sequence[ClaimedDelivery], now: datetime) -> bool:
        """Return whether all of these can go at once, with a token to spare at each target, so that none must wait."""
        counts = Counter(self._key(delivery) for delivery in due)
        with self._lock:
            return all(self._is_open(self._at(key), count, now) for key, count in counts.items())

    def _is_open(self, target: _Endpoint, count: int, now: datetime) -> bool:
        available = target.buckets.available(now)
        return not target.circuit.is_cut and (available is None or available > count)

    def _look_at(self, delivery: ClaimedDelivery, due: Sequence[ClaimedDelivery], chosen: "_Chosen") -> None:
        target, now = self._at(self._key(delivery)), chosen.now
        is_statutory = delivery.priority == Priority.STATUTORY
        lit = now if is_statutory else target.circuit.ready_at(now)
        paid = target.buckets.ready_at(now)
        if max(lit, paid) > now:
            chosen.postpone(delivery, max(lit, paid), PostponeReason.CIRCUIT if lit > paid else PostponeReason.RATE)
            return
        room = self._room(delivery.channel)
        batch = [delivery]
        if target.buckets.available(now) == 1 and room is not None and not is_statutory and not target.circuit.is_cut:
            reader = (delivery.channel, delivery.address, delivery.locale)
            batch = [each for each in due if (each.channel, each.address, each.locale) == reader]
            batch = [each for each in batch if each.id not in chosen.seen]
            batch = batch[: fitting(batch, room)]
        target.buckets.take(_messages(batch, room))
        target.circuit.probe(now)
        chosen.take(batch)

    def record(
        self, delivery: ClaimedDelivery, outcome: DeliveryOutcome, now: datetime, wait: timedelta | None
    ) -> CircuitState | None:
        """Note how an attempt went; return the new state of the target's circuit if it has changed."""
        with self._lock:
            target = self._at(self._key(delivery))
            before = target.circuit.state
            target.circuit.record(outcome, now)
            if outcome is DeliveryOutcome.RATE_LIMITED and wait:
                target.buckets.pause(now + wait, now)
            return None if target.circuit.state is before else target.circuit.state

    def state(self, channel: str) -> CircuitState:
        """Return the worst state of a channel's circuits."""
        with self._lock:
            states = [target.circuit.state for (name, _), target in self._targets.items() if name == channel]
        return max(states, key=list(CircuitState).index, default=CircuitState.CLOSED)

    def _at(self, key: _Key) -> _Endpoint:
        if key not in self._targets:
            if len(self._targets) >= MAX_ENDPOINTS:
                self._forget_one()
            settings = self._settings.get(key[0])
            self._targets[key] = _Endpoint(RateLimits(settings.rate if settings else Rate()))
        return self._targets[key]

    def _forget_one(self) -> None:
        """Forget the target known longest, if there is one that answers: nothing is known against it."""
        names = iter(self._targets)
        oldest = next(iter(self._targets))
        del self._targets[next((name for name in names if not self._targets[name].circuit.is_cut), oldest)]

    def _key(self, delivery: ClaimedDelivery) -> _Key:
        """Return the target: of e-mail each recipient, else the one address of the channel."""
        by_address = isinstance(self._settings.get(delivery.channel), EmailSettings | OutboxSettings)
        return delivery.channel, delivery.address if by_address else None

    def _room(self, channel: str) -> int | None:
        """Return how many bytes of text one message takes, or None where messages are never bundled."""
        settings = self._settings.get(channel)
        match settings:
            case None | OutboxSettings() | WebhookSettings():
                return None  # a file each; a machine that reads one message at a time
            case WecomSettings():
                return WecomChannel.room
            case DingtalkSettings():
                return DingtalkChannel.room
            case FeishuSettings():
                return FeishuChannel.room
            case SmsSettings():
                return settings.longest
            case EmailSettings() | AppriseSettings():
                return _ROOMY


class _Chosen:
    """What has been chosen so far."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.seen: set[str] = set()
        self.batches: list[tuple[ClaimedDelivery, ...]] = []
        self.later: dict[str, datetime] = {}
        self.reasons: dict[str, PostponeReason] = {}
        self.unreachable: set[str] = set()

    def take(self, batch: Sequence[ClaimedDelivery]) -> None:
        """Send these as one message."""
        self.seen.update(delivery.id for delivery in batch)
        self.batches.append(tuple(batch))

    def postpone(self, delivery: ClaimedDelivery, until: datetime, reason: PostponeReason) -> None:
        """Let a delivery wait."""
        self.seen.add(delivery.id)
        self.later[delivery.id] = until
        self.reasons[delivery.id] = reason
        if reason is PostponeReason.CIRCUIT or until - self.now > _LONG:
            self.unreachable.add(delivery.id)


def _messages(batch: Sequence[ClaimedDelivery], room: int | None) -> int:
    """Return in how many parts a message will go out, as far as can be told before."""
    length = sum(in_json(delivery.subject) + in_json(delivery.body) for delivery in batch)
    return 1 if room is None or len(batch) > 1 else max(1, ceil(length / room))
