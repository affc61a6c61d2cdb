"""Bots of one Job trained together end as each would alone: files, figures, failures."""

import json
import logging
import math
from pathlib import Path

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, pipeline

from tests.factories import make_bot_identity, make_run_config, make_sentences
from tests.unit.trainer.language_model import save_tiny_gpt2, store_dataset
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.job_log import log_to_file
from tweetbot_trainer.member import Member
from tweetbot_trainer.output_manifest import read_output_manifest
from tweetbot_trainer.pipeline import train_bot
from tweetbot_trainer.progress import NullReporter
from tweetbot_trainer.together import learner as learner_module
from tweetbot_trainer.together import training as together_module
from tweetbot_trainer.together.alike import may_be_together
from tweetbot_trainer.together.learner import make_course
from tweetbot_trainer.together.training import train_together
from tweetbot_trainer.tracking import NullTracker

GENERATION = {"prompts": ["My dream is"], "samplesPerPrompt": 2, "measuredPosts": 5, "minLength": 4, "maxLength": 16}
RECIPE = {"blockSize": 64, "epochs": 2, "learningRate": 5e-3}


@pytest.fixture(scope="module")
def tiny_gpt2(tmp_path_factory):
    folder = save_tiny_gpt2(tmp_path_factory.mktemp("tiny-gpt2"))
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}))
    return folder


def make_config(model, name, **fields):
    recipe = RECIPE | fields.pop("training", {})
    return make_run_config(
        bot=make_bot_identity(name).to_wire(), training=recipe, generation=GENERATION,
        baseModel={"name": model.as_uri()}, **fields,
    )  # fmt: skip


def make_member(folder, config, *, num_posts=60, reporter=None):
    store = LocalStore(folder / config.bot.name / "store")
    if num_posts:
        store_dataset(store, dict.fromkeys(config.handles, make_sentences(num_posts)))
    work_dir = folder / config.bot.name / "work"
    work_dir.mkdir(parents=True)
    return Member(
        config=config, store=store, reporter=reporter or NullReporter(), tracker=NullTracker(), work_dir=work_dir,
        log_file=folder / config.bot.name / "log.txt",
    )  # fmt: skip


def run(members, folder):
    outcomes = {}

    def on_end(member, result):
        assert member.config.bot.name not in outcomes
        outcomes[member.config.bot.name] = result

    train_together(members, folder / "base", on_end)
    return outcomes


def losses_of(member):
    return [
        line["loss"]
        for line in map(json.loads, member.store.read_bytes("metrics.jsonl").splitlines())
        if "loss" in line
    ]


