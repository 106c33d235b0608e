"""The dispatcher: claim what is due with a lease, send it, record how it went. At least once, never zero times."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from incident_engine.common import failpoints as faults
from incident_engine.common.clock import Clock, ticks
from incident_engine.common.errors import StoreError
from incident_engine.common.telemetry import CircuitState, Metrics, RateLimitedLog, logger
from incident_engine.config.channels import RetrySettings
from incident_engine.delivery.channels.base import Channels, DeliveryError, DeliveryOutcome
from incident_engine.delivery.digest import digest_of
from incident_engine.delivery.endpoints import Endpoints, PostponeReason
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.store import deliveries as outgoing
from incident_engine.store.deliveries import Choice, ClaimedDelivery
from incident_engine.store.unit_of_work import UnitOfWork, in_savepoint
from incident_engine.store.writer import Writer

_SHARE_OF_LEASE = 0.8
"""How much of its lease an attempt may take: it must be recorded before somebody else may try."""
_AGAIN_SECONDS = 0.5
"""How long to wait before what went out is recorded once more, when the store did not take it."""
_CLAIM_AGAIN_SECONDS = 1.0
_GIVE_WAY_SECONDS = 0.00005
"""How long the writer rests after it handed messages over: the event loop needs Python's lock to send them."""
_SET_BACK = timedelta(minutes=1)
"""A clock that goes back by more was set; by less it was corrected, and what waits can wait so long."""
AT_ONCE = 16
"""How many messages are under way at the same time."""


_Attempt = tuple[str, int]
Batch = tuple[ClaimedDelivery, ...]
"""Deliveries that go out as one message."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt went and what follows from it."""

    state: DeliveryState
    outcome: DeliveryOutcome
    detail: str
    retry_at: datetime | None = None


def backoff(retry: RetrySettings, attempt: int) -> timedelta:
    """Return how long to wait after the given failed attempt (counted from 1): doubling, up to the longest."""
    factor: int = 2 ** min(attempt - 1, 30)
    return min(retry.first * factor, retry.longest)


def result_of(error: DeliveryError, attempt: int, retry: RetrySettings, now: datetime) -> AttemptResult:
    """Return what follows from a failed attempt."""
    if error.permanent or attempt >= retry.attempts:
        return AttemptResult(DeliveryState.FAILED, error.outcome, error.detail)
    wait = max(backoff(retry, attempt), error.retry_after or timedelta(0))
    return AttemptResult(DeliveryState.PENDING, error.outcome, error.detail, now + wait)


