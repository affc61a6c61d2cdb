import hashlib
import io
import json
import logging
import warnings

import pytest
import torch
from PIL import Image
from transformers import pipeline

from tests.factories import make_run_config, make_sentences
from tests.unit.trainer.language_model import save_tiny_gpt2, store_dataset
from tweetbot_api.conditions import Reason
from tweetbot_trainer import engine as engine_module
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.pipeline import train_bot
from tweetbot_trainer.progress import NullReporter
from tweetbot_trainer.tracking import NullTracker, open_tracker

POSTS = make_sentences(120)
GENERATION = {
    "prompts": ["My dream is", "note"],
    "samplesPerPrompt": 3,
    "measuredPosts": 5,
    "minLength": 4,
    "maxLength": 24,
}


class RecordingReporter:
    def __init__(self):
        self.reports = []

    def report(self, stage, fraction, **numbers):
        self.reports.append((stage, fraction, numbers))


class RecordingTracker(NullTracker):
    url = "https://wandb.example/me/huggingtweets/runs/abc"

    def __init__(self):
        self.runs, self.metrics, self.artifacts = [], [], []

    def start(self, run_name, job_type, config):
        self.runs.append((run_name, job_type, config))

    def log(self, metrics, step):
        self.metrics.append((step, dict(metrics)))

    def log_artifact(self, name, kind, path, metadata):
        self.artifacts.append((name, kind, sorted(file.name for file in path.iterdir()), dict(metadata)))


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory):
    return save_tiny_gpt2(tmp_path_factory.mktemp("tiny-gpt2"))


def make_config(model, **fields):
    recipe = {"blockSize": 64, "epochs": 2, "learningRate": 5e-3, "batchSize": 2, **fields.pop("training", {})}
    return make_run_config(
        training=recipe, **{"baseModel": {"name": model.as_uri()}, "generation": GENERATION, **fields}
    )


def make_portrait():
    """Return a picture as a source gives it."""
    file = io.BytesIO()
    Image.new("RGB", (48, 64), "green").save(file, "JPEG")
    return file.getvalue()


def run(config, folder, *, posts=None, reporter=None, tracker=None, **dataset):
    store = LocalStore(folder / "store")
    store_dataset(store, posts or dict.fromkeys(config.handles, POSTS), **dataset)
    store.write_bytes("dataset/avatars/thisisaito", make_portrait())
    work_dir = folder / "work"
    work_dir.mkdir(parents=True, exist_ok=True)
    return train_bot(config, store, reporter or NullReporter(), tracker or NullTracker(), work_dir), store


@pytest.fixture(scope="session")
def finished(tiny_gpt2, tmp_path_factory):
    """One run of a bot, with all that it told and left behind."""
    folder = tmp_path_factory.mktemp("finished")
    reporter, tracker = RecordingReporter(), RecordingTracker()
    outcome, store = run(make_config(tiny_gpt2), folder, reporter=reporter, tracker=tracker)
    return outcome, store, reporter, tracker


def metrics_of(store):
    return [json.loads(line) for line in store.read_bytes("metrics.jsonl").splitlines()]


def training_losses(store):
    return [line["loss"] for line in metrics_of(store) if "loss" in line]


def test_every_output_is_stored_and_matches_the_manifest(finished):
    outcome, store, *_ = finished
    data = store.read_bytes("manifest.json")
    assert outcome.manifest_sha256 == hashlib.sha256(data).hexdigest()
    listed = {file["path"]: file for file in json.loads(data)["files"]}
    assert set(listed) == set(store.list()) - {"manifest.json", "dataset/avatars/thisisaito"}
    assert {
        "card.json", "dataset/dataset.json", "dataset/posts.jsonl", "loss.png", "metrics.jsonl",
        "model/README.md", "model/config.json", "model/generation_config.json", "model/loss.png",
        "model/model.safetensors", "model/predictions.png", "model/tokenizer.json", "predictions.png", "samples.json",
    } <= set(listed)  # fmt: skip
    for path, file in listed.items():
        assert file["sha256"] == hashlib.sha256(store.read_bytes(path)).hexdigest(), path
    assert not [path for path in listed if path.endswith((".bin", ".pt", ".pth", ".pkl"))]


def test_the_bot_learns(finished):
    outcome, store, *_ = finished
    losses = training_losses(store)
    assert losses[-1] < losses[0] - 0.5
    assert outcome.evaluation.loss < outcome.evaluation.base_loss - 0.5
    assert outcome.evaluation.perplexity < outcome.evaluation.base_perplexity


