"""What the answers of an apiserver, or of what stands before it, are taken for."""

import http.server
import threading
from collections.abc import Callable, Iterator

import pytest
from kubernetes import config
from kubernetes.client import Configuration

from tests.unit.operator.test_metrics import read
from tweetbot_api import names
from tweetbot_operator.api_paths import collection_path, name_resource
from tweetbot_operator.cluster import Cluster, GoneError, TransientError
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.throttle import Throttle

Serve = Callable[..., Cluster]
POD = Key("default", "ann")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, metrics: Metrics) -> Iterator[Serve]:
    """Return what makes a cluster that answers every request with this body, and well but for the code."""
    servers = []

    def start(body: bytes, code: int = 200) -> Cluster:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body)

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def load(client_configuration: Configuration) -> None:
            client_configuration.host = f"http://127.0.0.1:{server.server_port}"

        monkeypatch.setattr(config, "load_incluster_config", load)
        throttle = Throttle(10, 1, uptime=lambda: 0.0, sleep=lambda seconds: None)
        return Cluster(1, throttle, metrics.requests)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("body", [b"", b"<html>a proxy</html>", b'{"kind": "Job", "meta', b"\xff", b"[]"])
def test_an_answer_that_is_no_object_is_asked_for_again(serve: Serve, body: bytes) -> None:
    with pytest.raises(TransientError):
        serve(body).get("Job", POD)


def test_an_object_is_returned_as_it_was_sent(serve: Serve) -> None:
    assert serve(b'{"kind": "Job"}').get("Job", POD) == {"kind": "Job"}


def test_requests_are_counted_by_method_resource_and_status_and_by_how_long_they_were_held_back(
    serve: Serve, metrics: Metrics
) -> None:
    good, busy, gone = serve(b"{}"), serve(b"{}", 429), serve(b"{}", 404)
    good.get("Job", POD)
    good.get("Job", POD)
    with pytest.raises(TransientError):
        busy.get("Pod", POD)
    with pytest.raises(GoneError):
        gone.get(names.KIND, POD)

    requests = 'tweetbot_api_requests_total{code="%s",method="GET",resource="%s"}'
    assert read(metrics, requests % (200, "jobs")) == 2
    assert read(metrics, requests % (429, "pods")) == 1
    assert read(metrics, requests % (404, "tweetbots")) == 1
    assert read(metrics, "tweetbot_api_throttled_seconds_total") == pytest.approx(0.1)


def test_a_request_without_an_answer_is_counted_too(serve: Serve, metrics: Metrics) -> None:
    cluster = serve(b"{}")
    cluster._api.configuration.host = "http://127.0.0.1:1"

    with pytest.raises(TransientError):
        cluster.get("Lease", POD)

    assert read(metrics, 'tweetbot_api_requests_total{code="none",method="GET",resource="leases"}') == 1


def test_a_request_that_a_replica_may_not_send_is_not_counted(serve: Serve, metrics: Metrics) -> None:
    cluster = serve(b"{}")
    cluster.fence(lambda: False)

    with pytest.raises(TransientError):
        cluster.delete("Job", POD, "uid")

    assert "tweetbot_api_requests_total{" not in metrics.render().decode()


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (collection_path("Job", None), "jobs"),
        (collection_path("Pod", None), "pods"),
        (f"{collection_path('Pod', 'jobs')}/leases", "pods"),
        (f"{collection_path(names.BATCH_KIND, 'namespaces')}/team/status", "tweetbotbatches"),
        ("/apis/authentication.k8s.io/v1/tokenreviews", "tokenreviews"),
    ],
)
def test_a_path_is_about_one_resource_whatever_its_names(path: str, want: str) -> None:
    assert name_resource(path) == want
