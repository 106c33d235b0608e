"""Notifies the operators of findings, in a thread with an event loop and channels of its own.

Store, dispatcher and the daemon's event loop may be the broken parts, so nothing here uses them.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from incident_engine.common.clock import Clock, ticks
from incident_engine.common.telemetry import logger
from incident_engine.config.channels import Address
from incident_engine.config.people import ContactSettings
from incident_engine.config.settings import Settings
from incident_engine.delivery.channels.base import Channels, DeliveryError, DeliveryOutcome
from incident_engine.watchdog.findings import FOR_DUTY, Change, Kind
from incident_engine.watchdog.notice_message import NoticeMessages
from incident_engine.watchdog.pending_notices import PendingNotices

_CHECK_SECONDS = 1.0
"""Seconds between two checks for notices that have become due."""
_SEND_TIMEOUT = 30.0
"""Seconds that one channel may take for one notice before the reader's next one is tried."""

Count = Callable[[str, DeliveryOutcome], None]
"""Counts one attempt, by channel and outcome."""


class Notifier:
    """Sends changes of findings to the audience. A notice that no channel accepts is kept and tried again."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        messages: NoticeMessages,
        clock: Clock,
        count: Count,
        *,
        duty: Sequence[str] = (),
        now_ticks: Callable[[], float] = ticks,
    ) -> None:
        """Take over `channels`: their connections live in this object's event loop, so they cannot be shared.

        `duty` names those who are told of outages that may go on ungraded, beside the audience of the watchdog.
        """
        self._settings = settings
        self._channels = channels
        self._messages = messages
        self._clock = clock
        self._count = count
        self._ticks = now_ticks
        self._duty = duty
        self._posted: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._pending: dict[str, PendingNotices] = {}
        self._log = logger("watchdog")
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog-notices", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, change: Change) -> None:
        """Queue a change for the audience. Safe in any thread."""
        self._posted.put(change)
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """Stop sending; wait up to `timeout` seconds for the notice in hand."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def notify_due(self, runner: asyncio.Runner) -> None:
        """Send every notice that is due now."""

        async def notify_all() -> None:
            await asyncio.gather(*(self._notify(pending, changes) for pending, changes in due))

        self._distribute()
        now = self._ticks()
        due = [(pending, changes) for pending in self._pending.values() if (changes := pending.due(now))]
        if due:
            runner.run(notify_all())

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while not self._stopping.is_set():
                # Retries and pauses become due by time alone, hence the timeout.
                self._wake.wait(_CHECK_SECONDS)
                self._wake.clear()
                try:
                    self.notify_due(runner)
                except Exception as error:  # noqa: BLE001 - one failure must not end all later notices
                    self._log.warning("notice_failed", reason="unexpected_error", error=repr(error))
            for channel in self._channels.values():
                runner.run(channel.close())

    def _distribute(self) -> None:
        """Move posted changes to the readers: starts to the contacts on duty now, ends to every reader."""
        while True:
            try:
                change = self._posted.get_nowait()
            except queue.Empty:
                return
            if change.ended_at is None:
                for contact in self._readers(change.finding.kind, self._clock.now()):
                    if contact.id not in self._pending:
                        pause, retry = self._settings.watchdog.pause, self._settings.retry
                        self._pending[contact.id] = PendingNotices(contact, pause, retry)
                    self._pending[contact.id].add(change)
            else:
                # The shift may have changed since the start; PendingNotices drops the end if its start was not sent.
                for pending in self._pending.values():
                    pending.add(change)

    def _readers(self, kind: Kind, now: datetime) -> Sequence[ContactSettings]:
        people = self._settings.people
        audience = [*self._settings.watchdog.audience, *(self._duty if kind in FOR_DUTY else ())]
        if not audience:
            return []  # the start of the watchdog has logged it
        contacts = [contact for name in audience for contact in people.members(name, now)]
        readers = {contact.id: contact for contact in contacts if internal_addresses(contact, self._settings)}
        if not readers:
            self._log.warning("nobody_is_told", reason="no_internal_channel", set="watchdog.audience")
        return list(readers.values())

    async def _notify(self, pending: PendingNotices, changes: Sequence[Change]) -> None:
        """Notify one reader over the first channel that accepts the notice."""
        kinds = [change.finding.kind.value for change in changes]
        for address in internal_addresses(pending.contact, self._settings):
            failure = await self._send(pending.contact, address, changes)
            outcome = failure.outcome if failure else DeliveryOutcome.DELIVERED
            self._count(address.channel, outcome)
            fields = {"contact": pending.contact.id, "channel": address.channel, "kinds": kinds}
            if failure is None:
                pending.record_sent(changes, self._ticks())
                self._log.info("notice_sent", reason=outcome.value, **fields)
                return
            self._log.warning("notice_failed", reason=outcome.value, detail=failure.detail, **fields)
        wait = pending.record_failed(self._ticks())
        self._log.warning("notice_postponed", reason="no_channel_took_it", contact=pending.contact.id, seconds=wait)

    async def _send(
        self, contact: ContactSettings, address: Address, changes: Sequence[Change]
    ) -> DeliveryError | None:
        now = self._clock.now()
        delivery = self._messages.write(contact, address, changes, now)
        try:
            async with asyncio.timeout(_SEND_TIMEOUT):
                await self._channels[address.channel].send(delivery, now)
        except DeliveryError as error:
            return error
        except TimeoutError:
            return DeliveryError(DeliveryOutcome.TIMED_OUT, f"no answer within {timedelta(seconds=_SEND_TIMEOUT)}")
        return None


def internal_addresses(contact: ContactSettings, settings: Settings) -> list[Address]:
    """Return a contact's addresses except those on public pages: customers must not read the daemon's faults."""
    return [address for address in contact.via if settings.channels[address.channel].form != "web"]
