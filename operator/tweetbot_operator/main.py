"""`tweetbot-operator --settings FILE`: from standing by to acting to the end; `parts` makes what acts."""

import argparse
import asyncio
import contextlib
import logging
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import kopf
from aiohttp import web

from tweetbot_api import names
from tweetbot_operator.cluster import Cluster
from tweetbot_operator.feed import Feed
from tweetbot_operator.handlers import NoMemories, build_kopf_settings, build_registry, count_watches
from tweetbot_operator.health_server import build_health_application
from tweetbot_operator.lease import Lease, LostLeaseError
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.parts import ASSIGNING_THREADS, BATCH_WORKERS, build_parts
from tweetbot_operator.settings import OperatorSettings, SettingsError, load_settings
from tweetbot_operator.throttle import Throttle
from tweetbot_operator.tls import Certificate
from tweetbot_operator.version import operator_version
from tweetbot_operator.workqueue import run_workers

logger = logging.getLogger(__name__)

_THREADS_FOR_SERVER = 8
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def main(argv: list[str] | None = None) -> int:
    """Run the operator until it is told to stop."""
    parser = argparse.ArgumentParser(prog="tweetbot-operator", description="Trains the TweetBots of a cluster.")
    parser.add_argument("--settings", type=Path, required=True, metavar="FILE", help="the platform team's YAML file")
    parser.add_argument(
        "--identity",
        default=socket.gethostname(),
        metavar="NAME",
        # The pod's name: a container that is started again in its pod has the place of the one that died.
        help="name of this replica on the Lease; the host's name without it",
    )
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING"), help="least level logged")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=arguments.log_level, format=_LOG_FORMAT)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    try:
        settings = load_settings(arguments.settings)
        certificate = Certificate(settings.server)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    status = 0
    try:
        asyncio.run(run(settings, certificate, arguments.identity))
    except* LostLeaseError as lost:
        # Whoever starts it again gets a standby with an empty memory.
        logger.error("stopped acting reason=%s", lost.exceptions[0])
        status = 1
    return status


async def run(settings: OperatorSettings, certificate: Certificate, identity: str) -> None:
    """Stand by until the Lease is ours; then serve, work and watch until told to stop."""
    threads = settings.workers + BATCH_WORKERS + _THREADS_FOR_SERVER
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="worker"))
    rate = settings.api_requests_per_second
    connections = threads + ASSIGNING_THREADS
    throttle = Throttle(rate, int(2 * rate) + 1, uptime=time.monotonic, sleep=time.sleep)
    metrics = Metrics(operator_version())
    cluster = Cluster(connections, throttle, metrics.requests)
    trouble = _Trouble()
    async with _serve(build_health_application(trouble.describe, metrics), settings.server.health_port, None):
        if settings.lease is None:
            metrics.watch_acting(lambda: True)
            await _act(settings, certificate, cluster, metrics, trouble)
            return
        key = Key.of(settings.lease)
        lease = Lease(cluster, key, identity, clock=_now, uptime=time.monotonic)
        cluster.fence(lease.may_act)
        metrics.watch_acting(lease.may_act)
        logger.info("standing by identity=%s", identity)
        await lease.acquire()
        async with _background(lease.hold()):
            await _act(settings, certificate, cluster, metrics, trouble)
        # What is under way is brought to its end while the Lease is still ours.
        await loop.shutdown_default_executor()
        lease.release()


async def _act(
    settings: OperatorSettings, certificate: Certificate, cluster: Cluster, metrics: Metrics, trouble: "_Trouble"
) -> None:
    """Learn what there is, then serve, work and watch until told to stop."""
    parts = build_parts(settings, certificate, cluster, metrics, asyncio.get_running_loop(), _now)
    ready = trouble.start_watching(len(settings.namespaces) or 1)
    await parts.listing.sync()
    async with (
        _serve(parts.progress.build_application(), settings.server.port, certificate.context),
        _background(certificate.watch()),
        _background(parts.listing.sweep_forever()),
        _background(run_workers(parts.queue, parts.work, settings.workers)),
        _background(run_workers(parts.batch_queue, parts.work_on_batch, BATCH_WORKERS)),
    ):
        await kopf.operator(
            registry=build_registry(parts.feed),
            settings=build_kopf_settings(),
            memories=NoMemories(),
            # Peers would need it, and there are none; kopf's own guess asks for a user name, which a pod has not.
            identity=names.MANAGED_BY,  # type: ignore[arg-type]
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            ready_flag=ready,
        )


class _Trouble:
    """What /healthz says: a standby is well, and whoever acts is well while its watches are open."""

    def __init__(self) -> None:
        self._ready: asyncio.Event | None = None
        self._namespaces = 0

    def start_watching(self, namespaces: int) -> asyncio.Event:
        """Expect watches from now on; the Event is to be set when the first lists are asked for."""
        self._ready, self._namespaces = asyncio.Event(), namespaces
        return self._ready

    def describe(self) -> str | None:
        """Return what is wrong, or None."""
        if self._ready is None:
            return None
        if not self._ready.is_set():
            return "starting"
        watches = count_watches(task.get_name() for task in asyncio.all_tasks())
        wanted = len(Feed.kinds) * self._namespaces
        return None if watches >= wanted else f"{watches} of {wanted} watches are open"


@contextlib.asynccontextmanager
async def _serve(application: web.Application, port: int, context: ssl.SSLContext | None) -> AsyncIterator[None]:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port, ssl_context=context).start()
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _background(coroutine: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run beside the body; if it fails, the body is cancelled."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(coroutine)
        # What kopf finds running when it starts is not its own to end.
        await asyncio.sleep(0)
        yield
        task.cancel()


def _now() -> datetime:
    return datetime.now(UTC)
