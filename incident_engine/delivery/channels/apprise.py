"""Messages by Apprise, for services that have no channel of their own here.

Source: https://github.com/caronc/apprise/wiki (addresses). Apprise is an optional extra: it is imported only where such
a channel is configured. It opens its own connections, so its addresses are neither resolved nor checked here.
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
from incident_engine.delivery.channels.plain import title_of, without_markup
from incident_engine.store.claims import ClaimedDelivery

_AT_ONCE = 4
"""The number of messages of one channel at a time; Apprise blocks a thread for each."""


class _Warnings(logging.Handler):
    """Collects Apprise's warnings for the detail of an attempt, and keeps them and their secrets out of the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: ContextVar[list[str]] = ContextVar("lines")  # Apprise hands its context on to its own threads

    def begin(self) -> None:
        """Collect the warnings of this context."""
        log = logging.getLogger("apprise")
        log.propagate = False
        log.addHandler(self)
        self._lines.set([])

    def end(self) -> str:
        """Return the warnings since `begin`."""
        return "; ".join(self._lines.get())

    def emit(self, record: logging.LogRecord) -> None:
        """Add a warning."""
        lines = self._lines.get(None)
        if lines is not None:
            lines.append(record.getMessage())


_WARNINGS = _Warnings()


class AppriseChannel:
    """Passes messages to Apprise, in threads."""

    def __init__(self, settings: AppriseSettings) -> None:
        try:
            self._apprise: Any = importlib.import_module("apprise")
        except ImportError as error:
            raise ValueError("Apprise is not installed; pip install incident-engine[apprise]") from error
        _WARNINGS.begin()
        self._service = self._apprise.Apprise()
        if not self._service.add(settings.url.read()):
            raise ValueError("url is not an address that Apprise knows; see https://github.com/caronc/apprise/wiki")
        self._timeout = settings.timeout.total_seconds()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="apprise")

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send one message."""

        def notify() -> tuple[bool, str]:
            _WARNINGS.begin()
            is_sent = self._service.notify(
                # Apprise puts the title into headers, and turns tags in Markdown into tags of an HTML mail.
                title=title_of(delivery.subject),
                body=without_markup(delivery.body),
                body_format=self._apprise.NotifyFormat.MARKDOWN,
            )
            return bool(is_sent), _WARNINGS.end()

        work = asyncio.get_running_loop().run_in_executor(self._threads, notify)
        try:
            async with asyncio.timeout(self._timeout):
                is_sent, warnings = await work
        except TimeoutError as error:
            raise DeliveryError(DeliveryOutcome.TIMED_OUT, f"Apprise did not end within {self._timeout:g} s") from error
        if not is_sent:
            raise DeliveryError(
                DeliveryOutcome.SERVER_ERROR, f"Apprise could not send: {warnings or 'it gives no reason'}"
            )
        return "sent by Apprise"

    async def close(self) -> None:
        """Release the threads without waiting for the messages in progress."""
        self._threads.shutdown(wait=False, cancel_futures=True)
