"""Timers on several machines: procrastinate runs each wake-up once, on any replica that is free.

The rows with `due_at` are the truth here too. A wake-up is enqueued in the transaction that makes something due. It
only makes a replica read the rows, so that a late, repeated or needless one does no harm.
Source: https://procrastinate.readthedocs.io/ (jobs deferred within a transaction, stalled jobs, heartbeats).
"""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any

import psycopg
from procrastinate import App, JobContext, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from sqlalchemy import text

from incident_engine.common.clock import Clock
from incident_engine.common.telemetry import logger
from incident_engine.store.database import Database
from incident_engine.store.dialect import driver
from incident_engine.store.flags import get_flag, set_flag
from incident_engine.store.postgresql import conninfo
from incident_engine.store.timers import next_due
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.timers import fleet_schema
from incident_engine.timers.fleet_worker import Periodic, Wakeable, daily_after, monthly_after
from incident_engine.timers.local import LocalTimers

CHANNEL = "incident_engine"
WAKE_UP, MONTHLY, DAILY = "incident_engine.wake_up", "incident_engine.monthly", "incident_engine.daily"
OVERDUE_CHECK_SECONDS = 5.0
"""The interval at which each replica checks for overdue work that no replica has done."""
_POLL_SECONDS = 1.0
"""The delay of a wake-up whose own replica has died: the workers of the others poll."""
_AGAIN_SECONDS = 1.0
_CONNECT_SECONDS = 5
_AT_ONCE = 8
_IS_ENQUEUED = text("SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo'")


