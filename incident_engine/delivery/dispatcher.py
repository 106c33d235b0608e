"""The dispatcher: claims due deliveries with a lease, sends them, and records the outcome: at least once each."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from incident_engine.common import failpoints
from incident_engine.common.clock import Clock, ticks
from incident_engine.common.errors import StoreError
from incident_engine.common.telemetry import CircuitState, Metrics, RateLimitedLog, logger
from incident_engine.config.channels import RetrySettings
from incident_engine.delivery.channels.base import Channels, DeliveryError, DeliveryOutcome
from incident_engine.delivery.digest import digest_of
from incident_engine.delivery.endpoints import Endpoints, PostponeReason
from incident_engine.delivery.retry import AttemptResult, attempt_result
from incident_engine.delivery.slots import Batch, Slots
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.store import deliveries
from incident_engine.store.claims import Choice, ClaimedDelivery
from incident_engine.store.unit_of_work import UnitOfWork, in_savepoint
from incident_engine.store.writer import Writer

AT_ONCE = 16
"""How many messages are in progress at the same time."""
_SHARE_OF_LEASE = 0.8
"""The share of its lease that an attempt may take; the rest is for recording it before another replica may try."""
_RECORD_AGAIN_SECONDS = 0.5
_CLAIM_AGAIN_SECONDS = 1.0
_YIELD_SECONDS = 0.00005
"""The writer's rest after a claim: the event loop needs Python's lock to send the messages."""
_SET_BACK = timedelta(minutes=1)
"""A clock that goes back by more was set; by less it was corrected, and the deliveries can wait for it."""


class Dispatcher:
    """Sends due deliveries and records their outcome.

    It claims and records in the writer's thread, and sends in the event loop.
    """

    def __init__(
        self,
        writer: Writer,
        channels: Channels,
        retry: RetrySettings,
        clock: Clock,
        metrics: Metrics,
        endpoints: Endpoints | None = None,
    ) -> None:
        self._writer = writer
        self._channels = channels
        self._retry = retry
        self._clock = clock
        self._metrics = metrics
        self._endpoints = endpoints or Endpoints({})
        self._slots = Slots(AT_ONCE)
        self._log = logger("delivery")
        self._claim_failed = RateLimitedLog(self._log.warning, 60)
        self._claimed_at = clock.now()
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self.busy_since: float | None = None
        """The tick since which it has been claiming; None while it waits to be notified."""
        for channel in channels:
            metrics.show_circuit(channel, CircuitState.CLOSED)

    def start(self) -> None:
        """Begin to send. Must be called within the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="dispatcher")

    @property
    def is_alive(self) -> bool:
        """Return whether messages are sent."""
        return self._task is not None and not self._task.done()

    def notify(self) -> None:
        """Announce, from any thread, that deliveries may be due."""
        self._call_in_loop(self._wake.set)

    async def stop(self, grace: float) -> None:
        """Claim no more, and give messages in progress `grace` seconds. Unfinished ones are repeated after a start."""
        self._is_stopping = True
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

    # 1. Claim, in the writer's thread.

    async def _run(self) -> None:
        """Claim after each notification."""

        def claim(unit: UnitOfWork) -> None:
            if self._can_claim():
                unit.after_commit.append(self._claim(unit))

        while True:
            self.busy_since = None
            await self._wake.wait()
            self._wake.clear()
            self.busy_since = ticks()
            if not self._can_claim():
                continue  # the next message that ends wakes us
            try:
                await asyncio.wrap_future(self._writer.submit(claim, urgent=True))
            except Exception as error:  # noqa: BLE001 - the store is in trouble; due deliveries stay due
                self._claim_failed("claim_failed", reason="store_error", error=repr(error))
                await asyncio.sleep(_CLAIM_AGAIN_SECONDS)
                self._wake.set()

    def claim_within(self, unit: UnitOfWork) -> None:
        """Claim deliveries at the end of the transaction that made them due. They are sent after its commit.

        A failure is undone and repeated a moment later: it must not keep the transaction's other work from the disk.
        """

        def claim_later() -> None:
            self._call_in_loop(lambda: asyncio.get_running_loop().call_later(_CLAIM_AGAIN_SECONDS, self._wake.set))

        if self._can_claim() and deliveries.is_due(unit.connection, self._clock.now()):
            start_sending, error = in_savepoint(unit, self._claim)
            if error is not None:
                self._claim_failed("claim_failed", reason="store_error", error=repr(error))
            unit.after_commit.append_delivery(start_sending or claim_later)

    def _can_claim(self) -> bool:
        return self._slots.has_free() and self._loop is not None and not self._is_stopping

    def _claim(self, unit: UnitOfWork) -> Callable[[], None]:
        """Claim due deliveries up to the free slots. Return the action that starts sending after the commit."""
        now = self._clock.now()
        lease_until = now + self._retry.lease * self._clock.speed
        free, under_way = self._slots.free, self._slots.under_way
        if self._claimed_at - now > _SET_BACK:
            deliveries.set_back(unit.connection, now, lease_until)

        def choose(due: Sequence[ClaimedDelivery], limit: int) -> Choice:
            choice, reasons = self._endpoints.choose(due, limit, now)
            self._report_postponed([delivery for delivery in due if delivery.id in reasons], choice.later, reasons)
            return choice

        are_open = partial(self._endpoints.are_open, now=now)
        choice = deliveries.claim(unit.connection, now, lease_until, free, under_way, choose, are_open)
        self._slots.take(choice.batches, has_more=len(choice.batches) >= free)
        unit.on_rollback.append(partial(self._release, choice.batches))
        return partial(self._start_sending, choice, now, lease_until)

    def _start_sending(self, choice: Choice, now: datetime, lease_until: datetime) -> None:
        """Let the event loop send the claimed deliveries, now that the claim is on disk."""
        self._claimed_at = now
        if choice.batches:
            try:
                for channel in {batch[0].channel for batch in choice.batches}:
                    self._metrics.show_circuit(channel, self._endpoints.state(channel))
                failpoints.reach(failpoints.Point.AFTER_CLAIM)
                self._call_in_loop(self._send_all, choice.batches, lease_until)
                time.sleep(_YIELD_SECONDS)
            except BaseException:
                self._release(choice.batches)
                raise
        if choice.later:
            self.notify()  # the postponed ones no longer hide others that are due

    # 2. Send, in the event loop.

    def _send_all(self, batches: Sequence[Batch], lease_until: datetime) -> None:
        def end(batch: Batch, task: asyncio.Task[None]) -> None:
            self._sending.discard(task)
            self._release([batch])
            if not task.cancelled() and (error := task.exception()) is not None:
                self._log.warning("delivery_not_recorded", reason="store_error", error=repr(error))

        if self._is_stopping:  # claimed while the stop began; sent after the next start
            self._release(batches)
            return
        for batch in batches:
            task = asyncio.create_task(self._deliver(batch, lease_until))
            self._sending.add(task)
            task.add_done_callback(partial(end, batch))

    async def _deliver(self, batch: Batch, lease_until: datetime) -> None:
        """Send a batch as one message, and record the result of each delivery."""
        message = batch[0] if len(batch) == 1 else digest_of(batch)
        # A process that was frozen finds its lease over: another replica may have sent the message meanwhile.
        if not self._slots.begin(batch, lambda: self._clock.now() < lease_until):
            for delivery in batch:
                self._log.warning(
                    "delivery_not_attempted",
                    reason="lease_lost",
                    channel=delivery.channel,
                    delivery=delivery.id,
                    incident=delivery.case_id,
                    attempt=delivery.attempt,
                )
            return
        failpoints.reach(failpoints.Point.BEFORE_SEND)
        answer = await self._attempt(message)
        failpoints.reach(failpoints.Point.AFTER_SEND)
        now = self._clock.now()
        results = [attempt_result(answer, delivery, message, self._retry, now) for delivery in batch]
        recorded = await self._record(batch, results, now, lease_until)
        if len(batch) > 1 and isinstance(answer, str):
            self._metrics.count_digest(message.channel, len(batch))
        for delivery, result, is_recorded in zip(batch, results, recorded, strict=True):
            self._metrics.count_delivery(delivery.channel, result.outcome)
            self._report(delivery, result, is_recorded)

    async def _attempt(self, message: ClaimedDelivery) -> str | DeliveryError:
        """Return the answer of the other side, or the failure. The endpoint records either."""
        answer = await self._send(message)
        failure = answer if isinstance(answer, DeliveryError) else None
        outcome = failure.outcome if failure else DeliveryOutcome.DELIVERED
        wait = failure.retry_after if failure else None
        changed = self._endpoints.record(message, outcome, self._clock.now(), wait)
        if changed is not None:
            state = self._endpoints.state(message.channel)
            self._metrics.show_circuit(message.channel, state)
            log = self._log.info if changed is CircuitState.CLOSED else self._log.warning
            log(f"circuit_{changed}", reason=outcome.value, channel=message.channel, state=state.value)
        return answer

    async def _send(self, message: ClaimedDelivery) -> str | DeliveryError:
        channel = self._channels.get(message.channel)
        if channel is None:
            detail = f"channel '{message.channel}' is no longer configured"
            return DeliveryError(DeliveryOutcome.MISCONFIGURED, detail, permanent=True)
        try:
            async with asyncio.timeout(self._retry.lease.total_seconds() * _SHARE_OF_LEASE):
                return await channel.send(message, self._clock.now())
        except DeliveryError as error:
            return error
        except TimeoutError as error:
            return DeliveryError(DeliveryOutcome.TIMED_OUT, f"no answer within {self._retry.lease}: {error}")
        except Exception as error:  # noqa: BLE001 - a fault of ours in one channel must not stop the others
            return DeliveryError(DeliveryOutcome.UNEXPECTED_ERROR, repr(error))

    # 3. Record, in the writer's thread again.

    async def _record(
        self, batch: Batch, results: Sequence[AttemptResult], now: datetime, lease_until: datetime
    ) -> Sequence[bool]:
        """Record results, repeatedly while the store is away and the lease lasts.

        Returns for each delivery whether its lease was still ours. Raises StoreError once the lease is over.
        """

        def work(unit: UnitOfWork) -> list[bool]:
            # The transaction that records this message may claim the next one for its slot.
            if self._slots.vacate(batch):
                unit.on_rollback.append(partial(self._slots.reoccupy, batch))
            return [
                deliveries.record(
                    unit.connection,
                    delivery,
                    result.state,
                    result.outcome,
                    result.detail,
                    now,
                    result.retry_at,
                    fallback_after=self._retry.fallback_after,
                )
                for delivery, result in zip(batch, results, strict=True)
            ]

        while True:
            try:
                return await asyncio.wrap_future(self._writer.submit(work, urgent=True))
            except StoreError:
                if self._clock.now() >= lease_until:
                    raise
                await asyncio.sleep(_RECORD_AGAIN_SECONDS)

    def _release(self, batches: Sequence[Batch]) -> None:
        if self._slots.release(batches):
            self.notify()

    def _call_in_loop(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in the event loop, from any thread; after the loop has ended there is nothing to do."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _report(self, delivery: ClaimedDelivery, result: AttemptResult, is_recorded: bool) -> None:
        log = self._log.warning if result.state is DeliveryState.FAILED else self._log.info
        log(
            "delivery_given_up" if result.state is DeliveryState.FAILED else "delivery_attempted",
            reason=result.outcome.value if is_recorded else "lease_lost",
            detail=result.detail,
            delivery=delivery.id,
            incident=delivery.case_id,
            step=delivery.step_id,
            contact=delivery.contact,
            channel=delivery.channel,
            attempt=delivery.attempt,
            state=result.state.value,
            retry_at=result.retry_at.isoformat() if result.retry_at else None,
        )

    def _report_postponed(
        self,
        postponed: Sequence[ClaimedDelivery],
        later: Mapping[str, datetime],
        reasons: Mapping[str, PostponeReason],
    ) -> None:
        """Count postponed deliveries, and log one line for each channel: in a flood there are hundreds."""
        for delivery in postponed:
            self._metrics.count_postponed(delivery.channel, reasons[delivery.id])
        for channel in dict.fromkeys(delivery.channel for delivery in postponed):
            names = [delivery.id for delivery in postponed if delivery.channel == channel]
            until = min(later[name] for name in names).isoformat()
            self._log.info(
                "deliveries_postponed", reason=reasons[names[0]].value, channel=channel, count=len(names), until=until
            )
