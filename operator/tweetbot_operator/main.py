"""`tweetbot-operator --settings FILE`: wiring only, the one place where the operator's objects are made."""

import argparse
import asyncio
import contextlib
import logging
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
from tweetbot_operator.admission import Admission
from tweetbot_operator.cluster import Cluster
from tweetbot_operator.feed import Feed
from tweetbot_operator.handlers import build_kopf_settings, build_registry, count_watches
from tweetbot_operator.health_server import build_health_application
from tweetbot_operator.inbox import Inbox
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key
from tweetbot_operator.observer import Observer
from tweetbot_operator.progress_server import ProgressServer
from tweetbot_operator.reconciler import Reconciler
from tweetbot_operator.settings import OperatorSettings, Server, SettingsError, load_settings
from tweetbot_operator.store import Store
from tweetbot_operator.tokens import TokenReviewer
from tweetbot_operator.version import operator_version
from tweetbot_operator.workqueue import WorkQueue, run_workers

logger = logging.getLogger(__name__)

_THREADS_FOR_SERVER = 8
_WATCHED_KINDS = 3
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def main(argv: list[str] | None = None) -> int:
    """Run the operator until it is told to stop."""
    parser = argparse.ArgumentParser(prog="tweetbot-operator", description="Trains the TweetBots of a cluster.")
    parser.add_argument("--settings", type=Path, required=True, metavar="FILE", help="the platform team's YAML file")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING"), help="least level logged")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=arguments.log_level, format=_LOG_FORMAT)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    try:
        settings = load_settings(arguments.settings)
        context, operator_ca = load_tls(settings.server)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(run(settings, context, operator_ca))
    return 0


def load_tls(server: Server) -> tuple[ssl.SSLContext, str]:
    """Return the server's TLS context and the certificate by which pods know it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(server.tls_dir / "tls.crt", server.tls_dir / "tls.key")
        return context, (server.tls_dir / "ca.crt").read_text()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"server.tlsDir: cannot use tls.crt, tls.key and ca.crt in {server.tls_dir}: {error}"
        ) from error


async def run(settings: OperatorSettings, context: ssl.SSLContext, operator_ca: str) -> None:
    """Serve, work and watch until kopf is told to stop."""
    threads = settings.workers + _THREADS_FOR_SERVER
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="worker"))
    cluster, store, inbox = Cluster(threads), Store(), Inbox()
    metrics = Metrics(operator_version())
    queue: WorkQueue[Key] = WorkQueue(time.monotonic)
    metrics.watch(store.count_phases, lambda: len(queue))
    reconciler = Reconciler(
        cluster=cluster,
        store=store,
        inbox=inbox,
        observer=Observer(cluster, store, inbox, operator_ca, time.monotonic),
        settings=settings,
        metrics=metrics,
        clock=_now,
        uptime=time.monotonic,
    )
    progress = ProgressServer(
        reviewer=TokenReviewer(cluster, time.monotonic),
        admission=Admission(cluster, store, time.monotonic),
        inbox=inbox,
        ask_for=queue.add,
        metrics=metrics,
        clock=_now,
    )

    async def work(key: Key) -> float | None:
        return await asyncio.to_thread(reconciler.reconcile, key)

    ready = asyncio.Event()
    health = build_health_application(lambda: _describe_trouble(ready, len(settings.namespaces) or 1), metrics)
    async with (
        _serve(progress.build_application(), settings.server.port, context),
        _serve(health, settings.server.health_port, None),
        _background(run_workers(queue, work, settings.workers)),
    ):
        await kopf.operator(
            registry=build_registry(Feed(store, queue, time.monotonic)),
            settings=build_kopf_settings(),
            # Peers would need it, and there are none; kopf's own guess asks for a user name, which a pod has not.
            identity=names.MANAGED_BY,  # type: ignore[arg-type]
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            ready_flag=ready,
        )


def _describe_trouble(ready: asyncio.Event, namespaces: int) -> str | None:
    if not ready.is_set():
        return "starting"
    watches = count_watches(task.get_name() for task in asyncio.all_tasks())
    wanted = _WATCHED_KINDS * namespaces
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
