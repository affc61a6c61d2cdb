"""May this pod say this about this bot? Only a pod of a Job of the bot, and only about the attempt that is current."""

import asyncio
from collections.abc import Callable

from tweetbot_api import names
from tweetbot_api.messages import ProgressMessage, ResultMessage
from tweetbot_api.runconfig import BatchIdentity, BotIdentity
from tweetbot_api.status import Run, TweetBotStatus
from tweetbot_operator.cluster import Cluster, GoneError
from tweetbot_operator.fetching import fetch_job
from tweetbot_operator.observed import Document, Key, ObservedJob, ObservedPod
from tweetbot_operator.store import Store
from tweetbot_operator.tokens import PodIdentity

Message = ProgressMessage | ResultMessage


class DeniedError(Exception):
    """The message is not taken; code and reason are those of a Kubernetes Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Admission:
    """Checks messages against what is known of pods, Jobs and bots."""

    def __init__(
        self, cluster: Cluster, store: Store, see_bot: Callable[[Document], None], uptime: Callable[[], float]
    ) -> None:
        """Take, as `see_bot`, what takes note of a bot as if a list had told of it."""
        self._cluster = cluster
        self._store = store
        self._see_bot = see_bot
        self._uptime = uptime

    async def check(self, identity: PodIdentity, message: Message) -> bool:
        """Raise DeniedError unless the pod may say this; return False if it was said and stored before."""
        bot_name = message.bot
        job = await self.find_job(identity, bot_name)
        bot = await self._find_bot(Key.of(bot_name), bot_name.uid)
        if "deletionTimestamp" in bot["metadata"] and message.job_kind != "purge":
            # It stays until its files are deleted, and nothing may be written for it meanwhile.
            raise DeniedError(410, "Gone", f"the TweetBot {bot_name.name} is being deleted")
        run = TweetBotStatus.model_validate(bot.get("status") or {}).run
        if isinstance(message, ResultMessage) and is_stored(run, message):
            return False
        if run is None or not is_current(run, message) or run.job_name != job.key.name:
            raise DeniedError(
                409, "Conflict", f"attempt {bot_name.attempt} of run {bot_name.run_id} is not the current one"
            )
        return True

    async def find_job(self, identity: PodIdentity, owner: BotIdentity | BatchIdentity) -> ObservedJob:
        """Return the Job of a pod; raise DeniedError unless it works for this bot or batch."""
        if identity.namespace != owner.namespace:
            raise DeniedError(403, "Forbidden", f"the pod and {owner.name} are in different namespaces")
        pod = await self._find_pod(identity)
        job = await self._find_job(Key(identity.namespace, pod.job_name))
        if pod.job_uid != job.uid or not job.is_owned_by(owner.uid):
            raise DeniedError(403, "Forbidden", f"the pod does not work for {owner.name}")
        return job

    async def _find_pod(self, identity: PodIdentity) -> ObservedPod:
        key = Key.of(identity)
        pod = self._store.pods.get(key)
        if pod is None or pod.uid != identity.uid:
            try:
                document = await asyncio.to_thread(self._cluster.get, "Pod", key)
            except GoneError:
                raise DeniedError(403, "Forbidden", f"there is no pod {identity.name}") from None
            pod = self._store.put_pod(document, self._uptime())
        if pod.uid != identity.uid:
            raise DeniedError(403, "Forbidden", f"the token belongs to a former pod {identity.name}")
        return pod

    async def _find_job(self, key: Key) -> ObservedJob:
        job = self._store.jobs.get(key)
        if job is None:
            job = await asyncio.to_thread(fetch_job, self._cluster, self._store, key, self._uptime())
        if job is None:
            # Not final, as 410 is: the pod is about to be stopped, and may save its bots.
            raise DeniedError(404, "NotFound", "the pod's Job is deleted")
        return job

    async def _find_bot(self, key: Key, uid: str) -> Document:
        stored = self._store.bot(key)
        if stored is None or stored.uid != uid:
            # A watch may be behind, and a trainer takes 410 as final.
            try:
                self._see_bot(await asyncio.to_thread(self._cluster.get, names.KIND, key))
            except GoneError:
                raise DeniedError(410, "Gone", f"the TweetBot {key.name} is deleted") from None
            stored = self._store.bot(key)
        if stored is None or stored.uid != uid:
            raise DeniedError(410, "Gone", f"the TweetBot {key.name} is another one by now")
        return stored.read()


def is_current(run: Run, message: Message) -> bool:
    """Tell whether the message is about the attempt that stands in status and has not ended."""
    return (
        run.completion_time is None
        and message.bot.run_id == run.id
        and message.job_kind == run.job_kind
        and message.bot.attempt == run.attempt
    )


def is_stored(run: Run | None, message: ResultMessage) -> bool:
    """Tell whether the run has gone on from the attempt that this result is about: it was sent again in vain."""
    if run is None or message.bot.run_id != run.id:
        return False
    if message.job_kind == "prepare" and run.job_kind == "train":
        return True
    is_same = message.job_kind == run.job_kind and message.bot.attempt == run.attempt
    return is_same and run.completion_time is not None
