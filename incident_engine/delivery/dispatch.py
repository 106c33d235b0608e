"""The dispatcher: claim what is due with a lease, send it, record how it went. At least once, never zero times."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from standardwebhooks.webhooks import EmptyWebhookSecretError

from incident_engine.clock import Clock
from incident_engine.delivery.channels.base import Channel, Channels, DeliveryError, Outcome
from incident_engine.delivery.channels.email import EmailChannel
from incident_engine.delivery.channels.outbox import OutboxChannel
from incident_engine.delivery.channels.webhook import WebhookChannel
from incident_engine.errors import StartupError
from incident_engine.settings import ChannelSettings, EmailSettings, OutboxSettings, RetrySettings
from incident_engine.store import outgoing
from incident_engine.store.outgoing import Claimed, DeliveryState
from incident_engine.store.writer import Writer
from incident_engine.telemetry import Metrics, logger

_SHARE_OF_LEASE = 0.8
"""How much of its lease an attempt may take: it must be recorded before somebody else may try."""
AT_ONCE = 16
"""How many messages are under way at the same time."""


def open_channels(settings: Mapping[str, ChannelSettings]) -> dict[str, Channel]:
    """Return the channels that the settings describe. Raises StartupError if a secret cannot be read or used."""
    opened: dict[str, Channel] = {}
    for name, channel in settings.items():
        try:
            opened[name] = _open(channel)
        except (OSError, ValueError, EmptyWebhookSecretError) as error:
            raise StartupError(f"channels.{name}: {error}") from error
    return opened


def _open(settings: ChannelSettings) -> Channel:
    if isinstance(settings, OutboxSettings):
        return OutboxChannel(settings)
    if isinstance(settings, EmailSettings):
        return EmailChannel(settings)
    return WebhookChannel(settings)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt went and what follows from it."""

    state: DeliveryState
    outcome: Outcome
    detail: str
    retry_at: datetime | None = None


def backoff(retry: RetrySettings, attempt: int) -> timedelta:
    """Return how long to wait after the given failed attempt (counted from 1): doubling, up to the longest."""
    factor: int = 2 ** min(attempt - 1, 30)
    return min(retry.first * factor, retry.longest)


def judge(error: DeliveryError, attempt: int, retry: RetrySettings, now: datetime) -> Verdict:
    """Return what follows from a failed attempt."""
    if error.permanent or attempt >= retry.attempts:
        return Verdict(DeliveryState.FAILED, error.outcome, error.detail)
    wait = max(backoff(retry, attempt), error.retry_after or timedelta(0))
    return Verdict(DeliveryState.PENDING, error.outcome, error.detail, now + wait)


class Dispatcher:
    """Sends what is due whenever it is notified. `start`, `notify` and `stop` are all there is."""

    def __init__(
        self, writer: Writer, channels: Channels, retry: RetrySettings, clock: Clock, metrics: Metrics
    ) -> None:
        self._writer = writer
        self._channels = channels
        self._retry = retry
        self._clock = clock
        self._metrics = metrics
        self._log = logger("delivery")
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; must be called within the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="dispatcher")

    @property
    def is_alive(self) -> bool:
        """Return whether messages are sent."""
        return self._task is not None and not self._task.done()

    def notify(self) -> None:
        """Say, from any thread, that something may be due."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def stop(self, grace: float) -> None:
        """Claim nothing more; give what is under way so many seconds. What is not done by then will be repeated."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._sending:
            await asyncio.wait(self._sending, timeout=grace)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            free = AT_ONCE - len(self._sending)
            if free <= 0:
                continue  # whoever ends first wakes us again
            for delivery in await self._claim(free):
                task = asyncio.create_task(self._deliver(delivery))
                self._sending.add(task)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("delivery_not_recorded", reason="store_error", error=repr(error))

    async def _claim(self, limit: int) -> list[Claimed]:
        now = self._clock.now()
        lease_until = now + self._retry.lease * self._clock.speed
        under_way = frozenset(self._under_way)
        try:
            return await asyncio.wrap_future(
                self._writer.submit(
                    lambda unit: outgoing.claim(unit.connection, now, lease_until, limit, under_way), urgent=True
                )
            )
        except Exception as error:  # noqa: BLE001 - the store is in trouble; what is due stays due
            self._log.warning("claim_failed", reason="store_error", error=repr(error))
            await asyncio.sleep(1)
            self._wake.set()
            return []

    async def _deliver(self, delivery: Claimed) -> None:
        self._under_way.add(delivery.id)
        try:
            await self._send_and_record(delivery)
        finally:
            self._under_way.discard(delivery.id)

    async def _send_and_record(self, delivery: Claimed) -> None:
        verdict = await self._attempt(delivery)
        now = self._clock.now()
        counted = await asyncio.wrap_future(
            self._writer.submit(
                lambda unit: outgoing.record(
                    unit.connection, delivery, verdict.state, verdict.outcome, verdict.detail, now, verdict.retry_at
                ),
                urgent=True,
            )
        )
        self._metrics.count_delivery(delivery.channel, verdict.outcome)
        log = self._log.warning if verdict.state is DeliveryState.FAILED else self._log.info
        log(
            "delivery_given_up" if verdict.state is DeliveryState.FAILED else "delivery_attempted",
            reason=verdict.outcome.value if counted else "lease_lost",
            detail=verdict.detail,
            delivery=delivery.id,
            incident=delivery.incident_id,
            step=delivery.step_id,
            contact=delivery.contact,
            channel=delivery.channel,
            attempt=delivery.attempt,
            state=verdict.state.value,
            retry_at=verdict.retry_at.isoformat() if verdict.retry_at else None,
        )

    async def _attempt(self, delivery: Claimed) -> Verdict:
        try:
            channel = self._channels.get(delivery.channel)
            if channel is None:
                said = f"channel '{delivery.channel}' is no longer configured"
                raise DeliveryError(Outcome.MISCONFIGURED, said, permanent=True)  # noqa: TRY301
            async with asyncio.timeout(self._retry.lease.total_seconds() * _SHARE_OF_LEASE):
                detail = await channel.send(delivery, self._clock.now())
        except DeliveryError as error:
            return judge(error, delivery.attempt, self._retry, self._clock.now())
        except TimeoutError as error:
            failure = DeliveryError(Outcome.TIMED_OUT, f"no answer within {self._retry.lease}: {error}")
            return judge(failure, delivery.attempt, self._retry, self._clock.now())
        except Exception as error:  # noqa: BLE001 - a fault of ours in one channel must not stop the others
            failure = DeliveryError(Outcome.UNEXPECTED_ERROR, repr(error))
            return judge(failure, delivery.attempt, self._retry, self._clock.now())
        return Verdict(DeliveryState.DELIVERED, Outcome.DELIVERED, detail)
