"""The TLS server that trainers report to: who speaks, may it, is it well formed, then into the inbox.

Progress is taken and answered at once. A result is answered only when it stands in status, so that the trainer goes on
sending until it is safe.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from aiohttp import web
from pydantic import ValidationError

from tweetbot_api.messages import HandlesMessage, ProgressMessage, ResultMessage
from tweetbot_api.names import HANDLES_PATH, PROGRESS_PATH, RESULT_PATH
from tweetbot_api.problems import tell_problems
from tweetbot_operator.admission import Admission, DeniedError
from tweetbot_operator.cluster import ClusterError
from tweetbot_operator.inbox import Attempt, Inbox
from tweetbot_operator.metrics import Metrics
from tweetbot_operator.observed import Key, Report
from tweetbot_operator.tokens import PodIdentity, TokenReviewer

logger = logging.getLogger(__name__)

BODY_LIMIT = 64 * 1024
LIST_LIMIT = 2 * 1024 * 1024
"""Bytes of a message with the handles of a TweetBotBatch."""
STORE_SECONDS = 4
"""How long a result waits to be stored; less than the trainer waits for an answer."""

_Message = TypeVar("_Message", ProgressMessage, ResultMessage, HandlesMessage)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ProgressServer:
    """Takes what trainers say about their bots."""

    def __init__(
        self,
        *,
        reviewer: TokenReviewer,
        admission: Admission,
        inbox: Inbox,
        ask_for: Callable[[Key], None],
        keep_handles: Callable[[HandlesMessage], None],
        metrics: Metrics,
        clock: Callable[[], datetime],
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._reviewer = reviewer
        self._admission = admission
        self._inbox = inbox
        self._ask_for = ask_for
        self._keep_handles = keep_handles
        self._metrics = metrics
        self._clock = clock
        self._store_seconds = store_seconds

    def build_application(self) -> web.Application:
        """Return the application with its addresses."""
        application = web.Application(client_max_size=BODY_LIMIT, middlewares=[self._answer_in_json])
        application.router.add_post(PROGRESS_PATH, self._take_progress)
        application.router.add_post(RESULT_PATH, self._take_result)
        application.router.add_post(HANDLES_PATH, self._take_handles)
        return application

    async def _take_progress(self, request: web.Request) -> web.Response:
        identity = await self._authenticate(request)
        message = await _read(request, ProgressMessage)
        await self._admission.check(identity, message)
        key = Key.of(message.bot)
        received = self._clock().replace(microsecond=0)
        attempt = Attempt.of(message.bot, message.job_kind)
        self._inbox.put_report(key, attempt, Report(message=message, received=received))
        self._ask_for(key)
        return web.json_response({})

    async def _take_result(self, request: web.Request) -> web.Response:
        identity = await self._authenticate(request)
        message = await _read(request, ResultMessage)
        if not await self._admission.check(identity, message):
            return web.json_response({})
        key = Key.of(message.bot)
        attempt = Attempt.of(message.bot, message.job_kind)
        stored = self._inbox.put_result(key, attempt, message.outcome, identity.uid)
        self._ask_for(key)
        try:
            async with asyncio.timeout(self._store_seconds):
                await stored.wait()
        except TimeoutError:
            raise DeniedError(503, "ServiceUnavailable", "the result is not stored yet; send it again") from None
        return web.json_response({})

    async def _take_handles(self, request: web.Request) -> web.Response:
        identity = await self._authenticate(request)
        message = await _read(request.clone(client_max_size=LIST_LIMIT), HandlesMessage)
        job = await self._admission.find_job(identity, message.batch)
        if job.key.name != message.job_name:
            raise DeniedError(403, "Forbidden", f"the pod is not one of the Job {message.job_name}")
        await asyncio.to_thread(self._keep_handles, message)
        return web.json_response({})

    async def _authenticate(self, request: web.Request) -> PodIdentity:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        identity = await self._reviewer.identify(token) if scheme == "Bearer" and token else None
        if identity is None:
            raise DeniedError(401, "Unauthorized", "send the pod's token for the audience of this server")
        return identity

    @web.middleware
    async def _answer_in_json(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Turn every refusal into a Kubernetes Status and count the answer."""
        try:
            response = await handler(request)
        except DeniedError as denied:
            response = _refuse(denied.code, denied.reason, str(denied))
        except ClusterError as error:
            logger.warning("message not checked path=%s reason=%s", request.path, error)
            response = _refuse(503, "ServiceUnavailable", "the cluster cannot be asked; send it again")
        except web.HTTPException as error:
            response = _refuse(error.status, error.reason.replace(" ", ""), error.reason)
        path = request.path if request.path in {PROGRESS_PATH, RESULT_PATH, HANDLES_PATH} else "other"
        self._metrics.posts.labels(path, response.status).inc()
        return response


async def _read(request: web.Request, model: type[_Message]) -> _Message:
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        raise DeniedError(422, "Invalid", tell_problems(error)[0]) from None


def _refuse(code: int, reason: str, message: str) -> web.Response:
    body = {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return web.json_response(body, status=code)
