"""moto's S3 server with one thing that a real store has: a conditional write is one step."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class AtomicConditions:
    """Lets one conditional write through at a time; moto looks first and writes then, so two would both succeed."""

    def __init__(self) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if "HTTP_IF_NONE_MATCH" not in environ:
            return self._application(environ, start_response)
        with self._lock:
            return self._application(environ, start_response)


@contextmanager
def running_s3_server() -> Iterator[str]:
    """Serve S3 from this process until the block ends; the value is its address."""
    server = make_server("127.0.0.1", 0, AtomicConditions(), threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
