"""What the answers of an apiserver, or of what stands before it, are taken for."""

import http.server
import threading
from collections.abc import Callable, Iterator

import pytest
from kubernetes import config
from kubernetes.client import Configuration

from tweetbot_operator.cluster import Cluster, TransientError
from tweetbot_operator.observed import Key
from tweetbot_operator.throttle import Throttle

Serve = Callable[[bytes], Cluster]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return what makes a cluster that answers every request well, with this body."""
    servers = []

    def start(body: bytes) -> Cluster:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def load(client_configuration: Configuration) -> None:
            client_configuration.host = f"http://127.0.0.1:{server.server_port}"

        monkeypatch.setattr(config, "load_incluster_config", load)
        return Cluster(1, Throttle(100, 100, uptime=lambda: 0.0, sleep=lambda seconds: None))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("body", [b"", b"<html>a proxy</html>", b'{"kind": "Job", "meta', b"\xff", b"[]"])
def test_an_answer_that_is_no_object_is_asked_for_again(serve: Serve, body: bytes) -> None:
    with pytest.raises(TransientError):
        serve(body).get("Job", Key("default", "ann"))


def test_an_object_is_returned_as_it_was_sent(serve: Serve) -> None:
    assert serve(b'{"kind": "Job"}').get("Job", Key("default", "ann")) == {"kind": "Job"}
