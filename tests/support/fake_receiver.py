"""A web server that receives messages and records by which process of the daemon each was sent."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.servers import LOOPBACK


@dataclass(frozen=True, slots=True)
class Arrival:
    """A received message: its idempotency key, the number of the sending process, and whether it was accepted."""

    id: str
    life: int
    step: str
    contact: str
    text: str
    taken: bool


@dataclass(slots=True)
class FakeReceiver:
    """The address and the messages of the web server; the last part of an address numbers the sending process."""

    url: str
    arrivals: list[Arrival] = field(default_factory=list)
    under_way: int = 0

    def address(self, life: int) -> str:
        """Return the address for a process of the daemon."""
        return f"{self.url}/{life}"


@contextmanager
def fake_receiver(seed: int, slowest_seconds: float = 0.03, refused: float = 0.03) -> Iterator[FakeReceiver]:
    """Run the web server; `refused` is the share of messages that are answered 503 and sent again."""
    chance, lock = random.Random(f"{seed}/desk"), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            said: dict[str, Any] = json.loads(body)["data"]
            with lock:
                pause, taken = chance.uniform(0, slowest_seconds), chance.random() >= refused
                found.under_way += 1
            time.sleep(pause)
            key, life = self.headers["webhook-id"], int(self.path.rsplit("/", 1)[1])
            text = f"{said['subject']}\n{said['body']}"
            with lock:
                found.arrivals.append(Arrival(key, life, said["step"], said["contact"], text, taken))
                found.under_way -= 1
            self.send_response(204 if taken else 503)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a sender that was killed is no error here
    found = FakeReceiver(f"http://{LOOPBACK}:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
