import hashlib
import json
from datetime import UTC, datetime

import pytest

from tests.factories import make_archive, make_base_model, make_jsonl, make_run_config, make_sentences
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_trainer import prepare as prepare_module
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.dataset import DatasetInfo, posts_from_jsonl
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.output_manifest import RunFacts, write_output_manifest
from tweetbot_trainer.prepare import prepare
from tweetbot_trainer.progress import NullReporter
from tweetbot_trainer.sources.base import Post
from tweetbot_trainer.tracking import NullTracker


class RecordingTracker(NullTracker):
    url = "https://wandb.example/run"

    def __init__(self):
        self.runs, self.artifacts = [], {}

    def start(self, run_name, job_type, config):
        self.runs.append((run_name, job_type, dict(config)))

    def use_artifact(self, name, kind, path, metadata):
        self.log_artifact(name, kind, path, metadata)

    def log_artifact(self, name, kind, path, metadata):
        self.artifacts[name] = (kind, path.read_text() if path.is_file() else None, dict(metadata))


class RecordingReporter:
    def __init__(self):
        self.reports = []

    def report(self, stage, fraction, **_):
        self.reports.append((stage, fraction))


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def model(tmp_path):
    return {"name": make_base_model(tmp_path / "small").as_uri()}


def run(config, store, tmp_path, tracker=None, reporter=None):
    return prepare(config, store, reporter or NullReporter(), tracker or NullTracker(), tmp_path / "work")


def seed_archive(path):
    """Write an archive with the numbers of the seed card."""
    texts = [f"RT @other: theirs {number}" for number in range(102)]
    texts += [f"gm {number} https://t.co/{number}" for number in range(112)]
    return make_archive(path, texts + make_sentences(382))


def archive_config(tmp_path, model, **fields):
    uri = seed_archive(tmp_path / "thisisaito.zip").as_uri()
    return make_run_config(source={"archive": {"uri": uri}}, baseModel=model, **fields)


def test_the_seed_cards_table_comes_out_of_an_archive(store, tmp_path, model):
    outcome = run(archive_config(tmp_path, model), store, tmp_path)
    (counts,) = outcome.data
    assert (counts.handle, counts.display_name) == ("thisisaito", "aito.eth")
    assert (counts.downloaded, counts.retweets, counts.short, counts.kept) == (596, 102, 112, 382)


def test_kept_posts_and_their_facts_are_stored_for_the_train_half(store, tmp_path, model):
    outcome = run(archive_config(tmp_path, model), store, tmp_path)
    data = store.read_bytes("dataset/posts.jsonl")
    info = DatasetInfo.model_validate_json(store.read_bytes("dataset/dataset.json"))
    assert {"thisisaito": make_sentences(382)} == posts_from_jsonl(data, ["thisisaito"])
    assert hashlib.sha256(data).hexdigest() == info.dataset.sha256
    assert sum(map(len, make_sentences(382))) == info.dataset.characters
    assert info.dataset.characters / 10 < info.dataset.tokens < info.dataset.characters
    assert (7, outcome.data, outcome.dataset) == (info.seed, info.data, info.dataset)
    assert "only" in info.dataset.warning


def test_a_dataset_that_is_stored_is_reported_without_being_fetched_again(store, tmp_path, model):
    config = archive_config(tmp_path, model)
    outcome = run(config, store, tmp_path)
    (tmp_path / "thisisaito.zip").unlink()
    assert outcome == run(config, store, tmp_path)


def test_a_run_that_is_finished_is_reported_with_its_manifest(store, tmp_path):
    config = make_run_config()
    facts = RunFacts(
        bot=config.bot, created_at=datetime(2026, 11, 23, tzinfo=UTC), outcome=BotOutcome(samples=["My dream"])
    )
    sha256 = write_output_manifest(store, {}, facts)
    assert BotOutcome(samples=["My dream"], manifest_sha256=sha256) == run(config, store, tmp_path)


def test_several_handles_have_a_file_and_a_column_each(store, tmp_path, model):
    make_jsonl(tmp_path / "first.jsonl", make_sentences(150))
    make_jsonl(tmp_path / "second.jsonl", ["gm", *make_sentences(50)])
    config = make_run_config(
        handles=["second", "first"],
        source={"files": {"uri": f"{tmp_path.as_uri()}/{{handle}}.jsonl"}},
        baseModel=model,
    )
    outcome = run(config, store, tmp_path)
    assert [(c.handle, c.downloaded, c.kept) for c in outcome.data] == [("second", 51, 50), ("first", 150, 150)]
    posts = posts_from_jsonl(store.read_bytes("dataset/posts.jsonl"), config.handles)
    assert [len(texts) for texts in posts.values()] == [50, 150]


