"""The settings that all channels share: the form of messages, the rate, the check of recipients' addresses."""

from typing import Literal

from pydantic import Field

from incident_engine.common.validation import Strict

Form = Literal["long", "short", "web"]
"""The form of a channel's messages: a whole message, a short text for a telephone, or a text for a web page."""


class Rate(Strict):
    """The number of messages that one endpoint of a channel takes; empty: no limit."""

    per_minute: int | None = Field(default=None, ge=1)
    per_second: int | None = Field(default=None, ge=1)


class AnyChannelSettings(Strict):
    """The base of every channel's settings."""

    def address_problem(self, to: str | None) -> tuple[str, str] | None:
        """Return the error of a recipient's address and the expected value; None if the channel can use it."""
        return None
