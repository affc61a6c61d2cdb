"""The audit log is read into requests of clients about resources, each counted once."""

import json
import os

import pytest

from benchmarks.control_plane.audit import count, name_client, per_object, read_requests, total
from benchmarks.control_plane.usage import read_usage


def make_line(verb="create", resource="jobs", user="tweetbot-operator", stage="ResponseComplete", **reference):
    return json.dumps(
        {
            "stage": stage,
            "verb": verb,
            "user": {"username": user},
            "objectRef": {"resource": resource, "namespace": "bots", **reference},
            "responseStatus": {"code": 201},
            "stageTimestamp": "2026-11-23T13:00:00.250000Z",
        }
    )


def read(*lines):
    return list(read_requests(lines))


def test_a_request_has_its_client_what_was_asked_and_when():
    (request,) = read(make_line("patch", "tweetbots", subresource="status"))
    assert (request.client, request.verb, request.resource) == ("tweetbot-operator", "patch", "tweetbots/status")
    assert request.time.isoformat() == "2026-11-23T13:00:00.250000+00:00"
    assert not request.is_read


def test_a_watch_counts_once_though_it_is_logged_when_it_opens_and_when_it_ends():
    (request,) = read(make_line("watch", stage="ResponseStarted"), make_line("watch", stage="ResponseComplete"))
    assert request.is_read


@pytest.mark.parametrize("line", [
    make_line(resource="leases"),
    make_line(resource="nodes", subresource="status"),
    make_line(user="system:apiserver"),
    json.dumps({"stage": "ResponseComplete", "verb": "get", "user": {"username": "kwok"}, "requestURI": "/readyz"}),
])  # fmt: skip
def test_heartbeats_leases_and_the_apiservers_own_requests_are_left_out(line):
    assert read(line) == []


@pytest.mark.parametrize(
    ("user", "client"),
    [
        ("system:serviceaccount:kube-system:job-controller", "job-controller"),
        ("system:kube-scheduler", "kube-scheduler"),
        ("kwok", "kwok"),
    ],
)
def test_a_client_has_a_short_name(user, client):
    assert name_client(user) == client


def test_reads_and_writes_are_counted_apart_by_client_and_what_was_asked():
    requests = read(make_line(), make_line(), make_line("get"), make_line("create", "pods", user="system:x"))
    writes = count(requests, reads=False)
    assert writes == {"tweetbot-operator": {"create jobs": 2}, "x": {"create pods": 1}}
    assert count(requests, reads=True) == {"tweetbot-operator": {"get jobs": 1}}
    assert total(writes) == 3
    assert list(per_object(writes, 2).items()) == [("tweetbot-operator", 1.0), ("x", 0.5)]


def test_a_process_is_seen_with_its_memory_and_its_time():
    usage = read_usage(os.getpid())
    assert 1 < usage.resident <= usage.peak
    assert usage.cpu_seconds > 0
