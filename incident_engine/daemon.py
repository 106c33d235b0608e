"""Wiring only: builds the parts, starts them, and drains them when told to stop."""

import asyncio
import contextlib
import gc
import os
import resource
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from incident_engine.common import failpoints as faults
from incident_engine.common.clock import Clock
from incident_engine.common.errors import StartupError, StoreError
from incident_engine.common.signed_links import Links
from incident_engine.common.telemetry import Metrics, logger
from incident_engine.config.rulebook import Rulebook, guessed_years
from incident_engine.config.settings import Settings
from incident_engine.delivery.channels.registry import open_channels
from incident_engine.delivery.dispatcher import Dispatcher
from incident_engine.delivery.endpoints import Targets
from incident_engine.domain.grading.recurring import recurrence_document
from incident_engine.domain.values import months_later
from incident_engine.engine.retention import Archiver
from incident_engine.engine.service import Engine
from incident_engine.store import deliveries as outgoing
from incident_engine.store import incidents as records
from incident_engine.store.database import Database
from incident_engine.store.diagnosis import explained
from incident_engine.store.flags import RULES_TRIED, mark
from incident_engine.store.steps import link_key
from incident_engine.store.writer import Unit, Writer
from incident_engine.timers.factory import open_timers
from incident_engine.watchdog.factory import open_self_audit
from incident_engine.watchdog.watchdog import Watched
from incident_engine.web.app import Parts, create_app
from incident_engine.web.limits import RESERVE, Limit, bounded_protocol
from incident_engine.web.metrics import OpenIncidents

_GRACE_SECONDS = 1.5
"""How long deliveries under way may take when the daemon stops; what is not done by then is repeated later."""
_LOOK_AGAIN_SECONDS = 0.002
_GARBAGE = 20_000
"""New objects after which the youngest are looked at for garbage (700 by default): a request makes some thousand."""
_REST = timedelta(seconds=1)
_OTHER_FILES = 256
"""Files that may be open beside connections from outside: database, channels, log."""


