import gzip
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources import web
from tweetbot_trainer.sources.rate_limit import RateLimit
from tweetbot_trainer.sources.web import Web, is_public, json_object, public_address

PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_inside_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "104.244.42.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_no_way_to_write_loopback_is_let_through(host):
    with pytest.raises(TrainerError) as caught:
        Web().get(f"https://{host}/")
    assert caught.value.reason == Reason.SOURCE_ADDRESS_REFUSED


@given(st.ip_addresses())
def test_whatever_the_library_calls_private_is_not_public(address):
    if address.is_private or address.is_loopback or address.is_link_local or address.is_reserved:
        assert not is_public(str(address))


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    found = [(2, 1, 6, "", (address, 443)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(TrainerError, match=r"10\.0\.0\.1"):
        public_address("rebinding.example", 443)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    """A name that answers otherwise at the second look-up gains nothing: there is none."""
    looked_up = []

    def getaddrinfo(host, *_, **__):
        looked_up.append(host)
        return [(2, 1, 6, "", ("1.1.1.1" if len(looked_up) == 1 else host, 443))]

    connected = []

    def create_connection(address, *_, **__):
        connected.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("urllib3.util.connection.create_connection", create_connection)
    with pytest.raises(TrainerError) as caught:
        Web(sleep=lambda _: None).get("https://rebinding.example/")
    assert caught.value.reason == Reason.SOURCE_UNAVAILABLE
    assert {address[0] for address in connected} == {"1.1.1.1"}
    assert set(looked_up) == {"rebinding.example"}


@pytest.mark.parametrize("url", ["http://example.com/", "http://1.1.1.1/"])
def test_without_tls_nobody_is_asked(url):
    with pytest.raises(TrainerError, match="not asked over TLS"):
        Web().get(url)


def test_a_trusted_server_is_asked_without_tls_and_at_a_private_address(answering):
    server = answering(lambda *_: (200, {"fine": True}))
    assert json_object(Web([server.url]).get(f"{server.url}/x")) == {"fine": True}


def test_a_redirect_to_a_server_inside_is_refused_before_it_is_reached(answering):
    inside = answering(lambda *_: (200, {}))
    outside = answering(lambda *_: (302, {}, {"Location": f"{inside.url}/secret"}))
    with pytest.raises(TrainerError) as caught:
        Web([outside.url]).get(outside.url)
    assert caught.value.reason == Reason.SOURCE_ADDRESS_REFUSED
    assert inside.requests == []


def test_redirects_without_end_are_given_up(answering):
    server = answering(lambda *_: (302, {}, {"Location": "/again"}))
    with pytest.raises(TrainerError) as caught:
        Web([server.url], sleep=lambda _: None).get(server.url)
    assert caught.value.reason == Reason.SOURCE_UNAVAILABLE


def endless(portion):
    def write(file):
        for _ in range(100_000):
            file.write(portion)

    return write


def test_a_body_without_end_is_given_up(answering, monkeypatch):
    monkeypatch.setattr(web, "MAX_BODY_BYTES", 100_000)
    server = answering(lambda *_: (200, endless(b"a" * 1000)))
    with pytest.raises(TrainerError, match="more than 100,000 bytes") as caught:
        Web([server.url]).get(server.url)
    assert caught.value.reason == Reason.SOURCE_ANSWER_UNUSABLE


def test_a_compression_bomb_is_given_up(answering):
    bomb = gzip.compress(b"a" * 100 * 1024**2)
    server = answering(lambda *_: (200, bomb, {"Content-Encoding": "gzip"}))
    with pytest.raises(TrainerError, match="more than"):
        Web([server.url]).get(server.url)


def test_damaged_compression_is_named(answering):
    server = answering(lambda *_: (200, b"not gzip", {"Content-Encoding": "gzip"}))
    with pytest.raises(TrainerError, match="damaged compression"):
        Web([server.url]).get(server.url)


def drip(file):
    for _ in range(100):
        file.write(b"a")
        file.flush()
        time.sleep(0.05)


def test_a_body_that_drips_is_given_up(answering, monkeypatch):
    monkeypatch.setattr(web, "TOTAL_SECONDS", 0.2)
    server = answering(lambda *_: (200, drip))
    with pytest.raises(TrainerError, match="for one answer") as caught:
        Web([server.url], sleep=lambda _: None).get(server.url)
    assert caught.value.reason == Reason.SOURCE_UNAVAILABLE


def test_a_head_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr(web, "TOTAL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TrainerError, match="cannot be reached"):
            Web([url], sleep=lambda _: None).get(url)


def test_a_server_that_fails_is_asked_again_then_named(answering):
    statuses = [500, 503, 200]
    server = answering(lambda *_: (statuses.pop(0), {}))
    pauses = []
    assert Web([server.url], pauses.append).get(server.url).status_code == 200
    assert pauses == [1.0, 2.0]
    statuses[:] = [500] * 4
    with pytest.raises(TrainerError, match="HTTP 500"):
        Web([server.url], pauses.append).get(server.url)


def test_proxies_and_passwords_of_the_environment_are_not_used(answering, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password sesame")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server = answering(lambda *_: (200, {}))
    response = Web([server.url]).get(server.url)
    assert "Authorization" not in response.request.headers


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-rate-limit-reset": "1000000300"}, 301),
        ({"ratelimit-reset": "1000000060"}, 61),
        ({"x-ratelimit-reset": "2001-09-09T01:51:40.123Z"}, 301.123),
        ({"retry-after": "30", "x-rate-limit-reset": "1000000900"}, 31),
        ({"x-rate-limit-reset": "999999000"}, 1),
        ({"x-rate-limit-reset": "soon"}, 60),
        ({}, 60),
    ],
)
def test_each_way_to_ask_for_a_pause_is_understood(headers, seconds):
    pauses = []
    limit = RateLimit("server", clock=lambda: 1e9, sleep=pauses.append)
    limit.refused(headers)
    limit.wait()
    assert pauses == [pytest.approx(seconds)]


def test_the_last_request_of_a_window_is_followed_by_a_pause():
    pauses = []
    limit = RateLimit("server", clock=lambda: 1e9, sleep=pauses.append)
    limit.answered({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "1000000010"})
    limit.wait()
    assert pauses == [11]
