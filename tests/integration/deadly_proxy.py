"""Stands between an operator and the apiserver: kills the operator as soon as a write of its has been stored, or lets
its watches fall silent.
"""

import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from urllib.parse import urlsplit

import urllib3

from cluster.kubernetes_client import KubernetesClient

_HARMLESS = ("/leases", "/tokenreviews")
"""Writes that change nothing of a bot's."""
_OF_THE_CONNECTION = {"connection", "transfer-encoding", "content-length", "host", "accept-encoding"}


class DeadlyProxy:
    """Plain HTTP on loopback; towards the apiserver it is the user whose certificate it has."""

    def __init__(self, user: KubernetesClient) -> None:
        self.writes: list[str] = []
        """What was stored."""
        self.kill: Callable[[], None] = lambda: None
        self._silence = Event()
        self._is_over = Event()
        self._open: set[urllib3.BaseHTTPResponse] = set()
        context = ssl.create_default_context(cafile=str(user.authority))
        context.load_cert_chain(user.user.certificate, user.user.key)
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, maxsize=32)
        self._address = user.address
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _build_handler(self._pass_on))
        self._http.daemon_threads = True

    def __enter__(self) -> "DeadlyProxy":
        Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        # An apiserver does not end before its watches have.
        for answer in list(self._open):
            # One that has ended by itself is not ours any more.
            with suppress(RuntimeError, ValueError):
                answer.shutdown()
        self._http.shutdown()
        self._http.server_close()

    def write_kubeconfig(self, path: Path) -> None:
        """Write what a client needs to go through the proxy."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self._http.server_port}"}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
            "current-context": "proxy",
        }
        path.write_text(json.dumps(config))

    def silence_watches(self) -> None:
        """Pass on nothing more of the watches that are open now, not even their end; others are not touched."""
        self._silence.set()
        self._silence = Event()

    def _pass_on(self, request: BaseHTTPRequestHandler) -> None:
        silence = self._silence
        length = int(request.headers.get("Content-Length") or 0)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        answer = self._pool.request(
            request.command,
            self._address + request.path,
            body=request.rfile.read(length) or None,
            headers=headers,
            preload_content=False,
        )
        self._open.add(answer)
        path = urlsplit(request.path).path
        if request.command != "GET" and answer.status < 300 and not any(word in path for word in _HARMLESS):
            self.writes.append(f"{request.command} {path}")
            self.kill()
        try:
            self._reply(request, answer, silence)
        except (OSError, urllib3.exceptions.HTTPError):
            request.close_connection = True
        finally:
            self._open.discard(answer)
            answer.close()

    def _reply(self, request: BaseHTTPRequestHandler, answer: urllib3.BaseHTTPResponse, silence: Event) -> None:
        request.send_response(answer.status)
        request.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        # A watch is passed on as it comes.
        for chunk in answer.read_chunked() if getattr(answer, "chunked", False) else [answer.read()]:
            if chunk and not silence.is_set():
                request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if silence.is_set():
            self._is_over.wait()
        request.wfile.write(b"0\r\n\r\n")


def _build_handler(pass_on: Callable[[BaseHTTPRequestHandler], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            pass_on(self)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - names that http.server asks for

        def log_message(self, *arguments: object) -> None:
            return

    return Handler
