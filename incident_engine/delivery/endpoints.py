"""The endpoints of channels: rate limit and circuit breaker of each, and the choice of the deliveries to send now.

An endpoint is a channel's address on the net, or one recipient of a channel whose recipients are independent. Its
state lives in memory: after a restart all rate limits are unused and all circuits are closed.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from incident_engine.common.telemetry import CircuitState
from incident_engine.config.channels import ChannelSettings
from incident_engine.config.common import Rate
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.registry import channel_type
from incident_engine.delivery.channels.splitting import in_json
from incident_engine.delivery.circuit_breaker import CircuitBreaker
from incident_engine.delivery.digest import fitting
from incident_engine.delivery.rate_limit import RateLimits
from incident_engine.store.claims import Choice, ClaimedDelivery, Priority

MAX_ENDPOINTS = 10_000
"""How many endpoints are kept in memory."""
_LONG_WAIT = timedelta(minutes=1)
"""For a longer wait the rate limit counts as a failure: the contact's next channel is used."""


class PostponeReason(StrEnum):
    """Why a delivery that is due must wait."""

    RATE = "rate_limit"
    CIRCUIT = "circuit_open"


@dataclass(slots=True)
class _Endpoint:
    rate_limits: RateLimits
    circuit: CircuitBreaker = field(default_factory=CircuitBreaker)


_Key = tuple[str, str | None]


class Endpoints:
    """Chooses the deliveries that endpoints take now, and records how attempts went.

    The writer's thread chooses, the event loop records.
    """

    def __init__(self, settings: Mapping[str, ChannelSettings]) -> None:
        self._settings = settings
        self._endpoints: dict[_Key, _Endpoint] = {}
        self._lock = threading.Lock()

    def choose(
        self, due: Sequence[ClaimedDelivery], limit: int, now: datetime
    ) -> tuple[Choice, Mapping[str, PostponeReason]]:
        """Return at most `limit` batches of due deliveries, in their order, and why others must wait.

        Each batch goes out as one message. Statutory messages are never joined with others.
        """
        selection = _Selection(now)
        with self._lock:
            for index, delivery in enumerate(due):
                if len(selection.batches) >= limit:
                    break
                if delivery.id not in selection.seen:
                    self._consider(delivery, due[index:], selection)
        return Choice(selection.batches, selection.later, selection.unreachable), selection.reasons

    def are_open(self, due: Sequence[ClaimedDelivery], now: datetime) -> bool:
        """Return whether all of these can be sent now with at least one rate-limit token to spare at each endpoint."""
        counts = Counter(self._key(delivery) for delivery in due)
        with self._lock:
            for key, count in counts.items():
                endpoint = self._endpoint(key)
                available = endpoint.rate_limits.available(now)
                if endpoint.circuit.is_cut or (available is not None and available <= count):
                    return False
        return True

    def _consider(
        self, delivery: ClaimedDelivery, remaining: Sequence[ClaimedDelivery], selection: "_Selection"
    ) -> None:
        """Select a delivery, with others for the same reader if it takes the last token, or postpone it."""
        endpoint, now = self._endpoint(self._key(delivery)), selection.now
        is_statutory = delivery.priority == Priority.STATUTORY
        # The law's deadline does not wait for a circuit, but a vendor that counts messages would refuse it anyway.
        circuit_ready_at = now if is_statutory else endpoint.circuit.ready_at(now)
        rate_ready_at = endpoint.rate_limits.ready_at(now)
        if max(circuit_ready_at, rate_ready_at) > now:
            reason = PostponeReason.CIRCUIT if circuit_ready_at > rate_ready_at else PostponeReason.RATE
            selection.postpone(delivery, max(circuit_ready_at, rate_ready_at), reason)
            return
        settings = self._settings.get(delivery.channel)
        max_length = None if settings is None else channel_type(settings).max_length(settings)
        batch = [delivery]
        has_last_token = endpoint.rate_limits.available(now) == 1
        if has_last_token and max_length is not None and not is_statutory and not endpoint.circuit.is_cut:
            reader = (delivery.channel, delivery.address, delivery.locale)
            batch = [other for other in remaining if (other.channel, other.address, other.locale) == reader]
            batch = [other for other in batch if other.id not in selection.seen]
            batch = batch[: fitting(batch, max_length)]
        parts = 1
        if max_length is not None and len(batch) == 1:  # an estimate: only the channel knows how it cuts
            parts = max(1, ceil((in_json(delivery.subject) + in_json(delivery.body)) / max_length))
        endpoint.rate_limits.take(parts)
        endpoint.circuit.probe(now)
        selection.add(batch)

    def record(
        self, delivery: ClaimedDelivery, outcome: DeliveryOutcome, now: datetime, wait: timedelta | None
    ) -> CircuitState | None:
        """Record how an attempt went. Return the new state of the endpoint's circuit if it has changed."""
        with self._lock:
            endpoint = self._endpoint(self._key(delivery))
            before = endpoint.circuit.state
            endpoint.circuit.record(outcome, now)
            if outcome is DeliveryOutcome.RATE_LIMITED and wait:
                endpoint.rate_limits.pause(now + wait, now)
            return None if endpoint.circuit.state is before else endpoint.circuit.state

    def state(self, channel: str) -> CircuitState:
        """Return the worst state of a channel's circuits."""
        with self._lock:
            states = [endpoint.circuit.state for (name, _), endpoint in self._endpoints.items() if name == channel]
        return max(states, key=list(CircuitState).index, default=CircuitState.CLOSED)

    def _endpoint(self, key: _Key) -> _Endpoint:
        if key not in self._endpoints:
            if len(self._endpoints) >= MAX_ENDPOINTS:
                # Drop the oldest healthy one: an open circuit must be kept.
                answering = (name for name, endpoint in self._endpoints.items() if not endpoint.circuit.is_cut)
                del self._endpoints[next(answering, next(iter(self._endpoints)))]
            settings = self._settings.get(key[0])
            self._endpoints[key] = _Endpoint(RateLimits(settings.rate if settings else Rate()))
        return self._endpoints[key]

    def _key(self, delivery: ClaimedDelivery) -> _Key:
        settings = self._settings.get(delivery.channel)
        is_per_recipient = settings is not None and channel_type(settings).is_per_recipient
        return delivery.channel, delivery.address if is_per_recipient else None


class _Selection:
    """Collects the batches to send now and the deliveries that must wait."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.seen: set[str] = set()
        self.batches: list[tuple[ClaimedDelivery, ...]] = []
        self.later: dict[str, datetime] = {}
        self.reasons: dict[str, PostponeReason] = {}
        self.unreachable: set[str] = set()

    def add(self, batch: Sequence[ClaimedDelivery]) -> None:
        """Send deliveries now, as one message."""
        self.seen.update(delivery.id for delivery in batch)
        self.batches.append(tuple(batch))

    def postpone(self, delivery: ClaimedDelivery, until: datetime, reason: PostponeReason) -> None:
        """Let a delivery wait."""
        self.seen.add(delivery.id)
        self.later[delivery.id] = until
        self.reasons[delivery.id] = reason
        if reason is PostponeReason.CIRCUIT or until - self.now > _LONG_WAIT:
            self.unreachable.add(delivery.id)
