"""Who may say what to the operator, and when it is answered."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.unit.operator.factories import NOW, make_failure, make_outcome
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.world import BOT, World
from tweetbot_api.messages import HandlesMessage
from tweetbot_api.names import HANDLES_PATH, PROGRESS_PATH, RESULT_PATH, TOKEN_AUDIENCE
from tweetbot_operator.admission import Admission
from tweetbot_operator.cluster import TransientError
from tweetbot_operator.observed import Key
from tweetbot_operator.progress_server import BODY_LIMIT, ProgressServer
from tweetbot_operator.tokens import REMEMBERED_SECONDS, TokenReviewer

TOKEN = "token-of-the-pod"
Answer = tuple[int, dict[str, Any]]
Call = Callable[..., Awaitable[Answer]]


@pytest.fixture
def world() -> World:
    """A bot whose prepare pod runs and holds a token."""
    world = World()
    world.settle()
    world.start_pods()
    world.settle()
    give_token(world)
    return world


def give_token(world: World, **changes: Any) -> None:
    (pod,) = world.live_pods
    metadata = pod["metadata"]
    extra = {
        "authentication.kubernetes.io/pod-name": [metadata["name"]],
        "authentication.kubernetes.io/pod-uid": [changes.pop("pod_uid", metadata["uid"])],
    }
    user = {"username": f"system:serviceaccount:{changes.pop('namespace', 'default')}:default", "extra": extra}
    world.cluster.tokens[TOKEN] = {"authenticated": True, "audiences": [TOKEN_AUDIENCE], "user": user, **changes}


def make_message(world: World, **changes: Any) -> dict[str, Any]:
    run = world.bot.status.run
    bot = {
        "namespace": "default",
        "name": "ann",
        "uid": "uid-of-ann",
        "runId": run.id,
        "attempt": run.attempt,
        **changes.pop("bot", {}),
    }
    return {"bot": bot, "jobKind": run.job_kind, **changes}


def make_progress(world: World, **changes: Any) -> dict[str, Any]:
    return make_message(world, stage="Fetching", progress={"percent": 3}, **changes)


def talk(
    world: World,
    story: Callable[[Call], Awaitable[Any]],
    *,
    reconciles: bool = True,
    kept: list[HandlesMessage] | None = None,
) -> Any:
    """Run a story of calls against a server; the operator reconciles in a thread whenever it is asked to."""

    def ask_for(_: Key) -> None:
        if reconciles:
            threading.Thread(target=world.reconcile).start()

    async def run() -> Any:
        server = ProgressServer(
            reviewer=TokenReviewer(world.cluster, world.uptime),
            admission=Admission(world.cluster, world.store, world.feed.note_bot, world.uptime),
            inbox=world.inbox,
            ask_for=ask_for,
            keep_handles=kept.append if kept is not None else NotImplemented,
            metrics=world.metrics,
            clock=lambda: world.now,
            store_seconds=2 if reconciles else 0.05,
        )
        async with TestClient(TestServer(server.build_application())) as client:

            async def call(path: str, body: Any, token: str = TOKEN) -> Answer:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                data = {"data": body} if isinstance(body, bytes) else {"json": body}
                async with client.post(path, headers=headers, **data) as response:
                    return response.status, await response.json()

            return await story(call)

    return asyncio.run(run())


def test_progress_stands_in_status_with_the_operators_time(world: World) -> None:
    async def story(call: Call) -> Answer:
        return await call(PROGRESS_PATH, make_progress(world))

    assert talk(world, story, reconciles=False) == (200, {})
    world.reconcile()

    assert world.bot.status.stage == "Fetching"
    assert world.bot.status.progress.last_heartbeat_time == NOW
    assert b'tweetbot_progress_posts_total{code="200",path="/v1/progress"} 1.0' in world.metrics.render()


def test_many_posts_are_few_writes(world: World) -> None:
    writes = len(world.cluster.writes)

    async def story(call: Call) -> None:
        for percent in range(5):
            await call(PROGRESS_PATH, make_progress(world) | {"progress": {"percent": percent}})
            world.reconcile()

    talk(world, story, reconciles=False)

    assert len(world.cluster.writes) == writes + 1


def test_a_result_is_answered_once_it_is_stored(world: World) -> None:
    outcome = make_outcome("prepare").to_wire()

    async def story(call: Call) -> Answer:
        answer = await call(RESULT_PATH, make_message(world, outcome=outcome))
        assert world.bot.status.dataset.tokens == 2000
        return answer

    assert talk(world, story) == (200, {})
    assert world.bot.status.run.job_kind == "train"


def test_a_failure_is_answered_once_it_is_stored(world: World) -> None:
    outcome = make_failure("StorageUnavailable", 171).to_wire()

    async def story(call: Call) -> Answer:
        return await call(RESULT_PATH, make_message(world, outcome=outcome))

    assert talk(world, story)[0] == 200
    assert world.bot.status.failure.reason == "StorageUnavailable"


def test_a_result_that_is_not_stored_in_time_is_asked_for_again(world: World) -> None:
    async def story(call: Call) -> Answer:
        return await call(RESULT_PATH, make_message(world, outcome=make_outcome("prepare").to_wire()))

    code, status = talk(world, story, reconciles=False)

    assert (code, status["kind"], status["reason"]) == (503, "Status", "ServiceUnavailable")


def test_a_result_that_is_sent_again_after_it_was_stored_is_acknowledged(world: World) -> None:
    message = make_message(world, outcome=make_outcome("prepare").to_wire())

    async def story(call: Call) -> list[int]:
        return [(await call(RESULT_PATH, message))[0], (await call(RESULT_PATH, message))[0]]

    assert talk(world, story) == [200, 200]


REFUSALS = {
    "no token": (401, {"token": ""}, {}, {}),
    "an unknown token": (401, {"token": "stolen"}, {}, {}),
    "a token for another audience": (401, {}, {"audiences": ["kubernetes"]}, {}),
    "a token of no pod": (401, {}, {"user": {"username": "system:serviceaccount:default:default"}}, {}),
    "a token of a former pod": (403, {}, {"pod_uid": "former"}, {}),
    "a pod of another namespace": (403, {}, {"namespace": "other"}, {}),
    "another bot": (403, {}, {}, {"uid": "uid-of-ben"}),
    "an old run": (409, {}, {}, {"runId": "0000000000"}),
    "an old attempt": (409, {}, {}, {"attempt": 7}),
}


@pytest.mark.parametrize(("code", "call_with", "token", "bot"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_message_is_refused(world: World, code: int, call_with: dict, token: dict, bot: dict) -> None:
    give_token(world, **token)

    async def story(call: Call) -> Answer:
        return await call(PROGRESS_PATH, make_progress(world, bot=bot), **call_with)

    answer, status = talk(world, story)

    assert (answer, status["kind"], status["code"]) == (code, "Status", code)
    assert status["message"]
    assert world.bot.status.stage is None


BODIES = {
    "no JSON": (b"{", 422),
    "too long": (b'"' + b"x" * (BODY_LIMIT + 1) + b'"', 413),
    "no percentage": ({"stage": "Fetching", "progress": {}}, 422),
    "an unknown stage": ({"stage": "Sleeping", "progress": {"percent": 1}}, 422),
    "more than all": ({"stage": "Fetching", "progress": {"percent": 101}}, 422),
}


@pytest.mark.parametrize(("body", "code"), BODIES.values(), ids=BODIES.keys())
def test_a_malformed_message_is_refused(world: World, body: Any, code: int) -> None:
    whole = body if isinstance(body, bytes) else make_message(world, **body)

    async def story(call: Call) -> Answer:
        return await call(PROGRESS_PATH, whole)

    answer, status = talk(world, story)

    assert (answer, status["kind"]) == (code, "Status")


def test_another_address_is_unknown(world: World) -> None:
    async def story(call: Call) -> Answer:
        return await call("/v1/secrets", {})

    assert talk(world, story)[0] == 404


def test_a_token_is_reviewed_once_a_minute(world: World) -> None:
    async def story(call: Call) -> None:
        await call(PROGRESS_PATH, make_progress(world))
        await call(PROGRESS_PATH, make_progress(world))
        world.wait(REMEMBERED_SECONDS + 1)
        await call(PROGRESS_PATH, make_progress(world))

    talk(world, story)

    assert world.cluster.reads.count("review") == 2


def test_a_cluster_that_does_not_answer_is_no_refusal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TransientError("away")

    monkeypatch.setattr(FakeCluster, "review_token", fail)

    async def story(call: Call) -> Answer:
        return await call(PROGRESS_PATH, make_progress(world))

    assert talk(world, story)[0] == 503


def test_a_new_operator_asks_for_what_no_watch_has_told_of(world: World) -> None:
    world.restart()
    world.store.drop_bot(BOT)

    async def story(call: Call) -> Answer:
        return await call(PROGRESS_PATH, make_progress(world))

    assert talk(world, story)[0] == 200


def test_a_bot_that_is_known_by_a_message_only_is_looked_at_though_the_message_is_refused(world: World) -> None:
    while world.queue.take():
        world.queue.done(BOT, None)
    world.store.drop_bot(BOT)

    async def story(call: Call) -> Answer:
        return await call(PROGRESS_PATH, make_progress(world, bot={"attempt": 9}))

    assert talk(world, story)[0] == 409
    world.feed.see_bot({"type": None, "object": world.cluster.get("TweetBot", BOT)})
    assert world.queue.take() == BOT


@pytest.mark.parametrize("made_again", [False, True], ids=["deleted", "made again"])
def test_a_message_about_a_bot_that_is_gone_is_final(world: World, *, made_again: bool) -> None:
    message = make_progress(world)
    bot = world.cluster.objects.pop(("TweetBot", BOT))
    world.store.drop_bot(BOT)
    if made_again:
        world.cluster.put(bot | {"metadata": bot["metadata"] | {"uid": "another"}})

    async def story(call: Call) -> Answer:
        return await call(PROGRESS_PATH, message)

    assert talk(world, story)[0] == 410


def test_a_bot_that_waits_for_its_purge_leaves_the_pod_that_it_shares(world: World) -> None:
    message = make_progress(world)
    bot = world.cluster.get("TweetBot", BOT)
    world.cluster.put({**bot, "metadata": {**bot["metadata"], "deletionTimestamp": "2026-11-23T12:00:00Z"}})
    world.store.put_bot(world.cluster.get("TweetBot", BOT))

    async def story(call: Call) -> Answer:
        return await call(PROGRESS_PATH, message)

    assert talk(world, story)[0] == 410


def make_handles(world: World, **changes: Any) -> dict[str, Any]:
    """Return the message of the Job whose pod holds the token; its owner plays the TweetBotBatch."""
    (pod,) = world.live_pods
    name = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
    batch = {"namespace": "default", "name": "ann", "uid": "uid-of-ann", **changes.pop("batch", {})}
    return {"batch": batch, "jobName": name, "handles": ["ann"] * 9000, **changes}


def test_a_long_list_of_handles_is_answered_once_it_is_kept(world: World) -> None:
    kept: list[HandlesMessage] = []

    async def story(call: Call) -> Answer:
        return await call(HANDLES_PATH, make_handles(world, handles=["a" * 100] * 9000))

    assert talk(world, story, kept=kept) == (200, {})
    assert len(kept[0].handles) == 9000


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"jobName": "another"}, 403),
        ({"batch": {"uid": "uid-of-ben"}}, 403),
        ({"batch": {"namespace": "other"}}, 403),
        ({"handles": ["ann"] * 10_001}, 422),
        ({"handles": ["a" * 131]}, 422),
    ],
    ids=["another Job", "another batch", "another namespace", "too many", "too long a cell"],
)
def test_a_list_is_refused_that_is_not_the_pods_own_or_not_bounded(
    world: World, changes: dict[str, Any], code: int
) -> None:
    kept: list[HandlesMessage] = []

    async def story(call: Call) -> Answer:
        return await call(HANDLES_PATH, make_handles(world, **changes))

    assert talk(world, story, kept=kept)[0] == code
    assert kept == []
