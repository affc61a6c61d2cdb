import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from tests.s3_server import running_s3_server
from tests.unit.trainer.answering_server import AnsweringServer


@pytest.fixture(scope="session")
def s3_endpoint():
    """Return the address of an S3 server that lives in this process."""
    with running_s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3_credentials(monkeypatch):
    """Set credentials that the server accepts."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def s3(s3_endpoint, s3_credentials):
    """Return a client of the server, empty but for the bucket `bots`."""
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="bots")
    yield client
    for item in client.list_objects_v2(Bucket="bots").get("Contents", []):
        client.delete_object(Bucket="bots", Key=item["Key"])
    client.delete_bucket(Bucket="bots")
    client.close()


class LoopbackServer:
    """An HTTP server that records requests and answers with the statuses given, the last one again and again.

    Instead of the statuses, a function may tell the status from the request's body.
    """

    def __init__(self, statuses=(204,), delay=0.0, tls_context=None):
        self.requests = []
        self.arrived = threading.Condition()
        status_of = statuses if callable(statuses) else None
        statuses = [] if status_of else list(statuses)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with server.arrived:
                    server.requests.append((self.path, dict(self.headers), body))
                    server.arrived.notify_all()
                threading.Event().wait(delay)
                if status_of:
                    self.send_response(status_of(body))
                else:
                    self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        scheme = "http"
        if tls_context:
            scheme = "https"
            self._server.socket = tls_context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def wait_for(self, count):
        """Return the requests once there are so many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, 10)
            return list(self.requests)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def loopback_server():
    """Return a function that starts servers which end with the test."""
    servers = []

    def start(**options):
        servers.append(LoopbackServer(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def answering():
    """Return a function that starts servers which answer as a function tells, and end with the test."""
    servers = []

    def start(answer):
        servers.append(AnsweringServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