class FleetTimers:
    """Calls `on_due` on one replica at due instants, and `on_news` on the others after one has written."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        on_due: Callable[[], Future[Any]],
        on_news: Callable[[], None],
        lost_after: timedelta,
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_due = on_due
        self._on_news = on_news
        self._lost_after = lost_after.total_seconds()
        self._conninfo = conninfo(database.url)
        self._name = uuid.uuid4().hex
        self._log = logger("timers")
        self._alarm = LocalTimers(clock, partial(self._in_worker, Wakeable.wake))
        self._periodic: dict[str, Periodic] = {}
        self._enqueued: datetime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Wakeable | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._keep_time()), name="fleet", daemon=True)
        # It only gets connections of open transactions, and never opens one.
        self._deferring = App(connector=SyncPsycopgConnector())
        with database.write() as connection:
            fleet_schema.prepare(connection)

    @property
    def is_alive(self) -> bool:
        """Return whether the timers work; they do not while the database is away."""
        return self._alarm.is_alive and self._thread.is_alive() and self._worker is not None

    def start(self) -> None:
        """Start the timers."""
        self._alarm.start()
        self._thread.start()

    def arm(self, instant: datetime | None) -> None:
        """Look for a wake-up at `instant`: procrastinate's workers poll only once a second."""
        self._alarm.arm(instant)

    def every_month(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` at the beginning of each month, in the morning of a time zone, on one replica."""
        self._periodic[MONTHLY] = Periodic(work, partial(monthly_after, zone=zone))

    def every_day(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` once a day, at night in a time zone, on one replica."""
        self._periodic[DAILY] = Periodic(work, partial(daily_after, zone=zone))

    @property
    def heartbeat_at(self) -> float:
        """Return the tick of the last heartbeat."""
        return self._alarm.heartbeat_at

    @property
    def pulse_at(self) -> float:
        """Return the tick at which the alarm last ran."""
        return self._alarm.pulse_at

    def stop(self) -> None:
        """Stop, after a call of `on_due` that is under way."""
        self._stopping.set()
        self._alarm.stop()
        self._in_worker(Wakeable.end)
        self._thread.join(self._lost_after)

    def enqueue(self, unit: UnitOfWork) -> None:
        """Enqueue the next wake-up in the transaction that makes it due, and notify the others of due deliveries."""
        timer, delivery = next_due(unit.connection)
        if delivery is not None and delivery <= self._clock.now():
            unit.connection.execute(text("SELECT pg_notify(:to, :who)"), {"to": CHANNEL, "who": self._name})
        instant = min((instant for instant in (timer, delivery) if instant is not None), default=None)
        if instant is None or instant == self._enqueued:
            return
        lock = f"{WAKE_UP} {instant.isoformat()}"
        if unit.connection.scalar(_IS_ENQUEUED, {"lock": lock}) is None:
            job = self._deferring.configure_task(
                WAKE_UP,
                queueing_lock=lock,
                schedule_at=self._clock.real_time_of(instant),
                connection=driver(unit.connection),
            )
            job.defer(due_at=instant.isoformat())
        unit.after_commit.append(partial(setattr, self, "_enqueued", instant))

    def _in_worker(self, action: Callable[[Wakeable], None]) -> None:
        """Call a method of the worker in its loop, from any thread, if there is a worker."""

        def call() -> None:
            if self._worker is not None:
                action(self._worker)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    async def _keep_time(self) -> None:
        """Run all parts until the stop, each again after every error."""

        def log_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = repr(context.get("exception") or context["message"])
            self._log.warning("timekeeping_interrupted", reason="store_error", error=error)

        async def repeat(part: Callable[[], Any]) -> None:
            while not self._stopping.is_set():
                try:
                    await part()
                except Exception as error:  # noqa: BLE001 - the database may be away for long; time must be kept after
                    detail = " ".join(str(error.__cause__ or error).split())
                    self._log.warning("timekeeping_interrupted", reason="store_error", part=part.__name__, error=detail)
                    await asyncio.sleep(_AGAIN_SECONDS)

        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(log_error)
        serving, *others = [asyncio.create_task(repeat(part)) for part in (self._serve, self._listen, self._do_overdue)]
        await asyncio.wait([serving])
        for task in others:
            task.cancel()
        await asyncio.gather(serving, *others, return_exceptions=True)

    async def _serve(self) -> None:
        """Run wake-ups until the stop, or until the database goes away."""
        async with self._app() as app:
            self._worker = Wakeable(
                app,
                concurrency=_AT_ONCE,
                install_signal_handlers=False,
                fetch_job_polling_interval=_POLL_SECONDS,
                update_heartbeat_interval=self._lost_after / 3,
                stalled_worker_timeout=self._lost_after,
                shutdown_graceful_timeout=_CONNECT_SECONDS,
                delete_jobs="always",
            )
            rescuing = asyncio.create_task(self._rescue(app))
            try:
                await self._worker.serve()
            finally:
                self._worker = None
                rescuing.cancel()
                await asyncio.gather(rescuing, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _app(self) -> AsyncIterator[App]:
        await (await self._connection()).close()  # fails at once, where a pool would retry in silence
        pool: dict[str, Any] = {
            "min_size": 1,
            "max_size": 3,
            "timeout": _CONNECT_SECONDS,
            "reconnect_timeout": _CONNECT_SECONDS,
        }
        app = App(connector=PsycopgConnector(conninfo=self._conninfo, kwargs=_OPTIONS, **pool))

        async def wake_up(due_at: str) -> None:
            self._enqueued = None  # the next commit enqueues again
            early = (datetime.fromisoformat(due_at) - self._clock.now()).total_seconds() / self._clock.speed
            await asyncio.sleep(max(early, 0))  # the server's clock may be ahead of ours
            await asyncio.wrap_future(self._on_due())

        app.task(name=WAKE_UP)(wake_up)
        for name in self._periodic:
            app.task(name=name, pass_context=True)(self._begin_period)
        async with app.open_async():
            for name in self._periodic:
                await self._defer_period(app, name)
            yield app

    async def _begin_period(self, context: JobContext, name: str, period: str) -> None:
        """Do periodic work, unless another replica has done it. After a crash another replica repeats it."""

        def do_once() -> None:
            with self._database.read() as connection:
                last_period = get_flag(connection, name)
            if last_period is None or last_period < period:
                self._periodic[name].work()
                # Only now: work that a crash interrupted must be repeated.
                with self._database.write() as connection:
                    set_flag(connection, name, period)

        try:
            await asyncio.to_thread(do_once)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next period must come
            self._log.warning("periodic_work_failed", reason="store_error", work=name, period=period, error=repr(error))
        finally:
            await self._defer_period(context.app, name)

    async def _defer_period(self, app: App, name: str) -> None:
        begins_at = self._periodic[name].next_after(self._clock.now())
        period = f"{begins_at:%Y-%m-%d}"
        lock = f"{name} {period}"
        if not await app.job_manager.list_jobs_async(queueing_lock=lock, status="todo"):
            due_at = self._clock.real_time_of(begins_at)
            job = app.configure_task(name, lock=lock, queueing_lock=lock, schedule_at=due_at)
            with contextlib.suppress(AlreadyEnqueued):
                await job.defer_async(name=name, period=period)

    async def _rescue(self, app: App) -> None:
        """Give the jobs of a dead or frozen replica to others."""
        while True:
            await asyncio.sleep(self._lost_after / 3)
            for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=self._lost_after):
                try:
                    await app.job_manager.retry_job(job)
                except ConnectorException as error:  # another replica was quicker, or the same wake-up waits already
                    self._log.info("job_not_rescued", reason="not_needed", job=job.id, error=str(error.__cause__))
                else:
                    self._log.warning("job_rescued", reason="replica_lost", job=job.id, task=job.task_name)

    async def _listen(self) -> None:
        """Call `on_news` as soon as another replica has written."""
        async with await self._connection() as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            await asyncio.to_thread(self._on_news)  # others may have written before LISTEN
            async for news in connection.notifies():
                if news.payload != self._name:
                    await asyncio.to_thread(self._on_news)

    async def _do_overdue(self) -> None:
        """Do overdue work for which no wake-up came: the last resort."""

        def is_overdue() -> bool:
            # Within two polls another replica may still be doing it.
            limit = self._clock.now() - timedelta(seconds=2 * _POLL_SECONDS * self._clock.speed)
            with self._database.read() as connection:
                return any(instant is not None and instant <= limit for instant in next_due(connection))

        while True:
            await asyncio.sleep(OVERDUE_CHECK_SECONDS)
            if await asyncio.to_thread(is_overdue):
                await asyncio.wrap_future(self._on_due())

    async def _connection(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, **_OPTIONS)


_OPTIONS: dict[str, Any] = {
    "connect_timeout": _CONNECT_SECONDS,
    "application_name": "incident-engine timers",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
