"""What a purge leaves in a bucket: nothing of the bot, and everything of the others."""

from pathlib import Path

import pytest

from tests.factories import make_run_config
from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.progress import NullReporter
from tweetbot_trainer.purge import BotFolder, purge
from tweetbot_trainer.s3 import open_store
from tweetbot_trainer.tracking import NullTracker


def make_config(endpoint, bucket="bots"):
    return make_run_config(output={"bucket": bucket, "prefix": "team/default/ann", "endpoint": endpoint})


def run(config, work_dir: Path):
    return purge(config, open_store(config.output), NullReporter(), NullTracker(), work_dir)


def put(client, *keys):
    for key in keys:
        client.put_object(Bucket="bots", Key=key, Body=b"x")


def test_all_versions_markers_and_uploads_of_all_runs_are_gone_and_counted(s3, s3_endpoint, tmp_path):
    s3.put_bucket_versioning(Bucket="bots", VersioningConfiguration={"Status": "Enabled"})
    put(s3, "team/default/ann/run1/model/a", "team/default/ann/run1/model/a", "team/default/ann/run2/b")
    s3.delete_object(Bucket="bots", Key="team/default/ann/run2/b")
    s3.create_multipart_upload(Bucket="bots", Key="team/default/ann/run2/c")

    outcome = run(make_config(s3_endpoint), tmp_path)

    assert (outcome.purged.versions, outcome.purged.uploads) == (4, 1)
    left = s3.list_object_versions(Bucket="bots")
    assert (left.get("Versions", []), left.get("DeleteMarkers", [])) == ([], [])
    assert s3.list_multipart_uploads(Bucket="bots").get("Uploads", []) == []


def test_bots_whose_names_begin_alike_are_not_touched(s3, s3_endpoint, tmp_path):
    others = ["team/default/anna/run/a", "team/default/ann-2/run/a", "team/ann/run/a", "default/ann/run/a"]
    put(s3, "team/default/ann/run/a", *others)

    run(make_config(s3_endpoint), tmp_path)

    assert [item["Key"] for item in s3.list_objects_v2(Bucket="bots")["Contents"]] == sorted(others)


def test_a_purge_of_nothing_is_done(s3, s3_endpoint, tmp_path):
    assert run(make_config(s3_endpoint), tmp_path).purged.versions == 0


def test_a_bucket_that_is_missing_is_named(s3, s3_endpoint, tmp_path):
    with pytest.raises(TrainerError) as failure:
        run(make_config(s3_endpoint, "none"), tmp_path)

    assert failure.value.reason == Reason.BUCKET_NOT_FOUND


def test_a_folder_that_others_write_to_is_not_called_empty(s3, s3_endpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(BotFolder, "delete_all", lambda self: (1, 0))

    with pytest.raises(TrainerError, match="does not become empty"):
        run(make_config(s3_endpoint), tmp_path)


@pytest.mark.parametrize("prefix", ["", "/"])
def test_a_whole_bucket_is_never_purged(prefix):
    with pytest.raises(ValueError, match="never purged"):
        BotFolder(None, "bots", prefix)
