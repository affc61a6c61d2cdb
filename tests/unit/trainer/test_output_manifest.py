import hashlib
import json
import logging
from datetime import UTC, datetime

import pytest

from tests.factories import make_bot_identity
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.status import Evaluation, HandleCounts
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.output_manifest import RunFacts, read_output_manifest, write_output_manifest

OUTCOME = BotOutcome(
    data=[HandleCounts(handle="thisisaito", downloaded=596, retweets=102, short=112, kept=382)],
    evaluation=Evaluation(loss=3.5, perplexity=33.1),
    samples=["My dream is to sleep"],
)
FACTS = RunFacts(
    bot=make_bot_identity(), created_at=datetime(2026, 11, 23, tzinfo=UTC), outcome=OUTCOME, details={"seed": 7}
)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def card(store, tmp_path):
    """A file that is stored already, and its key."""
    path = tmp_path / "README.md"
    path.write_bytes(b"# card")
    store.upload(path, "model/README.md")
    return {"model/README.md": path}


def test_the_manifest_names_every_file_with_size_and_hash(store, card):
    sha256 = write_output_manifest(store, card, FACTS)
    data = store.read_bytes("manifest.json")
    assert sha256 == hashlib.sha256(data).hexdigest()
    manifest = json.loads(data)
    assert manifest["schemaVersion"] == 1
    assert manifest["createdAt"] == "2026-11-23T00:00:00Z"
    assert manifest["bot"]["uid"] == "uid-of-thisisaito"
    want = {"path": "model/README.md", "bytes": 6, "sha256": hashlib.sha256(b"# card").hexdigest()}
    assert [want] == manifest["files"]


def test_a_finished_run_is_reported_from_its_manifest(store, card):
    sha256 = write_output_manifest(store, card, FACTS)
    assert OUTCOME.model_copy(update={"manifest_sha256": sha256}) == read_output_manifest(store)


def test_an_unfinished_run_has_no_outcome(store):
    assert read_output_manifest(store) is None


def delete_card(store):
    store.delete("model/README.md")


def lengthen_card(store):
    store.write_bytes("model/README.md", b"# card\n")


def change_card(store):
    store.write_bytes("model/README.md", b"#!card")


@pytest.mark.parametrize("spoil", [delete_card, lengthen_card])
def test_a_run_whose_files_are_gone_or_others_is_not_finished(store, card, spoil, caplog):
    write_output_manifest(store, card, FACTS)
    spoil(store)
    with caplog.at_level(logging.WARNING):
        assert read_output_manifest(store) is None
    assert "model/README.md" in caplog.text
    assert not store.exists("manifest.json")


@pytest.mark.parametrize("spoil", [delete_card, change_card])
def test_a_manifest_is_not_written_for_a_file_that_is_missing_or_another(store, card, spoil):
    spoil(store)
    with pytest.raises(TrainerError, match=r"README\.md") as caught:
        write_output_manifest(store, card, FACTS)
    assert caught.value.reason == Reason.STORAGE_UNAVAILABLE
    assert not store.exists("manifest.json")


def test_the_second_of_two_attempts_that_publish_at_once_is_refused(store, card):
    write_output_manifest(store, card, FACTS)
    before = store.read_bytes("manifest.json")
    later = FACTS.model_copy(update={"bot": make_bot_identity(attempt=2)})
    with pytest.raises(TrainerError) as caught:
        write_output_manifest(store, card, later)
    assert caught.value.reason == Reason.OUTPUT_CONFLICT
    assert before == store.read_bytes("manifest.json")


def test_a_manifest_that_was_stored_though_its_answer_got_lost_counts(store, card):
    sha256 = write_output_manifest(store, card, FACTS)
    assert sha256 == write_output_manifest(store, card, FACTS)
