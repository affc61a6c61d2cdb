"""A Job of many bots: they are prepared side by side, and one that leaves, fails or hangs is nobody else's trouble."""

import json
import os
import signal
import threading

import pytest

from tests.factories import make_bot_identity, make_run_config
from tests.unit.trainer.test_job import DONE, TOO_LITTLE, Pod
from tests.unit.trainer.test_together import GENERATION, RECIPE, make_sentences, store_dataset, tiny_gpt2
from tweetbot_api.messages import BotOutcome
from tweetbot_api.runconfig import RunManifest
from tweetbot_trainer.job import Job
from tweetbot_trainer.stages import load_together
from tweetbot_trainer.together.running import Running

__all__ = ["tiny_gpt2"]


@pytest.fixture
def pod(tmp_path):
    return Pod(tmp_path)


def make_job(pod, kind, names, stage=None, operator_url=None, **fields):
    bots = [
        make_run_config(
            bot=make_bot_identity(name).to_wire(), output={"bucket": "bots", "prefix": name}, **fields.get(name, {})
        )
        for name in names
    ]
    return Job(
        RunManifest(job_kind=kind, job_name="job", operator_url=operator_url, bots=bots),
        pod.paths,
        lambda _: stage,
        lambda output: pod.store(output.prefix),
        load_together=load_together,
    )


def test_bots_are_prepared_side_by_side_and_each_ends_in_its_own_way(pod):
    meeting = threading.Barrier(4, timeout=10)

    def prepare(config, store, reporter, tracker, work_dir):
        meeting.wait()
        if config.bot.name == "bob":
            raise TOO_LITTLE
        if config.bot.name == "cy":
            raise RuntimeError("a bug")
        return DONE

    names = ["ann", "bob", "cy", "dee"] * 2
    names = [name + str(number // 4) for number, name in enumerate(names)]

    assert make_job(pod, "prepare", names, lambda config, *rest: prepare(rename(config), *rest)).run() == 171
    reasons = [outcome.failure and outcome.failure.reason for outcome in pod.outcomes]
    assert reasons == [None, "TooLittleText", "InternalError", None] * 2
    log = pod.store("bob0").read_bytes("logs/prepare-1.txt").decode()
    assert "give more posts" in log
    assert "ann" not in log


def rename(config):
    return config.model_copy(update={"bot": config.bot.model_copy(update={"name": config.bot.name[:-1]})})


def test_a_stop_does_not_wait_for_bots_that_are_being_prepared(pod):
    begun, never = threading.Barrier(4, timeout=10), threading.Event()

    def hang(config, *_):
        if config.bot.name == "quick":
            return DONE
        if begun.wait() == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        never.wait(30)
        return DONE

    assert make_job(pod, "prepare", ["quick", "a", "b", "c", "d", "e"], hang).run() == 143
    never.set()
    first, *others = pod.outcomes
    assert first == DONE
    assert {outcome.failure.reason for outcome in others} == {"Interrupted"}


def make_batch_job(pod, model, operator_url=None, epochs=None):
    names = ("ann", "bob", "cy")
    fields = {
        name: {
            "training": RECIPE | {"seed": number, "epochs": (epochs or {}).get(name, 2)},
            "generation": GENERATION,
            "baseModel": {"name": model.as_uri()},
        }
        for number, name in enumerate(names)
    }
    for name in names:
        store_dataset(pod.store(name), {"thisisaito": make_sentences(60)})
    return make_job(pod, "train", names, operator_url=operator_url, **fields)


def test_a_bot_that_nobody_waits_for_any_more_leaves_its_slot_and_nothing_else_is_written(
    pod, tiny_gpt2, tmp_path, loopback_server, monkeypatch
):
    (tmp_path / "undisturbed").mkdir()
    undisturbed = Pod(tmp_path / "undisturbed")
    assert make_batch_job(undisturbed, tiny_gpt2).run() == 0

    steps = {}
    note = Running.note

    def noted(self, event):
        steps[self.member.config.bot.name] = event.first_step
        note(self, event)

    monkeypatch.setattr(Running, "note", noted)
    server = loopback_server(statuses=lambda body: 409 if json.loads(body)["bot"]["name"] == "bob" else 204)
    assert make_batch_job(pod, tiny_gpt2, server.url, epochs={"bob": 50}).run() == 0

    ann, bob, cy = pod.outcomes
    assert bob.failure.reason == "Interrupted"
    assert steps["bob"] < 100, "of some hundreds"
    assert pod.store("bob").list("") == ["dataset/dataset.json", "dataset/posts.jsonl"]
    assert isinstance(ann, BotOutcome)
    for name, outcome in (("ann", ann), ("cy", cy)):
        assert outcome.manifest_sha256
        weights = "model/model.safetensors"
        assert pod.store(name).read_bytes(weights) == undisturbed.store(name).read_bytes(weights)
    results = {json.loads(body)["bot"]["name"] for path, _, body in server.requests if path == "/v1/result"}
    assert results == {"ann", "cy"}