def test_stages_are_reported_in_order_with_the_steps_of_the_training(finished):
    _, _, reporter, _ = finished
    stages = list(dict.fromkeys(stage for stage, *_ in reporter.reports))
    assert stages == ["Training", "Evaluating", "Generating", "Publishing"]
    for stage in stages:
        fractions = [fraction for name, fraction, _ in reporter.reports if name == stage]
        assert fractions == sorted(fractions)
    steps = [numbers for stage, _, numbers in reporter.reports if stage == "Training" and numbers]
    assert [numbers["step"] for numbers in steps][:2] == [5, 10]
    assert steps[-1]["step"] == steps[-1]["total_steps"]
    assert steps[-1]["eta_seconds"] == 0 < steps[-1]["tokens_per_second"]


def test_metrics_reach_file_and_tracker_alike(finished):
    _, store, _, tracker = finished
    assert metrics_of(store) == [{"step": step, **metrics} for step, metrics in tracker.metrics]
    assert ["heldOutLoss"] == list(tracker.metrics[0][1]) == list(tracker.metrics[-2][1])
    assert {"memorization", "duplicates", "bot/distinct2", "author/distinct2"} <= set(tracker.metrics[-1][1])


def test_the_tracked_run_is_huggingtweets_second_one(finished):
    _, _, _, tracker = finished
    (run_name, job_type, config), *others = tracker.runs
    assert (run_name, job_type, others) == ("@thisisaito-train", "train", [])
    assert (config["handles"], config["seed"], config["epochs"]) == (["thisisaito"], 7, 2)
    ((name, kind, files, metadata),) = tracker.artifacts
    assert (name, kind, metadata["seed"]) == ("thisisaito", "finetuned-model", 7)
    assert {"README.md", "model.safetensors"} <= set(files)


def test_samples_begin_with_their_prompts_and_stand_in_the_outcome(finished):
    outcome, store, *_ = finished
    *samples, unprompted = json.loads(store.read_bytes("samples.json"))
    assert (unprompted["prompt"], len(unprompted["posts"])) == ("", 5)
    assert [sample["prompt"] for sample in samples] == GENERATION["prompts"]
    for sample in samples:
        assert len(sample["posts"]) == 3
        assert all(post.startswith(sample["prompt"]) and "\n" not in post for post in sample["posts"])
    assert outcome.samples == [samples[0]["posts"][0], samples[1]["posts"][0], samples[0]["posts"][1]]


def test_what_the_bot_writes_is_measured_beside_its_author(finished):
    outcome, store, *_ = finished
    bot, author = outcome.evaluation.bot, outcome.evaluation.author
    assert (bot.posts, author.posts) == (5, 108)
    assert author.words == 10
    assert 0 < bot.distinct1 < bot.distinct2 <= 1
    assert 0 <= outcome.evaluation.memorization <= 1
    recorded = json.loads(store.read_bytes("manifest.json"))["outcome"]["evaluation"]
    assert recorded == outcome.evaluation.to_wire()


def test_pictures_are_stored_in_the_size_for_sharing(finished, tmp_path):
    _, store, *_ = finished
    for key, size in (("predictions.png", (1120, 586)), ("loss.png", (1080, 540))):
        store.download(key, tmp_path / key)
        with Image.open(tmp_path / key) as image:
            assert image.size == size


def test_the_accounts_picture_lies_beside_the_card(finished, tmp_path):
    _, store, *_ = finished
    assert '<img src="avatars/thisisaito.png"' in store.read_bytes("model/README.md").decode()
    store.download("model/avatars/thisisaito.png", tmp_path / "avatar.png")
    with Image.open(tmp_path / "avatar.png") as image:
        assert (image.format, image.size) == ("PNG", (184, 184))


def test_the_published_folder_writes_with_a_plain_pipeline(finished, tmp_path):
    _, store, *_ = finished
    for key in store.list("model/"):
        store.download(key, tmp_path / key)
    generator = pipeline("text-generation", model=str(tmp_path / "model"), device="cpu")
    settings = generator.model.generation_config
    assert (settings.do_sample, settings.temperature, settings.top_p) == (True, 1.0, 0.95)
    assert (settings.min_length, settings.max_length) == (4, 24)
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"):
        posts = [item["generated_text"] for item in generator("note", num_return_sequences=5)]
    assert len(set(posts)) > 1
    for post in posts:
        assert post.startswith("note")
        assert 2 <= len(generator.tokenizer(post)["input_ids"]) <= 24


