"""Redaction: no secret leaves a channel, neither in an error nor in the other side's answer."""

from collections.abc import Awaitable, Iterable, Iterator
from datetime import datetime
from urllib.parse import quote, quote_plus, unquote, urlsplit

from incident_engine.config.channels import ChannelSettings, channel_secrets
from incident_engine.delivery.channels.base import Channel, Connectable, DeliveryError, DeliveryOutcome
from incident_engine.store.claims import ClaimedDelivery

_SHORTEST = 4
"""A shorter secret protects nothing, and hiding it would make words unreadable."""
_LONGEST = 300
"""The number of characters that are kept of an answer."""
_SHORTEST_PART = 8
"""In a public URL, shorter parts are ordinary words and stay visible."""
_LONG = 16
"""Parts of a path from this length on are keys (as Feishu's), shorter ones are names."""


class RedactingChannel:
    """A channel that hides its secrets in answers and errors."""

    def __init__(self, channel: Channel, secrets: Iterable[str]) -> None:
        self._channel = channel
        forms: set[str] = set()
        for secret in secrets:
            # The other side may quote a secret as it was sent: plain, percent-encoded, decoded or escaped.
            forms |= {secret, quote(secret, safe=""), quote_plus(secret), unquote(secret), repr(secret)[1:-1]}
        # The longest first: a short secret may be part of a longer one, whose rest would stay.
        self._secrets = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send a message and return the other side's answer. Raises DeliveryError, and no other error."""
        return await self._redacted(self._channel.send(delivery, now))

    async def connect(self) -> str:
        """Try the channel without a message; "" if it cannot be tried so. Raises DeliveryError, and no other error."""
        return await self._redacted(self._channel.connect()) if isinstance(self._channel, Connectable) else ""

    async def _redacted(self, work: Awaitable[str]) -> str:
        try:
            return self._hide(await work)
        except DeliveryError as error:
            failure = DeliveryError(
                error.outcome, self._hide(error.detail), permanent=error.permanent, retry_after=error.retry_after
            )
        except Exception as error:  # noqa: BLE001 - a fault of ours may quote an address as well
            failure = DeliveryError(DeliveryOutcome.UNEXPECTED_ERROR, self._hide(repr(error)))
        raise failure

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:_LONGEST]  # only now: a cut before could leave half a secret


def secret_texts(settings: ChannelSettings) -> Iterator[str]:
    """Yield the texts that must not be shown: secrets, and the parts of addresses that open something."""
    for path, secret in channel_secrets(settings):
        text = secret.read()
        yield text
        if path == ("url",):
            yield from secret_parts(text)
    url = getattr(settings, "url", None)
    if isinstance(url, str):  # the address itself may be shown, the keys within it may not
        parts = (part for part in secret_parts(url) if part != url and "{" not in part)
        yield from (part for part in parts if len(part) >= _SHORTEST_PART)


def secret_parts(url: str) -> Iterator[str]:
    """Yield an address and its parts that give access: user, password, values of the query, long names."""
    parts = urlsplit(url)
    yield url
    yield from (part for part in (parts.username, parts.password) if part)
    yield from (pair.partition("=")[2] for pair in parts.query.split("&"))
    yield from (part for part in parts.path.split("/") if len(part) >= _LONG)
