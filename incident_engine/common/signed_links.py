"""Signed links in messages, with which readers acknowledge, approve or complete a step."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from incident_engine.common.link_path import LINK_PATH

_SALT = "incident-engine step"  # part of every signature: a change invalidates the links already sent
VALID_SECONDS = 7 * 86_400
"""The lifetime of a link."""


class LinkAction(StrEnum):
    """The action that a link performs."""

    ACKNOWLEDGE = "acknowledge"
    APPROVE = "approve"
    COMPLETE = "complete"


class InvalidLinkError(Exception):
    """A link has a wrong signature, or is too old (`expired`)."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "not signed by this bank's incident-engine")
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Link:
    """The content of a link: a step, an action, and the contact that got the link."""

    step: str
    action: LinkAction
    contact: str


class Links:
    """Signs and verifies links. Without a public address or a key there are none."""

    def __init__(self, public_url: str | None = None, key: str = "") -> None:
        self._url = public_url.rstrip("/") if public_url else None
        self._serializer = URLSafeTimedSerializer(key, salt=_SALT) if key else None

    def for_step(self, step: str, contact: str) -> Mapping[str, str] | None:
        """Return the links of a step for a contact, by action; None if links are off."""
        if self._url is None or self._serializer is None:
            return None
        links: dict[str, str] = {}
        for action in LinkAction:
            token = self._serializer.dumps([step, action.value, contact])
            links[action] = f"{self._url}{LINK_PATH}{token if isinstance(token, str) else token.decode()}"
        return links

    def read(self, token: str) -> Link:
        """Return the content of a link. Raises InvalidLinkError if its signature is wrong or it is too old."""
        if self._serializer is None:
            raise InvalidLinkError(expired=False)
        try:
            step, action, contact = self._serializer.loads(token, max_age=VALID_SECONDS)
            return Link(step, LinkAction(action), contact)
        except SignatureExpired as error:
            raise InvalidLinkError(expired=True) from error
        except (BadSignature, ValueError, TypeError) as error:  # a signed token of an older version has another shape
            raise InvalidLinkError(expired=False) from error
