"""Messages by SMTP, one recipient each, so that a refusal concerns one recipient only (RFC 5321)."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage

import aiosmtplib
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

from incident_engine.common.markdown import as_html
from incident_engine.config.channels import EmailSettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.store.deliveries import ClaimedDelivery

_PERMANENT = 500


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

    async def close(self) -> None:
        """Do nothing: each message has a connection of its own."""

    def _compose(self, delivery: ClaimedDelivery) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = delivery.subject
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
        is_permanent = error.code >= _PERMANENT
        outcome = DeliveryOutcome.REFUSED if is_permanent else DeliveryOutcome.SERVER_ERROR
        return DeliveryError(outcome, f"{error.code} {error.message}", permanent=is_permanent)
    return DeliveryError(DeliveryOutcome.CONNECTION_FAILED, str(error))
