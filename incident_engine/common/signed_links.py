"""Signed links with which whoever reads a message acknowledges or approves the step that it is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

LINK_PATH = "/do/"
"""The path of all links. Their signature takes the place of a key."""
_SALT = "incident-engine step"
VALID_SECONDS = 7 * 86_400
"""How long a link can be used."""


class LinkAction(StrEnum):
    """What a link is for."""

    ACKNOWLEDGE = "acknowledge"
    APPROVE = "approve"
    COMPLETE = "complete"


class InvalidLinkError(Exception):
    """A link was changed, or it is too old (`expired`)."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "not signed by this bank's incident-engine")
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says: the step, what for, and to whom it was sent."""

    step: str
    action: LinkAction
    contact: str


class Links:
    """Signs links, and reads them again. Without a public address there are none."""

    def __init__(self, public_url: str | None = None, key: str = "") -> None:
        self._url = public_url.rstrip("/") if public_url else None
        self._serializer = URLSafeTimedSerializer(key, salt=_SALT) if key else None

    def for_step(self, step: str, contact: str) -> Mapping[str, str] | None:
        """Return the links of a step for a reader, by what they are for."""
        if self._url is None or self._serializer is None:
            return None
        return {action: f"{self._url}{LINK_PATH}{self._token(Link(step, action, contact))}" for action in LinkAction}

    def read(self, token: str) -> Link:
        """Return what a link says. Raises WrongLinkError."""
        if self._serializer is None:
            raise InvalidLinkError(expired=False)
        try:
            step, action, contact = self._serializer.loads(token, max_age=VALID_SECONDS)
            return Link(step, LinkAction(action), contact)
        except SignatureExpired as error:
            raise InvalidLinkError(expired=True) from error
        except (BadSignature, ValueError, TypeError) as error:
            raise InvalidLinkError(expired=False) from error

    def _token(self, link: Link) -> str:
        assert self._serializer is not None  # noqa: S101 - `of` saw to it
        signed = self._serializer.dumps([link.step, link.action.value, link.contact])
        return signed if isinstance(signed, str) else signed.decode()