class Daemon:
    """The whole engine in one process."""

    def __init__(
        self,
        settings: Settings,
        rulebook: Rulebook,
        clock: Clock,
        *,
        drill: bool = False,
        fault: faults.Fault | None = None,
    ) -> None:
        """Build the parts; in a drill every message says that it is one. A fault is for tests of this program."""
        self._settings = settings
        self._clock = clock
        self._hours = rulebook.hours
        self._rules = rulebook.fingerprint
        self._log = logger("daemon")
        keys = _keys(settings)
        self._arm(fault)
        self._socket = _listen(settings)
        try:
            channels = open_channels(settings.channels, settings.outgoing)
            self._database = Database(settings.store.url)
        except BaseException:
            self._socket.close()
            raise
        metrics = Metrics()
        metrics.registry.register(OpenIncidents(self._database, rulebook.packs[0]))
        self._writer = Writer(
            self._database, settings.intake.queue, self._after_commit, self._begun, self._before_commit
        )
        links = self._links(settings)
        self._engine = Engine(settings, rulebook, metrics, links, drill=drill)
        self._dispatcher = Dispatcher(
            self._writer, channels, settings.retry, clock, metrics, Targets(settings.channels)
        )
        self._timers = open_timers(self._database, clock, self._on_due, self._look_again, settings.store.lost_after)
        self._rest_until: datetime | None = None
        self._next_due: tuple[datetime | None, datetime | None] | None = None
        """When the next timer and the next delivery are due after the writer's transaction; None: ask the rows."""
        watched = Watched(self._database, self._writer, self._dispatcher, self._timers, metrics)
        self._audit = open_self_audit(settings, watched, clock, self.url, drill=drill)
        self._archiver = Archiver(settings.retention, self._database, self._writer, self._engine)
        parts = Parts(
            settings=settings,
            database=self._database,
            writer=self._writer,
            engine=self._engine,
            metrics=metrics,
            clock=clock,
            keys=keys,
            links=links,
            unready=lambda: list(self._unready()),
            warnings=self._audit.warnings,
        )
        most = settings.server.max_connections
        self._server = _Server(
            uvicorn.Config(
                Limit(create_app(parts), most, lambda: self._server.server_state.connections, metrics),
                http=bounded_protocol(most),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

    @property
    def url(self) -> str:
        """Return where the daemon listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run until the block ends; yields the task that serves, once requests are answered."""
        self._make_room(self._settings.server.max_connections)
        self._start()
        # Rules and libraries stay for good: looking at them for garbage, again and again, would take half the time.
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        gc.enable()
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="server")
        try:
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.005)
            for service, years in guessed_years(self._hours, self._clock.now()).items():
                self._log.warning("days_off_not_published", reason="guessed_years", service=service, years=years)
            self._log.info("started", reason="ready", url=self.url, store=self._database.name)
            yield serving
        finally:
            self._server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            await self._drain()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve on the fastest event loop that is installed."""
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(self.serve(on_ready))

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP. `on_ready` is called once requests are answered."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop, number)
        async with self.running() as serving:
            on_ready()
            await serving

    async def settled(self) -> datetime | None:
        """Do what is due and wait until nothing is under way; return the next instant at which anything is due.

        For a clock that stands still between its steps: nobody else rings the alarm for it.
        """
        while True:
            now = self._clock.now()
            await asyncio.wrap_future(
                self._writer.submit(lambda unit, at=now: self._engine.fire(unit, at), urgent=True)  # type: ignore[misc]
            )
            self._dispatcher.notify()
            while True:
                with self._database.read() as connection:
                    timer, delivery = records.next_due(connection)
                    sending = outgoing.is_sending(connection)
                if timer is not None and timer <= now:
                    break
                if not sending and (delivery is None or delivery > now):
                    return min((instant for instant in (timer, delivery) if instant is not None), default=None)
                self._dispatcher.notify()
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _arm(self, fault: faults.Fault | None) -> None:
        if fault is not None and (self._settings.server.keys or not self._settings.server.is_loopback):
            raise StartupError(
                f"{faults.VARIABLE} is set, which makes the daemon fail on purpose; it is for tests, on a loopback "
                "address and without keys. Unset it"
            )
        faults.arm(fault)
        if fault is not None:
            self._log.warning("fault_armed", reason="for_tests", point=fault.point, count=fault.count, deed=fault.deed)

    def _make_room(self, connections: int) -> None:
        """Let the process open as many files as it may need, as far as the system lets it."""
        wanted = connections + RESERVE + _OTHER_FILES
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if resource.RLIM_INFINITY != soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            self._log.warning("few_open_files", reason="limit_of_the_system", allowed=allowed, wanted=wanted)

    def _stop(self, number: signal.Signals) -> None:
        self._server.should_exit = True
        self._log.info("stopping", reason=signal.Signals(number).name)

    def _links(self, settings: Settings) -> Links:
        """Return what signs the links in messages; its key is kept with the messages, so that they stay valid."""
        if settings.server.public_url is None:
            return Links()
        given = settings.server.link_key
        with self._database.write() as connection:
            key = given.read() if given is not None else link_key(connection, secrets.token_urlsafe(32))
        return Links(settings.server.public_url, key)

    def _start(self) -> None:
        self._writer.start()
        self._dispatcher.start()
        self._timers.every_month(self._settings.bank.zone, self._assess_recurring)
        self._timers.every_day(self._settings.bank.zone, lambda: self._archiver.attempt(self._clock.now()))
        self._timers.start()
        self._submit(self._recover)
        self._audit.start(asyncio.get_running_loop())

    def _recover(self, unit: Unit) -> None:
        now = self._clock.now()
        if not self._database.is_shared:  # what a process that is gone was sending is ours to send again, now
            outgoing.release_all(unit.connection, now)
        if outgoing.is_set_back(unit.connection, now):
            outgoing.set_back(unit.connection, now, now)
        mark(unit.connection, RULES_TRIED, self._rules)
        faults.reach(faults.Point.DURING_RECOVERY)

    async def _drain(self) -> None:
        await asyncio.to_thread(self._audit.stop, _GRACE_SECONDS)
        self._archiver.stop()
        await asyncio.to_thread(self._timers.stop)
        await self._dispatcher.stop(_GRACE_SECONDS)
        await asyncio.to_thread(self._writer.stop, _GRACE_SECONDS)
        self._database.close()
        self._log.info("stopped", reason="drained")

    def _begun(self, unit: Unit) -> None:
        if self._database.is_shared:
            self._engine.catching_up.begin(unit)

    def _before_commit(self, unit: Unit) -> None:
        if self._database.is_shared:
            self._engine.catching_up.end(unit)
        if not unit.is_quiet:
            self._dispatcher.claim_within(unit)
            self._timers.enqueue(unit)
            found = records.next_due(unit.connection)
            unit.after_commit.append(partial(setattr, self, "_next_due", found))  # no word of what is rolled back

    def _after_commit(self) -> None:
        found, self._next_due = self._next_due, None
        if found is None:
            self._look_again()
        else:
            self._wake_at(*found)

    def _look_again(self) -> None:
        with self._database.read() as connection:
            timer, delivery = records.next_due(connection)
        self._wake_at(timer, delivery)

    def _wake_at(self, timer: datetime | None, delivery: datetime | None) -> None:
        """Send what is due, and arm the alarm for what is due next."""
        if delivery is not None and delivery <= self._clock.now():
            self._dispatcher.notify()
            delivery = None  # whoever records how it went comes by here again
        if timer is not None and self._rest_until is not None:
            timer = max(timer, self._rest_until)
        self._timers.arm(min((instant for instant in (timer, delivery) if instant is not None), default=None))

    def _on_due(self) -> Future[Any]:
        self._dispatcher.notify()
        return self._submit(lambda unit: self._engine.fire(unit, self._clock.now()), self._rest)

    def _assess_recurring(self) -> None:
        """Say, every month, which incidents with one root cause only together reach a level."""
        now = self._clock.now()
        with self._database.read() as connection:
            found = self._engine.recurring(connection, now)
        for each in (each for each in found if each.known_at > months_later(now, -2)):  # older ones have been told
            about = recurrence_document(each, self._settings.bank.zone)
            about["incident_level"] = about.pop("level")  # `level` is the log's own
            self._log.warning("recurring_incidents", reason="assessed_monthly", **about)

    def _submit(self, work: Any, *then: Callable[[Future[Any]], None]) -> Future[Any]:
        future: Future[Any] = self._writer.submit(work, urgent=True)
        for follow_up in (self._note_failure, *then):
            future.add_done_callback(follow_up)
        return future

    def _rest(self, fired: Future[Any]) -> None:
        """After a failure wait a moment before what is due is tried again: what fails at once must not do so for ever.

        The next commit arms the alarm again; a writer in trouble commits as soon as it can.
        """
        self._rest_until = self._clock.now() + _REST * self._clock.speed if fired.exception() is not None else None

    def _note_failure(self, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            self._log.warning("work_failed", reason="store_error", error=repr(error))

    def _unready(self) -> Iterator[str]:
        yield from self._audit.reasons()
        if self._writer.trouble.reason is not None:
            yield f"store_not_writable: the store cannot be written: {self._writer.trouble.reason}"
        if self._audit.store_is_unreadable:
            return  # told already, and asking again might hang
        try:
            with self._database.read() as connection:
                records.next_due(connection)
        except (StoreError, SQLAlchemyError) as error:
            yield f"store_unreadable: the store cannot be read: {explained(error)}"


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals: it would end the process before we have drained."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon."""
        yield


def _keys(settings: Settings) -> list[str]:
    """Return the bearer keys. Raises StartupError where the daemon would be open to others without one."""
    try:
        keys = [key.read() for key in settings.server.keys]
    except OSError as error:
        raise StartupError(f"server.keys: {error.filename}: {error.strerror}") from error
    if any(len(key) < 16 for key in keys):
        raise StartupError("server.keys: a key needs at least 16 characters; make one with 'openssl rand -hex 32'")
    if not keys and not settings.server.is_loopback:
        raise StartupError(
            f"server.host is {settings.server.host}, which others can reach, and server.keys is empty; "
            "set a key ('openssl rand -hex 32'), or bind to 127.0.0.1"
        )
    return keys


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartupError(
            f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}; "
            "set another with INCIDENT_ENGINE__SERVER__PORT or server.port"
        ) from error
