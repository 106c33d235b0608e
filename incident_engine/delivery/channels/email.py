"""Messages by SMTP, one recipient each, so that a refusal concerns one recipient only (RFC 5321)."""

import base64
from collections.abc import Iterator
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import Policy
from unicodedata import category

import aiosmtplib
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

from incident_engine.common.markdown import as_html
from incident_engine.config.channels import EmailSettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.store.claims import ClaimedDelivery

_PERMANENT = 500
_LONGEST_LINE = 76
"""The longest line of a header with an encoded word (RFC 2047, 2)."""
_WORD_BYTES = 39
"""The bytes of UTF-8 in one encoded word, so that the first one fits on the line of the header's name."""
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, half characters and separators of lines and paragraphs."""


class TextHeader(str):
    """A header with words of people, written so that every reader gets the same text back.

    The email package would read an encoded word in the text as one (RFC 2047) and write its line breaks as new
    headers. It takes an object that has `name` and `fold` as it is.
    """

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str, text: str) -> "TextHeader":
        """Make a header of a name and a text. Characters that break or end a line become spaces."""
        header = super().__new__(cls, "".join(" " if category(char) in _NO_TEXT else char for char in text))
        header.name = name
        return header

    def fold(self, *, policy: Policy) -> str:
        """Return the header's lines: as it is if it is short and plain ASCII, else in encoded words."""
        line = f"{self.name}: {self}"
        is_plain = self.isascii() and "=?" not in self and self == self.strip()
        if is_plain and len(line) <= _LONGEST_LINE:
            return f"{line}{policy.linesep}"
        words = [f"=?utf-8?b?{base64.b64encode(piece).decode()}?=" for piece in self._pieces()]
        # Space between two encoded words belongs to neither: the text's own spaces are within the words.
        return f"{self.name}: {f'{policy.linesep} '.join(words)}{policy.linesep}"

    def _pieces(self) -> Iterator[bytes]:
        """Yield the text in UTF-8 in pieces of whole characters: readers decode each encoded word by itself."""
        piece = b""
        for char in self:
            encoded = char.encode()
            if len(piece) + len(encoded) > _WORD_BYTES:
                yield piece
                piece = b""
            piece += encoded
        yield piece


class EmailChannel:
    """Passes messages to the bank's mail server. The Message-ID is the idempotency key."""

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._password = settings.password.read() if settings.password else None

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send one message to one recipient and return the server's answer."""
        settings = self._settings
        try:
            _, answer = await aiosmtplib.send(
                self._compose(delivery),
                sender=settings.sender,
                recipients=[delivery.address or ""],
                hostname=settings.host,
                port=settings.port,
                local_hostname=settings.ehlo,
                use_tls=settings.tls == "tls",
                start_tls=settings.tls == "starttls",
                username=settings.username,
                password=self._password,
                timeout=settings.timeout.total_seconds(),
            )
        except SMTPException as error:
            raise _explained(error) from error
        except OSError as error:
            raise DeliveryError(DeliveryOutcome.CONNECTION_FAILED, str(error)) from error
        return answer

    async def connect(self) -> str:
        """Greet the server, log in, and return its answer to EHLO. No message is begun."""
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            local_hostname=settings.ehlo,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            username=settings.username,
            password=self._password,
            timeout=settings.timeout.total_seconds(),
        )
        try:
            async with client:
                answer = await client.ehlo()
        except SMTPException as error:
            raise _explained(error) from error
        except OSError as error:
            raise DeliveryError(DeliveryOutcome.CONNECTION_FAILED, str(error)) from error
        return f"{answer.code} {answer.message.splitlines()[0] if answer.message else ''}".strip()

    async def close(self) -> None:
        """Do nothing: each message has a connection of its own."""

    def _compose(self, delivery: ClaimedDelivery) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = TextHeader("Subject", delivery.subject)
        message["From"] = Address(addr_spec=self._settings.sender)
        message["To"] = Address(addr_spec=delivery.address or "")
        message["Date"] = delivery.created_at
        message["Message-ID"] = f"<{delivery.id}@{self._settings.sender.partition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
        message.set_content(delivery.body)
        html = as_html(delivery.body)
        message.add_alternative(f'<html lang="{delivery.locale}"><body>{html}</body></html>', subtype="html")
        message["Content-Language"] = delivery.locale  # only now: setting the content removes every content header
        return message


def _explained(error: SMTPException) -> DeliveryError:
    if isinstance(error, SMTPTimeoutError):
        return DeliveryError(DeliveryOutcome.TIMED_OUT, str(error))
    if isinstance(error, SMTPAuthenticationError):
        return DeliveryError(DeliveryOutcome.AUTHENTICATION_FAILED, f"{error.code} {error.message}")
    if isinstance(error, SMTPRecipientsRefused):
        error = error.recipients[0]  # each message has one recipient
    if isinstance(error, SMTPResponseException):
        # Before RCPT the server refuses this client or its settings, which an operator can mend: no message ends by it.
        is_own = isinstance(error, SMTPRecipientRefused | SMTPDataError)
        is_permanent = is_own and error.code >= _PERMANENT
        outcome = DeliveryOutcome.REFUSED if is_permanent else DeliveryOutcome.SERVER_ERROR
        return DeliveryError(outcome, f"{error.code} {error.message}", permanent=is_permanent)
    return DeliveryError(DeliveryOutcome.CONNECTION_FAILED, str(error))
