"""An HTTP server on loopback whose answers a test gives as a function."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class AnsweringServer:
    """Answers each GET with what `answer(path, query)` returns: status, body (JSON value or bytes), headers.

    A body that is a function is called with the connection's file and writes the rest itself.
    """

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                server.requests.append((parts.path, query))
                status, body, *rest = server.answer(parts.path, query)
                headers = rest[0] if rest else {}
                self.send_response(status)
                data = body if callable(body) or isinstance(body, bytes) else json.dumps(body).encode()
                if not callable(data):
                    headers = {"Content-Length": str(len(data)), **headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    data(self.wfile) if callable(data) else self.wfile.write(data)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.netloc = f"127.0.0.1:{self._http.server_port}"
        self.url = f"http://{self.netloc}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
