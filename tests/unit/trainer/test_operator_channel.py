import json
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.factories import make_bot_identity
from tweetbot_api.messages import BotOutcome, ProgressMessage, ResultMessage
from tweetbot_trainer.operator_channel import HttpReporter, OperatorChannel, Results, ResultSender

RESULT = ResultMessage(bot=make_bot_identity(), job_kind="train", outcome=BotOutcome(samples=["My dream"]))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Return the files of a certificate for 127.0.0.1 that signs itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "operator")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "tls.crt", folder / "tls.key"


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


@pytest.fixture
def open_channel(certificate, token_file):
    return lambda url: OperatorChannel(url, certificate[0], token_file)


@pytest.fixture
def reporters():
    """Close the reporters that the test leaves open."""
    opened = []
    yield opened
    for reporter in opened:
        reporter.close()


def test_messages_go_over_verified_tls_with_the_newest_token(loopback_server, open_channel, certificate, token_file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = loopback_server(tls_context=context)
    channel = open_channel(server.url)
    assert channel.post("/v1/result", RESULT) == 204
    token_file.write_text("second\n")
    assert channel.post("/v1/result", RESULT) == 204
    (path, headers, body), (_, later_headers, _) = server.wait_for(2)
    assert path == "/v1/result"
    assert [headers["Authorization"], later_headers["Authorization"]] == ["Bearer first", "Bearer second"]
    assert ResultMessage.model_validate_json(body) == RESULT


@pytest.mark.filterwarnings("ignore")
def test_a_server_with_an_unknown_certificate_gets_no_token(loopback_server, certificate, token_file, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = loopback_server(tls_context=context)
    (tmp_path / "other.crt").write_text("")
    for ca_file in (tmp_path / "other.crt", tmp_path / "missing.crt"):
        assert OperatorChannel(server.url, ca_file, token_file).post("/v1/result", RESULT) is None
    assert server.requests == []


def test_an_operator_that_is_away_is_no_error(open_channel):
    assert open_channel("https://127.0.0.1:1").post("/v1/result", RESULT) is None


def test_a_token_that_is_missing_is_no_error(open_channel, token_file):
    token_file.unlink()
    assert open_channel("https://127.0.0.1:1").post("/v1/result", RESULT) is None


def test_progress_says_how_far_the_whole_run_is(loopback_server, open_channel, reporters):
    server = loopback_server()
    reporters.append(HttpReporter(open_channel(server.url), make_bot_identity(), "train"))
    reporters[0].report("Training", 0.5, step=5, total_steps=10, loss=3.2, tokens_per_second=100.0, eta_seconds=9)
    ((path, _, body),) = server.wait_for(1)
    message = ProgressMessage.model_validate_json(body)
    assert ("/v1/progress", make_bot_identity(), "Training") == (path, message.bot, message.stage)
    assert (
        message.progress.percent,
        message.progress.step,
        message.progress.total_steps,
        message.progress.loss,
    ) == (47, 5, 10, 3.2)


def test_within_the_interval_only_the_newest_is_sent(loopback_server, open_channel, reporters):
    server = loopback_server()
    reporters.append(HttpReporter(open_channel(server.url), make_bot_identity(), "train", min_interval_seconds=0.3))
    for step in range(50):
        reporters[0].report("Training", step / 50, step=step)
        if step == 0:
            server.wait_for(1)
    bodies = [json.loads(body) for _, _, body in server.wait_for(2)]
    assert [body["progress"]["step"] for body in bodies] == [0, 49]


def test_a_change_of_stage_is_sent_at_once(loopback_server, open_channel, reporters):
    server = loopback_server()
    reporters.append(HttpReporter(open_channel(server.url), make_bot_identity(), "train", min_interval_seconds=60))
    for stage in ("Training", "Evaluating", "Generating"):
        reporters[0].report(stage, 0)
        server.wait_for(1 + ("Training", "Evaluating", "Generating").index(stage))
    assert [json.loads(body)["stage"] for _, _, body in server.requests] == ["Training", "Evaluating", "Generating"]


def test_reporting_never_waits_for_the_operator(loopback_server, open_channel, reporters):
    server = loopback_server(delay=1)
    reporters.append(HttpReporter(open_channel(server.url), make_bot_identity(), "train"))
    start = time.monotonic()
    for step in range(1000):
        reporters[0].report("Training", step / 1000, step=step)
    assert time.monotonic() - start < 0.9


def test_a_loss_that_is_no_number_is_left_out(loopback_server, open_channel, reporters):
    server = loopback_server()
    reporters.append(HttpReporter(open_channel(server.url), make_bot_identity(), "train"))
    reporters[0].report("Training", 0, loss=float("nan"))
    ((_, _, body),) = server.wait_for(1)
    assert "loss" not in json.loads(body)["progress"]


def test_a_closed_reporter_takes_reports_and_sends_none(loopback_server, open_channel):
    server = loopback_server()
    reporter = HttpReporter(open_channel(server.url), make_bot_identity(), "train")
    reporter.close()
    reporter.report("Training", 0)
    assert server.requests == []


class Clock:
    """A clock that moves only by sleeping."""

    def __init__(self):
        self.now, self.pauses = 0.0, []

    def sleep(self, seconds):
        self.now += seconds
        self.pauses.append(seconds)


def send(url, open_channel, clock, timeout_seconds=600):
    return ResultSender(open_channel(url), lambda: clock.now, clock.sleep).send(RESULT, lambda: timeout_seconds)


def test_a_result_is_repeated_until_it_is_acknowledged(loopback_server, open_channel):
    server, clock = loopback_server(statuses=[500, 503, 401, 200]), Clock()
    assert send(server.url, open_channel, clock)
    assert len(server.requests) == 4
    assert clock.pauses == [1, 2, 4]


@pytest.mark.parametrize("status", [409, 410])
def test_a_stale_result_is_given_up_at_once(loopback_server, open_channel, status):
    server, clock = loopback_server(statuses=[status]), Clock()
    assert not send(server.url, open_channel, clock)
    assert clock.pauses == []


def test_an_operator_that_stays_away_is_given_up_after_the_timeout(open_channel):
    clock = Clock()
    assert not send("https://127.0.0.1:1", open_channel, clock)
    assert 560 < clock.now <= 600
    assert max(clock.pauses) == 30


def test_a_result_that_waits_holds_up_no_other(loopback_server, open_channel):
    server = loopback_server(statuses=[503, 200, 200])
    results = Results(open_channel(server.url))
    for _ in range(2):
        results.send(RESULT)
    results.finish(20)
    assert len(server.requests) == 3


def test_nobody_waits_for_an_operator_that_is_away_longer_than_told(open_channel):
    results = Results(open_channel("https://127.0.0.1:1"))
    results.send(RESULT)
    results.finish(0.1)
