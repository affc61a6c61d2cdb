"""`/healthz` and `/metrics`, without TLS: they hold no name of any object."""

from collections.abc import Callable

from aiohttp import web

from tweetbot_operator.metrics import CONTENT_TYPE, Metrics


def build_health_application(describe_trouble: Callable[[], str | None], metrics: Metrics) -> web.Application:
    """Return the application; `describe_trouble` says what is wrong, or None if all is well."""

    async def tell_health(_: web.Request) -> web.Response:
        trouble = describe_trouble()
        return web.Response(text=trouble or "ok", status=503 if trouble else 200)

    async def tell_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get("/healthz", tell_health)
    application.router.add_get("/metrics", tell_metrics)
    return application
