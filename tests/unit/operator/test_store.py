"""Memory keeps the newest, whatever comes late."""

from tests.unit.operator.factories import make_job, make_pod, make_tweetbot_document
from tests.unit.operator.test_resolve import make_running
from tweetbot_operator.observed import Key
from tweetbot_operator.store import Store


def versioned(document: dict, version: int) -> dict:
    return {**document, "metadata": {**document["metadata"], "resourceVersion": str(version)}}


def test_an_older_bot_does_not_replace_a_newer_one() -> None:
    store = Store()
    store.put_bot(versioned(make_tweetbot_document(maxAttempts=5), 9))
    store.put_bot(versioned(make_tweetbot_document(), 10))
    store.put_bot(versioned(make_tweetbot_document(maxAttempts=5), 9))

    assert "maxAttempts" not in store.bot(Key("default", "ann")).read()["spec"]


def test_a_bot_that_was_made_again_replaces_the_former_one() -> None:
    store = Store()
    store.put_bot(versioned(make_tweetbot_document(), 10))
    again = versioned(make_tweetbot_document(), 3)
    again["metadata"]["uid"] = "another"
    store.put_bot(again)

    assert store.bot(Key("default", "ann")).uid == "another"


def test_an_older_job_does_not_replace_a_newer_one() -> None:
    bot, store = make_running(), Store()
    store.put_job(versioned(make_job(bot, state="succeeded"), 11), 0)
    store.put_job(versioned(make_job(bot), 10), 0)

    (job,) = store.jobs.of(Key("default", "ann"))
    assert job.state == "succeeded"


def test_a_pod_is_found_by_its_job_until_it_is_gone() -> None:
    bot, store = make_running(), Store()
    pod = store.put_pod(make_pod(bot), 0)
    group = Key("default", bot.status.run.job_name)
    assert store.pods.of(group) == [pod]

    store.pods.drop(pod.key)

    assert store.pods.of(group) == []


def test_bots_are_counted_by_phase() -> None:
    store = Store()
    store.put_bot(make_tweetbot_document("ann"))
    store.put_bot({**make_tweetbot_document("ben"), "status": {"phase": "Failed"}})

    assert store.count_phases() == {"Pending": 1, "Failed": 1}


def test_managed_fields_are_not_kept() -> None:
    store = Store()
    document = make_tweetbot_document()
    document["metadata"]["managedFields"] = [{"manager": "x" * 1000}]
    store.put_bot(document)

    assert b"xxx" not in store.bot(Key("default", "ann")).body


def test_of_the_jobs_that_wait_for_a_node_the_oldest_of_each_kind_is_known() -> None:
    bot, store = make_running(), Store()

    def put(name: str, minute: int, state: str = "active", **metadata: str) -> None:
        job = make_job(bot, state=state)
        created = {"creationTimestamp": f"2026-11-23T12:0{minute}:00Z"}
        store.put_job({**job, "metadata": {**job["metadata"], "name": name, **created, **metadata}}, 0)

    put("ended", 1, "succeeded")
    put("goes", 2, deletionTimestamp="2026-11-23T12:09:00Z")
    put(bot.status.run.job_name, 3)
    put("in-its-queue", 4, "suspended")
    put("waits", 5)
    assert [made.minute for made in store.oldest_without_node().values()] == [3]

    store.put_pod(make_pod(bot), 0)

    ((kind, made),) = store.oldest_without_node().items()
    assert (kind, made.minute) == ("prepare", 4)
