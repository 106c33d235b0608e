"""Local servers that answer as the real ones do, on the loopback interface."""

import asyncio
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Mail:
    """What a mail server was handed, with the envelope that brought it."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    logged_in: bool
    content: bytes
    """The bytes as they came over the wire."""
    greeting: str
    """The name with which the client said EHLO."""


@dataclass(slots=True)
class MailServer:
    """Takes mail, and answers each stage as it is told: a recipient, the content, the log-in."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    to_recipient: dict[str, str] = field(default_factory=dict)
    to_content: str = "250 2.0.0 Ok: queued as 4ABC"
    to_greeting: str = ""
    to_sender: str = "250 2.1.0 Ok"
    wait: float = 0

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Answer EHLO."""
        session.host_name = hostname
        return [self.to_greeting] if self.to_greeting else responses

    async def handle_HELO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str
    ) -> str:
        """Answer HELO, to which clients fall back."""
        session.host_name = hostname
        return self.to_greeting or f"250 {server.hostname}"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer MAIL FROM."""
        if self.to_sender.startswith("250"):
            envelope.mail_from = address
        return self.to_sender

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer RCPT TO."""
        answer = self.to_recipient.get(address, "250 2.1.5 Ok")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer the end of DATA."""
        await asyncio.sleep(self.wait)
        if self.to_content.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            recipients = tuple(str(address) for address in envelope.rcpt_tos)
            self.mails.append(
                Mail(
                    str(envelope.mail_from),
                    recipients,
                    message,
                    session.authenticated is True,
                    envelope.content,
                    str(session.host_name),
                )
            )
        return self.to_content


def _authenticate(_: object, __: object, ___: object, ____: object, data: object) -> AuthResult:
    return AuthResult(success=isinstance(data, LoginPassword) and data.password == b"right", handled=False)


@contextmanager
def mail_server(*, tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[MailServer]:
    """Run a mail server; with `tls` it speaks TLS from the first byte."""
    server = MailServer()
    controller = Controller(
        server,
        hostname=LOOPBACK,
        port=free_port(),
        ssl_context=tls,
        ready_timeout=30,
        authenticator=_authenticate,
        auth_require_tls=False,
        **options,
    )
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        controller.stop()


def free_port() -> int:
    """Return a port on which nobody listens just now."""
    with socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Answer:
    """What a web server answers: a status with headers, after a wait; None cuts the connection."""

    status: int | None = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes = ""
    wait: float = 0


@dataclass(frozen=True, slots=True)
class Posted:
    """A request that a web server got; the names of headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: str
    method: str = "POST"


@dataclass(slots=True)
class WebServer:
    """Takes requests and answers them in turn; the last answer is given again and again."""

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    posted: list[Posted] = field(default_factory=list)

    def next_answer(self) -> Answer:
        """Return the answer to the request that has just come."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def web_server(*answers: Answer) -> Iterator[WebServer]:
    """Run a web server."""
    server = WebServer(answers=list(answers) or [Answer()])
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.posted.append(Posted(self.path, headers, body, self.command))
            self._answer(server.next_answer())

        do_GET = do_PUT = do_POST  # noqa: N815 - http.server's names

        def _answer(self, answer: Answer) -> None:
            over.wait(answer.wait)
            self.close_connection = True
            if answer.status is None:
                return
            content = answer.body.encode() if isinstance(answer.body, str) else answer.body
            self.send_response(answer.status)
            for name, value in {**answer.headers, "content-length": str(len(content)), "connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    listening.handle_error = lambda *_: None  # type: ignore[method-assign] # whoever hung up was allowed to
    server.url = f"http://{LOOPBACK}:{listening.server_address[1]}/hook"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        over.set()
        listening.shutdown()
        listening.server_close()
        thread.join(30)


@contextmanager
def silent_server() -> Iterator[int]:
    """Listen and take connections, and never say a word; yields the port."""
    with socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        yield listening.getsockname()[1]
