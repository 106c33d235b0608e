"""The composition root: builds the parts, starts them, and drains them at a stop signal."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any

from incident_engine.common import failpoints
from incident_engine.common.clock import Clock
from incident_engine.common.telemetry import Metrics, logger
from incident_engine.config.settings import Settings
from incident_engine.delivery.factory import open_dispatcher
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.alarm import Alarm
from incident_engine.engine.factory import open_reader
from incident_engine.engine.scheduled_jobs import ScheduledJobs
from incident_engine.engine.service import Engine
from incident_engine.store.database import Database
from incident_engine.store.writer import Writer
from incident_engine.timers.factory import open_timers
from incident_engine.watchdog.factory import open_watchdog
from incident_engine.watchdog.readiness import unready_reasons
from incident_engine.watchdog.watchdog import Watched
from incident_engine.web.app import create_app
from incident_engine.web.context import AppContext
from incident_engine.web.links.factory import open_links
from incident_engine.web.server import http_server, listen, raise_file_limit, read_keys

_GRACE_SECONDS = 1.5
"""Time for the deliveries under way when the daemon stops; unfinished ones are repeated after the next start."""
_GARBAGE = 20_000
"""New objects between two garbage collections (700 by default in Python); a single request makes thousands."""


class Daemon:
    """Runs the whole engine in one process."""

    def __init__(
        self,
        settings: Settings,
        rulebook: Rulebook,
        clock: Clock,
        *,
        drill: bool = False,
        fault: failpoints.Failpoint | None = None,
    ) -> None:
        """Build the parts. In a drill every message is marked as one. `fault` is a failpoint, for tests only."""
        self._settings = settings
        self.clock = clock
        self._rulebook = rulebook
        self._rules = rulebook.fingerprint
        self._log = logger("daemon")
        keys = read_keys(settings)
        failpoints.arm_for_tests(fault, is_exposed=bool(keys) or not settings.server.is_loopback)
        self._socket = listen(settings)
        try:
            self.database = Database(settings.store.url)
            metrics = Metrics()
            self._alarm = Alarm(self.database, clock)
            links = open_links(settings, self.database)
            self.reader = open_reader(settings, rulebook)
            self.engine = Engine(settings, rulebook, self.reader, metrics, links, drill=drill)
            # Only replicas that share a database must follow each other's changes.
            cache = self.engine.cache if self.database.is_shared else None
            self.writer = Writer(
                self.database,
                settings.intake.queue,
                self._alarm.rearm,
                on_begin=cache.begin if cache else None,
                before_commit=(*([cache.end] if cache else []), self._alarm.before_commit),
            )
            self.dispatcher = open_dispatcher(settings, self.writer, clock, metrics)
        except BaseException:
            self._socket.close()  # the address is free again at once for the next start
            raise
        self._timers = open_timers(self.database, clock, self._on_due, self._alarm.refresh, settings.store.lost_after)
        claims = self.dispatcher.claim_within, self._timers.enqueue
        self._alarm.connect(send_due=self.dispatcher.notify, arm=self._timers.arm, claims=claims)
        watched = Watched(self.database, self.writer, self.dispatcher, self._timers, metrics)
        self._watchdog = open_watchdog(settings, rulebook.playbooks, watched, clock, self.url, drill=drill)
        self._jobs = ScheduledJobs(settings, self.database, self.writer, self.reader, clock, self.engine.is_changing)
        context = AppContext(
            settings=settings,
            database=self.database,
            writer=self.writer,
            engine=self.engine,
            reader=self.reader,
            metrics=metrics,
            clock=clock,
            keys=keys,
            links=links,
            unready=lambda: list(unready_reasons(self._watchdog, self.writer, self.database)),
            warnings=self._watchdog.warnings,
        )
        self._server = http_server(create_app(context), settings, metrics)

    @property
    def url(self) -> str:
        """Return the address at which the daemon listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run until the block ends; yield the task of the server once it answers requests."""
        raise_file_limit(self._settings.server.max_connections)
        zone = self._settings.bank.zone
        self.writer.start()
        self.dispatcher.start()
        self._timers.every_month(zone, self._jobs.monthly)
        self._timers.every_day(zone, self._jobs.daily)
        self._timers.start()
        # Urgent work goes first, so nothing is claimed before the rows of a dead process are repaired.
        self._submit(lambda unit: self._jobs.at_start(unit, self._rules))
        self._watchdog.start(asyncio.get_running_loop())
        # Rules and libraries are never garbage; collecting among them again and again would take half of the time.
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        gc.enable()
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="server")
        try:
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.005)
            guessed_years = self._rulebook.guessed_years(self._settings.bank.calendar, self.clock.now())
            for name, years in guessed_years.items():
                self._log.warning("days_off_not_published", reason="guessed_years", counted_by=name, years=years)
            self._log.info("started", reason="ready", url=self.url, store=self.database.name)
            yield serving
        finally:
            self._server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            await self._drain()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve on the fastest installed event loop, uvloop or asyncio's own."""
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(self.serve(on_ready))

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP. `on_ready` is called once requests are answered."""

        def stop(number: signal.Signals) -> None:
            self._server.should_exit = True
            self._log.info("stopping", reason=signal.Signals(number).name)

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop, number)
        async with self.running() as serving:
            on_ready()
            await serving

    async def _drain(self) -> None:
        # The writer stops last, because all others hand it work, which it finishes.
        await asyncio.to_thread(self._watchdog.stop, _GRACE_SECONDS)
        self._jobs.stop()
        await asyncio.to_thread(self._timers.stop)
        await self.dispatcher.stop(_GRACE_SECONDS)
        await asyncio.to_thread(self.writer.stop, _GRACE_SECONDS)
        self.database.close()
        self._log.info("stopped", reason="drained")

    def _on_due(self) -> Future[Any]:
        self.dispatcher.notify()
        return self._submit(lambda unit: self.engine.fire(unit, self.clock.now()), self._alarm.rest_after)

    def _submit(self, work: Any, *then: Callable[[Future[Any]], None]) -> Future[Any]:
        future: Future[Any] = self.writer.submit(work, urgent=True)

        def log_failure(done: Future[Any]) -> None:
            error = done.exception()
            if error is not None:
                self._log.warning("work_failed", reason="store_error", error=repr(error))

        for follow_up in (log_failure, *then):
            future.add_done_callback(follow_up)
        return future
