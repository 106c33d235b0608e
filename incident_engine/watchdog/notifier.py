"""Telling the operators, in a thread with an event loop and channels of its own: store, dispatcher and the daemon's
event loop may be what is broken."""

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
from incident_engine.watchdog.findings import Change
from incident_engine.watchdog.notice_message import NoticeMessages
from incident_engine.watchdog.pending_notices import PendingNotices

_LOOK_EVERY = 1.0
"""Seconds between two looks at what waits."""
_PATIENCE = 30.0
"""Seconds that one channel may take for one notice; then the reader's next one is tried."""

Count = Callable[[str, DeliveryOutcome], None]
"""Counts one attempt, by channel and outcome."""


class Notifier:
    """Tells the audience what changed. `post` is for any thread; what cannot be told is kept and tried again."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        letters: NoticeMessages,
        clock: Clock,
        count: Count,
        *,
        now_ticks: Callable[[], float] = ticks,
    ) -> None:
        """The channels must be nobody else's: their connections live in this object's event loop."""
        self._settings = settings
        self._channels = channels
        self._letters = letters
        self._clock = clock
        self._count = count
        self._ticks = now_ticks
        self._posted: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._mailboxes: dict[str, PendingNotices] = {}
        self._log = logger("watchdog")
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog-notices", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def post(self, change: Change) -> None:
        """Have a change told."""
        self._posted.put(change)
        self._news.set()

    def stop(self, timeout: float) -> None:
        """Tell nothing more."""
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def step(self, runner: asyncio.Runner) -> None:
        """Tell everybody what they are to be told now."""
        self._deal_out()
        now = self._ticks()
        due = [(mailbox, changes) for mailbox in self._mailboxes.values() if (changes := mailbox.due(now))]
        if due:
            runner.run(self._tell_all(due))

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while not self._stopping.is_set():
                self._news.wait(_LOOK_EVERY)
                self._news.clear()
                try:
                    self.step(runner)
                except Exception as error:  # noqa: BLE001 - it must go on telling
                    self._log.warning("notice_failed", reason="unexpected_error", error=repr(error))
            for channel in self._channels.values():
                runner.run(channel.close())

    def _deal_out(self) -> None:
        """Put what was posted into the mailboxes: beginnings of those who are on duty now, ends of all."""
        while True:
            try:
                change = self._posted.get_nowait()
            except queue.Empty:
                return
            if change.ended_at is None:
                for contact in self._readers(self._clock.now()):
                    pause = self._settings.watchdog.pause
                    self._mailboxes.setdefault(contact.id, PendingNotices(contact, pause, self._settings.retry)).add(
                        change
                    )
            else:
                for mailbox in self._mailboxes.values():
                    mailbox.add(change)

    def _readers(self, now: datetime) -> Sequence[ContactSettings]:
        people = self._settings.people
        found = [contact for name in self._settings.watchdog.audience for contact in people.members(name, now)]
        told = {contact.id: contact for contact in found if internal(contact, self._settings)}
        if not told:
            self._log.warning("nobody_is_told", reason="no_internal_channel", set="watchdog.audience")
        return list(told.values())

    async def _tell_all(self, due: Sequence[tuple[PendingNotices, Sequence[Change]]]) -> None:
        await asyncio.gather(*(self._tell(mailbox, changes) for mailbox, changes in due))

    async def _tell(self, mailbox: PendingNotices, changes: Sequence[Change]) -> None:
        """Tell one reader, over the first of the channels that takes it."""
        kinds = [change.finding.kind.value for change in changes]
        for address in internal(mailbox.contact, self._settings):
            failure = await self._send(mailbox.contact, address, changes)
            outcome = failure.outcome if failure else DeliveryOutcome.DELIVERED
            self._count(address.channel, outcome)
            told = {"contact": mailbox.contact.id, "channel": address.channel, "kinds": kinds}
            if failure is None:
                mailbox.sent(changes, self._ticks())
                self._log.info("notice_sent", reason=outcome.value, **told)
                return
            self._log.warning("notice_failed", reason=outcome.value, detail=failure.detail, **told)
        wait = mailbox.failed(self._ticks())
        self._log.warning("notice_postponed", reason="no_channel_took_it", contact=mailbox.contact.id, seconds=wait)

    async def _send(
        self, contact: ContactSettings, address: Address, changes: Sequence[Change]
    ) -> DeliveryError | None:
        now = self._clock.now()
        letter = self._letters.write(contact, address, changes, now)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._channels[address.channel].send(letter, now)
        except DeliveryError as error:
            return error
        except TimeoutError:
            return DeliveryError(DeliveryOutcome.TIMED_OUT, f"no answer within {timedelta(seconds=_PATIENCE)}")
        return None


def internal(contact: ContactSettings, settings: Settings) -> list[Address]:
    """Return a reader's addresses but those on a page for the public: what is wrong here is not for customers."""
    return [each for each in contact.via if settings.channels[each.channel].form != "web"]
