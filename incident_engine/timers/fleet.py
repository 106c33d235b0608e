"""Waking up on several machines: procrastinate runs each wake-up once, on whichever replica is free.

The rows with `due_at` are the truth here too. A wake-up is enqueued in the transaction that makes something due; it
says only "look at the rows", so that one which comes late, twice or for nothing does no harm.
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
LOOK_SECONDS = 5.0
"""How often each replica looks whether anything is overdue, which nobody else has done."""
_POLL_SECONDS = 1.0
"""How late a wake-up can be when the replica that keeps time for it has died."""
_AGAIN_SECONDS = 1.0
_CONNECT_SECONDS = 5
_AT_ONCE = 8
_IS_ENQUEUED = text("SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo'")


class FleetTimers:
    """Calls `on_due` on one replica when something is due, and `on_news` on the others when one has written."""

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
        self._alarm = LocalTimers(clock, self._ring)
        self._periodic: dict[str, Periodic] = {}
        self._enqueued: datetime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Wakeable | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        # Only ever given a connection of ours: it opens none itself.
        self._deferring = App(connector=SyncPsycopgConnector())
        with database.write() as connection:
            fleet_schema.prepare(connection)

    @property
    def is_alive(self) -> bool:
        """Return whether time is kept; not while the database is away."""
        return self._alarm.is_alive and self._thread.is_alive() and self._worker is not None

    def start(self) -> None:
        """Begin to keep time."""
        self._alarm.start()
        self._thread.start()

    def arm(self, instant: datetime | None) -> None:
        """Look for a wake-up at `instant`: procrastinate's workers look by themselves only once a second."""
        self._alarm.arm(instant)

    def every_month(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` at the beginning of each month, in the morning of a time zone, on one replica."""
        self._periodic[MONTHLY] = Periodic(work, partial(monthly_after, zone=zone))

    def every_day(self, zone: tzinfo, work: Callable[[], None]) -> None:
        """Call `work` once a day, at night in a time zone, on one replica."""
        self._periodic[DAILY] = Periodic(work, partial(daily_after, zone=zone))

    @property
    def heartbeat_at(self) -> float:
        """Return when the heartbeat last did anything, in ticks."""
        return self._alarm.heartbeat_at

    @property
    def pulse_at(self) -> float:
        """Return when the alarm clock last did anything, in ticks."""
        return self._alarm.pulse_at

    def stop(self) -> None:
        """Stop; a call of `on_due` under way is waited for."""
        self._stopping.set()
        self._alarm.stop()
        self._tell(lambda worker: worker.end())
        self._thread.join(self._lost_after)

    def enqueue(self, unit: UnitOfWork) -> None:
        """Enqueue the next wake-up in the transaction that makes it necessary, and tell the others of what is due."""
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

    def _ring(self) -> None:
        self._tell(lambda worker: worker.wake())

    def _tell(self, what: Callable[[Wakeable], None]) -> None:
        """Speak to the worker, from any thread, if there is one."""

        def say() -> None:
            if self._worker is not None:
                what(self._worker)

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(say)

    def _run(self) -> None:
        asyncio.run(self._keep_time())

    async def _keep_time(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._note)
        parts = [asyncio.create_task(self._again(part)) for part in (self._serve, self._listen, self._look)]
        await asyncio.wait(parts[:1])
        for part in parts[1:]:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)

    async def _again(self, part: Callable[[], Any]) -> None:
        """Do a part until told to stop; whatever it stumbles over, it begins anew."""
        while not self._stopping.is_set():
            try:
                await part()
            except Exception as error:  # noqa: BLE001 - the database may be away for long; time must be kept after that
                said = " ".join(str(error.__cause__ or error).split())
                self._log.warning("timekeeping_interrupted", reason="store_error", part=part.__name__, error=said)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _serve(self) -> None:
        """Run wake-ups until told to stop, or until the database goes away."""
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
        await (await self._connection()).close()  # a pool would try for long, and say nothing
        pool: dict[str, Any] = {
            "min_size": 1,
            "max_size": 3,
            "timeout": _CONNECT_SECONDS,
            "reconnect_timeout": _CONNECT_SECONDS,
        }
        app = App(connector=PsycopgConnector(conninfo=self._conninfo, kwargs=_OPTIONS, **pool))
        app.task(name=WAKE_UP)(self._wake_up)
        for name in self._periodic:
            app.task(name=name, pass_context=True)(self._begin_period)
        async with app.open_async():
            for name in self._periodic:
                await self._defer_period(app, name)
            yield app

    async def _wake_up(self, due_at: str) -> None:
        self._enqueued = None  # the next commit looks again whether anything waits
        early = (datetime.fromisoformat(due_at) - self._clock.now()).total_seconds() / self._clock.speed
        await asyncio.sleep(max(early, 0))  # the server's clock may be ahead of ours
        await asyncio.wrap_future(self._on_due())

    async def _begin_period(self, context: JobContext, name: str, period: str) -> None:
        """Do periodic work, unless another replica has; one that died over it is followed by another."""
        try:
            if not await asyncio.to_thread(self._is_marked, name, period):
                await asyncio.to_thread(self._periodic[name].work)
                await asyncio.to_thread(self._mark, name, period)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next period must come
            self._log.warning("periodic_work_failed", reason="store_error", work=name, period=period, error=repr(error))
        finally:
            await self._defer_period(context.app, name)

    def _is_marked(self, name: str, period: str) -> bool:
        with self._database.read() as connection:
            done = get_flag(connection, name)
        return done is not None and done >= period

    def _mark(self, name: str, period: str) -> None:
        with self._database.write() as connection:
            set_flag(connection, name, period)

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
        """Give to others what a replica was doing that is dead or frozen."""
        while True:
            await asyncio.sleep(self._lost_after / 3)
            for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=self._lost_after):
                try:
                    await app.job_manager.retry_job(job)
                except ConnectorException as error:  # somebody was quicker, or the same wake-up waits already
                    self._log.info("job_not_rescued", reason="not_needed", job=job.id, error=str(error.__cause__))
                else:
                    self._log.warning("job_rescued", reason="replica_lost", job=job.id, task=job.task_name)

    async def _listen(self) -> None:
        """Hear of what others wrote, at once."""
        async with await self._connection() as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            await asyncio.to_thread(self._on_news)  # what was said while nobody listened
            async for news in connection.notifies():
                if news.payload != self._name:
                    await asyncio.to_thread(self._on_news)

    async def _look(self) -> None:
        """Do what is overdue although nobody was woken: the last resort."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await asyncio.to_thread(self._is_overdue):
                await asyncio.wrap_future(self._on_due())

    def _is_overdue(self) -> bool:
        limit = self._clock.now() - timedelta(seconds=2 * _POLL_SECONDS * self._clock.speed)
        with self._database.read() as connection:
            return any(instant is not None and instant <= limit for instant in next_due(connection))

    async def _connection(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, **_OPTIONS)

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._log.warning("timekeeping_interrupted", reason="store_error", error=repr(error or context["message"]))


_OPTIONS: dict[str, Any] = {
    "connect_timeout": _CONNECT_SECONDS,
    "application_name": "incident-engine timers",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
