import huggingface_hub.errors as hub
import pytest

from tests.factories import make_base_model
from tweetbot_api.conditions import Reason
from tweetbot_api.runconfig import S3Location
from tweetbot_api.spec.training import BaseModelReference
from tweetbot_trainer import base_model
from tweetbot_trainer.base_model import check_block_size, resolve_base_model
from tweetbot_trainer.errors import TrainerError

NOWHERE = S3Location(bucket="bots", prefix="run")


def reference(name):
    return BaseModelReference(name=name)


def stored_model(s3, folder):
    for path in folder.iterdir():
        s3.upload_file(str(path), "bots", f"models/small/{path.name}")
    return reference("s3://bots/models/small")


def test_a_local_folder_is_used_where_it_is(tmp_path):
    folder = make_base_model(tmp_path / "small")
    assert folder == resolve_base_model(reference(folder.as_uri()), NOWHERE, tmp_path / "work")


@pytest.mark.parametrize(("weights", "want_weights"), [(True, True), (False, False)])
def test_a_mirror_gives_weights_only_to_those_who_need_them(s3, s3_endpoint, tmp_path, weights, want_weights):
    location = S3Location(bucket="bots", prefix="run", endpoint=s3_endpoint)
    model = stored_model(s3, make_base_model(tmp_path / "small"))
    s3.put_object(Bucket="bots", Key="models/small/pytorch_model.bin", Body=b"pickle")
    folder = resolve_base_model(model, location, tmp_path / "work", weights=weights)
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "tokenizer.json"} | ({"model.safetensors"} if want_weights else set()) == names


def test_an_empty_mirror_is_not_found(s3, s3_endpoint, tmp_path):
    location = S3Location(bucket="bots", prefix="run", endpoint=s3_endpoint)
    with pytest.raises(TrainerError, match="s3://bots/models/none") as caught:
        resolve_base_model(reference("s3://bots/models/none"), location, tmp_path)
    assert caught.value.reason == Reason.BASE_MODEL_NOT_FOUND


@pytest.mark.parametrize("without", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("weights", [True, False])
def test_what_a_model_lacks_is_named_in_both_halves(s3, s3_endpoint, tmp_path, without, weights):
    location = S3Location(bucket="bots", prefix="run", endpoint=s3_endpoint)
    model = stored_model(s3, make_base_model(tmp_path / "small", without=without))
    with pytest.raises(TrainerError, match=without.removeprefix("model.")) as caught:
        resolve_base_model(model, location, tmp_path / "work", weights=weights)
    assert caught.value.reason == Reason.BASE_MODEL_UNUSABLE


@pytest.mark.parametrize(
    ("error", "is_offline", "want_reason"),
    [
        (hub.HFValidationError("bad name"), False, Reason.BASE_MODEL_NOT_FOUND),
        (hub.LocalEntryNotFoundError("no cache"), True, Reason.BASE_MODEL_NOT_FOUND),
        (hub.OfflineModeIsEnabled("offline"), True, Reason.BASE_MODEL_NOT_FOUND),
        (hub.LocalEntryNotFoundError("no network"), False, Reason.STORAGE_UNAVAILABLE),
        (ConnectionError("reset"), False, Reason.STORAGE_UNAVAILABLE),
    ],
)
def test_a_failure_of_the_hub_becomes_a_reason(monkeypatch, tmp_path, error, is_offline, want_reason):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(base_model, "snapshot_download", fail)
    monkeypatch.setattr(base_model, "is_offline_mode", lambda: is_offline)
    with pytest.raises(TrainerError, match="gpt2") as caught:
        resolve_base_model(reference("gpt2"), NOWHERE, tmp_path)
    assert want_reason == caught.value.reason


def test_only_safe_files_are_asked_of_the_hub(monkeypatch, tmp_path):
    asked = {}

    def snapshot(name, *, revision, allow_patterns):
        asked.update(name=name, revision=revision, patterns=set(allow_patterns))
        return str(make_base_model(tmp_path / "snapshot"))

    monkeypatch.setattr(base_model, "snapshot_download", snapshot)
    resolve_base_model(BaseModelReference(name="gpt2", revision="main"), NOWHERE, tmp_path)
    assert {
        "name": "gpt2",
        "revision": "main",
        "patterns": {"*.safetensors", "*.json", "merges.txt", "vocab.txt"},
    } == asked


def test_a_block_longer_than_the_models_context_is_refused(tmp_path):
    folder = make_base_model(tmp_path, context=512)
    check_block_size(folder, 512)
    with pytest.raises(TrainerError, match=r"spec\.training\.blockSize is 1,024") as caught:
        check_block_size(folder, 1024)
    assert caught.value.reason == Reason.BASE_MODEL_UNUSABLE