def test_the_tracker_sees_run_and_artifacts_as_huggingtweets_names_them(store, tmp_path, model):
    tracker = RecordingTracker()
    outcome = run(archive_config(tmp_path, model), store, tmp_path, tracker)
    ((run_name, job_type, config),) = tracker.runs
    assert (run_name, job_type) == ("@thisisaito-preprocess", "preprocess")
    assert {key: config[key] for key in ("handles", "seed_data")} == {"handles": ["thisisaito"], "seed_data": 7}
    assert tracker.artifacts["tweets-thisisaito"][0] == "raw-dataset"
    kind, text, metadata = tracker.artifacts["dataset-thisisaito"]
    assert (kind, metadata) == ("train-dataset", {"handles": ["thisisaito"], "seed": 7, "epochs": 4})
    assert text.startswith("<|endoftext|>note ")
    assert outcome.wandb.preprocess_url == "https://wandb.example/run"


def test_progress_goes_through_both_stages(store, tmp_path, model):
    reporter = RecordingReporter()
    run(archive_config(tmp_path, model), store, tmp_path, reporter=reporter)
    assert reporter.reports == [("Fetching", 0), ("Fetching", 1), ("Cleaning", 0), ("Cleaning", 0.5), ("Cleaning", 1)]


def test_too_little_text_stores_nothing(store, tmp_path, model):
    uri = make_jsonl(tmp_path / "a.jsonl", make_sentences(10)).as_uri()
    config = make_run_config(source={"files": {"uri": uri}}, baseModel=model)
    with pytest.raises(TrainerError, match="6,000") as caught:
        run(config, store, tmp_path)
    assert caught.value.reason == Reason.TOO_LITTLE_TEXT
    assert store.list() == []


def test_text_that_fills_no_block_is_refused_before_a_gpu_is_asked_for(store, tmp_path):
    model = {"name": make_base_model(tmp_path / "small", context=8192).as_uri()}
    uri = make_jsonl(tmp_path / "a.jsonl", make_sentences(120)).as_uri()
    config = make_run_config(source={"files": {"uri": uri}}, baseModel=model, training={"epochs": 1, "blockSize": 8192})
    with pytest.raises(TrainerError, match=r"spec\.training\.blockSize") as caught:
        run(config, store, tmp_path)
    assert caught.value.reason == Reason.TOO_LITTLE_TEXT


def test_a_base_model_that_does_not_exist_is_found_out_first(store, tmp_path):
    config = archive_config(tmp_path, {"name": "file:///nowhere"})
    with pytest.raises(TrainerError) as caught:
        run(config, store, tmp_path)
    assert caught.value.reason == Reason.BASE_MODEL_NOT_FOUND


def test_the_dataset_facts_are_plain_json(store, tmp_path, model):
    run(archive_config(tmp_path, model), store, tmp_path)
    facts = json.loads(store.read_bytes("dataset/dataset.json"))
    assert {"data", "dataset", "seed"} == facts.keys()


class PortraitSource:
    """A source of posts that also gives pictures."""

    def __init__(self, pictures):
        self._pictures = pictures

    def posts(self, handle):
        return (
            Post(id=str(number), handle=handle, text=text, source="test")
            for number, text in enumerate(make_sentences(200))
        )

    def display_name(self, handle):
        return None

    def avatar(self, handle):
        return self._pictures.get(handle)


def test_pictures_of_accounts_are_stored_if_the_source_gives_any_of_a_sane_size(store, tmp_path, model, monkeypatch):
    source = PortraitSource({"ada": b"picture", "grace": b"x" * (2 * 1024**2 + 1)})
    monkeypatch.setattr(prepare_module, "open_source", lambda *_: source)
    config = make_run_config(
        handles=["ada", "grace", "ann"], source={"files": {"uri": "s3://tweets/{handle}.jsonl"}}, baseModel=model
    )
    run(config, store, tmp_path)
    assert store.list("dataset/avatars/") == ["dataset/avatars/ada"]
    assert store.read_bytes("dataset/avatars/ada") == b"picture"
