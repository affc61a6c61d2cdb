"""The trainer's half of the progress protocol: POSTs over TLS, signed with the pod's projected token.

Progress is sent from a thread of its own, newest wins; results are repeated until the operator has stored them, each
from a thread of its own: one that has to wait holds up no other.
Nothing here fails or delays a run.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

import urllib3

from tweetbot_api.messages import HandlesMessage, ProgressMessage, ResultMessage
from tweetbot_api.names import PROGRESS_PATH, RESULT_PATH, JobKind
from tweetbot_api.runconfig import BotIdentity
from tweetbot_api.status import Progress, Stage
from tweetbot_trainer.progress import overall_percent

logger = logging.getLogger(__name__)

MIN_INTERVAL_SECONDS: Final = 2.0
_REQUEST_TIMEOUT_SECONDS = 5.0
_CONNECTIONS_KEPT = 64
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_STORED = range(200, 300)
_STALE = frozenset({HTTPStatus.CONFLICT, HTTPStatus.GONE})


class OperatorChannel:
    """A connection to the operator's server."""

    def __init__(self, url: str, ca_file: Path, token_file: Path) -> None:
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._pool = urllib3.PoolManager(
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(ca_file),
            retries=False,
            timeout=_REQUEST_TIMEOUT_SECONDS,
            maxsize=_CONNECTIONS_KEPT,
        )

    def post(self, path: str, message: ProgressMessage | ResultMessage | HandlesMessage) -> int | None:
        """Send one message; return the HTTP status, or None if there was no answer."""
        try:
            # The kubelet renews the token while the pod runs, so it is read anew each time.
            token = self._token_file.read_text().strip()
            response = self._pool.request(
                "POST",
                self._url + path,
                json=message.to_wire(),
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            logger.debug("operator not reached path=%s error=%r", path, error)
            return None
        return response.status


class HttpReporter:
    """Reports one bot's progress to the operator."""

    def __init__(
        self,
        channel: OperatorChannel,
        bot: BotIdentity,
        job_kind: JobKind,
        min_interval_seconds: float = MIN_INTERVAL_SECONDS,
    ) -> None:
        self._channel = channel
        self._bot = bot
        self._job_kind = job_kind
        self._min_interval_seconds = min_interval_seconds
        self._changed = threading.Condition()
        self._newest: ProgressMessage | None = None
        self._stage: Stage | None = None
        self._is_urgent = False
        self._is_closed = False
        self.is_refused = False
        """The operator has said that this attempt is not the bot's any more: nobody waits for what it does."""
        self._thread = threading.Thread(target=self._send_until_closed, name="progress", daemon=True)
        self._thread.start()

    def report(
        self,
        stage: Stage,
        fraction: float,
        *,
        step: int | None = None,
        total_steps: int | None = None,
        loss: float | None = None,
        tokens_per_second: float | None = None,
        eta_seconds: int | None = None,
    ) -> None:
        """Leave the newest progress for the thread; a change of stage is sent at once."""
        progress = Progress(
            percent=overall_percent(stage, fraction),
            step=step,
            total_steps=total_steps,
            loss=_finite(loss),
            tokens_per_second=_finite(tokens_per_second),
            eta_seconds=eta_seconds,
        )
        message = ProgressMessage(bot=self._bot, job_kind=self._job_kind, stage=stage, progress=progress)
        with self._changed:
            self._newest = message
            self._is_urgent |= stage != self._stage
            self._stage = stage
            self._changed.notify()

    def close(self) -> None:
        """Stop sending; what is unsent is dropped, for the result says more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(_REQUEST_TIMEOUT_SECONDS)

    def _send_until_closed(self) -> None:
        while message := self._wait_for_message():
            if self._channel.post(PROGRESS_PATH, message) in _STALE:
                self.is_refused = True
            with self._changed:
                self._changed.wait_for(lambda: self._is_urgent or self._is_closed, self._min_interval_seconds)

    def _wait_for_message(self) -> ProgressMessage | None:
        """Return the newest message once there is one, or None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._is_closed)
            if self._is_closed:
                return None
            message, self._newest = self._newest, None
            self._is_urgent = False
            return message


class ResultSender:
    """Sends a result until it is acknowledged, refused as stale, or time is up."""

    def __init__(
        self,
        channel: OperatorChannel,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._sleep = sleep

    def send(
        self, message: ResultMessage | HandlesMessage, deadline: Callable[[], float], path: str = RESULT_PATH
    ) -> bool:
        """Tell whether the operator acknowledged the result before the deadline, which may change meanwhile."""
        pause = _FIRST_PAUSE_SECONDS
        name = (message.bot if isinstance(message, ResultMessage) else message.batch).name
        while True:
            status = self._channel.post(path, message)
            if status in _STORED:
                return True
            if status in _STALE:
                logger.info("result is stale name=%s status=%s", name, status)
                return False
            if self._clock() + pause > deadline():
                logger.warning("result not acknowledged name=%s status=%s", name, status)
                return False
            self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


class Results:
    """Sends the results of a Job's bots as they come, side by side."""

    def __init__(self, channel: OperatorChannel) -> None:
        self._sender = ResultSender(channel, sleep=self._sleep)
        self._deadline = math.inf
        self._are_all_there = threading.Event()
        self._threads: list[threading.Thread] = []

    def send(self, message: ResultMessage) -> None:
        """Begin to send a result."""
        arguments = (message, lambda: self._deadline)
        # A daemon: a pod that is told to stop a second time does not wait for the operator.
        thread = threading.Thread(target=self._sender.send, args=arguments, name="result", daemon=True)
        thread.start()
        self._threads.append(thread)

    def finish(self, timeout_seconds: float) -> None:
        """Wait until all are acknowledged or given up; the time is for all of them together."""
        self._deadline = time.monotonic() + timeout_seconds
        self._are_all_there.set()
        for thread in self._threads:
            thread.join(max(0.0, self._deadline - time.monotonic()) + _REQUEST_TIMEOUT_SECONDS)

    def _sleep(self, seconds: float) -> None:
        if self._are_all_there.is_set():
            time.sleep(seconds)
        else:
            self._are_all_there.wait(seconds)


def _finite(value: float | None) -> float | None:
    """Return the number if JSON can hold it."""
    return value if value is not None and math.isfinite(value) else None
