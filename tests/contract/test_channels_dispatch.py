"""What the dispatcher does with targets that have limits or do not answer, and with the next channel."""

import json
from pathlib import Path
from typing import Any

from prometheus_client.exposition import generate_latest
from support.fixtures import rows

from incident_engine.config.channels import WecomSettings
from incident_engine.config.common import Rate
from incident_engine.config.secret import Secret
from incident_engine.delivery.channels.base import Channel
from incident_engine.delivery.channels.factory import open_channels
from incident_engine.delivery.circuit_breaker import FAILURES, SHORTEST
from incident_engine.store.tables import attempts, steps

from .channel_support import LOCAL
from .servers import Answer, WebServer, web_server
from .test_dispatcher import NOW, SECONDS, Post, at_work, desk, retry, run

OK = Answer(200, body='{"errcode": 0, "errmsg": "ok"}')


def robot(server: WebServer, per_minute: int) -> WecomSettings:
    secret = Secret(value=f"{server.url}/send?key=0123456789")
    return WecomSettings(type="wecom", url=secret, rate=Rate(per_minute=per_minute))


def texts(server: WebServer) -> list[str]:
    return [json.loads(posted.body)["markdown"]["content"] for posted in server.posted]


def metric(post: Post, line: str) -> bool:
    return line in generate_latest(post.metrics.registry).decode()


def desk_channel(url: str) -> Channel:
    return open_channels({"desk": desk(url)}, LOCAL)["desk"]


def put(post: Post, names: range, **values: Any) -> None:
    for number in names:
        post.put(f"d{number}", subject=f"subject {number}", body=f"body {number}", **values)