@pytest.fixture(scope="module")
def batch(tiny_gpt2, tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch")
    configs = [
        make_config(tiny_gpt2, "ann", training={"seed": 1}),
        make_config(tiny_gpt2, "bob", training={"seed": 2, "epochs": 4, "batchSize": 2}),
        make_config(tiny_gpt2, "cy", training={"seed": 3, "learningRate": 1e-4, "evalFraction": 0}),
    ]
    members = [make_member(folder, config) for config in configs]
    return members, run(members, folder)


def test_every_bot_is_published_with_its_manifest_last(batch):
    members, outcomes = batch
    for member in members:
        outcome = outcomes[member.config.bot.name]
        assert isinstance(outcome, BotOutcome)
        stored = read_output_manifest(member.store)
        assert stored is not None
        assert stored.manifest_sha256 == outcome.manifest_sha256
        assert len(outcome.samples) == 2


def test_losses_are_those_of_the_bots_run_alone(batch, tmp_path):
    members, outcomes = batch
    for member in members:
        alone = make_member(tmp_path, member.config)
        outcome = train_bot(alone.config, alone.store, alone.reporter, alone.tracker, alone.work_dir)
        together = outcomes[member.config.bot.name]
        assert losses_of(member) == pytest.approx(losses_of(alone), rel=1e-4)
        if outcome.evaluation.loss is not None:
            assert together.evaluation.loss == pytest.approx(outcome.evaluation.loss, abs=2e-4)
            assert together.evaluation.base_loss == outcome.evaluation.base_loss
        assert member.store.list("") == alone.store.list("")
        engines = [json.loads(store.read_bytes("card.json"))["engine"] for store in (member.store, alone.store)]
        assert engines == ["fused", "deepspeed"]


def test_the_published_model_writes_with_transformers(batch):
    members, _ = batch
    folder = Path(members[0].store.uri("model").removeprefix("file://"))
    writer = pipeline("text-generation", model=str(folder))
    (post,) = writer("My dream is", max_new_tokens=4, max_length=None)
    assert post["generated_text"].startswith("My dream is")


def test_a_bots_failure_is_its_own(tiny_gpt2, tmp_path):
    poisoned = make_member(tmp_path, make_config(tiny_gpt2, "poisoned"))
    poisoned.store.write_bytes("dataset/posts.jsonl", b"[]")
    missing = make_member(tmp_path, make_config(tiny_gpt2, "missing"), num_posts=0)
    well = make_member(tmp_path, make_config(tiny_gpt2, "well"))

    outcomes = run([poisoned, missing, well], tmp_path)

    assert outcomes["poisoned"].reason == Reason.DATASET_DAMAGED
    assert outcomes["missing"].reason == Reason.DATASET_DAMAGED
    assert isinstance(outcomes["well"], BotOutcome)


def test_a_loss_that_is_no_number_ends_that_bot_alone(tiny_gpt2, tmp_path, monkeypatch):
    members = [make_member(tmp_path, make_config(tiny_gpt2, name)) for name in ("ann", "bob")]
    real = learner_module.make_course

    def with_poison(config, blocks):
        course = real(config, blocks)
        if config.bot.name == "ann":
            course.learning_rates[1] = math.nan
        return course

    monkeypatch.setattr(learner_module, "make_course", with_poison)

    outcomes = run(members, tmp_path)

    assert outcomes["ann"].reason == Reason.NON_FINITE_LOSS
    assert isinstance(outcomes["bob"], BotOutcome)


def test_a_run_that_is_finished_is_reported_and_not_repeated(batch, tiny_gpt2, tmp_path):
    members, outcomes = batch
    again = run([members[0], make_member(tmp_path, make_config(tiny_gpt2, "dee"))], tmp_path)
    assert again["ann"].manifest_sha256 == outcomes["ann"].manifest_sha256


def test_less_memory_than_thought_means_fewer_at_once(tiny_gpt2, tmp_path, monkeypatch):
    members = [make_member(tmp_path, make_config(tiny_gpt2, name)) for name in ("ann", "bob", "cy")]
    tried = []

    class Greedy(together_module.FusedBatch):
        def __init__(self, base, *, num_slots, **options):
            tried.append(num_slots)
            if num_slots > 1:
                raise torch.OutOfMemoryError("out of memory")
            super().__init__(base, num_slots=num_slots, **options)

    monkeypatch.setattr(together_module, "FusedBatch", Greedy)

    outcomes = run(members, tmp_path)

    assert tried == [3, 1]
    assert all(isinstance(outcome, BotOutcome) for outcome in outcomes.values())


def test_a_base_model_that_is_missing_ends_every_bot(tmp_path):
    members = [make_member(tmp_path, make_config(tmp_path / "nowhere", name)) for name in ("ann", "bob")]
    assert {type(result) for result in run(members, tmp_path).values()} == {TrainerError}


def test_each_bots_log_tells_of_that_bot_alone(tiny_gpt2, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    members = [make_member(tmp_path, make_config(tiny_gpt2, name)) for name in ("ann", "bob")]
    with log_to_file(members[0].log_file), log_to_file(members[1].log_file):
        run(members, tmp_path)
    for member in members:
        log = member.log_file.read_text()
        assert log.count("posts tokenized") == 1
        assert "bots are trained together bots=2" in log


@pytest.mark.parametrize(("warmup", "steps"), [(0, 7), (0.2, 11), (1, 4)])
def test_rates_are_those_of_transformers_schedule(tiny_gpt2, warmup, steps):
    config = make_config(tiny_gpt2, "ann", training={"warmupRatio": warmup, "blockSize": 16})
    course = make_course(config, [[0] * 16] * steps)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=config.training.learning_rate)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(steps * warmup), steps)
    expected = []
    for _ in range(steps):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert course.learning_rates == pytest.approx(expected)


def test_only_like_recipes_that_the_engine_knows_are_trained_together(tiny_gpt2, tmp_path):
    ann = make_config(tiny_gpt2, "ann")
    assert may_be_together([ann, make_config(tiny_gpt2, "bob", training={"epochs": 9, "batchSize": 4})])
    assert not may_be_together([ann])
    for other in (
        make_config(tiny_gpt2, "bob", training={"method": "lora"}),
        make_config(tiny_gpt2, "bob", training={"blockSize": 128}),
        make_config(tiny_gpt2, "bob", training={"weightDecay": 0.1}),
        make_config(tiny_gpt2, "bob", training={"gradientAccumulationSteps": 2}),
        make_config(tmp_path, "bob"),
    ):
        assert not may_be_together([ann, other])


def test_another_kind_of_model_is_trained_one_bot_after_the_other(tiny_gpt2, tmp_path, monkeypatch):
    monkeypatch.setattr(together_module, "why_not_fusible", lambda _model: "it is no GPT-2")
    members = [make_member(tmp_path, make_config(tiny_gpt2, name)) for name in ("ann", "bob")]
    outcomes = run(members, tmp_path)
    assert all(isinstance(outcome, BotOutcome) for outcome in outcomes.values())