def test_a_finished_run_is_reported_and_not_repeated(finished, tiny_gpt2, tmp_path):
    outcome, store, *_ = finished
    reporter = RecordingReporter()
    again = train_bot(make_config(tiny_gpt2), store, reporter, NullTracker(), tmp_path)
    assert (again, reporter.reports) == (outcome, [])


def test_the_same_seed_gives_the_same_losses_samples_and_weights(finished, tiny_gpt2, tmp_path):
    _, first, *_ = finished
    _, second = run(make_config(tiny_gpt2), tmp_path / "same")
    assert training_losses(first) == training_losses(second)
    for key in ("samples.json", "model/model.safetensors", "predictions.png", "loss.png"):
        assert first.read_bytes(key) == second.read_bytes(key), key
    _, other = run(make_config(tiny_gpt2, training={"seed": 8}), tmp_path / "other")
    assert training_losses(first) != training_losses(other)


def test_a_cyborg_without_held_out_posts_and_an_offline_run(tiny_gpt2, tmp_path):
    config = make_config(tiny_gpt2, handles=["ada", "grace"], training={"evalFraction": 0}, wandb={"mode": "offline"})
    store = LocalStore(tmp_path / "store")
    (tmp_path / "work").mkdir()
    tracker = open_tracker(config.wandb, config.bot, "train", tmp_path / "work", store)
    outcome, store = run(config, tmp_path, posts={"ada": POSTS[:60], "grace": POSTS[60:]}, tracker=tracker)
    assert (outcome.evaluation.loss, outcome.evaluation.bot.posts, outcome.wandb) == (None, 5, None)
    assert [key for key in store.list("wandb/") if key.endswith(".wandb")]
    assert "AI CYBORG" in store.read_bytes("model/README.md").decode()


def test_bf16_arithmetic_trains_too(tiny_gpt2, tmp_path):
    _, store = run(make_config(tiny_gpt2, training={"precision": "bf16", "epochs": 1}), tmp_path)
    losses = training_losses(store)
    assert losses[-1] < losses[0]


def test_a_loss_that_is_not_a_number_has_a_reason_of_its_own(tiny_gpt2, tmp_path, monkeypatch):
    optimizer = engine_module.make_optimizer

    def poisoned(model, recipe, device):
        with torch.no_grad():
            model.transformer.h[0].ln_1.weight.fill_(float("nan"))
        return optimizer(model, recipe, device)

    monkeypatch.setattr(engine_module, "make_optimizer", poisoned)
    with pytest.raises(TrainerError, match=r"spec\.training\.learningRate") as caught:
        run(make_config(tiny_gpt2), tmp_path)
    assert caught.value.reason == Reason.NON_FINITE_LOSS
    assert not (tmp_path / "store" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        ({"training": {"blockSize": 256}}, Reason.BASE_MODEL_UNUSABLE, r"spec\.training\.blockSize"),
        ({"generation": {"maxLength": 160}}, Reason.INVALID_SPEC, r"spec\.generation\.maxLength"),
        (
            {"generation": {**GENERATION, "prompts": ["ok", "word " * 40]}},
            Reason.INVALID_SPEC,
            r"spec\.generation\.prompts\[1\]",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_the_base_model_is_refused_by_field(tiny_gpt2, tmp_path, fields, reason, message):
    with pytest.raises(TrainerError, match=message) as caught:
        run(make_config(tiny_gpt2, **fields), tmp_path)
    assert caught.value.reason == reason


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_dataset_that_is_not_whole_is_refused(tiny_gpt2, tmp_path, damage):
    store = LocalStore(tmp_path / "store")
    if damage == "changed":
        store_dataset(store, {"thisisaito": POSTS})
        store.write_bytes("dataset/posts.jsonl", b"{}\n")
    with pytest.raises(TrainerError, match="dataset/") as caught:
        train_bot(make_config(tiny_gpt2), store, NullReporter(), NullTracker(), tmp_path)
    assert caught.value.reason == Reason.DATASET_DAMAGED


def test_posts_never_reach_the_log(tiny_gpt2, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    run(make_config(tiny_gpt2, training={"epochs": 1}), tmp_path)
    assert caplog.text
    assert not [post for post in POSTS if post in caplog.text]
