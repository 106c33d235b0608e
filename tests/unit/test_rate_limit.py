"""Token buckets on a clock set by hand."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import at
from support.fixtures import MICROSECOND

from incident_engine.config.common import Rate
from incident_engine.delivery.rate_limit import RateLimit, RateLimits

NOW = at("10:35")
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def test_half_of_the_limit_goes_at_once_and_the_other_half_over_the_span() -> None:
    bucket = RateLimit(20, MINUTE)
    assert bucket.available(NOW) == 10
    bucket.take(10)
    assert bucket.available(NOW) == 0
    assert bucket.ready_at(NOW) == NOW + 6 * SECOND
    assert bucket.available(NOW + 6 * SECOND - 2 * timedelta(milliseconds=1)) == 0
    assert bucket.available(NOW + 6 * SECOND) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 20, 100])
def test_at_the_promised_instant_a_token_is_there(limit: int) -> None:
    bucket, now = RateLimit(limit, MINUTE), NOW
    for _ in range(3 * limit):
        now = bucket.ready_at(now)
        assert bucket.available(now) >= 1
        bucket.take(1)


@given(limit=st.integers(1, 30), waits=st.lists(st.integers(0, 20_000), max_size=150))
def test_no_span_ever_has_more_than_the_limit(limit: int, waits: list[int]) -> None:
    bucket, now, gone = RateLimit(limit, MINUTE), NOW, []
    for wait in waits:
        now += timedelta(milliseconds=wait)
        if bucket.ready_at(now) <= now:
            bucket.take(1)
            gone.append(now)
    for place, instant in enumerate(gone):
        assert sum(instant <= other < instant + MINUTE - timedelta(milliseconds=10) for other in gone[place:]) <= limit


def test_a_bucket_never_holds_more_than_its_size() -> None:
    bucket = RateLimit(20, MINUTE)
    bucket.available(NOW)
    assert bucket.available(NOW + timedelta(days=1)) == 10


def test_a_message_in_many_parts_is_paid_for_afterwards() -> None:
    bucket = RateLimit(4, MINUTE)
    bucket.available(NOW)
    bucket.take(5)
    assert bucket.ready_at(NOW) == NOW + 4 * 30 * SECOND


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    bucket = RateLimit(2, MINUTE)
    bucket.available(NOW)
    bucket.take(1)
    assert bucket.ready_at(NOW - MINUTE) == NOW
    assert bucket.available(NOW) == 1


def test_both_limits_hold() -> None:
    buckets = RateLimits(Rate(per_minute=100, per_second=5))
    assert buckets.available(NOW) == 2
    buckets.take(2)
    assert buckets.ready_at(NOW) > NOW
    now = NOW
    for _ in range(60):
        now = buckets.ready_at(now)
        buckets.take(1)
    assert now - NOW >= 10 * SECOND  # the limit for the minute, not for the second


def test_without_limits_there_is_no_end_of_tokens() -> None:
    buckets = RateLimits(Rate())
    buckets.take(1_000)
    assert (buckets.available(NOW), buckets.ready_at(NOW)) == (None, NOW)


def test_a_target_that_said_it_was_too_much_is_left_alone_until_it_said() -> None:
    buckets = RateLimits(Rate())
    buckets.pause(NOW + MINUTE, NOW)
    buckets.pause(NOW + SECOND, NOW)
    assert (buckets.available(NOW), buckets.ready_at(NOW)) == (0, NOW + MINUTE)
    assert buckets.ready_at(NOW + MINUTE - MICROSECOND) == NOW + MINUTE
    assert (buckets.available(NOW + MINUTE), buckets.ready_at(NOW + MINUTE)) == (None, NOW + MINUTE)


def test_a_pause_ends_when_the_clock_is_set_back() -> None:
    buckets = RateLimits(Rate())
    buckets.pause(NOW + MINUTE, NOW)
    hours_before = NOW - 300 * MINUTE
    assert (buckets.available(hours_before), buckets.ready_at(hours_before)) == (None, hours_before)
