"""An S3 server in this process that can fail at any request: moto's application behind a front that breaks things."""

import contextlib
import http.server
import io
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from werkzeug.test import EnvironBuilder, run_wsgi_app

_ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>made up</Message></Error>"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the store answers: status line and headers, and the body."""

    head: bytes
    body: bytes


def refuse(status: int, code: str) -> Callable[["Exchange"], None]:
    """Return a fault: the request is refused and changes nothing."""

    def fault(exchange: "Exchange") -> None:
        exchange.send(make_reply(status, _ERROR.format(code=code).encode(), {"Content-Type": "application/xml"}))

    return fault


def reset(exchange: "Exchange") -> None:
    """Break the connection before the request is looked at."""
    exchange.reset()


def lose_reply(exchange: "Exchange") -> None:
    """Do what is asked, then break the connection instead of answering."""
    exchange.ask_store()
    exchange.reset()


def truncate(exchange: "Exchange") -> None:
    """Do what is asked, but break off half-way through the answer."""
    reply = exchange.ask_store()
    whole = reply.head + reply.body
    # At least one byte is missing, and the head is whole where there is a body to cut.
    exchange.send_raw(whole[: max(len(whole) // 2, len(reply.head) if reply.body else 0)])
    exchange.reset()


def hang(exchange: "Exchange") -> None:
    """Never answer; the client gives up first."""
    exchange.wait_until_closed()


def slow(exchange: "Exchange") -> None:
    """Answer late, but within the client's patience."""
    time.sleep(0.05)
    exchange.send(exchange.ask_store())


Fault = Callable[["Exchange"], None]

PASSING: dict[str, Fault] = {
    "503": refuse(503, "SlowDown"),
    "reset": reset,
    "lost reply": lose_reply,
    "truncated": truncate,
    "timeout": hang,
}
LARGE = 512 * 1024
"""Size from which the client of `faulty_s3` stores a file in parts."""


@dataclass
class Plan:
    """Which requests fail, and how: the one with this number, or all from there on."""

    fault: Fault | None = None
    first: int = 0
    is_lasting: bool = False

    def fault_at(self, number: int) -> Fault | None:
        hits = number >= self.first if self.is_lasting else number == self.first
        return self.fault if hits else None


def worth_failing(requests: list[str], fault: Fault) -> list[int]:
    """Return which requests are worth the fault: a read whose answer gets lost is one that was never made."""
    changing = ("PUT", "POST", "DELETE")
    return [number for number, line in enumerate(requests) if fault is not lose_reply or line.startswith(changing)]


@dataclass
class FaultyS3:
    """The server; `plan` may be changed between runs, `requests` lists what came since then."""

    plan: Plan = field(default_factory=Plan)
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._app = create_backend_app("s3")
        handler = type("Handler", (_Handler,), {"front": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def follow(self, plan: Plan) -> None:
        """Begin to count anew."""
        with self._lock:
            self.plan, self.requests = plan, []

    def note(self, line: str) -> Fault | None:
        with self._lock:
            self.requests.append(line)
            return self.plan.fault_at(len(self.requests) - 1)

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Return the answer of moto's application, which knows nothing of faults."""
        path, _, query = target.partition("?")
        environ = EnvironBuilder(
            path=path, query_string=query, method=method, headers=headers,
            input_stream=io.BytesIO(body), base_url=self.endpoint, content_length=len(body),
        ).get_environ()  # fmt: skip
        answer, status, answer_headers = run_wsgi_app(self._app, environ, buffered=True)
        content = b"".join(answer)
        kept = {name: value for name, value in answer_headers.items() if name.lower() != "connection"}
        if method != "HEAD":
            kept["Content-Length"] = str(len(content))
        return make_reply(int(status.split()[0]), b"" if method == "HEAD" else content, kept)

    # What tests see of the store, past all faults

    def contents(self, bucket: str) -> dict[str, bytes]:
        """Return all objects."""
        return {key.name: key.value for key in self._backend.buckets[bucket].keys.values()}

    def restore(self, bucket: str, contents: dict[str, bytes]) -> None:
        """Make the bucket hold just these objects, and no unfinished upload."""
        if bucket not in self._backend.buckets:
            self._backend.create_bucket(bucket, "us-east-1")
        now = self.contents(bucket)
        for key in now.keys() - contents.keys():
            self._backend.delete_object(bucket, key)
        for key, value in contents.items():
            if now.get(key) != value:
                self._backend.put_object(bucket, key, value)
        self._backend.buckets[bucket].multiparts.clear()

    def num_unfinished(self, bucket: str) -> int:
        """Return how many multipart uploads are neither completed nor aborted."""
        return len(self._backend.buckets[bucket].multiparts)


def make_reply(status: int, body: bytes, headers: dict[str, str]) -> Reply:
    """Return the bytes of an answer."""
    reason = http.HTTPStatus(status).phrase
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    if "Content-Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return Reply(head="\r\n".join([*lines, "", ""]).encode(), body=body)


@dataclass
class Exchange:
    """One request, and the ways to answer it."""

    handler: "_Handler"
    body: bytes

    def ask_store(self) -> Reply:
        handler = self.handler
        return handler.front.ask(handler.command, handler.path, dict(handler.headers.items()), self.body)

    def send(self, reply: Reply) -> None:
        self.send_raw(reply.head + (b"" if self.handler.command == "HEAD" else reply.body))

    def send_raw(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def reset(self) -> None:
        """Close with RST, as a dying peer does."""
        self.handler.close_connection = True
        connection = self.handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def wait_until_closed(self) -> None:
        self.handler.close_connection = True
        self.handler.connection.settimeout(10)
        try:
            while self.handler.connection.recv(65536):
                pass
        except OSError:
            pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: FaultyS3

    def answer(self) -> None:
        exchange = Exchange(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
        fault = self.front.note(f"{self.command} {self.path}")
        try:
            if fault:
                fault(exchange)
            else:
                exchange.send(exchange.ask_store())
        except OSError:
            self.close_connection = True

    def finish(self) -> None:
        # A connection that a fault has closed cannot be flushed.
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_: object) -> None:
        pass


for _method in ("GET", "PUT", "HEAD", "POST", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.answer)
