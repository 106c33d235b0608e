"""The dispatcher end to end: store, writer and real channels against local servers, with a clock set by hand."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prometheus_client.exposition import generate_latest
from sqlalchemy import event, insert
from sqlalchemy.exc import OperationalError
from support.builders import at
from support.delivery_claims import claim_each
from support.fixtures import MICROSECOND, SetClock, rows

from incident_engine.common.telemetry import Metrics
from incident_engine.config.channels import (
    ChannelSettings,
    EmailSettings,
    OutboxSettings,
    OutgoingSettings,
    RetrySettings,
)
from incident_engine.config.channels import WebhookSettings as Hook
from incident_engine.config.secret import Secret
from incident_engine.delivery.channels.base import Channel
from incident_engine.delivery.channels.email import EmailChannel
from incident_engine.delivery.channels.factory import open_channels
from incident_engine.delivery.dispatcher import AT_ONCE, Dispatcher
from incident_engine.delivery.endpoints import Endpoints
from incident_engine.store.claims import ClaimedDelivery
from incident_engine.store.database import Database
from incident_engine.store.tables import attempts, cases, deliveries, steps
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer

from .servers import LOOPBACK, Answer, mail_server, web_server
from .test_store import A_DELIVERY, A_STEP, AN_INCIDENT

NOW = at("10:35")
SECRET = Secret(value=base64.b64encode(b"a secret of thirty-two characters").decode())
SECONDS = timedelta(seconds=1)
LOCAL = OutgoingSettings(allow=(LOOPBACK,))


@dataclass(slots=True)
class Post:
    """A dispatcher at work on a store, and what became of its deliveries."""

    database: Database
    writer: Writer
    clock: SetClock
    dispatcher: Dispatcher
    metrics: Metrics

    def put(self, name: str = "d", **values: Any) -> None:
        """Store a delivery to be made."""
        row = A_DELIVERY | {"id": name, "channel": "desk", "address": "a@bank.example", **values}
        with self.database.write() as connection:
            connection.execute(insert(deliveries).values(**row))

    def delivery(self, name: str = "d") -> dict[str, Any]:
        """Return a delivery as it is stored."""
        return next(row for row in rows(self.database, deliveries) if row["id"] == name)

    def outcomes(self) -> list[str | None]:
        """Return how the attempts went, in order."""
        return [row["outcome"] for row in rows(self.database, attempts)]

    async def reaches(self, state: str, attempts_made: int = 1, name: str = "d") -> dict[str, Any]:
        """Wait until a delivery has come so far."""
        async with asyncio.timeout(30):
            while True:
                found = await asyncio.to_thread(self.delivery, name)
                if (found["state"], found["attempts"]) == (state, attempts_made):
                    return found
                await asyncio.sleep(0.01)

    async def settle(self) -> None:
        """Wait until everything that was notified has been looked at."""
        for _ in range(3):
            await asyncio.sleep(0.05)
            await asyncio.wrap_future(self.writer.submit(lambda _: None, urgent=True))


@asynccontextmanager
async def at_work(
    folder: Path, channel: ChannelSettings | None, retry: RetrySettings | None = None, **more: Channel
) -> AsyncIterator[Post]:
    database = Database(f"sqlite:///{folder / 'engine.db'}")
    with database.write() as connection:
        connection.execute(insert(cases).values(**AN_INCIDENT))
        connection.execute(insert(steps).values(**A_STEP | {"state": "started"}))
    clock, metrics = SetClock(NOW), Metrics()
    writer = Writer(database, 100, lambda: None)
    writer.start()
    channels = {**(open_channels({"desk": channel}, LOCAL) if channel else {}), **more}
    dispatcher = Dispatcher(
        writer, channels, retry or RetrySettings(), clock, metrics, Endpoints({"desk": channel} if channel else {})
    )
    dispatcher.start()
    try:
        yield Post(database, writer, clock, dispatcher, metrics)
    finally:
        await dispatcher.stop(1)
        await asyncio.to_thread(writer.stop, 10)
        database.close()


def desk(url: str, timeout: float = 10) -> Hook:
    return Hook(type="webhook", url=url, secret=SECRET, timeout=timedelta(seconds=timeout))


def retry(first: float = 5, attempts_in_all: int = 20, longest: float = 600, lease: float = 60) -> RetrySettings:
    return RetrySettings(
        first=timedelta(seconds=first),
        longest=timedelta(seconds=longest),
        attempts=attempts_in_all,
        lease=timedelta(seconds=lease),
    )


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await test()

    asyncio.run(within())


def test_a_delivery_that_is_due_is_sent_once_and_completes_its_step(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server() as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                post.put()
                post.dispatcher.notify()
                found = await post.reaches("delivered")
                post.dispatcher.notify()
                await post.settle()
                assert (found["ended_at"], found["due_at"]) == (NOW, None)
                (attempt,) = rows(post.database, attempts)
                assert (attempt["number"], attempt["started_at"], attempt["ended_at"]) == (1, NOW, NOW)
                assert (attempt["outcome"], attempt["detail"]) == ("delivered", "200")
                assert rows(post.database, steps)[0]["state"] == "completed"
            assert len(server.posted) == 1

    run(test)


def test_a_delivery_that_is_not_due_yet_waits(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server() as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                post.put(due_at=NOW + SECONDS)
                post.dispatcher.notify()
                await post.settle()
                assert server.posted == []
                post.clock.advance(SECONDS)
                post.dispatcher.notify()
                await post.reaches("delivered")

    run(test)


def test_a_failure_is_repeated_after_waits_that_double_until_it_succeeds(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(500), Answer(503), Answer(None), Answer(200)) as server:
            async with at_work(tmp_path, desk(server.url), retry(first=5)) as post:
                post.put()
                for made, wait in ((1, 5), (2, 10), (3, 20)):
                    post.dispatcher.notify()
                    found = await post.reaches("pending", made)
                    assert found["due_at"] == post.clock.now() + wait * SECONDS
                    post.clock.set(found["due_at"] - MICROSECOND)
                    post.dispatcher.notify()
                    await post.settle()
                    assert len(server.posted) == made
                    post.clock.set(found["due_at"])
                post.dispatcher.notify()
                found = await post.reaches("delivered", 4)
                assert found["ended_at"] == NOW + 35 * SECONDS
                assert post.outcomes() == ["server_error", "server_error", "connection_failed", "delivered"]
            assert len({posted.headers["webhook-id"] for posted in server.posted}) == 1
            assert len({posted.body for posted in server.posted}) == 1

    run(test)


def test_a_clock_that_is_set_back_by_hours_does_not_make_a_repeat_wait_for_hours(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(500), Answer(200)) as server:
            async with at_work(tmp_path, desk(server.url), retry(first=5)) as post:
                post.put()
                post.dispatcher.notify()
                await post.reaches("pending", 1)
                post.clock.set(NOW - timedelta(hours=5))
                post.dispatcher.notify()
                found = await post.reaches("delivered", 2)
                assert found["ended_at"] == NOW - timedelta(hours=5)

    run(test)


def test_a_clock_that_is_set_forward_past_a_lease_sends_nothing_twice(tmp_path: Path) -> None:
    async def test() -> None:
        go_on = asyncio.Event()

        class Slow:
            sent = 0
            began = asyncio.Event()

            async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
                Slow.sent += 1
                Slow.began.set()
                await go_on.wait()
                return "taken"

            async def close(self) -> None:
                """Nothing is open."""

        async with at_work(tmp_path, None, retry(lease=60), desk=Slow()) as post:
            post.put()
            post.dispatcher.notify()
            await Slow.began.wait()
            post.clock.set(NOW + timedelta(hours=5))
            post.dispatcher.notify()
            await post.settle()
            go_on.set()
            await post.reaches("delivered", 1)
            assert Slow.sent == 1

    run(test)


def test_a_wait_never_grows_beyond_the_longest(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(500)) as server:
            async with at_work(tmp_path, desk(server.url), retry(first=5, longest=12)) as post:
                post.put()
                waits = []
                for made in (1, 2, 3, 4):
                    post.dispatcher.notify()
                    found = await post.reaches("pending", made)
                    waits.append((found["due_at"] - post.clock.now()).total_seconds())
                    post.clock.set(found["due_at"])
                assert waits == [5, 10, 12, 12]

    run(test)


def test_a_receiver_that_asks_for_a_longer_wait_gets_it(tmp_path: Path) -> None:
    async def test() -> None:
        answers = (Answer(429, {"Retry-After": "90"}), Answer(429, {"Retry-After": "1"}))
        with web_server(*answers) as server:
            async with at_work(tmp_path, desk(server.url), retry(first=5)) as post:
                post.put()
                post.dispatcher.notify()
                found = await post.reaches("pending", 1)
                assert found["due_at"] == NOW + 90 * SECONDS
                post.clock.set(found["due_at"])
                post.dispatcher.notify()
                found = await post.reaches("pending", 2)
                assert found["due_at"] == NOW + 100 * SECONDS  # our own second wait of 10 s is longer than 1 s
                assert post.outcomes() == ["rate_limited", "rate_limited"]

    run(test)


def test_a_permanent_failure_is_not_repeated(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(410, body="gone")) as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                post.put()
                post.dispatcher.notify()
                found = await post.reaches("failed")
                assert (found["due_at"], found["ended_at"]) == (None, NOW)
                post.clock.advance(timedelta(days=1))
                post.dispatcher.notify()
                await post.settle()
                (attempt,) = rows(post.database, attempts)
                assert (attempt["outcome"], attempt["detail"]) == ("refused", "HTTP 410: gone")
            assert len(server.posted) == 1

    run(test)


def test_it_gives_up_after_as_many_attempts_as_the_settings_say(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(500)) as server:
            async with at_work(tmp_path, desk(server.url), retry(attempts_in_all=3)) as post:
                post.put()
                for made in (1, 2):
                    post.dispatcher.notify()
                    post.clock.set((await post.reaches("pending", made))["due_at"])
                post.dispatcher.notify()
                found = await post.reaches("failed", 3)
                assert found["due_at"] is None
                assert post.outcomes() == ["server_error"] * 3
            assert len(server.posted) == 3

    run(test)


def test_one_recipient_that_is_refused_does_not_keep_the_message_from_the_others(tmp_path: Path) -> None:
    async def test() -> None:
        with mail_server() as server:
            server.to_recipient["gone@bank.example"] = "550 5.1.1 No such user here"
            settings = EmailSettings(
                type="email", host=LOOPBACK, port=server.port, sender="ops@bank.example", tls="none"
            )
            async with at_work(tmp_path, None, desk=EmailChannel(settings)) as post:
                post.put("gone", address="gone@bank.example")
                post.put("here", address="here@bank.example")
                post.dispatcher.notify()
                await post.reaches("failed", name="gone")
                await post.reaches("delivered", name="here")
        assert [mail.recipients for mail in server.mails] == [("here@bank.example",)]

    run(test)


def test_what_a_dead_process_was_sending_is_sent_again_with_the_same_id_when_its_lease_is_over(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server() as server:
            async with at_work(tmp_path, desk(server.url), retry(lease=60)) as post:
                post.put()
                # Another process claimed it, perhaps sent it, and died before it could say so.
                with post.database.write() as connection:
                    claim_each(connection, NOW, NOW + 60 * SECONDS, 1)
                post.clock.set(NOW + 60 * SECONDS - MICROSECOND)
                post.dispatcher.notify()
                await post.settle()
                assert server.posted == []
                post.clock.advance(MICROSECOND)
                post.dispatcher.notify()
                await post.reaches("delivered", 2)
                assert post.outcomes() == [None, "delivered"]
            assert [posted.headers["webhook-id"] for posted in server.posted] == ["d"]

    run(test)


def test_a_process_that_froze_after_it_claimed_notices_that_its_lease_is_over_and_sends_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server() as server:
            async with at_work(tmp_path, desk(server.url), retry(lease=60)) as post:
                post.put()
                commits: list[object] = []

                def freeze(_: object) -> None:
                    commits.append(None)
                    if len(commits) == 1:  # the claim
                        post.clock.advance(60 * SECONDS)

                event.listen(post.database.writing, "commit", freeze)
                post.dispatcher.notify()
                await post.reaches("delivered", 2)
                assert post.outcomes() == [None, "delivered"]
            assert len(server.posted) == 1  # the first attempt was never made

    run(test)


def test_what_went_out_while_the_store_was_away_is_recorded_later_and_not_sent_again(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server() as server:
            async with at_work(tmp_path, desk(server.url), retry(lease=60)) as post:
                post.put()
                commits: list[int] = []

                def refuse(_: object) -> None:
                    commits.append(len(server.posted))
                    if commits in ([0, 1], [0, 1, 1]):  # the claim passes, the first two records do not
                        raise OperationalError("COMMIT", None, Exception("the server is away"))

                event.listen(post.database.writing, "commit", refuse)
                post.dispatcher.notify()
                await post.reaches("delivered", 1)
                assert post.outcomes() == ["delivered"]
                assert len(commits) >= 4
            assert len(server.posted) == 1

    run(test)


def test_an_attempt_that_takes_longer_than_its_lease_is_given_up_and_repeated_with_the_same_id(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(wait=20), Answer(200)) as server:
            async with at_work(tmp_path, desk(server.url, timeout=60), retry(first=1, lease=1)) as post:
                post.put()
                post.dispatcher.notify()
                found = await post.reaches("pending", 1)
                assert post.outcomes() == ["timed_out"]
                post.clock.set(found["due_at"])
                post.dispatcher.notify()
                await post.reaches("delivered", 2)
            assert [posted.headers["webhook-id"] for posted in server.posted] == ["d", "d"]

    run(test)


def test_a_channel_that_is_no_longer_configured_is_a_failure_on_record(tmp_path: Path) -> None:
    async def test() -> None:
        async with at_work(tmp_path, None) as post:
            post.put(channel="pager")
            post.dispatcher.notify()
            await post.reaches("failed")
            (attempt,) = rows(post.database, attempts)
            assert attempt["outcome"] == "misconfigured"
            assert "channel 'pager' is no longer configured" in attempt["detail"]

    run(test)


def test_a_channel_with_a_fault_of_its_own_stops_neither_the_others_nor_the_repeat(tmp_path: Path) -> None:
    class Faulty:
        async def send(self, delivery: ClaimedDelivery, now: object) -> str:
            raise ZeroDivisionError

        async def close(self) -> None:
            pass

    async def test() -> None:
        with web_server() as server:
            async with at_work(tmp_path, desk(server.url), faulty=Faulty()) as post:
                post.put("bad", channel="faulty")
                post.put("good")
                post.dispatcher.notify()
                await post.reaches("pending", name="bad")
                await post.reaches("delivered", name="good")
                assert "unexpected_error" in post.outcomes()
                assert post.dispatcher.is_alive

    run(test)


def test_more_than_can_be_under_way_at_once_are_all_sent(tmp_path: Path) -> None:
    async def test() -> None:
        outbox = OutboxSettings(type="outbox", directory=tmp_path / "outbox")
        async with at_work(tmp_path, outbox) as post:
            count = 3 * AT_ONCE
            for number in range(count):
                post.put(f"{number:08}")
            post.dispatcher.notify()
            for number in range(count):
                await post.reaches("delivered", name=f"{number:08}")
        assert len(list((tmp_path / "outbox").rglob("*.md"))) == count

    run(test)


def claiming(post: "Post") -> Callable[[UnitOfWork], None]:
    """Return a piece of work that makes a delivery due and has it claimed, as the daemon's transactions do."""

    def work(unit: UnitOfWork) -> None:
        row = A_DELIVERY | {"id": "d", "channel": "desk", "address": "a@bank.example"}
        unit.connection.execute(insert(deliveries).values(**row))
        post.dispatcher.claim_within(unit)

    return work


