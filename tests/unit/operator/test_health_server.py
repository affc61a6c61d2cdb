"""What probes and Prometheus are told."""

import asyncio

from aiohttp.test_utils import TestClient, TestServer

from tests.unit.operator.world import World
from tweetbot_operator.handlers import NoMemories, build_kopf_settings, build_registry, count_watches
from tweetbot_operator.health_server import build_health_application
from tweetbot_operator.metrics import Metrics


def ask(path: str, trouble: str | None, metrics: Metrics) -> tuple[int, str]:
    async def run() -> tuple[int, str]:
        application = build_health_application(lambda: trouble, metrics)
        async with TestClient(TestServer(application)) as client, client.get(path) as response:
            return response.status, await response.text()

    return asyncio.run(run())


def test_trouble_is_unhealthy() -> None:
    assert ask("/healthz", None, Metrics("1")) == (200, "ok")
    assert ask("/healthz", "2 of 3 watches are open", Metrics("1")) == (503, "2 of 3 watches are open")


def test_metrics_name_phases_and_kinds_and_no_bot() -> None:
    world = World()
    world.settle()
    world.metrics.watch(world.store.count_phases, lambda: 3, lambda: 2, lambda: {"train": 60.0})

    code, text = ask("/metrics", None, world.metrics)

    assert code == 200
    assert 'tweetbot_bots{phase="Preparing"} 1.0' in text
    assert 'tweetbot_jobs_created_total{kind="prepare"} 1.0' in text
    assert "tweetbot_queue_depth 3.0" in text
    assert "tweetbot_bot_batch_queue_depth 2.0" in text
    assert 'tweetbot_longest_job_wait_seconds{kind="train"} 60.0' in text
    assert 'tweetbot_longest_job_wait_seconds{kind="prepare"} 0.0' in text
    assert 'tweetbot_build_info{version="test"} 1.0' in text
    assert 'tweetbot_reconciles_total{result="succeeded"}' in text
    assert "ann" not in text.replace("annotation", "")


def test_the_watches_of_kopf_are_counted_by_name() -> None:
    names = ["watcher for jobs.v1.batch@None", "watcher for pods.v1@None", "worker for x", "poster of events"]

    assert count_watches(iter(names)) == 2


def test_kopf_is_told_to_write_nothing() -> None:
    settings = build_kopf_settings()
    registry = build_registry(World().feed)

    assert (settings.posting.enabled, settings.peering.standalone, settings.scanning.disabled) == (False, True, True)
    assert len(registry._watching.get_all_handlers()) == 4
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()


def test_kopf_keeps_nothing_of_an_object_between_its_events() -> None:
    memories = NoMemories()

    asyncio.run(memories.recall({"metadata": {"uid": "1", "name": "ann"}}, noticed_by_listing=True))

    assert list(memories.iter_all_memories()) == []
