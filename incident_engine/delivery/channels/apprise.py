"""Messages by Apprise, for everything for which there is no adapter of our own.

Source: https://github.com/caronc/apprise/wiki (addresses). Apprise is an optional extra: it is imported only where such
a channel is configured. It connects by itself, so its addresses are neither resolved nor checked by us.
"""

import asyncio
import importlib
import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from incident_engine.config.channels import AppriseSettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.store.deliveries import ClaimedDelivery

_AT_ONCE = 4
"""How many messages of one channel may be under way; Apprise blocks a thread for each."""


class _Heard(logging.Handler):
    """Keeps Apprise's warnings from the log, where nobody could hide what is secret in them, and for our detail."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: ContextVar[list[str]] = ContextVar("lines")  # Apprise hands its context on to its own threads

    def begin(self) -> None:
        """Listen to what is said in this context."""
        log = logging.getLogger("apprise")
        log.propagate = False
        log.addHandler(self)
        self._lines.set([])

    def end(self) -> str:
        """Return what was said since."""
        return "; ".join(self._lines.get())

    def emit(self, record: logging.LogRecord) -> None:
        """Note a warning."""
        lines = self._lines.get(None)
        if lines is not None:
            lines.append(record.getMessage())


_HEARD = _Heard()


class AppriseChannel:
    """Hands messages to Apprise, in a thread of its own."""

    def __init__(self, settings: AppriseSettings) -> None:
        try:
            self._apprise: Any = importlib.import_module("apprise")
        except ImportError as error:
            raise ValueError("Apprise is not installed; pip install incident-engine[apprise]") from error
        _HEARD.begin()
        self._service = self._apprise.Apprise()
        if not self._service.add(settings.url.read()):
            raise ValueError("url is not an address that Apprise knows; see https://github.com/caronc/apprise/wiki")
        self._timeout = settings.timeout.total_seconds()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="apprise")

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send one message."""
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._notify, delivery)
        try:
            async with asyncio.timeout(self._timeout):
                is_sent, said = await work
        except TimeoutError as error:
            raise DeliveryError(DeliveryOutcome.TIMED_OUT, f"Apprise did not end within {self._timeout:g} s") from error
        if not is_sent:
            raise DeliveryError(DeliveryOutcome.SERVER_ERROR, f"Apprise could not send: {said or 'it says no more'}")
        return "sent by Apprise"

    async def close(self) -> None:
        """Let go of the threads; what they are at goes on to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _notify(self, delivery: ClaimedDelivery) -> tuple[bool, str]:
        _HEARD.begin()
        sent = self._service.notify(
            title=delivery.subject, body=delivery.body, body_format=self._apprise.NotifyFormat.MARKDOWN
        )
        return bool(sent), _HEARD.end()