def test_what_a_transaction_makes_due_is_claimed_in_it_and_sent_once_it_is_on_disk(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server() as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                stored: list[str] = []
                commits: list[int] = []
                event.listen(post.database.writing, "commit", lambda _: commits.append(len(server.posted)))
                await asyncio.wrap_future(post.writer.submit(claiming(post)))
                stored.append(post.delivery()["state"])
                await post.reaches("delivered")
                assert commits == [0, 1]  # the claim with its cause, and the record
                assert stored in (["sending"], ["delivered"])
            assert len(server.posted) == 1

    run(test)


def test_what_was_claimed_in_a_transaction_that_fails_is_not_sent_and_keeps_no_place(tmp_path: Path) -> None:
    async def test() -> None:
        def fail(unit: UnitOfWork) -> None:
            claiming(post)(unit)
            raise RuntimeError("on purpose")

        with web_server() as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                for _ in range(AT_ONCE + 1):
                    with pytest.raises(RuntimeError, match="on purpose"):
                        await asyncio.wrap_future(post.writer.submit(fail))
                await post.settle()
                assert (server.posted, rows(post.database, deliveries)) == ([], [])
                await asyncio.wrap_future(post.writer.submit(claiming(post)))
                await post.reaches("delivered")
            assert len(server.posted) == 1

    run(test)


def test_a_claim_that_fails_keeps_nothing_from_being_stored_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        def choose(*_: object) -> None:
            raise LookupError("a fault of ours")

        with web_server() as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                with monkeypatch.context() as broken:
                    broken.setattr(Endpoints, "choose", choose)
                    await asyncio.wrap_future(post.writer.submit(claiming(post)))
                    assert post.delivery()["state"] == "pending"
                assert (await post.reaches("delivered"))["attempts"] == 1
            assert len(server.posted) == 1

    run(test)


def test_what_is_claimed_while_it_is_stopped_is_not_sent_any_more(tmp_path: Path) -> None:
    async def test() -> None:
        class Careful:
            sent: ClassVar[list[str]] = []

            async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
                Careful.sent.append(delivery.id)
                return "taken"

            async def close(self) -> None:
                Careful.sent.append("closed")

        async with at_work(tmp_path, None, retry(), desk=Careful()) as post:
            committing, go_on = threading.Event(), threading.Event()

            def wait(_: object) -> None:
                committing.set()
                go_on.wait(10)

            event.listen(post.database.writing, "commit", wait)
            claimed = post.writer.submit(claiming(post))
            assert await asyncio.to_thread(committing.wait, 10)
            stopping = asyncio.create_task(post.dispatcher.stop(1))
            await asyncio.sleep(0.05)
            go_on.set()
            await stopping
            await asyncio.wrap_future(claimed)
            await post.settle()
            assert Careful.sent == ["closed"]
            assert post.delivery()["state"] == "sending"  # given back when its process starts anew, or with its lease

    run(test)


def test_a_lease_that_was_lost_before_the_message_began_is_not_made_longer_by_others_work(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server() as server:
            async with at_work(tmp_path, desk(server.url), retry(lease=60)) as post:
                post.writer.submit(claiming(post)).result(10)  # the loop stands still meanwhile
                post.clock.advance(61 * SECONDS)
                post.writer.submit(post.dispatcher.claim_within).result(10)
                found = await post.reaches("delivered", 2)
                assert found["ended_at"] == NOW + 61 * SECONDS
                assert post.outcomes() == [None, "delivered"]
            assert len(server.posted) == 1

    run(test)


def test_stopping_waits_for_what_is_under_way_and_claims_nothing_more(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(wait=0.3)) as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                post.put()
                post.dispatcher.notify()
                await post.reaches("sending")
                post.put("late")
                await post.dispatcher.stop(10)
                assert post.delivery()["state"] == "delivered"
                post.dispatcher.notify()
                await post.settle()
                assert post.delivery("late")["state"] == "pending"
                assert not post.dispatcher.is_alive

    run(test)


def test_what_is_not_done_within_the_grace_is_left_to_be_repeated(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(wait=20)) as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                post.put()
                post.dispatcher.notify()
                await post.reaches("sending")
                await post.dispatcher.stop(0.1)
                assert post.delivery()["state"] == "sending"
                assert post.outcomes() == [None]

    run(test)


def test_every_attempt_is_counted_by_channel_and_outcome(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(500), Answer(200)) as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                post.put()
                post.dispatcher.notify()
                post.clock.set((await post.reaches("pending", 1))["due_at"])
                post.dispatcher.notify()
                await post.reaches("delivered", 2)
                await post.settle()
                text = generate_latest(post.metrics.registry).decode()
        assert 'incident_engine_deliveries_total{channel="desk",outcome="server_error"} 1.0' in text
        assert 'incident_engine_deliveries_total{channel="desk",outcome="delivered"} 1.0' in text

    run(test)
