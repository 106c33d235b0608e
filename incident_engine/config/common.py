"""What every channel's settings have: how much it can carry, and how fast."""

from typing import Literal

from pydantic import Field

from incident_engine.common.validation import Strict

Form = Literal["long", "short", "web"]
"""How much a channel can carry: a whole message, the few words of a text message, or what a web page shows."""


class Rate(Strict):
    """How many messages one target of a channel takes; empty: as many as there are."""

    per_minute: int | None = Field(default=None, ge=1)
    per_second: int | None = Field(default=None, ge=1)