def test_what_waits_for_a_token_holds_neither_lease_nor_attempt_and_goes_out_as_one(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(OK) as server:
            async with at_work(tmp_path, robot(server, 2)) as post:
                put(post, range(1))
                post.dispatcher.notify()
                await post.reaches("delivered", name="d0")
                put(post, range(1, 6))
                post.dispatcher.notify()
                await post.settle()
                for number in range(1, 6):
                    found = post.delivery(f"d{number}")
                    assert (found["state"], found["attempts"]) == ("pending", 0)
                    assert found["due_at"] == NOW + 60 * SECONDS
                assert metric(post, 'deliveries_postponed_total{channel="desk",reason="rate_limit"} 5.0')
                post.clock.set(NOW + 60 * SECONDS)
                post.dispatcher.notify()
                for number in range(1, 6):
                    await post.reaches("delivered", name=f"d{number}")
                details = [row["detail"] for row in rows(post.database, attempts)][1:]
                assert len(set(details)) == 1
                assert " (in the digest dig_" in details[0]
                await post.settle()
                assert metric(post, 'digest_deliveries_total{channel="desk"} 5.0')
            single, bundle = texts(server)
            assert single == "### subject 0\n\nbody 0"
            assert bundle.startswith("### 5 messages\n\n**subject 1**\n\nbody 1\n")

    run(test)


def test_a_statutory_message_overtakes_what_waits_and_goes_alone(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(OK) as server:
            async with at_work(tmp_path, robot(server, 2)) as post:
                put(post, range(1))
                post.dispatcher.notify()
                await post.reaches("delivered", name="d0")
                put(post, range(1, 3))
                put(post, range(3, 4), priority=0)
                for moment in (0, 60, 120):
                    post.clock.set(NOW + moment * SECONDS)
                    post.dispatcher.notify()
                    await post.settle()
                assert post.delivery("d2")["state"] == "delivered"
            assert [text.partition("\n")[0] for text in texts(server)] == [
                "### subject 0", "### subject 3", "### 2 messages"
            ]  # fmt: skip

    run(test)


def test_a_bundle_that_fails_is_each_deliverys_own_failure(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(OK, Answer(503), OK) as server:
            async with at_work(tmp_path, robot(server, 2), retry(first=70)) as post:
                put(post, range(1))
                post.dispatcher.notify()
                await post.reaches("delivered", name="d0")
                put(post, range(1, 4), due_at=NOW + 60 * SECONDS)
                for moment in (60, 130):
                    post.clock.set(NOW + moment * SECONDS)
                    post.dispatcher.notify()
                    await post.settle()
                for number in range(1, 4):
                    await post.reaches("delivered", 2, name=f"d{number}")
            assert len(server.posted) == 3

    run(test)


def test_a_target_that_does_not_answer_is_left_alone_and_tried_again_with_one_message(tmp_path: Path) -> None:
    async def test() -> None:
        failing = [Answer(503)] * FAILURES
        with web_server(*failing, Answer(200)) as server:
            async with at_work(tmp_path, desk(server.url), retry(first=600)) as post:
                assert metric(post, 'channel_circuit{channel="desk",state="closed"} 1.0')
                put(post, range(FAILURES))
                post.dispatcher.notify()
                for number in range(FAILURES):
                    await post.reaches("pending", 1, name=f"d{number}")
                await post.settle()
                assert metric(post, 'channel_circuit{channel="desk",state="open"} 1.0')
                assert metric(post, 'channel_circuit{channel="desk",state="closed"} 0.0')
                put(post, range(5, 8))
                post.dispatcher.notify()
                await post.settle()
                assert len(server.posted) == FAILURES
                assert [post.delivery(f"d{number}")["attempts"] for number in range(5, 8)] == [0, 0, 0]
                assert post.delivery("d5")["due_at"] == NOW + SHORTEST
                post.clock.set(NOW + SHORTEST)
                post.dispatcher.notify()
                await post.reaches("delivered", name="d5")
                await post.settle()
                assert metric(post, 'channel_circuit{channel="desk",state="closed"} 1.0')
                assert metric(post, 'deliveries_postponed_total{channel="desk",reason="circuit_open"}')
                post.clock.advance(5 * SECONDS)
                post.dispatcher.notify()
                await post.reaches("delivered", name="d7")

    run(test)


def test_a_statutory_message_is_tried_although_the_circuit_is_open(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(*[Answer(503)] * FAILURES, Answer(200)) as server:
            async with at_work(tmp_path, desk(server.url), retry(first=600)) as post:
                put(post, range(FAILURES))
                post.dispatcher.notify()
                for number in range(FAILURES):
                    await post.reaches("pending", 1, name=f"d{number}")
                post.put("law", priority=0)
                post.dispatcher.notify()
                await post.reaches("delivered", name="law")

    run(test)


def test_a_target_that_asks_for_a_wait_gets_it_from_all_that_is_for_it(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(429, {"Retry-After": "90"}), Answer(200)) as server:
            async with at_work(tmp_path, desk(server.url)) as post:
                post.put("first")
                post.dispatcher.notify()
                await post.reaches("pending", 1, name="first")
                post.put("second", priority=0)
                post.dispatcher.notify()
                await post.settle()
                found = post.delivery("second")
                assert (found["due_at"], found["attempts"]) == (NOW + 90 * SECONDS, 0)
            assert len(server.posted) == 1

    run(test)


# The next channel


def test_after_three_failures_the_next_channel_is_used_at_once_and_the_first_goes_on(tmp_path: Path) -> None:
    async def test() -> None:
        hour = NOW + 3_600 * SECONDS
        with web_server(Answer(503)) as server, web_server() as other:
            async with at_work(tmp_path, desk(server.url), phone=desk_channel(other.url)) as post:
                post.put("first")
                post.put("next", channel="phone", position=1, due_at=hour)
                post.put("last", channel="phone", position=2, due_at=hour)
                post.put("theirs", channel="phone", position=1, due_at=hour, contact="somebody else")
                for made in (1, 2, 3):
                    assert post.delivery("next")["attempts"] == 0
                    post.dispatcher.notify()
                    post.clock.set((await post.reaches("pending", made, name="first"))["due_at"] - SECONDS)
                    if made < 3:
                        post.clock.advance(SECONDS)
                post.dispatcher.notify()
                await post.reaches("delivered", name="next")
                assert post.delivery("theirs")["due_at"] == hour
                assert post.delivery("last")["state"] == "cancelled"  # told, and nobody need answer
                assert post.delivery("first")["state"] == "pending"

    run(test)


def test_a_permanent_failure_leads_to_the_next_channel_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(410)) as server, web_server() as other:
            async with at_work(tmp_path, desk(server.url), phone=desk_channel(other.url)) as post:
                post.put("first")
                post.put("next", channel="phone", position=1, due_at=NOW + 3_600 * SECONDS)
                post.dispatcher.notify()
                await post.reaches("failed", name="first")
                post.dispatcher.notify()
                await post.reaches("delivered", name="next")
                assert rows(post.database, steps)[0]["state"] == "completed"

    run(test)


def test_while_a_circuit_is_open_the_next_channel_is_used_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        with web_server(Answer(503)) as server, web_server() as other:
            async with at_work(tmp_path, desk(server.url), retry(first=600), phone=desk_channel(other.url)) as post:
                put(post, range(FAILURES))
                post.dispatcher.notify()
                for number in range(FAILURES):
                    await post.reaches("pending", 1, name=f"d{number}")
                post.put("first")
                post.put("next", channel="phone", position=1, due_at=NOW + 3_600 * SECONDS)
                post.dispatcher.notify()
                await post.reaches("delivered", name="next")
                found = post.delivery("first")
                assert (found["state"], found["attempts"]) == ("pending", 0)

    run(test)