class Dispatcher:
    """Sends what is due whenever it is notified. `start`, `claim_within`, `notify` and `stop` are all there is.

    It claims in the writer's thread and sends in the event loop.
    """

    def __init__(
        self,
        writer: Writer,
        channels: Channels,
        retry: RetrySettings,
        clock: Clock,
        metrics: Metrics,
        targets: Endpoints | None = None,
    ) -> None:
        self._writer = writer
        self._channels = channels
        self._retry = retry
        self._clock = clock
        self._metrics = metrics
        self._targets = targets or Endpoints({})
        self._log = logger("delivery")
        self._seen = clock.now()
        self._failures = RateLimitedLog(self._log.warning, 60)
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self._in_hand: dict[_Attempt, Batch] = {}
        """The messages that are claimed and not done with, by the attempt of their first delivery."""
        self._under_way: set[_Attempt] = set()
        """The attempts that are being made; what is claimed and not begun may still be given up."""
        self._has_more = False
        """Whether more may be due than there was place for."""
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self.busy_since: float | None = None
        """Since when it has been claiming, in ticks; None while it waits to be notified."""
        for channel in channels:
            metrics.show_circuit(channel, CircuitState.CLOSED)

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
        self._call(self._wake.set)

    async def stop(self, grace: float) -> None:
        """Claim nothing more; give what is under way so many seconds. What is not done by then will be repeated."""
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

    async def _run(self) -> None:
        while True:
            self.busy_since = None
            await self._wake.wait()
            self._wake.clear()
            self.busy_since = ticks()
            if not self._has_place():
                continue  # whoever ends first wakes us again
            try:
                await asyncio.wrap_future(self._writer.submit(self._claim_now, urgent=True))
            except Exception as error:  # noqa: BLE001 - the store is in trouble; what is due stays due
                self._say_failed(error)
                await asyncio.sleep(_CLAIM_AGAIN_SECONDS)
                self._wake.set()

    def claim_within(self, unit: UnitOfWork) -> None:
        """Claim what is due with what makes it due, at the end of a transaction of the writer.

        Sent as soon as that is on disk. If it cannot be claimed now, it is a moment later: it must not keep others'
        work from being stored.
        """
        if self._has_place() and outgoing.is_due(unit.connection, self._clock.now()):
            hand_over, failure = in_savepoint(unit, self._claim)
            if failure is not None:
                self._say_failed(failure)
            unit.after_commit.append_delivery(hand_over or self._later)

    def _claim_now(self, unit: UnitOfWork) -> None:
        if self._has_place():
            unit.after_commit.append(self._claim(unit))

    def _claim(self, unit: UnitOfWork) -> Callable[[], None]:
        """Take what is ours to send, for as many messages as there is place for; return what hands it over."""
        now = self._clock.now()
        lease_until = now + self._retry.lease * self._clock.speed
        with self._lock:
            free, under_way = AT_ONCE - len(self._in_hand), frozenset(self._under_way)
        if self._seen - now > _SET_BACK:
            outgoing.set_back(unit.connection, now, lease_until)

        def choose(due: Sequence[ClaimedDelivery], limit: int) -> Choice:
            choice, why = self._targets.choose(due, limit, now)
            self._report_waiting([delivery for delivery in due if delivery.id in why], choice.later, why)
            return choice

        def are_open(due: Sequence[ClaimedDelivery]) -> bool:
            return self._targets.are_open(due, now)

        choice = outgoing.claim(unit.connection, now, lease_until, free, under_way, choose, are_open)
        self._take_in_hand(choice.batches, has_more=len(choice.batches) >= free)
        unit.on_rollback.append(partial(self._let_go, choice.batches))
        return partial(self._hand_over, choice, now, lease_until)

    def _hand_over(self, choice: Choice, now: datetime, lease_until: datetime) -> None:
        """Let the event loop send what was claimed, now that this is on disk."""
        self._seen = now
        if choice.batches:
            try:
                for channel in {batch[0].channel for batch in choice.batches}:
                    self._metrics.show_circuit(channel, self._targets.state(channel))
                faults.reach(faults.Point.AFTER_CLAIM)
                self._call(self._send_all, choice.batches, lease_until)
                time.sleep(_GIVE_WAY_SECONDS)
            except BaseException:
                self._let_go(choice.batches)
                raise
        if choice.later:
            self.notify()  # those that must wait have made place for others to be looked at

    def _send_all(self, batches: Sequence[Batch], lease_until: datetime) -> None:
        if self._is_stopping:  # claimed while we were told to; sent after the next start
            self._let_go(batches)
            return
        for batch in batches:
            task = asyncio.create_task(self._deliver(batch, lease_until))
            self._sending.add(task)
            task.add_done_callback(partial(self._done, batch))

    def _done(self, batch: Batch, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._let_go([batch])
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("delivery_not_recorded", reason="store_error", error=repr(error))

    def _has_place(self) -> bool:
        """Return whether a message can be claimed now; if not, whoever is done with one wakes us."""
        with self._lock:
            has_place = len(self._in_hand) < AT_ONCE
            self._has_more = self._has_more or not has_place
        return has_place and self._loop is not None and not self._is_stopping

    def _take_in_hand(self, batches: Sequence[Batch], *, has_more: bool) -> None:
        with self._lock:
            self._in_hand.update((_attempt(batch[0]), batch) for batch in batches)
            self._has_more = has_more

    def _let_go(self, batches: Sequence[Batch]) -> None:
        with self._lock:
            for batch in batches:
                self._in_hand.pop(_attempt(batch[0]), None)
                self._under_way.difference_update(map(_attempt, batch))
            has_more, self._has_more = self._has_more, False
        if has_more:
            self.notify()

    def _begin(self, batch: Batch, lease_until: datetime) -> bool:
        """Note that an attempt begins, unless its lease is over; then it is due again, once it is let go."""
        with self._lock:
            has_lease = self._clock.now() < lease_until
            if has_lease:
                self._under_way.update(map(_attempt, batch))
            self._has_more = self._has_more or not has_lease
        return has_lease

    def _make_place(self, unit: UnitOfWork, batch: Batch) -> None:
        """Let another message be claimed in the transaction that records how this one went."""
        key = _attempt(batch[0])
        with self._lock:
            if self._in_hand.pop(key, None) is not None:
                unit.on_rollback.append(partial(self._in_hand.update, {key: batch}))

    def _say_failed(self, error: Exception) -> None:
        self._failures("claim_failed", reason="store_error", error=repr(error))

    def _later(self) -> None:
        self._call(lambda: asyncio.get_running_loop().call_later(_CLAIM_AGAIN_SECONDS, self._wake.set))

    def _call(self, function: Callable[..., object], *given: object) -> None:
        """Call a function in the event loop; if that has ended, so has what it was for."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *given)

    async def _deliver(self, batch: Batch, lease_until: datetime) -> None:
        message = batch[0] if len(batch) == 1 else digest_of(batch)
        if not self._begin(batch, lease_until):  # this process was frozen: another may have sent it meanwhile
            for delivery in batch:
                about = {"delivery": delivery.id, "incident": delivery.case_id, "attempt": delivery.attempt}
                self._log.warning("delivery_not_attempted", reason="lease_lost", channel=delivery.channel, **about)
            return
        faults.reach(faults.Point.BEFORE_SEND)
        answer = await self._attempt(message)
        faults.reach(faults.Point.AFTER_SEND)
        now = self._clock.now()
        verdicts = [_verdict(answer, delivery, message, self._retry, now) for delivery in batch]
        counted = await self._record(batch, verdicts, now, lease_until)
        if len(batch) > 1 and isinstance(answer, str):
            self._metrics.count_digest(message.channel, len(batch))
        for delivery, verdict, is_counted in zip(batch, verdicts, counted, strict=True):
            self._metrics.count_delivery(delivery.channel, verdict.outcome)
            self._report(delivery, verdict, is_counted)

    async def _record(
        self, batch: Batch, verdicts: Sequence[AttemptResult], now: datetime, lease_until: datetime
    ) -> Sequence[bool]:
        """Record how an attempt went; again and again for as long as the lease lasts, if the store is away."""

        def work(unit: UnitOfWork) -> list[bool]:
            self._make_place(unit, batch)
            return [
                outgoing.record(
                    unit.connection,
                    delivery,
                    verdict.state,
                    verdict.outcome,
                    verdict.detail,
                    now,
                    verdict.retry_at,
                    fallback_after=self._retry.fallback_after,
                )
                for delivery, verdict in zip(batch, verdicts, strict=True)
            ]

        while True:
            try:
                return await asyncio.wrap_future(self._writer.submit(work, urgent=True))
            except StoreError:
                if self._clock.now() >= lease_until:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _attempt(self, message: ClaimedDelivery) -> str | DeliveryError:
        """Return what the other side answered, or the failure; the target hears of either."""
        answer = await self._send(message)
        failure = answer if isinstance(answer, DeliveryError) else None
        outcome = failure.outcome if failure else DeliveryOutcome.DELIVERED
        wait = failure.retry_after if failure else None
        changed = self._targets.record(message, outcome, self._clock.now(), wait)
        if changed is not None:
            state = self._targets.state(message.channel)
            self._metrics.show_circuit(message.channel, state)
            log = self._log.info if changed is CircuitState.CLOSED else self._log.warning
            log(f"circuit_{changed}", reason=outcome.value, channel=message.channel, state=state.value)
        return answer

    async def _send(self, message: ClaimedDelivery) -> str | DeliveryError:
        channel = self._channels.get(message.channel)
        if channel is None:
            said = f"channel '{message.channel}' is no longer configured"
            return DeliveryError(DeliveryOutcome.MISCONFIGURED, said, permanent=True)
        try:
            async with asyncio.timeout(self._retry.lease.total_seconds() * _SHARE_OF_LEASE):
                return await channel.send(message, self._clock.now())
        except DeliveryError as error:
            return error
        except TimeoutError as error:
            return DeliveryError(DeliveryOutcome.TIMED_OUT, f"no answer within {self._retry.lease}: {error}")
        except Exception as error:  # noqa: BLE001 - a fault of ours in one channel must not stop the others
            return DeliveryError(DeliveryOutcome.UNEXPECTED_ERROR, repr(error))

    def _report(self, delivery: ClaimedDelivery, verdict: AttemptResult, is_counted: bool) -> None:
        log = self._log.warning if verdict.state is DeliveryState.FAILED else self._log.info
        log(
            "delivery_given_up" if verdict.state is DeliveryState.FAILED else "delivery_attempted",
            reason=verdict.outcome.value if is_counted else "lease_lost",
            detail=verdict.detail,
            delivery=delivery.id,
            incident=delivery.case_id,
            step=delivery.step_id,
            contact=delivery.contact,
            channel=delivery.channel,
            attempt=delivery.attempt,
            state=verdict.state.value,
            retry_at=verdict.retry_at.isoformat() if verdict.retry_at else None,
        )

    def _report_waiting(
        self, waiting: Sequence[ClaimedDelivery], later: Mapping[str, datetime], why: Mapping[str, PostponeReason]
    ) -> None:
        for delivery in waiting:
            self._metrics.count_postponed(delivery.channel, why[delivery.id])
        for channel in dict.fromkeys(delivery.channel for delivery in waiting):
            names = [delivery.id for delivery in waiting if delivery.channel == channel]
            until = min(later[name] for name in names).isoformat()
            self._log.info(
                "deliveries_postponed", reason=why[names[0]].value, channel=channel, count=len(names), until=until
            )


def _attempt(delivery: ClaimedDelivery) -> _Attempt:
    return delivery.id, delivery.attempt


def _verdict(
    answer: str | DeliveryError,
    delivery: ClaimedDelivery,
    message: ClaimedDelivery,
    retry: RetrySettings,
    now: datetime,
) -> AttemptResult:
    """Return what follows for one delivery from the answer to the message in which it went out."""
    suffix = "" if message.id == delivery.id else f" (in the bundle {message.id})"
    if isinstance(answer, str):
        return AttemptResult(DeliveryState.DELIVERED, DeliveryOutcome.DELIVERED, answer + suffix)
    verdict = result_of(answer, delivery.attempt, retry, now)
    return replace(verdict, detail=verdict.detail + suffix)
