"""Settings that all channels share: the form of their messages, their rate limits, the check of addresses."""

from typing import Literal

from pydantic import Field

from incident_engine.common.validation import Strict

Form = Literal["long", "short", "web"]
"""The form of a channel's messages: long (e-mail, chat), short (SMS) or web (status page)."""


class Rate(Strict):
    """The rate limit of each endpoint of a channel. Without limits, messages are sent as they come."""

    per_minute: int | None = Field(default=None, ge=1)
    """The most messages per minute."""
    per_second: int | None = Field(default=None, ge=1)
    """The most messages per second."""


class AnyChannelSettings(Strict):
    """The base of every channel's settings."""

    def address_problem(self, to: str | None) -> tuple[str, str] | None:
        """Return the error of a recipient's address and the expected value; None if the channel can use it."""
        return None
