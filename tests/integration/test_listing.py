"""What is there and what has vanished, told by a real apiserver."""

import asyncio
import time

import kubernetes.config.kube_config
import pytest

from cluster.control_plane import ControlPlane
from tests.integration.api import Api, bots_path, wait_for
from tweetbot_api import names
from tweetbot_operator.bot_batches.roster import Roster
from tweetbot_operator.cluster import Cluster
from tweetbot_operator.feed import Feed
from tweetbot_operator.listing import Listing
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.store import Store
from tweetbot_operator.throttle import Throttle
from tweetbot_operator.workqueue import WorkQueue

pytestmark = pytest.mark.integration


@pytest.fixture
def feed() -> Feed:
    return Feed(
        Store(), WorkQueue(time.monotonic), Roster(), WorkQueue(time.monotonic), Metrics("test"), time.monotonic
    )


@pytest.fixture
def listing(control_plane: ControlPlane, feed: Feed, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Listing:
    monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(control_plane.kubeconfig))
    cluster = Cluster(2, Throttle(1000, 1000, uptime=time.monotonic, sleep=time.sleep), Metrics("test").requests)
    return Listing(cluster, feed, [namespace])


def test_bots_are_known_by_the_first_lists_and_forgotten_by_a_sweep_when_they_are_gone(
    api: Api, namespace: str, feed: Feed, listing: Listing
) -> None:
    """More of them than a page of the list holds."""
    wanted = [f"bot-{number:03d}" for number in range(120)]
    for name in wanted:
        api.create_bot(namespace, name)

    asyncio.run(listing.sync())
    assert sorted(key.name for key in feed.known(names.KIND).values()) == wanted
    asyncio.run(listing.sweep())
    assert len(feed.known(names.KIND)) == len(wanted)

    for name in wanted[1:]:
        api.call("DELETE", f"{bots_path(namespace)}/{name}")
    wait_for(lambda: len(api.call("GET", bots_path(namespace))["items"]) == 1)
    asyncio.run(listing.sweep())
    assert [key.name for key in feed.known(names.KIND).values()] == wanted[:1]
